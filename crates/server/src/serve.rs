//! Running: database, HTTP server, publisher and worker, together or apart, until they are told to stop.

mod database;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::HttpServer;
use actix_web::dev::ServerHandle;
use anyhow::{Context as _, bail};
use store::{Database, StoreError};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::archive::ArchiveReader;
use crate::auth::keys;
use crate::auth::token::TokenService;
use crate::clock::Clock;
use crate::config::Config;
use crate::http::events::EventHub;
use crate::http::{Shared, application};
use crate::ledger::GroupCommit;
use crate::state::{AppState, outbound_policy};
use crate::vault::Vault;

pub use database::{ServingDatabase, app_password, role_password, with_database};

/// Seconds that open requests have to end.
const GRACE_SECONDS: u64 = 20;
/// Pause before a database that went away while it was prepared is tried again.
const DATABASE_PAUSE: Duration = Duration::from_millis(200);
/// How long the worker has to end what it is at.
const WORKER_PATIENCE: Duration = Duration::from_secs(30);

/// Which parts a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// API, event stream and dashboard.
    pub http: bool,
    /// Background work.
    pub worker: bool,
}

impl Parts {
    /// Everything in one process.
    pub const ALL: Self = Self { http: true, worker: true };
}

/// A running process's parts.
pub struct Running {
    /// Where the HTTP server listens; with port 0 configured, the port that it was given.
    pub addr: SocketAddr,
    /// What the parts share.
    pub state: AppState,
    shutdown: CancellationToken,
    server: Option<(ServerHandle, JoinHandle<std::io::Result<()>>)>,
    worker: Option<JoinHandle<()>>,
    tasks: Vec<JoinHandle<()>>,
}

/// Starts everything against the configured database, which must be migrated.
pub async fn spawn(config: Config, clock: Clock) -> anyhow::Result<Running> {
    spawn_parts(config, clock, Parts::ALL).await
}

/// Starts some parts against the configured database, which must be migrated.
pub async fn spawn_parts(config: Config, clock: Clock, parts: Parts) -> anyhow::Result<Running> {
    // A second installation of the provider is refused, harmlessly.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let vault = config.vault()?;
    let (db, tokens) = prepared(&config, &vault, &clock).await?;
    let outbound = outbound_policy(&config.outbound).map_err(anyhow::Error::msg)?;
    let archive = ArchiveReader::open(&config.archive.location).context("opening the archive")?;
    let shutdown = CancellationToken::new();
    let state = AppState {
        db,
        archive,
        clock,
        vault,
        outbound,
        hub: EventHub::new(shutdown.clone()),
        jobs: Arc::new(Notify::new()),
        webhooks: Arc::new(Notify::new()),
        group_commit: GroupCommit::new(Handle::current()),
        tokens: Arc::new(tokens),
        config: Arc::new(config),
    };
    let mut running = Running {
        addr: state.config.http.listen,
        state: state.clone(),
        shutdown: shutdown.clone(),
        server: None,
        worker: None,
        tasks: Vec::new(),
    };
    if parts.http {
        let shared = Shared::new(state.clone());
        running.tasks.push(tokio::spawn(shared.limits().forget_quiet_callers()));
        let (addr, server) = listen(&state.config, &shared)?;
        running.addr = addr;
        running.server = Some(server);
        tracing::info!(%addr, "listening");
    }
    running.tasks.push(tokio::spawn(state.hub.clone().run(state.db.clone(), state.clock.clone())));
    if parts.worker {
        running.worker = Some(tokio::spawn(crate::worker::run(state, shutdown)));
    }
    Ok(running)
}

/// The database, with everything in it that serving begins with. One that goes away meanwhile, as when it is restarted
/// together with this process, is waited for.
async fn prepared(config: &Config, vault: &Vault, clock: &Clock) -> anyhow::Result<(Database, TokenService)> {
    let deadline = Instant::now() + config.database.patience;
    loop {
        match prepare(config, vault, clock).await {
            Err(error) if is_passing(&error) && Instant::now() < deadline => {
                tracing::warn!(error = %format_args!("{error:#}"), "the database went away; trying again");
                tokio::time::sleep(DATABASE_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

async fn prepare(config: &Config, vault: &Vault, clock: &Clock) -> anyhow::Result<(Database, TokenService)> {
    let url = config.database.url.as_ref().context("no database is configured")?;
    let db = Database::connect(url.expose(), config.database.max_connections, config.database.patience)
        .await
        .context("connecting to the database")?;
    if !store::migrate::is_current(&db).await? {
        bail!("the database's schema is not the one this program was built with: run `syncwatch migrate` first");
    }
    db.ensure_partitions(clock.now().date_naive()).await.context("making the ledger's partitions")?;
    let tokens = keys::token_service(&db, config, vault, clock.now()).await?;
    Ok((db, tokens))
}

fn is_passing(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref::<StoreError>().is_some_and(StoreError::is_passing))
}

/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

type Server = (ServerHandle, JoinHandle<std::io::Result<()>>);

fn listen(config: &Config, shared: &Shared) -> anyhow::Result<(SocketAddr, Server)> {
    let listener =
        TcpListener::bind(config.http.listen).with_context(|| format!("listening on {}", config.http.listen))?;
    let addr = listener.local_addr()?;
    let shared = shared.clone();
    let server = HttpServer::new(move || application(&shared))
        .workers(config.http.threads)
        .shutdown_timeout(GRACE_SECONDS)
        // Longer than clients keep idle connections, so that they seldom send into one that is just being closed.
        .keep_alive(KEEP_ALIVE)
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = server.handle();
    Ok((addr, (handle, tokio::spawn(server))))
}

impl Running {
    /// Ends when a part ends by itself, which none should.
    pub async fn failed(&mut self) -> anyhow::Error {
        let server = async {
            match &mut self.server {
                Some((_, task)) => drop(task.await),
                None => std::future::pending().await,
            }
        };
        let worker = async {
            match &mut self.worker {
                Some(task) => drop(task.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = server => anyhow::anyhow!("the HTTP server ended"),
            () = worker => anyhow::anyhow!("the worker ended"),
        }
    }

    /// Stops taking requests, ends streams, lets requests and jobs finish, and closes the connections.
    pub async fn stop(self) {
        self.stop_within(WORKER_PATIENCE).await;
    }

    /// The same, with so much time for the worker.
    async fn stop_within(self, patience: Duration) {
        self.shutdown.cancel();
        if let Some((handle, task)) = self.server {
            handle.stop(true).await;
            // Ended with the line above, or before it; either way nothing is left to tell.
            drop(task.await);
        }
        if let Some(mut worker) = self.worker
            && tokio::time::timeout(patience, &mut worker).await.is_err()
        {
            tracing::warn!("the worker did not end in time; its leases run out by themselves");
            worker.abort();
        }
        for task in self.tasks {
            task.abort();
            drop(task.await);
        }
        self.state.db.close().await;
    }
}

/// Runs some parts until SIGTERM or SIGINT, with the embedded database where none is configured.
pub async fn run(mut config: Config, parts: Parts) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Made before the configuration names a database, since only an installation of its own makes a key.
    if config.is_embedded() {
        config.vault()?;
    }
    let mut database = ServingDatabase::start(&mut config).await?;
    let mut running = match spawn_parts(config, Clock::system(), parts).await {
        Ok(running) => running,
        Err(error) => {
            database.stop().await?;
            return Err(error);
        }
    };
    let (outcome, patience) = tokio::select! {
        _ = terminate.recv() => (Ok(()), WORKER_PATIENCE),
        _ = interrupt.recv() => (Ok(()), WORKER_PATIENCE),
        // The worker can record nothing any more: the sooner a restart, the better.
        () = database.exited() => (Err(anyhow::anyhow!("the embedded database ended")), Duration::ZERO),
        error = running.failed() => (Err(error), WORKER_PATIENCE),
    };
    tracing::info!("stopping");
    running.stop_within(patience).await;
    tracing::debug!("every part has ended");
    database.stop().await?;
    outcome
}
