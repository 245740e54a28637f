//! The external system of the measurements, in a process of its own: it refuses every record at first, accepts on demand,
//! at once or after the time that a real one would take, and keeps a log of what it accepted.

use std::collections::HashMap;
use std::io::Read as _;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::client::Client;

/// A running peer, which ends with the bench.
pub struct Peer {
    /// Where records go.
    pub records_url: String,
    /// Where records go and nobody ever answers.
    pub silent_url: String,
    client: Client,
    child: Child,
}

/// What the peer's own log says.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Records that were refused, each time counted.
    pub refused: usize,
    /// Different records that were accepted.
    pub accepted: usize,
    /// Of these, accepted more than once.
    pub twice: usize,
}

/// How the peer treats records.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Manner {
    /// Whether it takes them.
    pub accepting: bool,
    /// How long it takes over each; others are served meanwhile.
    pub service_ms: u64,
}

impl Manner {
    /// Takes every record at once.
    pub const ACCEPTING: Self = Self { accepting: true, service_ms: 0 };
}

#[derive(Default)]
struct Log {
    manner: Manner,
    refused: usize,
    accepted: HashMap<Uuid, u32>,
}

type Shared = web::Data<Mutex<Log>>;

#[derive(Deserialize)]
struct Record {
    id: Uuid,
}

impl Peer {
    /// Starts one.
    pub async fn start() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--peer")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().context("the peer has no output")?;
        let url = BufReader::new(output).lines().next_line().await?.context("the peer did not start")?;
        let (records_url, silent_url) = (format!("{url}/records"), format!("{url}/silence"));
        Ok(Self { records_url, silent_url, client: Client::new(&url)?, child })
    }

    /// Forgets what was accepted and refused, and treats records so from now on.
    pub async fn reset(&self, manner: Manner) -> Result<()> {
        self.client.put("/manner", &serde_json::to_value(manner)?).await?.expect(204)?;
        Ok(())
    }

    /// Its own log.
    pub async fn log(&self) -> Result<Summary> {
        Ok(serde_json::from_value(self.client.get("/log").await?.expect(200)?.json()?)?)
    }

    /// Ends it.
    pub async fn stop(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        self.child.wait().await?;
        Ok(())
    }
}

/// Serves until standard input ends; says its address on standard output.
pub async fn serve() -> Result<()> {
    let log: Shared = web::Data::new(Mutex::default());
    let app = move || {
        App::new()
            .app_data(log.clone())
            .route("/records", web::post().to(take))
            .route("/silence", web::post().to(std::future::pending::<HttpResponse>))
            .route("/manner", web::put().to(set_manner))
            .route("/log", web::get().to(tell))
    };
    let server = HttpServer::new(app).workers(1).disable_signals().bind(("127.0.0.1", 0))?;
    let address = server.addrs().first().copied().context("the peer has no address")?;
    println!("http://{address}");
    let server = server.run();
    let handle = server.handle();
    std::thread::spawn(move || {
        // The bench holds the other end and says nothing through it.
        let _ = std::io::stdin().read(&mut [0]);
        drop(handle.stop(false));
    });
    Ok(server.await?)
}

async fn take(log: Shared, record: web::Json<Record>) -> HttpResponse {
    let Manner { service_ms, .. } = look(&log, |log| log.manner);
    if service_ms > 0 {
        tokio::time::sleep(Duration::from_millis(service_ms)).await;
    }
    look(&log, |log| {
        if log.manner.accepting {
            *log.accepted.entry(record.id).or_default() += 1;
            return HttpResponse::Created().json(json!({ "id": log.accepted.len() }));
        }
        log.refused += 1;
        let error = json!({ "field": "costCenter", "message": "Invalid cost center code: 9999" });
        HttpResponse::UnprocessableEntity().json(json!({ "errors": [error] }))
    })
}

fn look<T>(log: &Shared, look: impl FnOnce(&mut Log) -> T) -> T {
    look(&mut log.lock().unwrap_or_else(PoisonError::into_inner))
}

async fn set_manner(log: Shared, manner: web::Json<Manner>) -> HttpResponse {
    look(&log, |log| *log = Log { manner: manner.into_inner(), ..Log::default() });
    HttpResponse::NoContent().finish()
}

async fn tell(log: Shared) -> HttpResponse {
    look(&log, |log| {
        let twice = log.accepted.values().filter(|times| **times > 1).count();
        HttpResponse::Ok().json(Summary { refused: log.refused, accepted: log.accepted.len(), twice })
    })
}
