//! The command line.

mod accounts;
mod archive;
mod audit;
mod doctor;
mod rebuild_health;
mod report;
mod reseal;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use store::Database;
use url::Url;

use crate::config::{CONNECTION_PATIENCE, Config};
use crate::connection_file::Connections;
use crate::serve::{self, Parts};
use crate::telemetry;

/// Watches the syncs that carry records to external systems.
#[derive(Debug, Parser)]
#[command(name = "syncwatch", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run API, dashboard and worker in one process (the default)
    Serve,
    /// Run API and dashboard only
    Api,
    /// Run the worker only
    Worker,
    /// Make the database's roles and bring its schema up to date
    Migrate,
    /// Move months that are over a year old from the database into the archive
    Archive(archive::ArchiveArgs),
    /// Print the OpenAPI document
    Openapi,
    /// Manage people
    #[command(subcommand)]
    User(UserCommand),
    /// Manage machines' keys
    #[command(subcommand)]
    Key(KeyCommand),
    /// Run a job and report it to a Syncwatch server as a sync, for cron and the like
    Report(Box<report::ReportArgs>),
    /// Compare the ledger with its seals
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Say what is wrong with this installation
    Doctor,
    /// Build the integrations' health rows anew from the ledger, or compare them with it
    RebuildHealth(rebuild_health::RebuildHealthArgs),
    /// Seal everything anew with the first master key, so that the others are needed no more
    Reseal,
    /// Run the embedded database for a server
    #[command(name = crate::embedded::SUBCOMMAND, hide = true)]
    EmbeddedDatabase {
        #[arg(long)]
        data_dir: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Make a person, or add a known one to an organization
    Create(NewUserArgs),
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key and print its secret, once
    Create(NewKeyArgs),
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Name the first row that does not fit its seal; exit status 1 if there is one
    Verify(audit::VerifyArgs),
    /// Print a signed statement of where a chain of seals ends, to be kept elsewhere
    Checkpoint(audit::CheckpointArgs),
}

#[derive(Debug, Args)]
struct NewUserArgs {
    /// Name of the organization, which is made if there is none
    #[arg(long)]
    organization: String,
    /// E-mail address
    #[arg(long)]
    email: String,
    /// Display name
    #[arg(long)]
    name: String,
    /// `org_viewer`, `org_admin` or `global_admin`
    #[arg(long, default_value = "org_admin", value_parser = ["org_viewer", "org_admin", "global_admin"])]
    role: String,
    /// `en`, `nb` or `nn`
    #[arg(long, default_value = "en", value_parser = ["en", "nb", "nn"])]
    language: String,
    /// Read the password from standard input; otherwise one is made and printed
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Debug, Args)]
struct NewKeyArgs {
    /// Name of the organization, which is made if there is none
    #[arg(long)]
    organization: String,
    /// What the key is for
    #[arg(long)]
    name: String,
    /// Scopes, separated by commas: `syncs:write`, `syncs:read`, `records:write`, `retries:claim`, `integrations:read`,
    /// `debug`
    #[arg(long, value_delimiter = ',', required = true)]
    scopes: Vec<String>,
}

/// Runs what the process's arguments name.
pub async fn main() -> ExitCode {
    let command = Cli::parse().command.unwrap_or(Command::Serve);
    match run(command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("syncwatch: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve => serve(Parts::ALL).await?,
        Command::Api => serve(Parts { http: true, worker: false }).await?,
        Command::Worker => serve(Parts { http: false, worker: true }).await?,
        Command::Migrate => migrate(&Config::load()?).await?,
        Command::Archive(args) => archive::run(&Config::load()?, &args).await?,
        Command::Openapi => print_openapi()?,
        Command::User(UserCommand::Create(args)) => accounts::create_user(&Config::load()?, &args).await?,
        Command::Key(KeyCommand::Create(args)) => accounts::create_key(&Config::load()?, &args).await?,
        Command::Report(args) => return report::run(*args).await,
        Command::Audit(AuditCommand::Verify(args)) => return audit::verify_ledger(&Config::load()?, &args).await,
        Command::Audit(AuditCommand::Checkpoint(args)) => audit::print_checkpoint(&Config::load()?, &args).await?,
        Command::Doctor => return Ok(doctor::run().await),
        Command::RebuildHealth(args) => return rebuild_health::run(&Config::load()?, &args).await,
        Command::Reseal => return reseal::run(&Config::load()?).await,
        Command::EmbeddedDatabase { data_dir } => crate::embedded::supervise(&data_dir).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The configured database as the application sees it, or that of a running server.
async fn connect(config: &Config) -> anyhow::Result<Database> {
    // A second installation of the provider is refused, harmlessly.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = match &config.database.url {
        Some(url) => url.expose().to_owned(),
        None => Connections::read(&config.data_dir)?.app_url,
    };
    Database::connect(&url, 2, CONNECTION_PATIENCE).await.context("connecting to the database")
}

async fn serve(parts: Parts) -> anyhow::Result<()> {
    let config = Config::load()?;
    telemetry::start_logging(&config.log);
    if config.is_embedded() && parts != Parts::ALL {
        anyhow::bail!("`api` and `worker` run apart only with DATABASE_URL; without it use `serve`");
    }
    serve::run(config, parts).await
}

/// Migrates the configured database; the embedded one is migrated by the server that runs it.
async fn migrate(config: &Config) -> anyhow::Result<()> {
    let url = config.database.migrate_url.as_ref().context(
        "SYNCWATCH_MIGRATE_DATABASE_URL is needed: a connection that may create roles. \
         (The embedded database is migrated by `serve`.)",
    )?;
    let parsed: Url = url.expose().parse().context("SYNCWATCH_MIGRATE_DATABASE_URL is no address")?;
    let name = parsed.path().trim_start_matches('/');
    anyhow::ensure!(!name.is_empty(), "SYNCWATCH_MIGRATE_DATABASE_URL names no database");
    let app = config.database.url.as_ref().and_then(|url| serve::app_password(url.expose()));
    let maintenance = config.database.maintenance_url.as_ref();
    let maintenance = maintenance.and_then(|url| serve::role_password(url.expose(), store::migrate::MAINTENANCE));
    let passwords = store::migrate::RolePasswords { app, maintenance, ..Default::default() };
    store::migrate::run(url.expose(), name, &passwords).await.context("migrating")?;
    println!("the schema of {name} is up to date");
    Ok(())
}

fn print_openapi() -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(&crate::http::openapi::document_json())?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_job_stands_after_two_dashes_with_its_own_arguments() {
        let call = |more: &[&str]| {
            let known = ["syncwatch", "report", "--url", "https://syncwatch.example", "--integration"];
            let id = "0198c0de-0000-7000-8000-000000000001";
            Cli::try_parse_from(known.iter().copied().chain([id]).chain(more.iter().copied()))
        };
        assert!(call(&["--lease", "86400", "--", "rsync", "--url", "x"]).is_ok());
        assert!(call(&["--claim-retries", "--", "true"]).is_ok());
        for wrong in [
            &["--"][..],
            &["true"],
            &["--lease", "0", "--", "true"],
            &["--claim-retries", "--client-run-id", "x", "--", "true"],
            &["--sync-type", "everything", "--", "true"],
        ] {
            assert!(call(wrong).is_err(), "{wrong:?}");
        }
        for url in ["ftp://x", "syncwatch.example", "https://x/?a=b", "https://a:b@x"] {
            let id = "0198c0de-0000-7000-8000-000000000001";
            let call = ["syncwatch", "report", "--integration", id, "--url", url, "--", "true"];
            assert!(Cli::try_parse_from(call).is_err(), "{url}");
        }
    }

    #[test]
    fn serving_is_the_default_and_the_supervisor_is_hidden() {
        assert!(Cli::parse_from(["syncwatch"]).command.is_none());
        let help = Cli::command().render_long_help().to_string();
        assert!(help.contains("doctor") && !help.contains("embedded-database"));
        let hidden = Cli::parse_from(["syncwatch", "embedded-database", "--data-dir", "/x"]).command;
        assert!(matches!(hidden, Some(Command::EmbeddedDatabase { .. })));
    }
}
