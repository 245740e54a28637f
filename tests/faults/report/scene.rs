//! A server that can go away, and jobs that are reported to it by the real program.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::client::{Client, items};
use tests::organization::{Organization, connect_external};
use tests::server::{TestServer, program};
use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use uuid::Uuid;

/// The type of the records that jobs report.
pub const CLAIM: &str = "expense_claims";

/// The only way to the server; while it is closed, every connection breaks.
pub struct Gate {
    pub port: u16,
    open: watch::Sender<bool>,
    /// Connections that were tried.
    pub tried: Arc<AtomicUsize>,
}

impl Gate {
    async fn before(server: std::net::SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (open, watched) = watch::channel(true);
        let tried = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&tried);
        tokio::spawn(async move {
            while let Ok((mut caller, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let mut watched = watched.clone();
                tokio::spawn(async move {
                    if !*watched.borrow_and_update() {
                        return;
                    }
                    let Ok(mut server) = TcpStream::connect(server).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut caller, &mut server) => {}
                        _ = watched.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Ok(Self { port, open, tried })
    }

    pub fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }

    pub fn tried(&self) -> usize {
        self.tried.load(Ordering::SeqCst)
    }
}

pub struct Scene {
    pub server: TestServer,
    pub organization: Organization,
    pub admin: Client,
    pub integration: Uuid,
    pub gate: Gate,
    pub directory: TempDir,
    key: (Uuid, String),
}

impl Scene {
    pub async fn new() -> anyhow::Result<Self> {
        let server = TestServer::start().await;
        let organization = server.organization("Forening").await;
        let admin = organization.admin().await;
        let integration = connect_external(&admin, json!({})).await;
        let key = organization.key(&["syncs:write", "syncs:read", "retries:claim", "integrations:read"]).await;
        let gate = Gate::before(server.running.addr).await?;
        Ok(Self { server, organization, admin, integration, gate, directory: tempfile::tempdir()?, key })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn spool(&self) -> PathBuf {
        self.path("spool")
    }

    /// What waits in the spool, by the endings of its files.
    pub fn spooled(&self, ending: &str) -> Vec<PathBuf> {
        files(&self.spool()).into_iter().filter(|path| path.extension().is_some_and(|found| found == ending)).collect()
    }

    /// The program with a shell script as its job.
    pub fn report(&self, options: &[&str], script: &str) -> anyhow::Result<Command> {
        self.report_command(options, &["/bin/sh", "-c", script])
    }

    pub fn report_command(&self, options: &[&str], job: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(program()?);
        command
            .arg("report")
            .args(["--url", &format!("http://127.0.0.1:{}", self.gate.port), "--integration"])
            .arg(self.integration.to_string())
            .arg("--spool")
            .arg(self.spool())
            .args(options)
            .arg("--")
            .args(job)
            .current_dir(self.directory.path())
            .env("SYNCWATCH_CLIENT_ID", self.key.0.to_string())
            .env("SYNCWATCH_CLIENT_SECRET", &self.key.1)
            .env("TMPDIR", self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Ok(command)
    }

    /// Runs a script to its end.
    pub async fn run(&self, options: &[&str], script: &str) -> anyhow::Result<Done> {
        Done::of(self.report(options, script)?.output().await?)
    }

    pub async fn syncs(&self) -> Vec<Value> {
        items(&self.admin.get("/sync-logs?limit=200").send().await.expect(200)).to_vec()
    }

    #[track_caller]
    pub fn only(syncs: &[Value]) -> &Value {
        assert_eq!(syncs.len(), 1, "{syncs:?}");
        &syncs[0]
    }

    pub async fn only_sync(&self) -> Value {
        Self::only(&self.syncs().await).clone()
    }

    /// How many records of a sync have an outcome.
    pub async fn outcomes(&self, sync: &Value, outcome: &str) -> Vec<Value> {
        let path =
            format!("/sync-logs/{}/records?outcome={outcome}&limit=200", sync["id"].as_str().unwrap_or_default());
        items(&self.admin.get(&path).send().await.expect(200)).to_vec()
    }

    /// One number from the database.
    pub async fn number(&self, query: &'static str) -> i64 {
        let pool = self.server.superuser().await;
        let number = sqlx::query_scalar(query).fetch_one(&pool).await;
        pool.close().await;
        number.unwrap_or(-1)
    }
}

/// What a run left.
#[derive(Debug)]
pub struct Done {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    pub fn of(output: Output) -> anyhow::Result<Self> {
        let status = output.status.code().context("the wrapper itself was killed")?;
        Ok(Self { status, stdout: String::from_utf8(output.stdout)?, stderr: String::from_utf8(output.stderr)? })
    }

    /// Asserts the job's status and that the wrapper had nothing to say.
    #[track_caller]
    pub fn quiet(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        assert!(!self.stderr.contains("syncwatch report:"), "{}", self.stderr);
        self
    }

    /// Asserts the job's status and something that the wrapper said.
    #[track_caller]
    pub fn says(self, status: i32, text: &str) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.stderr.contains(text), "{}", self.stderr);
        self
    }
}

/// Waits for the end of a run that was begun.
pub async fn done(child: Child) -> anyhow::Result<Done> {
    Done::of(child.wait_with_output().await?)
}

/// Everything in a directory; nothing if there is none.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.sort();
    found
}

/// A line of a job's outcomes.
pub fn line(outcome: &str, more: &Value) -> String {
    let mut record = json!({ "source_record_type": CLAIM, "source_record_id": Uuid::now_v7(), "outcome": outcome });
    if outcome == "failed" {
        record["errors"] = json!([{ "code": "INVALID_VALUE", "message": "Invalid cost center code: 9999" }]);
    }
    tests::organization::merge(&mut record, more.clone());
    record.to_string()
}

/// A file with lines for a job to copy.
pub async fn prepared(path: &Path, lines: &[String]) -> anyhow::Result<()> {
    let mut file = tokio::fs::File::create(path).await?;
    file.write_all((lines.join("\n") + "\n").as_bytes()).await?;
    Ok(file.flush().await?)
}
