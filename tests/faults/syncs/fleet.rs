//! The program as a larger installation runs it: the API in one process, two workers in others.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::ensure;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tests::peers::Port;
use tests::server::program;
use tests::story::Caller;
use tokio::process::Command;

use crate::cluster::{ADMINISTRATORS, Cluster, PASSWORD};
use crate::process::Process;

/// Workers beside each other.
pub const WORKERS: usize = 2;

const PATIENCE: Duration = Duration::from_mins(1);
const AGAIN: Duration = Duration::from_millis(50);

/// A case's processes.
pub struct Fleet {
    program: PathBuf,
    directory: PathBuf,
    environment: Vec<(&'static str, String)>,
    port: Port,
    api: Process,
    workers: Vec<Process>,
}

impl Fleet {
    /// Starts them, and waits until the API is ready. Without a lease of its own, the workers have the usual one.
    pub async fn start(cluster: &Cluster, directory: &Path, lease_seconds: Option<u32>) -> anyhow::Result<Self> {
        let port = Port::reserve()?;
        let mut environment = vec![
            ("DATABASE_URL", cluster.app_url()),
            ("SYNCWATCH_MIGRATE_DATABASE_URL", cluster.owner_url()),
            // The administrators of the case are quicker, and count their attempts.
            ("SYNCWATCH_AUTOMATIC_RETRIES", "0".to_owned()),
            ("SYNCWATCH_DATABASE_CONNECTIONS", "8".to_owned()),
            ("SYNCWATCH_DATA_DIR", directory.join("data").display().to_string()),
            ("SYNCWATCH_HTTP_THREADS", "1".to_owned()),
            ("SYNCWATCH_LISTEN", format!("127.0.0.1:{}", port.number())),
            ("SYNCWATCH_LOG", "info,actix_server=warn,actix_http=off".to_owned()),
            ("SYNCWATCH_LOGIN_RATE_LIMIT", "0".to_owned()),
            ("SYNCWATCH_MASTER_KEY", STANDARD.encode([7; 32])),
            ("SYNCWATCH_OUTBOUND_ALLOW", "127.0.0.0/8".to_owned()),
            ("SYNCWATCH_RATE_LIMIT", "0".to_owned()),
        ];
        environment.extend(lease_seconds.map(|seconds| ("SYNCWATCH_WORKER_LEASE_SECONDS", seconds.to_string())));
        let program = program()?;
        let api = launch(&program, directory, &environment, "api", "api.log").await?;
        let mut fleet = Self {
            program,
            directory: directory.to_owned(),
            environment,
            port,
            api,
            workers: Vec::with_capacity(WORKERS),
        };
        for number in 0..WORKERS {
            let worker = fleet.worker(number).await?;
            fleet.workers.push(worker);
        }
        fleet.is_ready().await?;
        Ok(fleet)
    }

    async fn worker(&self, number: usize) -> anyhow::Result<Process> {
        launch(&self.program, &self.directory, &self.environment, "worker", &format!("worker{number}.log")).await
    }

    fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    async fn is_ready(&self) -> anyhow::Result<()> {
        // A second installation of the provider is refused, harmlessly.
        let _ = rustls::crypto::ring::default_provider().install_default();
        #[expect(clippy::disallowed_methods, reason = "the tests' own addresses")]
        let client = reqwest::Client::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = client.get(format!("{}/readyz", self.base())).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            ensure!(!self.api.has_ended(), "the API ended while it started");
            ensure!(Instant::now() < deadline, "the API is not ready");
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Signs both administrators in.
    pub async fn administrators(&self) -> anyhow::Result<[Caller; 2]> {
        let [first, second] = ADMINISTRATORS;
        let base = self.base();
        Ok([Caller::sign_in(&base, first, PASSWORD).await?, Caller::sign_in(&base, second, PASSWORD).await?])
    }

    /// Kills workers with SIGKILL at once, and starts them again.
    pub async fn kill_workers(&mut self, numbers: &[usize]) -> anyhow::Result<()> {
        for number in numbers {
            self.workers[*number].signal("KILL").await?;
        }
        for number in numbers {
            let again = self.worker(*number).await?;
            std::mem::replace(&mut self.workers[*number], again).end().await?;
        }
        Ok(())
    }

    /// Refuses processes that ended though nobody killed them.
    pub fn runs(&self) -> anyhow::Result<()> {
        ensure!(!self.api.has_ended(), "the API ended by itself");
        for (number, worker) in self.workers.iter().enumerate() {
            ensure!(!worker.has_ended(), "worker {number} ended by itself");
        }
        Ok(())
    }

    /// Lets the program compare the ledger with its seals, and the lights with the ledger.
    pub async fn fits_its_ledger(&self) -> anyhow::Result<()> {
        for arguments in [["audit", "verify"], ["rebuild-health", "--check"]] {
            let mut command = Command::new(&self.program);
            command.args(arguments).envs(self.environment.iter().map(|(name, value)| (*name, value)));
            let output = command.current_dir(&self.directory).output().await?;
            let said = [output.stdout, output.stderr].concat();
            ensure!(output.status.success(), "{}: {}", arguments.join(" "), String::from_utf8_lossy(&said));
        }
        Ok(())
    }
}

async fn launch(
    program: &Path,
    directory: &Path,
    environment: &[(&'static str, String)],
    part: &str,
    log: &str,
) -> anyhow::Result<Process> {
    let mut command = Process::command(program, "KILL");
    command.arg(part).envs(environment.iter().map(|(name, value)| (*name, value))).current_dir(directory);
    Process::start(command, &directory.join(log)).await
}
