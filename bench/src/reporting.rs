//! Reporting a sync through HTTP, start and end, beside the same two transactions by pgbench on the same database.

use std::path::Path;

use anyhow::Result;
use serde_json::json;
use uuid::Uuid;

use crate::client::Client;
use crate::figure::{Figure, median};
use crate::installation::{Installation, Organization};
use crate::load::{rate, settle};
use crate::pgbench::{self, Load};
use crate::statements;

/// Callers at once.
pub const CLIENTS: usize = 16;
/// Seconds of calls that are not counted.
pub const WARM_UP: usize = 3;
/// Integrations that they report to.
const INTEGRATIONS: usize = 8;
/// Least share of pgbench's rate.
const BOUND: f64 = 0.4;

/// Measures with several integrations, which carries the claim, and with one, whose callers wait for each other.
pub async fn measure(installation: &Installation, pgbench: &Path, quick: bool) -> Result<Vec<Figure>> {
    let organization = installation.organization("Reporting").await?;
    let integrations = organization.integrations(installation, INTEGRATIONS).await?;
    let client = organization.machine(installation).await?;
    let script = pgbench::cycle(organization.id, &integrations);
    let same = statements::compare(installation, &client, pgbench, &script, integrations[0]).await?;
    let several = compare(installation, pgbench, &organization, &integrations, quick).await?;
    let one = compare(installation, pgbench, &organization, &integrations[..1], quick).await?;
    Ok(vec![same, several, one])
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
    let script = pgbench::cycle(organization.id, integrations);
    report(&client, integrations, WARM_UP).await?;
    let (mut through_http, mut by_pgbench) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        settle(&mut owner).await?;
        through_http.push(report(&client, integrations, seconds).await?);
        settle(&mut owner).await?;
        let load = Load { clients: CLIENTS, seconds, organization: None, generic: true };
        by_pgbench.push(pgbench::run(pgbench, &installation.app_url, &script, load).await?);
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
        samples: format!("{rounds} × {seconds} s"),
        bound: format!("≥ {BOUND}"),
        holds: ratio >= BOUND,
    };
    Ok(figure.tell())
}

/// Reports syncs for some seconds, and returns how many were begun and ended in a second.
pub async fn report(client: &Client, integrations: &[Uuid], seconds: usize) -> Result<f64> {
    let (client, integrations) = (client.clone(), integrations.to_vec());
    rate(CLIENTS, seconds, move |number| {
        let (client, integration) = (client.clone(), integrations[number % integrations.len()]);
        async move { cycle(&client, integration).await }
    })
    .await
}

/// Begins a sync and ends it.
pub async fn cycle(client: &Client, integration: Uuid) -> Result<()> {
    let start = json!({
        "integration_config_id": integration, "connector_type": "other", "sync_type": "accounting_push",
        "triggered_by": "automatic", "records_total": 40,
    });
    let id = client.post("/api/v1/sync-logs", &start).await?.expect(201)?.id()?;
    let end = json!({ "attempt": 0, "records_processed": 40, "records_failed": 0 });
    client.post(&format!("/api/v1/sync-logs/{id}/succeed"), &end).await?.expect(200)?;
    Ok(())
}
