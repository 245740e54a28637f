//! Building the health rows anew from the ledger, beside a running server or with a configured database.

use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use clap::Args;
use store::{Database, OrgTx, PlainTx};
use uuid::Uuid;

use crate::clock::Clock;
use crate::config::Config;
use crate::ledger::{Ledger, RebuiltHealth};

/// What `rebuild-health` takes.
#[derive(Debug, Args)]
pub(super) struct RebuildHealthArgs {
    /// Name or id of one organization; without it, all
    #[arg(long)]
    organization: Option<String>,
    /// Change nothing, only compare; ends with status 1 where a row differs
    #[arg(long)]
    check: bool,
}

/// Compares every row with the ledger, each in a transaction of its own, and writes those that differ.
pub(super) async fn run(config: &Config, args: &RebuildHealthArgs) -> anyhow::Result<ExitCode> {
    let db = super::connect(config).await?;
    ensure!(store::migrate::is_current(&db).await?, "the database's schema is another program's");
    let (mut seen, mut differing) = (0_usize, 0_usize);
    for (organization, integration) in wanted(&db, args.organization.as_deref()).await? {
        let found = rebuild(&db, config, organization, integration, !args.check).await?;
        seen += 1;
        if found.differs() {
            differing += 1;
            println!("organization {organization}, integration {integration}: {}", differences(&found).join(", "));
        }
    }
    db.close().await;
    let done = if args.check { "differ" } else { "differed and were written" };
    println!("{seen} health rows compared with the ledger, {differing} {done}");
    Ok(if args.check && differing > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Every integration of the wanted organizations.
async fn wanted(db: &Database, only: Option<&str>) -> anyhow::Result<Vec<(Uuid, Uuid)>> {
    let mut plain = PlainTx::begin(db).await?;
    let organizations = store::timers::organizations(&mut plain).await?;
    plain.commit().await?;
    let mut found = Vec::new();
    let mut known = only.is_none();
    for organization in organizations {
        let mut tx = OrgTx::begin(db, organization).await?;
        if let Some(only) = only {
            let (name, _) = store::memberships::organization(&mut tx).await?;
            if only != name && only != organization.to_string() {
                continue;
            }
            known = true;
        }
        let integrations = store::integrations::list(&mut tx).await?;
        found.extend(integrations.into_iter().map(|(config, ..)| (organization, config.id)));
        tx.commit().await?;
    }
    ensure!(known, "no organization with that name or id has an integration");
    Ok(found)
}

async fn rebuild(
    db: &Database,
    config: &Config,
    organization: Uuid,
    integration: Uuid,
    write: bool,
) -> anyhow::Result<RebuiltHealth> {
    let mut tx = OrgTx::begin(db, organization).await?;
    let mut ledger = Ledger {
        tx: &mut tx,
        now: Clock::system().now(),
        public_url: &config.http.public_url,
        automatic_retries: config.worker.automatic_retries,
    };
    let found = ledger.rebuild_health(integration, write).await.context("folding the ledger")?;
    tx.commit().await?;
    Ok(found)
}

/// Which facts of a row differ from the ledger.
fn differences(found: &RebuiltHealth) -> Vec<&'static str> {
    let (kept, rebuilt) = (&found.kept, &found.rebuilt);
    [
        ("latest syncs", kept.recent != rebuilt.recent),
        ("failures in a row", kept.consecutive_failures != rebuilt.consecutive_failures),
        ("failing since", kept.failing_since != rebuilt.failing_since),
        ("undelivered records", kept.undelivered != rebuilt.undelivered),
    ]
    .into_iter()
    .filter_map(|(what, differs)| differs.then_some(what))
    .collect()
}
