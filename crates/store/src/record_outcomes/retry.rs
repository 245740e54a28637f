//! What a retry of a sync could send.

use chrono::{DateTime, Utc};
use domain::asking::{AWAITING_POSTING, Asking, Doubt, NO_LONGER_THERE, Way};
use domain::record::{RecordOutcome, RecordState};
use domain::retry::RetryCandidate;
use uuid::Uuid;

use crate::database::OrgTx;
use crate::error::StoreError;
use crate::source_records::RecordKey;
use crate::sync_logs::SyncKey;
use crate::words::word;

#[derive(sqlx::FromRow)]
struct Candidate {
    source_record_type: String,
    source_record_id: Uuid,
    outcome: String,
    code: Option<String>,
    state: Option<String>,
    changed: bool,
    hopeless: bool,
    claimed: bool,
    sent_target: Option<String>,
    sent_recognised_by: Option<String>,
    doubted_since: Option<DateTime<Utc>>,
    given_up: Option<DateTime<Utc>>,
    reference: Option<String>,
}

/// What the domain needs to decide about each undelivered record of a sync, where its integration's system can be asked
/// like this.
pub async fn retry_candidates(
    tx: &mut OrgTx,
    sync: SyncKey,
    integration_config_id: Uuid,
    asking: &Asking,
    now: DateTime<Utc>,
) -> Result<Vec<(RecordKey, RetryCandidate)>, StoreError> {
    let organization_id = tx.organization_id();
    let rows: Vec<Candidate> = sqlx::query_as(
        "
        SELECT latest.source_record_type, latest.source_record_id, latest.outcome,
               latest.errors -> 0 ->> 'code' AS code, source_records.state,
               coalesce(coalesce(next_payload_hash, payload_hash) <> sent_hash, false) AS changed,
               coalesce(refused_for_good OR payload_sealed IS NULL, true) AS hopeless,
               EXISTS (
                   SELECT FROM sync_claims
                   JOIN integration_configs
                       ON integration_configs.organization_id = sync_claims.organization_id
                       AND integration_configs.id = $4
                       AND integration_configs.connector_type = sync_claims.connector_type
                   WHERE sync_claims.organization_id = $1
                       AND sync_claims.source_record_type = latest.source_record_type
                       AND sync_claims.source_record_id = latest.source_record_id
                       AND sync_claims.sync_id <> $3
               ) AS claimed,
               sent_target, sent_recognised_by,
               coalesce(sent_in_doubt_since, sent_at, source_records.updated_at) AS doubted_since,
               coalesce(given_up_at, source_records.updated_at) AS given_up, external_reference_id AS reference
        FROM (
            SELECT DISTINCT ON (source_record_type, source_record_id)
                   source_record_type, source_record_id, outcome, errors
            FROM sync_record_outcomes
            WHERE organization_id = $1 AND sync_started_at = $2 AND sync_id = $3
            ORDER BY source_record_type, source_record_id, attempt_number DESC
        ) latest
        -- One look-up per record, as in the list above.
        LEFT JOIN LATERAL (
            SELECT * FROM source_records
            WHERE source_records.organization_id = $1 AND source_records.integration_config_id = $4
                AND source_records.source_record_type = latest.source_record_type
                AND source_records.source_record_id = latest.source_record_id
            OFFSET 0
        ) AS source_records ON true
        WHERE latest.outcome IN ('failed', 'unknown', 'not_attempted')
        ORDER BY latest.source_record_type, latest.source_record_id
        ",
    )
    .bind(organization_id)
    .bind(sync.started_at)
    .bind(sync.id)
    .bind(integration_config_id)
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(|row| row.read(asking, now)).collect()
}

impl Candidate {
    fn read(self, asking: &Asking, now: DateTime<Utc>) -> Result<(RecordKey, RetryCandidate), StoreError> {
        let outcome: RecordOutcome = word(&self.outcome)?;
        let state = match self.state.as_deref() {
            Some(state) => word(state)?,
            None => RecordState::after(outcome).unwrap_or(RecordState::Failed),
        };
        let doubt = self.doubted_since.zip(self.given_up).map(|(since, given_up)| Doubt {
            target: self.sent_target,
            recognised_by: self.sent_recognised_by,
            since,
            given_up,
        });
        let said = self.code.as_deref().filter(|_| outcome == RecordOutcome::Unknown);
        let awaits = said == Some(AWAITING_POSTING);
        // What a look-up said since may be only that the system was away.
        let was_taken = outcome == RecordOutcome::Unknown && self.reference.is_some() && asking.refusable_for.is_some();
        let accepted = awaits || said == Some(NO_LONGER_THERE) || was_taken;
        let given_up = self.given_up.filter(|_| awaits);
        let refusable_until = given_up.zip(asking.refusable_for).and_then(|(at, time)| at.checked_add_signed(time));
        Ok((
            RecordKey { source_record_type: self.source_record_type, source_record_id: self.source_record_id },
            RetryCandidate {
                outcome,
                state,
                changed: self.changed,
                refused_for_good: self.hopeless,
                way: doubt.map_or(Way::Person, |doubt| asking.way(&doubt, now)),
                claimed_elsewhere: self.claimed,
                accepted,
                refusable_until,
            },
        ))
    }
}
