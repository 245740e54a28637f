//! Comparing the ledger with its seals, and printing a checkpoint to be kept elsewhere.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use store::admin::AdminConnection;
use uuid::Uuid;

use crate::archive::ArchiveReader;
use crate::audit::{self, Progress, Scope, Signer, verify};
use crate::clock::Clock;
use crate::config::Config;
use crate::connection_file::Connections;

/// Which ledger is compared.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Name or id of an organization; all of them, if left out
    #[arg(long)]
    organization: Option<String>,
    /// A checkpoint that was printed earlier and kept elsewhere
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<std::path::PathBuf>,
    /// Number of the seal after which to begin
    #[arg(long, value_name = "SEAL", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    after: i64,
}

/// Of which chain.
#[derive(Debug, Args)]
pub(super) struct CheckpointArgs {
    /// Name or id of the organization
    #[arg(long)]
    organization: String,
}

/// Compares; fails at the first thing that does not fit.
pub(super) async fn verify_ledger(config: &Config, args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let outside = args.checkpoint.as_deref().map(read_file).transpose()?;
    let wanted = args.organization.clone();
    let wanted = wanted.or_else(|| outside.as_ref().map(|signed| signed.checkpoint.organization_id.to_string()));
    let database = super::connect(config).await?;
    let archive = ArchiveReader::open(&config.archive.location)?;
    let mut code = ExitCode::SUCCESS;
    for (id, name) in organizations(config, wanted.as_deref()).await? {
        if let Some(signed) = &outside {
            ensure!(signed.checkpoint.organization_id == id, "the checkpoint is of another organization");
        }
        let scope = Scope { after: args.after, outside: outside.clone(), ..Scope::default() };
        let bar = std::io::stderr().is_terminal();
        let shown = |progress: Progress| {
            if bar {
                eprint!("\r{name}: {} of {} seals, {} syncs ", progress.seals, progress.of, progress.syncs);
            }
        };
        let found = verify(&database, &archive, id, &scope, shown).await.context("reading the ledger")?;
        if bar {
            eprint!("\r\x1b[K");
        }
        let looked_at = format!(
            "{} seals and {} syncs were checked, {} changes wait",
            found.checked, found.syncs_checked, found.waiting
        );
        match found.first_mismatch {
            None => println!("fits      {name}: {looked_at}"),
            Some(mismatch) => {
                println!("MISMATCH  {name}: {}; {looked_at} before it", mismatch.detail);
                code = ExitCode::FAILURE;
            }
        }
    }
    database.close().await;
    Ok(code)
}

/// Prints the newest checkpoint of a chain, made now if its end has none.
pub(super) async fn print_checkpoint(config: &Config, args: &CheckpointArgs) -> anyhow::Result<()> {
    let database = super::connect(config).await?;
    let organizations = organizations(config, Some(&args.organization)).await?;
    let (id, name) = organizations.first().context("there is no such organization")?;
    let signer = Signer::load(&database, &config.vault()?).await?;
    let made = audit::make_checkpoint(&database, &signer, *id, Clock::system().now()).await?;
    let made = made.with_context(|| format!("nothing of {name} is sealed, or it is being sealed at this moment"))?;
    println!("{}", serde_json::to_string(&audit::shown(&made))?);
    database.close().await;
    Ok(())
}

fn read_file(path: &Path) -> anyhow::Result<store::seals::SignedCheckpoint> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    audit::read_checkpoint(&text).with_context(|| path.display().to_string())
}

/// The organizations that are meant. Only the owner can list and name them; an id is enough by itself.
async fn organizations(config: &Config, wanted: Option<&str>) -> anyhow::Result<Vec<(Uuid, String)>> {
    let owner_url = match (&config.database.migrate_url, &config.database.url) {
        (Some(url), _) => Some(url.expose().to_owned()),
        (None, None) => Some(Connections::read(&config.data_dir)?.owner_url),
        (None, Some(_)) => None,
    };
    let id = wanted.and_then(|wanted| wanted.parse::<Uuid>().ok());
    let Some(owner_url) = owner_url else {
        let id = id
            .context("SYNCWATCH_MIGRATE_DATABASE_URL is needed to find organizations; without it name one by its id")?;
        return Ok(vec![(id, id.to_string())]);
    };
    let all = AdminConnection::connect(&owner_url).await?.organizations().await?;
    let Some(wanted) = wanted else { return Ok(all) };
    let fits = |(known, name): &(Uuid, String)| Some(*known) == id || name.to_lowercase() == wanted.to_lowercase();
    let found: Vec<_> = all.into_iter().filter(fits).collect();
    if found.is_empty() {
        bail!("there is no organization {wanted:?}");
    }
    Ok(found)
}
