//! A server of the bench's own: embedded database, a data directory that goes with it, organizations and keys.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::client::Client;

/// How long the first start may take: it makes the database.
const START_PATIENCE: Duration = Duration::from_mins(2);
/// How long the server may take to stop its database and itself.
const STOP_PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(100);
const PASSWORD: &str = "a password for the bench only";

/// A running server.
pub struct Installation {
    /// Where it listens.
    pub url: String,
    /// The application role's connection to its database.
    pub app_url: String,
    owner_url: String,
    program: PathBuf,
    child: Child,
    data: TempDir,
}

/// An organization of the bench's own.
pub struct Organization {
    /// Its id.
    pub id: Uuid,
    name: String,
    email: String,
    key: Key,
}

#[derive(Deserialize)]
struct Key {
    client_id: Uuid,
    client_secret: String,
}

#[derive(Deserialize)]
struct Connections {
    app_url: String,
    owner_url: String,
}

impl Installation {
    /// Starts the server and waits until it answers.
    pub async fn start(server: Option<&Path>, dist: &Path) -> Result<Self> {
        let program = match server {
            Some(server) => server.to_owned(),
            None => std::env::current_exe()?.with_file_name("syncwatch"),
        };
        ensure!(program.is_file(), "there is no server at {}: build it, or name it with --server", program.display());
        let data = tempfile::Builder::new().prefix("syncwatch-bench-").tempdir()?;
        // Started as root, the database runs as another user, who has to pass through.
        std::fs::set_permissions(data.path(), Permissions::from_mode(0o711))?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut command = clean(&program, data.path());
        command
            .env("SYNCWATCH_LISTEN", format!("127.0.0.1:{port}"))
            .env("SYNCWATCH_OUTBOUND_ALLOW", "127.0.0.0/8")
            .env("SYNCWATCH_RATE_LIMIT", "0")
            .env("SYNCWATCH_LOGIN_RATE_LIMIT", "0")
            .env("SYNCWATCH_LOG", "warn")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if dist.is_dir() {
            command.env("SYNCWATCH_DASHBOARD_DIR", std::path::absolute(dist)?);
        }
        let child = command.spawn().with_context(|| format!("{} cannot be started", program.display()))?;
        let mut installation = Self {
            url: format!("http://127.0.0.1:{port}"),
            app_url: String::new(),
            owner_url: String::new(),
            program,
            child,
            data,
        };
        installation.wait().await?;
        let text = std::fs::read_to_string(installation.data.path().join("database.json"))?;
        let connections: Connections = serde_json::from_str(&text)?;
        installation.app_url = connections.app_url;
        installation.owner_url = connections.owner_url;
        Ok(installation)
    }

    async fn wait(&mut self) -> Result<()> {
        let ready = reqwest::Client::builder().no_proxy().build()?.get(format!("{}/readyz", self.url));
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended while starting: {status}");
            }
            let answer = ready.try_clone().context("a request without a body can be repeated")?.send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            ensure!(begun.elapsed() < START_PATIENCE, "the server did not start in time");
            tokio::time::sleep(POLL).await;
        }
    }

    /// The server's process.
    pub fn pid(&self) -> Result<u32> {
        self.child.id().context("the server has ended")
    }

    /// A connection that may do anything to the database.
    pub async fn owner(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.owner_url).await?)
    }

    /// Makes an organization with an administrator and a machine's key.
    pub async fn organization(&self, name: &str) -> Result<Organization> {
        let email = format!("{}@bench.example", name.replace(' ', "-").to_lowercase());
        let user = ["user", "create", "--organization", name, "--email", &email, "--name", "Bench", "--password-stdin"];
        let user = self.command(&user, PASSWORD).await?;
        let id = user["organization_id"].as_str().context("the organization's id")?.parse()?;
        let scopes = "syncs:write,syncs:read,records:write,integrations:read";
        let key = ["key", "create", "--organization", name, "--name", "Bench", "--scopes", scopes];
        let key = serde_json::from_value(self.command(&key, "").await?)?;
        Ok(Organization { id, name: name.to_owned(), email, key })
    }

    async fn command(&self, arguments: &[&str], input: &str) -> Result<Value> {
        let mut command = clean(&self.program, self.data.path());
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).await?;
        }
        let output = child.wait_with_output().await?;
        ensure!(output.status.success(), "`syncwatch {}` ended with {}", arguments[..2].join(" "), output.status);
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Stops the server and with it its database; the data directory goes too.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            // Interrupted from the terminal it may have ended already: the wait tells.
            let _ = kill_process(pid, Signal::TERM);
        }
        tokio::time::timeout(STOP_PATIENCE, self.child.wait()).await.context("the server does not stop")??;
        self.data.close().context("removing the data directory")
    }
}

impl Organization {
    /// A client with its administrator's token, which lives ten minutes.
    pub async fn administrator(&self, installation: &Installation) -> Result<Client> {
        let body = serde_json::json!({ "email": self.email, "password": PASSWORD });
        let client = Client::new(&installation.url)?;
        let answer = client.post("/api/v1/auth/login", &body).await?.expect(200)?;
        Ok(client.with_token(answer.text("access_token")?))
    }

    /// A client with its machine's token, which lives ten minutes.
    pub async fn machine(&self, installation: &Installation) -> Result<Client> {
        let client = Client::new(&installation.url)?;
        let token = client.machine_token(self.key.client_id, &self.key.client_secret).await?;
        Ok(client.with_token(token))
    }

    /// Connects external systems whose syncs somebody else runs, numbered, and returns their ids.
    pub async fn integrations(&self, installation: &Installation, number: usize) -> Result<Vec<Uuid>> {
        let client = self.administrator(installation).await?;
        let mut ids = Vec::with_capacity(number);
        for n in 0..number {
            let body = serde_json::json!({
                "name": format!("{} {n}", self.name), "connector_type": "other", "sync_type": "accounting_push",
                "runner": "external",
            });
            ids.push(client.post("/api/v1/integrations", &body).await?.expect(201)?.id()?);
        }
        Ok(ids)
    }
}

/// The program with this data directory and without settings of whoever runs the bench.
fn clean(program: &Path, data: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SYNCWATCH_") || name == "DATABASE_URL" {
            command.env_remove(name);
        }
    }
    command.env("SYNCWATCH_DATA_DIR", data);
    command
}
