//! The private PostgreSQL of an installation without `DATABASE_URL`.
//!
//! Three processes hold each other to account. The server starts a *supervisor* (its own program again, with the
//! hidden subcommand `embedded-database`), as an unprivileged user where the server itself is root. The supervisor
//! starts PostgreSQL as its child and stops it when its standard input closes, which the kernel does for it however
//! the server ends. Whatever was killed, the next start finds it out, stops what is left over and lets PostgreSQL
//! recover from its write-ahead log.
//!
//! Everything lives in `<data directory>/postgres`: the cluster, its log, and the password of the superuser.

mod account;
mod cluster;
mod programs;
mod supervisor;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

pub use supervisor::supervise;

/// Name of the hidden subcommand whose body is [`supervise`].
pub const SUBCOMMAND: &str = "embedded-database";

/// Variables the supervisor needs; all others (keys, passwords) stay with the server.
const PASSED_ON: [&str; 9] = [
    "PATH",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "RUST_BACKTRACE",
];

/// How long a supervisor may take to stop PostgreSQL: longer than the supervisor's own patience.
const STOP_PATIENCE: Duration = Duration::from_secs(90);

/// A running private PostgreSQL; it is stopped when this value is dropped or the process ends.
#[derive(Debug)]
pub struct EmbeddedDatabase {
    superuser_url: String,
    supervisor: Child,
    /// The supervisor stops PostgreSQL when this closes.
    lifeline: ChildStdin,
    reports: Lines<BufReader<ChildStdout>>,
}

impl EmbeddedDatabase {
    /// Starts the private PostgreSQL in `data_dir/postgres`, which is made or recovered as needed, and returns when it
    /// accepts connections.
    pub async fn start(data_dir: &Path) -> anyhow::Result<Self> {
        let home = account::prepare(data_dir)?;
        let mut command = Command::new(own_program()?);
        command
            .arg0("syncwatch")
            .arg(SUBCOMMAND)
            .arg("--data-dir")
            .arg(&home.data_dir)
            .env_clear()
            .envs(PASSED_ON.iter().filter_map(|name| std::env::var_os(name).map(|value| (name, value))))
            .env("HOME", &home.directory)
            .env("LC_ALL", if cfg!(target_os = "linux") { "C.UTF-8" } else { "en_US.UTF-8" })
            .current_dir(&home.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C is for the server alone: it still needs its database while it ends.
            .process_group(0);
        if let Some(account) = &home.account {
            command.uid(account.uid).gid(account.gid);
        }
        let mut supervisor = command.spawn().context("the embedded database's supervisor could not be started")?;
        let (Some(lifeline), Some(stdout)) = (supervisor.stdin.take(), supervisor.stdout.take()) else {
            bail!("the embedded database's supervisor has no pipes");
        };
        let mut reports = BufReader::new(stdout).lines();
        while let Some(line) = reports.next_line().await? {
            if let Some(url) = line.strip_prefix("ready ") {
                return Ok(Self { superuser_url: url.to_owned(), supervisor, lifeline, reports });
            }
            if let Some(reason) = line.strip_prefix("failed ") {
                bail!("the embedded database did not start: {reason}");
            }
        }
        let status = supervisor.wait().await?;
        bail!("the embedded database's supervisor ended before it was ready ({status})");
    }

    /// Address of the maintenance database, with the superuser's name and password.
    pub fn superuser_url(&self) -> &str {
        &self.superuser_url
    }

    /// Resolves when the database has ended without having been asked to; logs the reason.
    ///
    /// Dropping the future before it resolves loses nothing.
    pub async fn exited(&mut self) {
        while let Ok(Some(line)) = self.reports.next_line().await {
            if let Some(reason) = line.strip_prefix("failed ") {
                tracing::error!(reason, "the embedded database ended");
            }
        }
        let status = self.supervisor.wait().await;
        tracing::error!(?status, "the embedded database's supervisor ended");
    }

    /// Stops PostgreSQL and returns when it has ended.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.lifeline);
        let status = tokio::time::timeout(STOP_PATIENCE, self.supervisor.wait())
            .await
            .context("the embedded database did not stop in time")??;
        if !status.success() {
            bail!("the embedded database's supervisor ended with {status}");
        }
        Ok(())
    }
}

/// The program this process runs. On Linux by the kernel's own link, which works below a directory that an unprivileged
/// user cannot enter, and after the file was replaced by an upgrade.
fn own_program() -> std::io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok(PathBuf::from("/proc/self/exe")) } else { std::env::current_exe() }
}

/// Where the database of `data_dir` lives.
fn home_in(data_dir: &Path) -> PathBuf {
    data_dir.join("postgres")
}
