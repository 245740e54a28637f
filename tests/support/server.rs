//! A whole server in the test's own process, and the program that runs it in one of its own.

use std::path::PathBuf;

use anyhow::Context as _;
use server::serve::{Parts, spawn_parts};
use server::{Clock, Config, Running};
use sqlx::PgPool;
use store::admin::AdminConnection;
use tempfile::TempDir;

use crate::client::Client;
use crate::database::Database;
use crate::organization::Organization;

/// The program as an operator runs it.
pub fn program() -> anyhow::Result<PathBuf> {
    let programs = std::env::var_os("SYNCWATCH_TEST_BIN_DIR").context("SYNCWATCH_TEST_BIN_DIR is not set")?;
    Ok(PathBuf::from(programs).join("syncwatch"))
}

/// A running server with a database of its own.
pub struct TestServer {
    /// Its clock, which can be moved.
    pub clock: Clock,
    /// What its parts share.
    pub running: Running,
    /// The settings it was started with.
    pub config: Config,
    /// Its database.
    pub database: Database,
    _data: TempDir,
}

impl TestServer {
    /// Starts one with the machine's time.
    pub async fn start() -> Self {
        Self::configured(|_| {}).await
    }

    /// Starts one whose worker rests, so that what waits goes on waiting.
    pub async fn without_worker() -> Self {
        Self::with(Parts { http: true, worker: false }, |_| {}).await
    }

    /// Starts one with other settings.
    pub async fn configured(change: impl FnOnce(&mut Config)) -> Self {
        Self::with(Parts::ALL, change).await
    }

    async fn with(parts: Parts, change: impl FnOnce(&mut Config)) -> Self {
        let database = Database::create().await.expect("a database of its own");
        let data = tempfile::tempdir().unwrap();
        let mut config = Config::for_tests(&database.app_url, data.path());
        change(&mut config);
        let clock = Clock::system();
        let running = spawn_parts(config.clone(), clock.clone(), parts).await.expect("the server starts");
        Self { clock, running, config, database, _data: data }
    }

    /// Its address without a path.
    pub fn base(&self) -> String {
        format!("http://{}", self.running.addr)
    }

    /// Somebody without a token.
    pub fn anonymous(&self) -> Client {
        Client::anonymous(&self.base())
    }

    /// Makes an organization; its people and machines are made as they are asked for.
    pub async fn organization(&self, name: &str) -> Organization {
        let id = self.owner().await.organization(name).await.unwrap();
        Organization {
            id,
            name: name.to_owned(),
            base: self.base(),
            superuser_url: self.database.superuser_url.clone(),
        }
    }

    /// A connection of the owner, as the command line uses it.
    pub async fn owner(&self) -> AdminConnection {
        AdminConnection::connect(&self.database.superuser_url).await.unwrap()
    }

    /// Connections of a superuser, who sees every row.
    pub async fn superuser(&self) -> PgPool {
        self.database.superuser().await
    }
}
