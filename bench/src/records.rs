//! Records that are staged, sent to the bench's peer by a sync, and sent there by a loop that keeps no books.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::Client;

/// Records that are staged at once.
const STAGED_AT_ONCE: usize = 16;
/// How long a sync of all records may take.
const PATIENCE: Duration = Duration::from_mins(3);
const POLL: Duration = Duration::from_millis(50);
const KIND: &str = "reimbursement_approvals";

/// Connects an external system that takes so many requests at once, and is given up after so many milliseconds.
pub async fn connect(client: &Client, name: &str, url: &str, concurrency: usize, timeout_ms: u32) -> Result<Uuid> {
    let body = json!({
        "name": name, "connector_type": "generic_http", "sync_type": "accounting_push", "runner": "managed",
        "settings": {
            "url": url, "concurrency": concurrency, "timeout_ms": timeout_ms, "idempotency_header": "Idempotency-Key",
        },
    });
    client.post("/api/v1/integrations", &body).await?.expect(201)?.id()
}

/// Stages so many new records, and returns their ids.
pub async fn stage(client: &Client, integration: Uuid, number: usize) -> Result<Vec<Uuid>> {
    let records: Vec<Uuid> = (0..number).map(|_| Uuid::new_v4()).collect();
    stream::iter(&records)
        .map(|id| stage_one(client, integration, *id))
        .buffer_unordered(STAGED_AT_ONCE)
        .try_collect::<()>()
        .await?;
    Ok(records)
}

async fn stage_one(client: &Client, integration: Uuid, id: Uuid) -> Result<()> {
    let body =
        json!({ "payload": payload(id), "label": format!("Claim {id}"), "amount": "1250.00", "currency": "NOK" });
    client.put(&format!("/api/v1/integrations/{integration}/records/{KIND}/{id}"), &body).await?.expect(201)?;
    Ok(())
}

/// Starts a sync of everything that is due.
pub async fn sync(client: &Client, integration: Uuid) -> Result<Uuid> {
    client.post(&format!("/api/v1/integrations/{integration}/syncs"), &json!({})).await?.expect(202)?.id()
}

/// The sync once nobody works on it any more.
pub async fn ended(client: &Client, sync: Uuid) -> Result<Value> {
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

/// Sends records by a bare loop with so many requests at once, and returns how many seconds that took.
pub async fn bare_loop(url: &str, records: &[Uuid], concurrency: usize) -> Result<f64> {
    #[expect(clippy::disallowed_methods, reason = "the bench's own addresses")]
    let http = reqwest::Client::builder().no_proxy().build()?;
    let begun = Instant::now();
    stream::iter(records)
        .map(|id| async {
            let answer = http.post(url).json(&payload(*id)).send().await?.error_for_status()?;
            answer.bytes().await?;
            anyhow::Ok(())
        })
        .buffer_unordered(concurrency)
        .try_collect::<()>()
        .await?;
    Ok(begun.elapsed().as_secs_f64())
}

fn payload(id: Uuid) -> Value {
    json!({ "id": id, "costCenter": "9999", "amount": "1250.00", "text": "Travel to the annual meeting" })
}
