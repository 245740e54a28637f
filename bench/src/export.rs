//! Exporting records to an external system beside a bare loop of requests, with as many requests at once to the same
//! system: what it costs that every outcome is durable before it is counted.
//!
//! A real system takes its time over a record, and the claim is about one that does. Against one that answers at once
//! the loop measures the HTTP client alone, and the ledger its database; that ratio is printed without a bound.

use std::time::Instant;

use anyhow::{Result, ensure};

use crate::client::Client;
use crate::figure::{Figure, median};
use crate::installation::Installation;
use crate::peer::{Manner, Peer};
use crate::records;

/// Requests at once, on both sides.
const CONCURRENCY: usize = 16;
/// How long the system takes over a record.
const SERVICE_MS: u64 = 10;
/// Least share of the bare loop's rate.
const BOUND: f64 = 0.8;
const TIMEOUT_MS: u32 = 15_000;

/// Exports to a system that takes its time, and to one that takes none.
pub async fn measure(installation: &Installation, quick: bool) -> Result<Vec<Figure>> {
    let peer = Peer::start().await?;
    let figures = with_peer(installation, &peer, quick).await;
    peer.stop().await?;
    figures
}

async fn with_peer(installation: &Installation, peer: &Peer, quick: bool) -> Result<Vec<Figure>> {
    let (rounds, number) = if quick { (1, 1_000) } else { (3, 10_000) };
    let organization = installation.organization("Exporting").await?;
    let client = organization.administrator(installation).await?;
    let slow = compare(&client, peer, SERVICE_MS, rounds, number).await?;
    let instant = compare(&client, peer, 0, 1, number).await?;
    let bounded =
        Figure { bound: format!("≥ {BOUND}"), holds: slow.ratio.is_some_and(|ratio| ratio >= BOUND), ..slow };
    Ok(vec![bounded.tell(), instant.tell()])
}

/// Both sides in turn, so that what else the machine does hits both.
async fn compare(client: &Client, peer: &Peer, service_ms: u64, rounds: usize, number: usize) -> Result<Figure> {
    let manner = Manner { accepting: true, service_ms };
    let name = format!("Accounting, {service_ms} ms");
    let integration = records::connect(client, &name, &peer.records_url, CONCURRENCY, TIMEOUT_MS).await?;
    let (mut exported, mut bare, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let staged = records::stage(client, integration, number).await?;
        peer.reset(manner).await?;
        let begun = Instant::now();
        let sync = records::sync(client, integration).await?;
        let ended = records::ended(client, sync).await?;
        let seconds = begun.elapsed().as_secs_f64();
        let log = peer.log().await?;
        ensure!(ended["status"] == "success" && ended["records_processed"] == number, "not all arrived: {ended}");
        ensure!((log.accepted, log.twice) == (number, 0), "the peer's own log says otherwise: {log:?}");

        peer.reset(manner).await?;
        let loop_seconds = records::bare_loop(&peer.records_url, &staged, CONCURRENCY).await?;
        ensure!(peer.log().await?.accepted == number, "the bare loop did not deliver everything");
        exported.push(per_second(number, seconds));
        bare.push(per_second(number, loop_seconds));
        ratios.push(loop_seconds / seconds);
    }
    Ok(Figure {
        name: format!("export of {number} records, {CONCURRENCY} requests at once of {service_ms} ms each"),
        measured: format!("{:.0}/s", median(&exported)),
        baseline: format!("{:.0}/s by a bare loop of requests", median(&bare)),
        ratio: Some(median(&ratios)),
        samples: format!("{rounds} × {number} records"),
        bound: "none, printed".to_owned(),
        holds: true,
    })
}

#[expect(clippy::cast_precision_loss, reason = "thousands")]
fn per_second(number: usize, seconds: f64) -> f64 {
    number as f64 / seconds
}
