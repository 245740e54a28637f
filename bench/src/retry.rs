//! Retrying failed records against an external system that has come to accept them: all arrive, none twice.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::Client;
use crate::figure::Figure;
use crate::installation::Installation;
use crate::peer::Peer;

/// Requests at once, on both sides.
const CONCURRENCY: usize = 16;
/// How long a sync of all records may take.
const PATIENCE: Duration = Duration::from_mins(3);
const POLL: Duration = Duration::from_millis(50);
const KIND: &str = "reimbursement_approvals";

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
    let integration = connect(&client, peer).await?;
    let records: Vec<Uuid> = (0..number).map(|_| Uuid::new_v4()).collect();
    stream::iter(&records)
        .map(|id| stage(&client, integration, *id))
        .buffer_unordered(CONCURRENCY)
        .try_collect::<()>()
        .await?;

    let path = format!("/api/v1/integrations/{integration}/syncs");
    let sync = client.post(&path, &json!({})).await?.expect(202)?.id()?;
    let first = wait(&client, sync).await?;
    ensure!(first["status"] == "failed" && first["records_failed"] == number, "the records did not all fail: {first}");

    peer.reset(true).await?;
    let begun = Instant::now();
    client.post_once(&format!("/api/v1/sync-logs/{sync}/retries"), &json!({})).await?.expect(202)?;
    let retried = wait(&client, sync).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let log = peer.log().await?;

    peer.reset(true).await?;
    let bare = bare_loop(peer, &records).await?;
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

async fn connect(client: &Client, peer: &Peer) -> Result<Uuid> {
    let body = json!({
        "name": "Accounting", "connector_type": "generic_http", "sync_type": "accounting_push", "runner": "managed",
        "settings": { "url": peer.records_url, "concurrency": CONCURRENCY, "idempotency_header": "Idempotency-Key" },
    });
    client.post("/api/v1/integrations", &body).await?.expect(201)?.id()
}

fn payload(id: Uuid) -> Value {
    json!({ "id": id, "costCenter": "9999", "amount": "1250.00", "text": "Travel to the annual meeting" })
}

async fn stage(client: &Client, integration: Uuid, id: Uuid) -> Result<()> {
    let body =
        json!({ "payload": payload(id), "label": format!("Claim {id}"), "amount": "1250.00", "currency": "NOK" });
    client.put(&format!("/api/v1/integrations/{integration}/records/{KIND}/{id}"), &body).await?.expect(201)?;
    Ok(())
}

/// The sync once nobody works on it any more.
async fn wait(client: &Client, sync: Uuid) -> Result<Value> {
    let ended = async {
        loop {
            let sync = client.get(&format!("/api/v1/sync-logs/{sync}")).await?.expect(200)?.json()?;
            if !matches!(sync["status"].as_str(), Some("pending" | "in_progress")) {
                return anyhow::Ok(sync);
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.context("the sync does not end")?
}

/// The same records by a loop that keeps no books.
async fn bare_loop(peer: &Peer, records: &[Uuid]) -> Result<f64> {
    #[expect(clippy::disallowed_methods, reason = "the bench's own addresses")]
    let http = reqwest::Client::builder().no_proxy().build()?;
    let begun = Instant::now();
    stream::iter(records)
        .map(|id| async {
            let answer = http.post(&peer.records_url).json(&payload(*id)).send().await?.error_for_status()?;
            answer.bytes().await?;
            anyhow::Ok(())
        })
        .buffer_unordered(CONCURRENCY)
        .try_collect::<()>()
        .await?;
    Ok(begun.elapsed().as_secs_f64())
}
