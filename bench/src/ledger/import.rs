//! Importing old syncs, beside `COPY` of the same rows into the same tables with their indexes, triggers and foreign keys.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::task::JoinSet;
use uuid::{NoContext, Timestamp, Uuid};

use super::Side;
use super::reports::rows;
use crate::client::Client;
use crate::figure::{Figure, median};
use crate::fill::Filled;
use crate::load::settle;
use crate::moment;

/// Syncs in a call, and in a transaction of `COPY`.
const BATCH: usize = 1_000;
/// Callers at once, and connections that copy.
const CALLERS: usize = 4;
/// Integrations that a call is about: a runner brings the history of some.
const INTEGRATIONS: usize = 8;
/// Enough in a second, whatever `COPY` does.
const ENOUGH: f64 = 20_000.0;
/// Or this share of `COPY`.
const BOUND: f64 = 0.5;
/// Parts of a row that `COPY` writes.
const COPIES: [&str; 3] = [
    "COPY client_runs (organization_id, integration_config_id, client_run_id, sync_id) FROM STDIN",
    "COPY sync_logs (organization_id, started_at, id, integration_config_id, connector_type, sync_type, status, \
     records_processed, records_failed, records_total, triggered_by, duration_ms, completed_at, backfill, client_run_id) \
     FROM STDIN",
    "COPY sync_attempts (organization_id, sync_started_at, sync_id, attempt_number, status, started_at, completed_at, \
     duration_ms, records_total, records_processed, records_failed) FROM STDIN",
];

/// A run of a runner, one a minute.
struct Run {
    integration: Uuid,
    name: String,
    started_at: DateTime<Utc>,
    completed_at: DateTime<Utc>,
}

/// Both in turn; everything that is sent is made before.
pub(super) async fn measure(side: &Side<'_>, quick: bool) -> Result<Figure> {
    let (rounds, calls) = if quick { (1, 8) } else { (3, 100) };
    let large = &side.ledger.large;
    let client = side.client().await?;
    let mut owner = side.server.owner().await?;
    let (mut imported, mut copied) = (Vec::new(), Vec::new());
    // One round more warms up.
    for round in 0..=rounds {
        let bodies: Vec<Value> = (0..calls).map(|call| body(&runs(large, &format!("import-{round}"), call))).collect();
        settle(&mut owner).await?;
        let client = client.clone();
        let through_http = rate(bodies, move |body| {
            let client = client.clone();
            async move { import(&client, &body).await }
        })
        .await?;
        let batches: Vec<[Vec<u8>; 3]> =
            (0..calls).map(|call| lines(large.id, &runs(large, &format!("copy-{round}"), call))).collect();
        settle(&mut owner).await?;
        let by_copy = copy(side.server.owner_url(), batches).await?;
        if round > 0 {
            imported.push(through_http);
            copied.push(by_copy);
        }
    }
    let (rate, baseline) = (median(&imported), median(&copied));
    let ratio = rate / baseline;
    let figure = Figure {
        name: format!("importSyncs, {BATCH} a call, {CALLERS} callers, {}", rows(side)),
        measured: format!("{rate:.0} syncs/s through HTTP"),
        baseline: format!("{baseline:.0}/s by COPY into the same tables"),
        ratio: Some(ratio),
        samples: format!("{rounds} × {} syncs", calls * BATCH),
        bound: format!("≥ {ENOUGH:.0}/s or ≥ {BOUND}"),
        holds: rate >= ENOUGH || ratio >= BOUND,
    };
    Ok(figure.tell())
}

/// The runs of a call: consecutive ones of some integrations, somewhere in the past year.
fn runs(organization: &Filled, series: &str, call: usize) -> Vec<Run> {
    let series = format!("{series}-{}", Uuid::new_v4());
    let newest = moment::now() - TimeDelta::days(1);
    (0..BATCH)
        .map(|place| {
            let number = call * BATCH + place;
            let minutes = i64::try_from(number).unwrap_or(i64::MAX);
            let started_at = newest - TimeDelta::minutes(minutes);
            let integration = (call * INTEGRATIONS + place % INTEGRATIONS) % organization.integrations.len();
            Run {
                integration: organization.integrations[integration],
                name: format!("{series}-{place}"),
                started_at,
                completed_at: started_at + TimeDelta::seconds(5),
            }
        })
        .collect()
}

fn body(runs: &[Run]) -> Value {
    let items: Vec<Value> = runs
        .iter()
        .map(|run| {
            json!({
                "integration_config_id": run.integration, "connector_type": "other", "sync_type": "accounting_push",
                "triggered_by": "automatic", "started_at": moment::text(run.started_at),
                "completed_at": moment::text(run.completed_at), "status": "success", "records_total": 40,
                "records_processed": 40, "records_failed": 0, "backfill": true, "client_run_id": run.name,
            })
        })
        .collect();
    json!({ "items": items })
}

async fn import(client: &Client, body: &Value) -> Result<()> {
    let answer = client.post_once("/api/v1/sync-logs/import", body).await?.expect(200)?.json()?;
    let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let created = items.iter().filter(|item| item["status"] == 201).count();
    ensure!(created == BATCH, "{created} of {BATCH} syncs were created: {}", items.first().unwrap_or(&Value::Null));
    Ok(())
}

/// The rows of [`COPIES`], as `COPY` takes them.
fn lines(organization: Uuid, runs: &[Run]) -> [Vec<u8>; 3] {
    let mut tables = [Vec::new(), Vec::new(), Vec::new()];
    for run in runs {
        let started_at = moment::text(run.started_at);
        let completed_at = moment::text(run.completed_at);
        let seconds = u64::try_from(run.started_at.timestamp()).unwrap_or(0);
        let id = Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, run.started_at.timestamp_subsec_nanos()));
        let (integration, name) = (run.integration, &run.name);
        let rows = [
            format!("{organization}\t{integration}\t{name}\t{id}\n"),
            format!(
                "{organization}\t{started_at}\t{id}\t{integration}\tother\taccounting_push\tsuccess\t40\t0\t40\t\
                 automatic\t5000\t{completed_at}\tt\t{name}\n"
            ),
            format!("{organization}\t{started_at}\t{id}\t0\tsuccess\t{started_at}\t{completed_at}\t5000\t40\t40\t0\n"),
        ];
        for (table, row) in tables.iter_mut().zip(rows) {
            table.extend_from_slice(row.as_bytes());
        }
    }
    tables
}

/// Copies as a superuser: row-level security knows no `COPY`.
async fn copy(url: &str, batches: Vec<[Vec<u8>; 3]>) -> Result<f64> {
    let url = url.to_owned();
    let connections = {
        let mut connections = Vec::new();
        for _ in 0..CALLERS {
            let mut connection = PgConnection::connect(&url).await?;
            // As in the server's writing transactions.
            connection.execute("SET plan_cache_mode = force_generic_plan").await?;
            connections.push(connection);
        }
        tokio::sync::Mutex::new(connections)
    };
    let connections = Arc::new(connections);
    rate(batches, move |batch| {
        let connections = Arc::clone(&connections);
        async move {
            let connection = connections.lock().await.pop();
            let mut connection = connection.ok_or_else(|| anyhow::anyhow!("every connection is taken"))?;
            connection.execute("BEGIN").await?;
            for (statement, text) in COPIES.iter().zip(&batch) {
                let mut copy = connection.copy_in_raw(statement).await?;
                copy.send(text.as_slice()).await?;
                copy.finish().await?;
            }
            connection.execute("COMMIT").await?;
            connections.lock().await.push(connection);
            Ok(())
        }
    })
    .await
}

/// Works through batches with so many at once, and returns how many syncs were done in a second.
async fn rate<T, F>(batches: Vec<T>, work: impl Fn(T) -> F + Clone + Send + 'static) -> Result<f64>
where
    T: Send + 'static,
    F: Future<Output = Result<()>> + Send + 'static,
{
    let number = batches.len();
    let waiting = Arc::new(Mutex::new(batches));
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..CALLERS {
        let (waiting, work) = (Arc::clone(&waiting), work.clone());
        tasks.spawn(async move {
            loop {
                let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
                let Some(batch) = next else { return anyhow::Ok(()) };
                work(batch).await?;
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    #[expect(clippy::cast_precision_loss, reason = "some hundred thousand syncs")]
    Ok((number * BATCH) as f64 / begun.elapsed().as_secs_f64())
}
