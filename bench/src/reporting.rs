//! Reporting a sync through HTTP, start and end, beside the same two transactions by pgbench on the same database.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;
use sqlx::PgConnection;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::client::Client;
use crate::figure::{Figure, median};
use crate::installation::{Installation, Organization};
use crate::pgbench;

/// Callers at once.
const CLIENTS: usize = 16;
/// Integrations that they report to.
const INTEGRATIONS: usize = 8;
/// Least share of pgbench's rate.
const BOUND: f64 = 0.4;
/// Seconds of calls that are not counted.
const WARM_UP: usize = 3;

/// Measures with several integrations, which carries the claim, and with one, whose callers wait for each other.
pub async fn measure(installation: &Installation, pgbench: &Path, quick: bool) -> Result<Vec<Figure>> {
    let organization = installation.organization("Reporting").await?;
    let integrations = organization.integrations(installation, INTEGRATIONS).await?;
    let several = compare(installation, pgbench, &organization, &integrations, quick).await?;
    let one = compare(installation, pgbench, &organization, &integrations[..1], quick).await?;
    Ok(vec![several, one])
}

/// Both sides in turn, so that what else the machine does hits both.
async fn compare(
    installation: &Installation,
    pgbench: &Path,
    organization: &Organization,
    integrations: &[Uuid],
    quick: bool,
) -> Result<Figure> {
    let (rounds, seconds) = if quick { (1, 3) } else { (3, 8) };
    let client = organization.machine(installation).await?;
    let mut owner = installation.owner().await?;
    report(&client, integrations, WARM_UP).await?;
    let (mut through_http, mut by_pgbench) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        settle(&mut owner).await?;
        through_http.push(report(&client, integrations, seconds).await?);
        settle(&mut owner).await?;
        let baseline = pgbench::run(pgbench, &installation.app_url, organization.id, integrations, CLIENTS, seconds);
        by_pgbench.push(baseline.await?);
    }
    settle(&mut owner).await?;
    let (rate, baseline) = (median(&through_http), median(&by_pgbench));
    let ratio = rate / baseline;
    let number = integrations.len();
    let plural = if number == 1 { "" } else { "s" };
    let figure = Figure {
        name: format!("startSync + succeedSync, {CLIENTS} clients, {number} integration{plural}"),
        measured: format!("{rate:.0}/s through HTTP"),
        baseline: format!("{baseline:.0}/s by pgbench"),
        ratio: Some(ratio),
        bound: format!("≥ {BOUND}"),
        holds: ratio >= BOUND,
    };
    Ok(figure.tell())
}

/// Waits until the server has published all events, those of pgbench too, and starts the next round with a checkpoint
/// behind it.
async fn settle(owner: &mut PgConnection) -> Result<()> {
    while sqlx::query_scalar("SELECT EXISTS (SELECT FROM events WHERE seq IS NULL)").fetch_one(&mut *owner).await? {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    sqlx::query("CHECKPOINT").execute(owner).await?;
    Ok(())
}

/// Reports syncs for some seconds, and returns how many were begun and ended in a second.
async fn report(client: &Client, integrations: &[Uuid], seconds: usize) -> Result<f64> {
    let done = Arc::new(AtomicU32::new(0));
    let begun = Instant::now();
    let length = Duration::from_secs(u64::try_from(seconds)?);
    let mut callers = JoinSet::new();
    for caller in 0..CLIENTS {
        let (client, done, integrations) = (client.clone(), Arc::clone(&done), integrations.to_vec());
        callers.spawn(async move {
            for integration in integrations.iter().cycle().skip(caller) {
                cycle(&client, *integration).await?;
                if begun.elapsed() >= length {
                    break;
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(f64::from(done.load(Ordering::Relaxed)) / length.as_secs_f64())
}

async fn cycle(client: &Client, integration: Uuid) -> Result<()> {
    let start = json!({
        "integration_config_id": integration, "connector_type": "other", "sync_type": "accounting_push",
        "triggered_by": "automatic", "records_total": 40,
    });
    let id = client.post("/api/v1/sync-logs", &start).await?.expect(201)?.id()?;
    let end = json!({ "attempt": 0, "records_processed": 40, "records_failed": 0 });
    client.post(&format!("/api/v1/sync-logs/{id}/succeed"), &end).await?.expect(200)?;
    Ok(())
}
