//! What the health row ought to say: a plain look at every sync of an integration, as the tables hold them. Written by
//! itself, without the server's code.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

const LATEST: usize = 30;

/// A sync as its latest finished attempt left it.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub started_at: DateTime<Utc>,
    pub id: Uuid,
    pub status: String,
    /// Not known of one that nobody had started when it was given up, and that is under way anew.
    pub completed_at: Option<DateTime<Utc>>,
    pub records_total: Option<i32>,
    /// Delivered and failed; not known while a retry runs.
    pub counts: Option<(Option<i32>, Option<i32>)>,
    pub warnings: i32,
    pub counts_mismatch: bool,
}

impl Seen {
    fn failed(&self) -> bool {
        matches!(self.status.as_str(), "failed" | "retried_failed")
    }

    /// When it turned the light red.
    fn turned_red(&self) -> Option<DateTime<Utc>> {
        if self.status == "retried_failed" { Some(self.started_at) } else { self.completed_at }
    }
}

/// Since when the latest syncs have failed.
#[derive(Debug)]
pub enum FailingSince {
    /// They have not, or since this moment.
    Known(Option<DateTime<Utc>>),
    /// The end of one of them is not known.
    Unknown,
}

/// What the row ought to say.
#[derive(Debug)]
pub struct Plain {
    pub recent: Vec<Seen>,
    pub consecutive_failures: i32,
    pub failing_since: FailingSince,
    /// Records, and their sums by currency; not known while an attempt runs.
    pub undelivered: Option<(i64, BTreeMap<String, String>)>,
}

#[derive(sqlx::FromRow)]
struct SyncRow {
    id: Uuid,
    started_at: DateTime<Utc>,
    status: String,
    completed_at: Option<DateTime<Utc>>,
    retry_count: i16,
    records_total: Option<i32>,
    records_processed: Option<i32>,
    records_failed: Option<i32>,
    error_code: Option<String>,
    warnings: Value,
    backfill: bool,
}

type AttemptRow = (Uuid, i16, String, Option<DateTime<Utc>>);

impl Plain {
    /// Looks at every sync of an integration.
    pub async fn look(pool: &PgPool, integration: Uuid) -> anyhow::Result<Self> {
        let syncs: Vec<SyncRow> = sqlx::query_as("SELECT * FROM sync_logs WHERE integration_config_id = $1")
            .bind(integration)
            .fetch_all(pool)
            .await?;
        let attempts: Vec<AttemptRow> = sqlx::query_as(
            "
            SELECT sync_id, attempt_number, sync_attempts.status, sync_attempts.completed_at FROM sync_attempts
            JOIN sync_logs ON sync_logs.id = sync_id AND sync_logs.started_at = sync_started_at
            WHERE integration_config_id = $1 AND sync_attempts.status <> 'in_progress'
            ",
        )
        .bind(integration)
        .fetch_all(pool)
        .await?;
        let runs = syncs.iter().any(|sync| sync.status == "in_progress");
        let mut seen: Vec<Seen> = syncs
            .into_iter()
            .filter(|sync| !sync.backfill)
            .filter_map(|sync| {
                let last = attempts.iter().filter(|attempt| attempt.0 == sync.id).max_by_key(|attempt| attempt.1);
                see(&sync, last)
            })
            .collect();
        seen.sort_by_key(|sync| std::cmp::Reverse((sync.started_at, sync.id)));
        let run: Vec<&Seen> = seen.iter().take_while(|sync| sync.failed()).collect();
        let since: Option<Vec<DateTime<Utc>>> = run.iter().map(|sync| sync.turned_red()).collect();
        let consecutive_failures = i32::try_from(run.len())?;
        let failing_since = match since {
            Some(moments) => FailingSince::Known(moments.into_iter().min()),
            None => FailingSince::Unknown,
        };
        seen.truncate(LATEST);
        let undelivered = if runs { None } else { Some(undelivered(pool, integration).await?) };
        Ok(Self { recent: seen, consecutive_failures, failing_since, undelivered })
    }
}

fn see(sync: &SyncRow, last: Option<&AttemptRow>) -> Option<Seen> {
    let ended = !matches!(sync.status.as_str(), "pending" | "in_progress");
    let (status, completed_at) = match last {
        _ if ended => (sync.status.clone(), sync.completed_at),
        Some((_, 0, status, completed_at)) => (status.clone(), completed_at.map(|at| at.max(sync.started_at))),
        Some((_, _, status, completed_at)) => {
            (format!("retried_{status}"), completed_at.map(|at| at.max(sync.started_at)))
        }
        // Nobody had claimed its start; the retry waits or runs.
        None if sync.error_code.is_some() || sync.retry_count > 0 => ("failed".to_owned(), None),
        None => return None,
    };
    let codes: Vec<&str> =
        sync.warnings.as_array().into_iter().flatten().filter_map(|warning| warning["code"].as_str()).collect();
    Some(Seen {
        started_at: sync.started_at,
        id: sync.id,
        status,
        completed_at,
        records_total: sync.records_total,
        counts: (sync.status != "in_progress").then_some((sync.records_processed, sync.records_failed)),
        warnings: i32::try_from(codes.len()).ok()?,
        counts_mismatch: codes
            .iter()
            .any(|code| matches!(*code, "counts_must_add_up" | "records_failed_not_exceed_total")),
    })
}

async fn undelivered(pool: &PgPool, integration: Uuid) -> anyhow::Result<(i64, BTreeMap<String, String>)> {
    let records: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM source_records WHERE integration_config_id = $1 AND state IN ('failed', 'unknown')",
    )
    .bind(integration)
    .fetch_one(pool)
    .await?;
    let sums: Vec<(String, String)> = sqlx::query_as(
        "
        SELECT currency, to_char(sum(amount), 'FM999999990.00') FROM source_records
        WHERE integration_config_id = $1 AND state IN ('failed', 'unknown') AND amount IS NOT NULL GROUP BY currency
        ",
    )
    .bind(integration)
    .fetch_all(pool)
    .await?;
    Ok((records, sums.into_iter().collect()))
}
