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
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use url::Url;
use uuid::Uuid;

use crate::client::Client;

/// How long the first start may take: it makes the database.
const START_PATIENCE: Duration = Duration::from_mins(2);
/// How long the server may take to stop its database and itself.
const STOP_PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(100);
const PASSWORD: &str = "a password for the bench only";
/// Seals nothing but the signing key of a server whose database goes with the bench.
const MASTER_KEY: &str = "YmVuY2hiZW5jaGJlbmNoYmVuY2hiZW5jaGJlbmNoYmU=";

/// A running server.
pub struct Installation {
    /// Where it listens.
    pub url: String,
    /// The application role's connection to its database.
    pub app_url: String,
    owner_url: String,
    program: PathBuf,
    child: Child,
    data: Data,
    /// Settings of its own, for its commands too.
    settings: Vec<(&'static str, String)>,
}

/// Where an installation's files lie.
enum Data {
    /// Gone with it.
    Temporary(TempDir),
    /// Somebody named it: it stays.
    Kept(PathBuf),
}

impl Data {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(directory) => directory.path(),
            Self::Kept(path) => path,
        }
    }

    fn temporary() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("syncwatch-bench-").tempdir()?;
        // Started as root, the database runs as another user, who has to pass through.
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o711))?;
        Ok(Self::Temporary(directory))
    }
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
    /// Starts the server, with an embedded database in a directory that goes with it, and waits until it answers.
    pub async fn start(server: Option<&Path>, dist: &Path) -> Result<Self> {
        Self::launch(server, dist, Data::temporary()?, Vec::new()).await
    }

    /// The same in a directory that stays, if one is named.
    pub async fn start_in(server: Option<&Path>, dist: &Path, directory: Option<&Path>) -> Result<Self> {
        let data = match directory {
            Some(directory) => {
                std::fs::create_dir_all(directory)?;
                Data::Kept(directory.canonicalize()?)
            }
            None => Data::temporary()?,
        };
        Self::launch(server, dist, data, Vec::new()).await
    }

    /// Starts another server with a database of that name in this one's PostgreSQL; what was in it is dropped.
    pub async fn start_beside(&self, dist: &Path, name: &str) -> Result<Self> {
        let mut owner = self.owner().await?;
        for statement in [
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            format!("CREATE DATABASE {name} OWNER syncwatch_owner TEMPLATE template0 ENCODING 'UTF8'"),
        ] {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut owner).await?;
        }
        let settings = vec![
            ("DATABASE_URL", with_database(&self.app_url, name)?),
            ("SYNCWATCH_MIGRATE_DATABASE_URL", with_database(&self.owner_url, name)?),
            ("SYNCWATCH_MASTER_KEY", MASTER_KEY.to_owned()),
        ];
        let data = Data::temporary()?;
        let migrated =
            clean(&self.program, data.path(), &settings).arg("migrate").stdout(Stdio::null()).status().await?;
        ensure!(migrated.success(), "`syncwatch migrate` ended with {migrated}");
        Self::launch(Some(&self.program), dist, data, settings).await
    }

    async fn launch(
        server: Option<&Path>,
        dist: &Path,
        data: Data,
        settings: Vec<(&'static str, String)>,
    ) -> Result<Self> {
        let program = match server {
            Some(server) => server.to_owned(),
            None => std::env::current_exe()?.with_file_name("syncwatch"),
        };
        ensure!(program.is_file(), "there is no server at {}: build it, or name it with --server", program.display());
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut command = clean(&program, data.path(), &settings);
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
        let url = format!("http://127.0.0.1:{port}");
        let (app_url, owner_url) = (String::new(), String::new());
        let mut installation = Self { url, app_url, owner_url, program, child, data, settings };
        installation.wait().await?;
        let given = |name: &str| installation.settings.iter().find(|(known, _)| *known == name);
        let connections = match (given("DATABASE_URL"), given("SYNCWATCH_MIGRATE_DATABASE_URL")) {
            (Some((_, app)), Some((_, owner))) => Connections { app_url: app.clone(), owner_url: owner.clone() },
            _ => serde_json::from_str(&std::fs::read_to_string(installation.data.path().join("database.json"))?)?,
        };
        installation.app_url = connections.app_url;
        installation.owner_url = connections.owner_url;
        Ok(installation)
    }

    async fn wait(&mut self) -> Result<()> {
        #[expect(clippy::disallowed_methods, reason = "the bench's own addresses")]
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

    /// Address of a role that may do anything to the database.
    pub fn owner_url(&self) -> &str {
        &self.owner_url
    }

    /// What its embedded PostgreSQL logs.
    pub fn database_log(&self) -> PathBuf {
        self.data.path().join("postgres/postgres.log")
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
        let key = self.key(name).await?;
        Ok(Organization { id, name: name.to_owned(), email, key })
    }

    /// A client with the token of a new machine of an organization; it lives ten minutes.
    pub async fn machine_of(&self, organization: &str) -> Result<Client> {
        self.machine(&self.key(organization).await?).await
    }

    async fn machine(&self, key: &Key) -> Result<Client> {
        let client = Client::new(&self.url)?;
        let token = client.machine_token(key.client_id, &key.client_secret).await?;
        Ok(client.with_token(token))
    }

    async fn key(&self, organization: &str) -> Result<Key> {
        let scopes = "syncs:write,syncs:read,records:write,integrations:read";
        let key = ["key", "create", "--organization", organization, "--name", "Bench", "--scopes", scopes];
        Ok(serde_json::from_value(self.command(&key, "").await?)?)
    }

    async fn command(&self, arguments: &[&str], input: &str) -> Result<Value> {
        let mut command = clean(&self.program, self.data.path(), &self.settings);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).await?;
        }
        let output = child.wait_with_output().await?;
        ensure!(output.status.success(), "`syncwatch {}` ended with {}", arguments[..2].join(" "), output.status);
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Stops the server and with it its database; a temporary data directory goes too.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            // Interrupted from the terminal it may have ended already: the wait tells.
            let _ = kill_process(pid, Signal::TERM);
        }
        tokio::time::timeout(STOP_PATIENCE, self.child.wait()).await.context("the server does not stop")??;
        match self.data {
            Data::Temporary(directory) => directory.close().context("removing the data directory"),
            Data::Kept(_) => Ok(()),
        }
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
        installation.machine(&self.key).await
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
fn clean(program: &Path, data: &Path, settings: &[(&'static str, String)]) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SYNCWATCH_") || name == "DATABASE_URL" {
            command.env_remove(name);
        }
    }
    command.env("SYNCWATCH_DATA_DIR", data).envs(settings.iter().map(|(name, value)| (name, value)));
    command
}

/// The same PostgreSQL, another database.
fn with_database(url: &str, name: &str) -> Result<String> {
    let mut url: Url = url.parse().context("the database's address")?;
    url.set_path(name);
    Ok(url.into())
}
