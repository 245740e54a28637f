//! Health rows as the server would have left them: by the domain's own rule.

use std::collections::BTreeMap;

use anyhow::Result;
use domain::health::{HealthFacts, RECENT_SYNCS, RecentSync};
use sqlx::PgConnection;
use sqlx::types::Json;
use store::health::StoredFacts;
use uuid::Uuid;

/// Folds each integration's latest syncs, oldest first, and writes what comes out.
pub(super) async fn write(owner: &mut PgConnection) -> Result<()> {
    let latest: Vec<(Uuid, Option<Json<RecentSync>>)> = sqlx::query_as(
        "
        SELECT config.id, latest.sync
        FROM integration_configs AS config LEFT JOIN LATERAL (
            SELECT started_at, jsonb_build_object(
                'id', id, 'started_at', started_at, 'completed_at', completed_at, 'status', status,
                'records_total', records_total, 'records_processed', records_processed,
                'records_failed', records_failed, 'duration_ms', duration_ms, 'warnings', 0, 'counts_mismatch', false
            ) AS sync
            FROM sync_logs
            WHERE organization_id = config.organization_id AND integration_config_id = config.id
            ORDER BY started_at DESC, id DESC LIMIT $1
        ) AS latest ON true
        ORDER BY latest.started_at
        ",
    )
    .bind(i64::try_from(RECENT_SYNCS)?)
    .fetch_all(&mut *owner)
    .await?;
    let mut facts: BTreeMap<Uuid, HealthFacts> = BTreeMap::new();
    for (integration, sync) in latest {
        let facts = facts.entry(integration).or_default();
        if let Some(Json(sync)) = sync {
            facts.record(sync);
        }
    }
    let ids: Vec<Uuid> = facts.keys().copied().collect();
    let facts = facts.values().map(StoredFacts::text).collect::<Result<Vec<String>, _>>()?;
    sqlx::query(
        "
        UPDATE integration_health SET facts = known.facts::json
        FROM unnest($1::uuid[], $2::text[]) AS known (id, facts) WHERE integration_config_id = known.id
        ",
    )
    .bind(ids)
    .bind(facts)
    .execute(owner)
    .await?;
    Ok(())
}
