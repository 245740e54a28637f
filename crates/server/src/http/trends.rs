//! Counts and durations of an integration over time.

use std::collections::BTreeMap;

use actix_web::{get, web};
use api_types::trends::{Bucket, TrendBucket, Trends};
use chrono::{DateTime, Duration, DurationRound as _, Utc};
use domain::schedule::Schedule;
use serde::Deserialize;
use store::OrgTx;
use store::trends::TrendRow;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::json::{ValidPath, ValidQuery};
use super::problem::ApiError;
use crate::archive::read;
use crate::auth::{Access, OrgContext};
use crate::state::AppState;

/// Days shown if the caller names no period.
const DEFAULT_DAYS: i64 = 30;
/// Most buckets of an answer.
const MAX_BUCKETS: i64 = 750;

/// Registers the operations.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(get_trends);
}

/// The period and its buckets.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TrendsQuery {
    /// First moment (RFC 3339); 30 days before `to`, if left out.
    from: Option<DateTime<Utc>>,
    /// End, exclusive (RFC 3339); now, if left out.
    to: Option<DateTime<Utc>>,
    /// `day` or `hour`; `day` if left out.
    bucket: Option<Bucket>,
}

/// Read counts and durations of an integration per day or hour, in UTC.
#[utoipa::path(
    operation_id = "getTrends",
    tag = "integrations",
    params(("id" = Uuid, Path, description = "The integration"), TrendsQuery),
    responses((status = 200, description = "The buckets, oldest first, empty ones too", body = Trends)),
    security(("person" = []), ("machine" = ["syncs:read"])),
)]
#[get("/integrations/{id}/trends")]
pub async fn get_trends(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidPath(id): ValidPath<Uuid>,
    ValidQuery(query): ValidQuery<TrendsQuery>,
) -> Result<web::Json<Trends>, ApiError> {
    context.require(Access::ReadSyncs)?;
    let bucket = query.bucket.unwrap_or(Bucket::Day);
    let (unit, width) = match bucket {
        Bucket::Day => ("day", Duration::days(1)),
        Bucket::Hour => ("hour", Duration::hours(1)),
    };
    let now = state.clock.now();
    let to = query.to.unwrap_or(now);
    let from = query.from.or_else(|| to.checked_sub_signed(Duration::days(DEFAULT_DAYS)));
    let Some(from) = from.and_then(|from| from.duration_trunc(width).ok()).filter(|from| *from < to) else {
        return Err(ApiError::invalid_parameter("from", "lies before the end of the period"));
    };
    if (to - from).num_seconds() / width.num_seconds() > MAX_BUCKETS {
        return Err(ApiError::invalid_parameter("from", format!("at most {MAX_BUCKETS} buckets in one answer")));
    }
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let config = store::integrations::find(&mut tx, id).await?.ok_or_else(ApiError::not_found)?;
    let rows = read::trends(&state, tx, id, (unit, width), (from, to)).await?;
    let expected_from = config.created_at.min(rows.first().map_or(config.created_at, |row| row.start));
    let schedule = config.schedule.as_ref();
    Ok(web::Json(Trends {
        bucket,
        items: fill(rows, from, to, width, |start, end| {
            end > expected_from && end <= now && schedule.is_some_and(|schedule| is_due(schedule, start, end))
        }),
    }))
}

/// Whether a schedule is due within a bucket.
fn is_due(schedule: &Schedule, start: DateTime<Utc>, end: DateTime<Utc>) -> bool {
    schedule.next_after(start - Duration::milliseconds(1)).is_some_and(|due| due < end)
}

/// Every bucket of the period; one in which a sync was expected and none came is a gap.
fn fill(
    rows: Vec<TrendRow>,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    width: Duration,
    expected: impl Fn(DateTime<Utc>, DateTime<Utc>) -> bool,
) -> Vec<TrendBucket> {
    let mut known: BTreeMap<DateTime<Utc>, TrendRow> = rows.into_iter().map(|row| (row.start, row)).collect();
    let mut buckets = Vec::new();
    let mut start = from;
    while start < to {
        let end = start + width;
        buckets.push(match known.remove(&start) {
            Some(row) => TrendBucket {
                start,
                syncs: row.syncs,
                failed_syncs: row.failed_syncs,
                records_processed: row.records_processed,
                records_failed: row.records_failed,
                p50_duration_ms: row.p50_duration_ms,
                p95_duration_ms: row.p95_duration_ms,
                gap: false,
            },
            None => TrendBucket {
                start,
                syncs: 0,
                failed_syncs: 0,
                records_processed: 0,
                records_failed: 0,
                p50_duration_ms: None,
                p95_duration_ms: None,
                gap: expected(start, end),
            },
        });
        start = end;
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weekday_without_its_sync_is_a_gap_and_a_weekend_is_not() {
        let schedule = Schedule { cron: "0 6 * * 1-5".to_owned(), time_zone: "Europe/Oslo".to_owned() };
        let friday: DateTime<Utc> = "2026-11-20T00:00:00Z".parse().unwrap();
        let to = friday + Duration::days(4);
        let buckets = fill(Vec::new(), friday, to, Duration::days(1), |start, end| is_due(&schedule, start, end));
        let gaps: Vec<bool> = buckets.iter().map(|bucket| bucket.gap).collect();
        assert_eq!(gaps, [true, false, false, true]);
    }
}
