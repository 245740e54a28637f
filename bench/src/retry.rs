//! Retrying failed records against an external system that has come to accept them: all arrive, none twice.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::figure::Figure;
use crate::installation::Installation;
use crate::peer::{Manner, Peer};
use crate::records;

/// Requests at once, on both sides.
const CONCURRENCY: usize = 16;
const TIMEOUT_MS: u32 = 15_000;

/// Lets every record fail once, then retries them.
pub async fn measure(installation: &Installation, quick: bool) -> Result<Vec<Figure>> {
    let peer = Peer::start().await?;
    let figures = with_peer(installation, &peer, if quick { 500 } else { 5_000 }).await;
    peer.stop().await?;
    figures
}

async fn with_peer(installation: &Installation, peer: &Peer, number: usize) -> Result<Vec<Figure>> {
    let organization = installation.organization("Retrying").await?;
    let client = organization.administrator(installation).await?;
    let integration = records::connect(&client, "Accounting", &peer.records_url, CONCURRENCY, TIMEOUT_MS).await?;
    let staged = records::stage(&client, integration, number).await?;

    let sync = records::sync(&client, integration).await?;
    let first = records::ended(&client, sync).await?;
    ensure!(first["status"] == "failed" && first["records_failed"] == number, "the records did not all fail: {first}");

    peer.reset(Manner::ACCEPTING).await?;
    let begun = Instant::now();
    client.post_once(&format!("/api/v1/sync-logs/{sync}/retries"), &json!({})).await?.expect(202)?;
    let retried = records::ended(&client, sync).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let log = peer.log().await?;

    peer.reset(Manner::ACCEPTING).await?;
    let bare = records::bare_loop(&peer.records_url, &staged, CONCURRENCY).await?;
    ensure!(peer.log().await?.accepted == number, "the bare loop did not deliver everything");

    let figure = Figure {
        name: format!("retry of {number} failed records, by the peer's own log"),
        measured: format!("{} delivered, {} of them twice, {}", log.accepted, log.twice, retried["status"]),
        baseline: String::new(),
        ratio: None,
        samples: "1 retry".to_owned(),
        bound: format!("{number} delivered, 0 twice"),
        holds: log.accepted == number && log.twice == 0 && retried["status"] == "retried_success",
    };
    let time = Figure {
        name: format!("time of that retry, {CONCURRENCY} requests at once"),
        measured: format!("{seconds:.1} s"),
        baseline: format!("{bare:.1} s by a bare loop of requests"),
        ratio: Some(seconds / bare),
        samples: "1 retry".to_owned(),
        bound: "none, printed".to_owned(),
        holds: true,
    };
    Ok(vec![figure.tell(), time.tell()])
}
