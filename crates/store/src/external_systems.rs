//! What is known of external systems: `external_systems`.

use chrono::{DateTime, Utc};
use domain::pacing::{Breaker, Recent, SystemState};
use uuid::Uuid;

use crate::database::OrgTx;
use crate::error::StoreError;

#[derive(sqlx::FromRow)]
struct Row {
    spent_until: Option<DateTime<Utc>>,
    paused_until: Option<DateTime<Utc>>,
    throttled: i32,
    breaker: String,
    recent_outages: i32,
    recent_requests: i16,
    breaker_until: Option<DateTime<Utc>>,
    openings: i16,
}

const CLOSED: &str = "closed";
const OPEN: &str = "open";
const HALF_OPEN: &str = "half_open";

impl From<Row> for SystemState {
    fn from(row: Row) -> Self {
        let openings = row.openings.unsigned_abs();
        let breaker = match row.breaker_until {
            Some(until) if row.breaker == HALF_OPEN => Breaker::HalfOpen { until, openings },
            Some(until) => Breaker::Open { until, openings },
            None => Breaker::Closed(Recent::new(
                row.recent_outages.unsigned_abs(),
                u8::try_from(row.recent_requests).unwrap_or(u8::MAX),
            )),
        };
        Self {
            spent_until: row.spent_until,
            paused_until: row.paused_until,
            throttled: row.throttled.unsigned_abs(),
            breaker,
        }
    }
}

/// What is known of a system; of one that nobody has had trouble with, nothing.
pub async fn find(tx: &mut OrgTx, id: Uuid) -> Result<SystemState, StoreError> {
    Ok(find_with_senders(tx, id).await?.0)
}

/// The same, and how many processes run an attempt that sends to it: they share the requests it takes at once.
pub async fn find_with_senders(tx: &mut OrgTx, id: Uuid) -> Result<(SystemState, i64), StoreError> {
    #[derive(sqlx::FromRow)]
    struct Looked {
        senders: i64,
        #[sqlx(flatten)]
        known: Row,
    }
    let organization_id = tx.organization_id();
    let looked: Looked = sqlx::query_as(
        "
        SELECT (
                   SELECT count(DISTINCT lease_owner) FROM active_syncs
                   WHERE organization_id = $1 AND external_system_id = $2 AND running AND managed
               ) AS senders,
               spent_until, paused_until, coalesce(throttled, 0) AS throttled, coalesce(breaker, 'closed') AS breaker,
               coalesce(recent_outages, 0) AS recent_outages,
               coalesce(recent_requests, 0::smallint) AS recent_requests, breaker_until,
               coalesce(openings, 0::smallint) AS openings
        FROM (VALUES ($1::uuid, $2::uuid)) AS wanted (organization, external_system)
        LEFT JOIN external_systems ON organization_id = organization AND id = external_system
        ",
    )
    .bind(organization_id)
    .bind(id)
    .fetch_one(tx.conn())
    .await?;
    Ok((looked.known.into(), looked.senders))
}

/// What is known of a system, held until the transaction ends. Whoever holds it takes no further lock on a row that others
/// could hold.
pub async fn lock(tx: &mut OrgTx, id: Uuid, now: DateTime<Utc>) -> Result<SystemState, StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query(
        "INSERT INTO external_systems (organization_id, id, updated_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(organization_id)
    .bind(id)
    .bind(now)
    .execute(tx.conn())
    .await?;
    let row: Row = sqlx::query_as(
        "
        SELECT spent_until, paused_until, throttled, breaker, recent_outages, recent_requests, breaker_until, openings
        FROM external_systems WHERE organization_id = $1 AND id = $2 FOR UPDATE
        ",
    )
    .bind(organization_id)
    .bind(id)
    .fetch_one(tx.conn())
    .await?;
    Ok(row.into())
}

/// Writes what is known of a system that is held.
pub async fn update(tx: &mut OrgTx, id: Uuid, state: &SystemState, now: DateTime<Utc>) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    let (word, recent, until, openings) = match state.breaker {
        Breaker::Closed(recent) => (CLOSED, recent, None, 0),
        Breaker::Open { until, openings } => (OPEN, Recent::default(), Some(until), openings),
        Breaker::HalfOpen { until, openings } => (HALF_OPEN, Recent::default(), Some(until), openings),
    };
    sqlx::query(
        "
        UPDATE external_systems
        SET spent_until = $3, paused_until = $4, throttled = $5, breaker = $6, recent_outages = $7,
            recent_requests = $8, breaker_until = $9, openings = $10, updated_at = $11
        WHERE organization_id = $1 AND id = $2
        ",
    )
    .bind(organization_id)
    .bind(id)
    .bind(state.spent_until)
    .bind(state.paused_until)
    .bind(i32::try_from(state.throttled).unwrap_or(i32::MAX))
    .bind(word)
    .bind(recent.bits().cast_signed())
    .bind(i16::from(recent.length()))
    .bind(until)
    .bind(i16::try_from(openings).unwrap_or(i16::MAX))
    .bind(now)
    .execute(tx.conn())
    .await?;
    Ok(())
}
