//! The external system of the retry measurement, in a process of its own: it refuses every record at first, accepts on
//! demand, and keeps a log of what it accepted.

use std::collections::HashMap;
use std::io::Read as _;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::client::Client;

/// A running peer, which ends with the bench.
pub struct Peer {
    /// Where records go.
    pub records_url: String,
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

#[derive(Default)]
struct Log {
    accepting: bool,
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
        Ok(Self { records_url: format!("{url}/records"), client: Client::new(&url)?, child })
    }

    /// Forgets what was accepted and refused, and accepts or refuses from now on.
    pub async fn reset(&self, accepting: bool) -> Result<()> {
        self.client.put("/mode", &json!({ "accepting": accepting })).await?.expect(204)?;
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
            .route("/mode", web::put().to(set_mode))
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
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    if log.accepting {
        *log.accepted.entry(record.id).or_default() += 1;
        return HttpResponse::Created().json(json!({ "id": log.accepted.len() }));
    }
    log.refused += 1;
    let error = json!({ "field": "costCenter", "message": "Invalid cost center code: 9999" });
    HttpResponse::UnprocessableEntity().json(json!({ "errors": [error] }))
}

async fn set_mode(log: Shared, mode: web::Json<Value>) -> HttpResponse {
    let accepting = mode["accepting"].as_bool().unwrap_or_default();
    *log.lock().unwrap_or_else(PoisonError::into_inner) = Log { accepting, ..Log::default() };
    HttpResponse::NoContent().finish()
}

async fn tell(log: Shared) -> HttpResponse {
    let log = log.lock().unwrap_or_else(PoisonError::into_inner);
    let twice = log.accepted.values().filter(|times| **times > 1).count();
    HttpResponse::Ok().json(Summary { refused: log.refused, accepted: log.accepted.len(), twice })
}
