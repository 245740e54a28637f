//! What external runners report of source records.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use domain::record::RecordState;
use uuid::Uuid;

use super::RecordKey;
use crate::database::OrgTx;
use crate::error::StoreError;
use crate::record_outcomes::NewOutcome;

/// One outcome and where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct Reported<'a> {
    /// The integration.
    pub integration_config_id: Uuid,
    /// The sync it happened in.
    pub sync_id: Uuid,
    /// What happened.
    pub outcome: &'a NewOutcome,
    /// Whether it comes from its sync's latest attempt.
    pub latest: bool,
}

/// Takes in outcomes that an external runner reported. What has arrived or was handled stays so; any other outcome
/// moves a record only if `latest` says that it comes from the sync's latest attempt, and a record that another sync
/// has on its way, or sent without an answer, takes no refusal from this one. One that was sent again while its fate was
/// unknown stays in doubt, as in [`settle`](super::settle), until it has arrived or a person decides.
pub async fn upsert_reported<'a>(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    sync_id: Uuid,
    outcomes: &[&'a NewOutcome],
    latest: bool,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let reported = |outcome: &&'a NewOutcome| Reported { integration_config_id, sync_id, outcome, latest };
    upsert_reported_many(tx, &outcomes.iter().map(reported).collect::<Vec<_>>(), now).await
}

/// The same for outcomes of several syncs, in their order: a record that stands in several takes them one after the
/// other.
pub async fn upsert_reported_many(
    tx: &mut OrgTx,
    reported: &[Reported<'_>],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let moved = reported
        .iter()
        .copied()
        .filter(|new| new.latest || new.outcome.outcome.is_delivered())
        .filter_map(|new| Some((new, RecordState::after(new.outcome.outcome)?)));
    for wave in waves(moved) {
        upsert(tx, &wave, now).await?;
    }
    Ok(())
}

type Moved<'a> = (Reported<'a>, RecordState);

/// Cuts reports, in their order, wherever a record comes again: a statement changes a row once only.
fn waves<'a>(moved: impl Iterator<Item = Moved<'a>>) -> Vec<Vec<Moved<'a>>> {
    let mut waves: Vec<Vec<Moved<'a>>> = Vec::new();
    let mut seen: HashSet<(Uuid, &RecordKey)> = HashSet::new();
    for (new, state) in moved {
        let record = (new.integration_config_id, &new.outcome.key);
        if waves.is_empty() || !seen.insert(record) {
            seen.clear();
            seen.insert(record);
            waves.push(Vec::new());
        }
        if let Some(wave) = waves.last_mut() {
            wave.push((new, state));
        }
    }
    waves
}

async fn upsert(tx: &mut OrgTx, moved: &[Moved<'_>], now: DateTime<Utc>) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    let texts = |pick: fn(&NewOutcome) -> Option<&str>| -> Vec<Option<&str>> {
        moved.iter().map(|(new, _)| pick(new.outcome)).collect()
    };
    sqlx::query(
        "
        INSERT INTO source_records AS known (
            organization_id, integration_config_id, source_record_type, source_record_id, state, label, amount,
            currency, sent_hash, external_reference_id, last_sync_id, created_at, updated_at
        )
        SELECT $1, record.integration, record.type, record.id, record.state, record.label, record.amount,
               record.currency, record.hash, record.reference, record.sync, $2, $2
        FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::uuid[], $7::text[], $8::text[], $9::numeric[], $10::text[],
                    $11::text[], $12::text[])
            AS record (integration, sync, type, id, state, label, amount, currency, hash, reference)
        ORDER BY record.integration, record.type, record.id
        ON CONFLICT (organization_id, integration_config_id, source_record_type, source_record_id) DO UPDATE SET
            state = CASE WHEN known.sent_in_doubt_since IS NOT NULL AND excluded.state IN ('failed', 'staged')
                         THEN 'unknown' ELSE excluded.state END,
            sent_in_doubt_since = CASE
                WHEN excluded.state = 'delivered' THEN NULL
                WHEN excluded.state = 'sending' AND known.state = 'unknown'
                    THEN coalesce(known.sent_in_doubt_since, known.updated_at)
                ELSE known.sent_in_doubt_since
            END,
            label = coalesce(excluded.label, known.label),
            amount = coalesce(excluded.amount, known.amount), currency = coalesce(excluded.currency, known.currency),
            sent_hash = coalesce(excluded.sent_hash, known.sent_hash),
            external_reference_id = coalesce(excluded.external_reference_id, known.external_reference_id),
            payload_sealed = CASE WHEN excluded.state = 'delivered' THEN NULL ELSE known.payload_sealed END,
            payload_key_id = CASE WHEN excluded.state = 'delivered' THEN NULL ELSE known.payload_key_id END,
            last_sync_id = excluded.last_sync_id, updated_at = excluded.updated_at
        WHERE CASE known.state
            WHEN 'delivered' THEN false
            WHEN 'handled' THEN excluded.state = 'delivered'
            -- An unknown outcome does not become harmless because nothing more was sent, nor because another sync's
            -- request was refused: only the sync whose request has no answer can say what became of it.
            WHEN 'failed' THEN excluded.state <> 'staged'
            WHEN 'unknown' THEN excluded.state IN ('delivered', 'sending')
                OR (excluded.state <> 'staged' AND known.last_sync_id = excluded.last_sync_id)
            WHEN 'sending' THEN excluded.state IN ('delivered', 'sending', 'unknown')
                OR known.last_sync_id = excluded.last_sync_id
            ELSE true
        END
        ",
    )
    .bind(organization_id)
    .bind(now)
    .bind(moved.iter().map(|(new, _)| new.integration_config_id).collect::<Vec<_>>())
    .bind(moved.iter().map(|(new, _)| new.sync_id).collect::<Vec<_>>())
    .bind(moved.iter().map(|(new, _)| new.outcome.key.source_record_type.as_str()).collect::<Vec<_>>())
    .bind(moved.iter().map(|(new, _)| new.outcome.key.source_record_id).collect::<Vec<_>>())
    .bind(moved.iter().map(|(_, state)| state.as_str()).collect::<Vec<_>>())
    .bind(texts(|new| new.label.as_deref()))
    .bind(moved.iter().map(|(new, _)| new.outcome.amount).collect::<Vec<_>>())
    .bind(texts(|new| new.currency.as_deref()))
    .bind(texts(|new| new.request_payload_hash.as_deref()))
    .bind(texts(|new| new.external_reference_id.as_deref()))
    .execute(tx.conn())
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use domain::record::RecordOutcome;

    use super::*;

    fn outcome(id: u128) -> NewOutcome {
        let key = RecordKey { source_record_type: "claims".to_owned(), source_record_id: Uuid::from_u128(id) };
        NewOutcome::bare(key, RecordOutcome::Succeeded)
    }

    fn lengths(records: &[(u128, &NewOutcome)]) -> Vec<usize> {
        let moved = records.iter().map(|(integration, outcome)| {
            let integration_config_id = Uuid::from_u128(*integration);
            (Reported { integration_config_id, sync_id: Uuid::nil(), outcome, latest: true }, RecordState::Delivered)
        });
        waves(moved).iter().map(Vec::len).collect()
    }

    #[test]
    fn a_record_that_comes_again_begins_a_new_statement() {
        let (a, b) = (outcome(1), outcome(2));
        assert_eq!(lengths(&[(1, &a), (1, &b), (1, &a), (1, &b), (1, &b)]), [2, 2, 1]);
        assert_eq!(lengths(&[(1, &a), (2, &a), (1, &b)]), [3], "another integration keeps its own books");
        assert!(lengths(&[]).is_empty());
    }
}
