//! The program as an operator runs it, with its embedded database, in processes that tests may kill.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command as StdCommand, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use server::connection_file::Connections;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tempfile::TempDir;
use tests::peers::Port;
use tests::server::program;
use tests::story::{Caller, until};
use tokio::process::{Child, Command};

/// The administrator's address.
pub const ADMIN: &str = "admin@example.org";
/// How long a server may take to end: it lets requests and jobs end first, for up to 50 s.
const ENDING: Duration = Duration::from_mins(2);
const PASSWORD: &str = "correct horse battery staple";

/// An installation; its processes end with it.
pub struct Installation {
    directory: TempDir,
    // Kept while the server is down, too.
    port: Port,
    smtp_url: Option<String>,
    server: Option<Child>,
}

impl Installation {
    /// A fresh one, serving, with one administrator.
    pub async fn start(smtp_url: Option<String>) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        // Started as root, the server runs its database as a user who must be able to enter.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        let mut installation = Self { directory, port: Port::reserve()?, smtp_url, server: None };
        installation.serve().await?;
        installation.make_administrator()?;
        Ok(installation)
    }

    fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    fn command(&self, arguments: &[&str]) -> anyhow::Result<StdCommand> {
        let mut command = StdCommand::new(program()?);
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_remove("DATABASE_URL")
            .env("SYNCWATCH_DATA_DIR", self.data_dir())
            .env("SYNCWATCH_LISTEN", format!("127.0.0.1:{}", self.port.number()))
            .env("SYNCWATCH_OUTBOUND_ALLOW", "127.0.0.0/8")
            .env("SYNCWATCH_AUTOMATIC_RETRIES", "0")
            .env("SYNCWATCH_LOG", "error");
        if let Some(url) = &self.smtp_url {
            command.env("SYNCWATCH_SMTP_URL", url);
        }
        Ok(command)
    }

    /// Starts the server and waits until it is ready.
    pub async fn serve(&mut self) -> anyhow::Result<()> {
        let mut command = Command::from(self.command(&["serve"])?);
        let server = command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).spawn()?;
        let ready = format!("{}/readyz", self.base());
        let server = self.server.insert(server);
        // A second installation of the provider is refused, harmlessly.
        let _ = rustls::crypto::ring::default_provider().install_default();
        #[expect(clippy::disallowed_methods, reason = "the tests' own addresses")]
        let client = reqwest::Client::new();
        until("the server is ready", async || {
            if let Some(status) = server.try_wait()? {
                anyhow::bail!("the server ended while it started: {status}");
            }
            let answer = client.get(&ready).send().await;
            Ok(answer.is_ok_and(|answer| answer.status().is_success()).then_some(()))
        })
        .await
    }

    fn make_administrator(&self) -> anyhow::Result<()> {
        let arguments =
            ["user", "create", "--organization", "Forening", "--email", ADMIN, "--name", "Admin", "--password-stdin"];
        let mut made = self.command(&arguments)?.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        made.stdin.take().context("no standard input")?.write_all(format!("{PASSWORD}\n").as_bytes())?;
        ensure!(made.wait()?.success(), "the administrator was not made");
        Ok(())
    }

    /// Signs the administrator in.
    pub async fn sign_in(&self) -> anyhow::Result<Caller> {
        Caller::sign_in(&self.base(), ADMIN, PASSWORD).await
    }

    /// Kills the server, and nothing else, with SIGKILL.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.server.take().context("no server runs")?.kill().await?)
    }

    /// Waits until the server has ended by itself, and returns whether it said that all was well.
    pub async fn ended(&mut self) -> anyhow::Result<bool> {
        let server = self.server.as_mut().context("no server runs")?;
        let status = tokio::time::timeout(ENDING, server.wait()).await.context("the server goes on")??;
        self.server = None;
        Ok(status.success())
    }

    /// Kills the postmaster of the embedded database with SIGKILL.
    pub fn kill_postgres(&self) -> anyhow::Result<()> {
        let text = fs::read_to_string(self.data_dir().join("postgres/cluster/postmaster.pid"))?;
        let postmaster = text.lines().next().context("there is no process number")?.trim().to_owned();
        ensure!(StdCommand::new("kill").args(["-9", &postmaster]).status()?.success(), "PostgreSQL was not killed");
        Ok(())
    }

    /// One number from the database, as its owner sees it.
    pub async fn number(&self, query: &'static str) -> anyhow::Result<i64> {
        let mut owner = PgConnection::connect(&Connections::read(&self.data_dir())?.owner_url).await?;
        let number = sqlx::query_scalar(query).fetch_one(&mut owner).await?;
        owner.close().await?;
        Ok(number)
    }

    /// Waits until everything is sealed, and lets the program compare the ledger with its seals.
    pub async fn fits_its_seals(&self) -> anyhow::Result<()> {
        until("everything is sealed", async || {
            Ok((self.number("SELECT count(*) FROM seal_queue").await? == 0).then_some(()))
        })
        .await?;
        let output = self.command(&["audit", "verify"])?.output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success() && text.starts_with("fits"),
            "{text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// Stops the server as an operator does.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let server = self.server.as_ref().and_then(Child::id).context("no server runs")?;
        ensure!(StdCommand::new("kill").arg(server.to_string()).status()?.success(), "the server was not told");
        ensure!(self.ended().await?, "the server stopped with an error");
        Ok(())
    }
}
