//! Lists of syncs: every filter, newest first, by keyset.

use chrono::{DateTime, Utc};
use domain::integration::{ConnectorType, SyncType};
use domain::sync_log::{MAX_RETRIES, SyncStatus, TriggeredBy};
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::{Row, SyncLog};
use crate::database::OrgTx;
use crate::error::StoreError;

/// Which syncs a list holds; what is left out does not restrict.
#[derive(Clone, Debug, Default)]
pub struct SyncFilter {
    /// Of one integration.
    pub integration_config_id: Option<Uuid>,
    /// In one of these states; empty: in any.
    pub statuses: Vec<SyncStatus>,
    /// Of one connector.
    pub connector_type: Option<ConnectorType>,
    /// Of one kind.
    pub sync_type: Option<SyncType>,
    /// Initiated in one way.
    pub triggered_by: Option<TriggeredBy>,
    /// Of one type of source record.
    pub source_record_type: Option<String>,
    /// Of one source record.
    pub source_record_id: Option<Uuid>,
    /// Started at or after.
    pub from: Option<DateTime<Utc>>,
    /// Started before.
    pub to: Option<DateTime<Utc>>,
    /// Only those that can (or cannot) be retried.
    pub retryable: Option<bool>,
}

/// Which way a page goes from its cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Towards older syncs.
    Older,
    /// Towards newer syncs.
    Newer,
}

/// Up to `limit` syncs beyond the cursor, in the direction's order (newest first when going older).
pub async fn list(
    tx: &mut OrgTx,
    filter: &SyncFilter,
    cursor: Option<(DateTime<Utc>, Uuid)>,
    direction: Direction,
    limit: i64,
) -> Result<Vec<SyncLog>, StoreError> {
    let organization_id = tx.organization_id();
    let mut query = QueryBuilder::new("SELECT * FROM sync_logs WHERE organization_id = ");
    query.push_bind(organization_id);
    push_filter(&mut query, filter);
    if let Some((started_at, id)) = cursor {
        query.push(match direction {
            Direction::Older => " AND (started_at, id) < (",
            Direction::Newer => " AND (started_at, id) > (",
        });
        query.push_bind(started_at).push(", ").push_bind(id).push(")");
    }
    query.push(match direction {
        Direction::Older => " ORDER BY started_at DESC, id DESC LIMIT ",
        Direction::Newer => " ORDER BY started_at, id LIMIT ",
    });
    query.push_bind(limit);
    let rows: Vec<Row> = query.build_query_as().fetch_all(tx.conn()).await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

fn push_filter(query: &mut QueryBuilder<Postgres>, filter: &SyncFilter) {
    if let Some(id) = filter.integration_config_id {
        query.push(" AND integration_config_id = ").push_bind(id);
    }
    if !filter.statuses.is_empty() {
        let words: Vec<String> = filter.statuses.iter().map(|status| status.as_str().to_owned()).collect();
        query.push(" AND status = ANY(").push_bind(words).push(")");
    }
    if let Some(connector) = filter.connector_type {
        query.push(" AND connector_type = ").push_bind(connector.as_str());
    }
    if let Some(kind) = filter.sync_type {
        query.push(" AND sync_type = ").push_bind(kind.as_str());
    }
    if let Some(trigger) = filter.triggered_by {
        query.push(" AND triggered_by = ").push_bind(trigger.as_str());
    }
    if let Some(kind) = &filter.source_record_type {
        query.push(" AND source_record_type = ").push_bind(kind.clone());
    }
    if let Some(id) = filter.source_record_id {
        query.push(" AND source_record_id = ").push_bind(id);
    }
    if let Some(from) = filter.from {
        query.push(" AND started_at >= ").push_bind(from);
    }
    if let Some(to) = filter.to {
        query.push(" AND started_at < ").push_bind(to);
    }
    if let Some(retryable) = filter.retryable {
        query.push(if retryable { " AND (" } else { " AND NOT (" });
        query.push("retry_count < ").push_bind(i16::try_from(MAX_RETRIES).unwrap_or(i16::MAX)).push(
            " AND (status IN ('failed', 'retried_failed')
              OR (status IN ('success', 'retried_success') AND records_failed > 0)))",
        );
    }
}
