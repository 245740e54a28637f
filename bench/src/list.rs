//! The list of integrations with a long history beside a short one: the dashboard's summary must cost the same.

use std::time::Instant;

use anyhow::{Result, ensure};
use domain::health::{HealthFacts, RECENT_SYNCS, RecentSync};
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
use store::health::StoredFacts;
use uuid::Uuid;

use crate::client::Client;
use crate::figure::{Figure, median, quantile};
use crate::installation::Installation;

const INTEGRATIONS: usize = 100;
/// Most times the short history's 99th percentile.
const BOUND: f64 = 1.3;

/// Syncs spread evenly over a year up to now, one in fifty failed, with their attempts. Written past the rules'
/// triggers, which would take longer than the bench; what is written obeys them.
const FILL: [&str; 2] = [
    "
    INSERT INTO sync_logs (
        id, integration_config_id, organization_id, connector_type, sync_type, status, records_processed,
        records_failed, records_total, error_code, error_message, triggered_by, duration_ms, started_at, completed_at
    )
    SELECT (lpad(to_hex((extract(epoch FROM started_at) * 1000)::bigint), 12, '0') || '7'
               || lpad(to_hex(n % 4096), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid,
           ($2::uuid[])[1 + n % cardinality($2::uuid[])], $1, 'other', 'accounting_push',
           CASE WHEN failed THEN 'failed' ELSE 'success' END, CASE WHEN failed THEN 28 ELSE 40 END,
           CASE WHEN failed THEN 12 ELSE 0 END, 40, CASE WHEN failed THEN 'PARTIAL_FAILURE' END,
           CASE WHEN failed THEN 'Invalid cost center code: 9999' END, 'automatic', 5120, started_at,
           started_at + interval '5120 milliseconds'
    FROM generate_series(1, $3) AS n,
        LATERAL (
            SELECT date_trunc('milliseconds', now() - interval '1 minute' - n * (interval '1 year' / $3)) AS started_at,
                   n % 50 = 7 AS failed
        ) AS made
    ",
    "
    INSERT INTO sync_attempts (
        organization_id, sync_started_at, sync_id, attempt_number, status, started_at, completed_at, duration_ms,
        records_total, records_done, records_processed, records_failed, error_code, error_message
    )
    SELECT organization_id, started_at, id, 0, status, started_at, completed_at, duration_ms, records_total,
           records_total, records_processed, records_failed, error_code, error_message
    FROM sync_logs WHERE organization_id = $1 AND integration_config_id = ANY ($2) AND $3 > 0
    ",
];

/// One side: an organization with its history.
struct Side {
    client: Client,
    syncs: i32,
    milliseconds: Vec<f64>,
}

/// Fills both organizations and reads their lists in turn.
pub async fn measure(installation: &Installation, quick: bool) -> Result<Figure> {
    // Both fill the list's last syncs, so that the answers are of one size.
    let (few, many, rounds, reads) = if quick { (5_000, 50_000, 3, 100) } else { (10_000, 1_000_000, 5, 300) };
    let mut short = fill(installation, "Short history", few).await?;
    let mut long = fill(installation, "Long history", many).await?;
    let mut owner = installation.owner().await?;
    sqlx::raw_sql("VACUUM (ANALYZE)").execute(&mut owner).await?;
    sqlx::raw_sql("CHECKPOINT").execute(&mut owner).await?;

    let (mut ratios, mut tails) = (Vec::new(), (Vec::new(), Vec::new()));
    for round in 0..=rounds {
        for _ in 0..reads {
            read(&mut short).await?;
            read(&mut long).await?;
        }
        let tail = (quantile(&short.milliseconds, 0.99), quantile(&long.milliseconds, 0.99));
        short.milliseconds.clear();
        long.milliseconds.clear();
        // The first round warms up.
        if round > 0 {
            ratios.push(tail.1 / tail.0);
            tails.0.push(tail.0);
            tails.1.push(tail.1);
        }
    }
    let ratio = median(&ratios);
    let figure = Figure {
        name: format!("listIntegrations, {INTEGRATIONS} integrations, p99"),
        measured: format!("{:.1} ms with {} syncs", median(&tails.1), long.syncs),
        baseline: format!("{:.1} ms with {}", median(&tails.0), short.syncs),
        ratio: Some(ratio),
        samples: format!("{rounds} × {reads} reads of each"),
        bound: format!("≤ {BOUND}"),
        holds: ratio <= BOUND,
    };
    Ok(figure.tell())
}

async fn read(side: &mut Side) -> Result<()> {
    let begun = Instant::now();
    let answer = side.client.get("/api/v1/integrations").await?.expect(200)?;
    side.milliseconds.push(begun.elapsed().as_secs_f64() * 1000.0);
    if side.milliseconds.len() == 1 {
        let body = answer.json()?;
        let items = body["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let recent = |item: &Value| item["recent"].as_array().map_or(0, Vec::len);
        let shown: Vec<usize> = items.iter().map(recent).collect();
        let per_integration = usize::try_from(side.syncs)? / INTEGRATIONS;
        ensure!(
            shown == [RECENT_SYNCS.min(per_integration); INTEGRATIONS],
            "the list shows another history: {shown:?}"
        );
    }
    Ok(())
}

async fn fill(installation: &Installation, name: &str, syncs: i32) -> Result<Side> {
    let organization = installation.organization(name).await?;
    let integrations = organization.integrations(installation, INTEGRATIONS).await?;
    let mut owner = installation.owner().await?;
    sqlx::raw_sql("SET session_replication_role = replica").execute(&mut owner).await?;
    for statement in FILL {
        sqlx::query(statement).bind(organization.id).bind(&integrations).bind(syncs).execute(&mut owner).await?;
    }
    sqlx::raw_sql("ANALYZE sync_logs").execute(&mut owner).await?;
    for integration in integrations {
        fill_health(&mut owner, organization.id, integration).await?;
    }
    Ok(Side { client: organization.machine(installation).await?, syncs, milliseconds: Vec::new() })
}

/// The health row as the server would have left it: by the domain's own rule.
async fn fill_health(owner: &mut PgConnection, organization: Uuid, integration: Uuid) -> Result<()> {
    let recent: Vec<Json<RecentSync>> = sqlx::query_scalar(
        "
        SELECT jsonb_build_object(
            'id', id, 'started_at', started_at, 'completed_at', completed_at, 'status', status,
            'records_total', records_total, 'records_processed', records_processed, 'records_failed', records_failed,
            'duration_ms', duration_ms, 'warnings', 0, 'counts_mismatch', false
        )
        FROM sync_logs WHERE organization_id = $1 AND integration_config_id = $2
        ORDER BY started_at DESC LIMIT $3
        ",
    )
    .bind(organization)
    .bind(integration)
    .bind(i64::try_from(RECENT_SYNCS)?)
    .fetch_all(&mut *owner)
    .await?;
    let mut facts = HealthFacts::default();
    for Json(sync) in recent.into_iter().rev() {
        facts.record(sync);
    }
    sqlx::query("UPDATE integration_health SET facts = $3::text::json WHERE organization_id = $1 AND integration_config_id = $2")
        .bind(organization)
        .bind(integration)
        .bind(StoredFacts::text(&facts)?)
        .execute(owner)
        .await?;
    Ok(())
}
