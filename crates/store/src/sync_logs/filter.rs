//! Lists of syncs: every filter, newest first, by keyset.

use chrono::{DateTime, Utc};
use domain::integration::{ConnectorType, SyncType};
use domain::sync_log::{LEFT_BEHIND, MAX_RETRIES, SyncStatus, TriggeredBy};
use serde_json::Value;
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

/// A sync's place in the list.
pub type Place = (DateTime<Utc>, Uuid);

/// Every column of a sync.
const WHOLE: &str = "*";
/// Every column but the connector's context, which may be large and is for debugging alone.
const WITHOUT_METADATA: &str = "id, integration_config_id, organization_id, connector_type, sync_type, status, \
     records_processed, records_failed, records_total, error_code, error_message, retry_count, triggered_by, \
     triggered_by_user_id, source_record_id, source_record_type, external_reference_id, request_payload_hash, \
     http_status_code, duration_ms, started_at, completed_at, NULL::jsonb AS metadata, warnings, backfill, client_run_id";

/// Up to `limit` syncs beyond the cursor, in the direction's order (newest first when going older).
pub async fn list(
    tx: &mut OrgTx,
    filter: &SyncFilter,
    cursor: Option<Place>,
    direction: Direction,
    limit: i64,
) -> Result<Vec<SyncLog>, StoreError> {
    let page = Page { columns: WHOLE, filter, cursor, direction, limit };
    fetch(tx, &page).await
}

/// The same without the connector's context, for reading very many: newest first, going older.
pub async fn list_without_metadata(
    tx: &mut OrgTx,
    filter: &SyncFilter,
    cursor: Option<Place>,
    limit: i64,
) -> Result<Vec<SyncLog>, StoreError> {
    let page = Page { columns: WITHOUT_METADATA, filter, cursor, direction: Direction::Older, limit };
    fetch(tx, &page).await
}

/// How the database would run exactly the statement of [`list`], as `EXPLAIN (FORMAT JSON)` tells it.
pub async fn explain(
    tx: &mut OrgTx,
    filter: &SyncFilter,
    cursor: Option<Place>,
    direction: Direction,
    limit: i64,
) -> Result<Value, StoreError> {
    let page = Page { columns: WHOLE, filter, cursor, direction, limit };
    let mut query = page.statement("EXPLAIN (FORMAT JSON) ", tx.organization_id());
    Ok(query.build_query_scalar().fetch_one(tx.conn()).await?)
}

async fn fetch(tx: &mut OrgTx, page: &Page<'_>) -> Result<Vec<SyncLog>, StoreError> {
    let mut query = page.statement("", tx.organization_id());
    let rows: Vec<Row> = query.build_query_as().fetch_all(tx.conn()).await?;
    rows.into_iter().map(TryInto::try_into).collect()
}

struct Page<'a> {
    columns: &'static str,
    filter: &'a SyncFilter,
    cursor: Option<Place>,
    direction: Direction,
    limit: i64,
}

impl Page<'_> {
    /// An index gives rows in the list's order only for one value of each of its leading columns. Where a filter leaves
    /// several, each combination is looked up on its own and the few nearest rows of each are merged, so that a page
    /// costs the same however many syncs do not match.
    fn statement(&self, opening: &str, organization_id: Uuid) -> QueryBuilder<Postgres> {
        let lookups = self.filter.lookups();
        let mut query = QueryBuilder::new(opening);
        if let Some(lookups) = &lookups {
            query.push("SELECT found.* FROM (VALUES ");
            push_values(&mut query, lookups);
            query.push(") AS wanted (").push(lookups.columns.join(", ")).push(") CROSS JOIN LATERAL (");
        }
        query.push("SELECT ").push(self.columns).push(" FROM sync_logs WHERE organization_id = ");
        query.push_bind(organization_id);
        for column in lookups.iter().flat_map(|lookups| lookups.columns) {
            query.push(format_args!(" AND sync_logs.{column} = wanted.{column}"));
        }
        self.filter.push_conditions(&mut query, lookups.as_ref().map(|lookups| lookups.columns).unwrap_or_default());
        self.push_cursor(&mut query);
        self.push_order(&mut query);
        if lookups.is_some() {
            query.push(") AS found");
            self.push_order(&mut query);
        }
        query
    }

    /// The first comparison says nothing new; the database leaves out partitions by it, which it can't by the second.
    fn push_cursor(&self, query: &mut QueryBuilder<Postgres>) {
        let Some((started_at, id)) = self.cursor else { return };
        let (bound, beyond) = match self.direction {
            Direction::Older => (" AND started_at <= ", " AND (started_at, id) < ("),
            Direction::Newer => (" AND started_at >= ", " AND (started_at, id) > ("),
        };
        query.push(bound).push_bind(started_at);
        query.push(beyond).push_bind(started_at).push(", ").push_bind(id).push(")");
    }

    fn push_order(&self, query: &mut QueryBuilder<Postgres>) {
        query.push(match self.direction {
            Direction::Older => " ORDER BY started_at DESC, id DESC LIMIT ",
            Direction::Newer => " ORDER BY started_at, id LIMIT ",
        });
        query.push_bind(self.limit);
    }
}

/// Combinations of words that are looked up one by one.
struct Lookups {
    columns: &'static [&'static str],
    rows: Vec<Vec<&'static str>>,
}

fn push_values(query: &mut QueryBuilder<Postgres>, lookups: &Lookups) {
    for (index, row) in lookups.rows.iter().enumerate() {
        query.push(if index == 0 { "('" } else { ", ('" }).push(row.join("', '")).push("')");
    }
}

impl SyncFilter {
    /// The states asked for, each once; empty where that restricts nothing.
    fn wanted_statuses(&self) -> Vec<SyncStatus> {
        let mut wanted = self.statuses.clone();
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.len() == SyncStatus::ALL.len() { Vec::new() } else { wanted }
    }

    /// Whether a sync that lies in the archive, where nothing can be retried, belongs to the list: the same conditions
    /// as those that the statement has.
    pub fn admits_archived(&self, sync: &SyncLog) -> bool {
        fn fits<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none_or(|wanted| found == Some(wanted))
        }
        self.retryable != Some(true)
            && fits(self.integration_config_id.as_ref(), Some(&sync.integration_config_id))
            && (self.statuses.is_empty() || self.statuses.contains(&sync.status))
            && fits(self.connector_type.as_ref(), Some(&sync.connector_type))
            && fits(self.sync_type.as_ref(), Some(&sync.sync_type))
            && fits(self.triggered_by.as_ref(), Some(&sync.triggered_by))
            && fits(self.source_record_type.as_ref(), sync.source_record_type.as_ref())
            && fits(self.source_record_id.as_ref(), sync.source_record_id.as_ref())
            && self.from.is_none_or(|from| sync.started_at >= from)
            && self.to.is_none_or(|to| sync.started_at < to)
    }

    /// What is looked up combination by combination; none where one look-up does.
    fn lookups(&self) -> Option<Lookups> {
        // One record has few syncs, and what can be retried has an index of its own.
        if self.source_record_id.is_some() || self.retryable == Some(true) {
            return None;
        }
        let statuses = self.wanted_statuses();
        if statuses.len() > 1 {
            let rows = statuses.iter().map(|status| vec![status.as_str()]).collect();
            return Some(Lookups { columns: &["status"], rows });
        }
        let asks_kind = self.connector_type.is_some() || self.sync_type.is_some() || self.triggered_by.is_some();
        let asks_else =
            !statuses.is_empty() || self.integration_config_id.is_some() || self.source_record_type.is_some();
        if !asks_kind || asks_else {
            return None;
        }
        let mut rows = Vec::new();
        for connector in one_or_all(self.connector_type, ConnectorType::ALL) {
            for kind in one_or_all(self.sync_type, SyncType::ALL) {
                for trigger in one_or_all(self.triggered_by, TriggeredBy::ALL) {
                    rows.push(vec![connector.as_str(), kind.as_str(), trigger.as_str()]);
                }
            }
        }
        Some(Lookups { columns: &["connector_type", "sync_type", "triggered_by"], rows })
    }

    /// Everything the filter says but of the columns that are looked up. The closed words stand in the statement
    /// itself, so that the planner knows how frequent each is.
    fn push_conditions(&self, query: &mut QueryBuilder<Postgres>, looked_up: &[&str]) {
        if let Some(id) = self.integration_config_id {
            query.push(" AND integration_config_id = ").push_bind(id);
        }
        let mut words: Vec<(&str, Vec<&str>)> =
            vec![("status", self.wanted_statuses().iter().map(|status| status.as_str()).collect())];
        words.extend(self.connector_type.map(|connector| ("connector_type", vec![connector.as_str()])));
        words.extend(self.sync_type.map(|kind| ("sync_type", vec![kind.as_str()])));
        words.extend(self.triggered_by.map(|trigger| ("triggered_by", vec![trigger.as_str()])));
        for (column, words) in words {
            if !words.is_empty() && !looked_up.contains(&column) {
                query.push(format_args!(" AND {column} IN ('{}')", words.join("', '")));
            }
        }
        if let Some(kind) = &self.source_record_type {
            query.push(" AND source_record_type = ").push_bind(kind.clone());
        }
        if let Some(id) = self.source_record_id {
            query.push(" AND source_record_id = ").push_bind(id);
        }
        if let Some(from) = self.from {
            query.push(" AND started_at >= ").push_bind(from);
        }
        if let Some(to) = self.to {
            query.push(" AND started_at < ").push_bind(to);
        }
        if let Some(retryable) = self.retryable {
            let [awaiting, not_arrived] = LEFT_BEHIND.map(|code| format!("warnings @> '[{{\"code\": \"{code}\"}}]'"));
            // The words of the partial index.
            query.push(" AND (retry_count < ").push(MAX_RETRIES);
            query.push(format_args!(
                " AND (status IN ('failed', 'retried_failed')
                  OR (status IN ('success', 'retried_success')
                      AND (records_failed > 0 OR {awaiting} OR {not_arrived}))))"
            ));
            query.push(if retryable { "" } else { " IS NOT TRUE" });
        }
    }
}

fn one_or_all<T: Copy>(one: Option<T>, all: &[T]) -> Vec<T> {
    one.map_or_else(|| all.to_vec(), |one| vec![one])
}
