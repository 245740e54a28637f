//! Reading syncs wherever they lie: the one place where what is in the database and what is in the archive come together,
//! for lists, single syncs and exports alike.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use api_types::ErrorCode;
use chrono::Duration;
use domain::columns::OutcomeColumns;
use domain::retention::LedgerTable;
use domain::sync_log::started_at_of;
use store::OrgTx;
use store::archives::{errors_of, outcome_of, record_of};
use store::record_outcomes::{JourneyRow, OutcomeFilter, OutcomeRow};
use store::source_records::RecordKey;
use store::sync_attempts::SyncAttempt;
use store::sync_logs::{Direction, SyncFilter, SyncLog};
use uuid::Uuid;

use super::month::{self, Month, Place, is_beyond};
use crate::http::problem::ApiError;
use crate::state::AppState;

pub use super::trends::trends;

/// Nothing younger lies in the archive: a month leaves the database a year after its last sync.
const YOUNGEST_DAYS: i64 = 330;

/// A sync, and where it lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The sync.
    pub sync: SyncLog,
    /// Whether it lies in the archive, where nothing changes any more.
    pub archived: bool,
}

impl Found {
    fn place(&self) -> Place {
        (self.sync.started_at, self.sync.id)
    }
}

/// Up to `limit` syncs beyond the cursor, nearest first (newest first when going older), wherever they lie.
pub async fn page(
    state: &AppState,
    organization_id: Uuid,
    filter: &SyncFilter,
    cursor: Option<Place>,
    direction: Direction,
    limit: i64,
) -> Result<Vec<Found>, ApiError> {
    let mut tx = OrgTx::begin_reading(&state.db, organization_id).await?;
    let live = store::sync_logs::list(&mut tx, filter, cursor, direction, limit).await?;
    complete(state, tx, live, filter, cursor, direction, limit).await
}

/// The same without `metadata`, newest first: lines of a file.
pub async fn lines(
    state: &AppState,
    organization_id: Uuid,
    filter: &SyncFilter,
    cursor: Option<Place>,
    limit: i64,
) -> Result<Vec<Found>, ApiError> {
    let mut tx = OrgTx::begin_reading(&state.db, organization_id).await?;
    let live = store::sync_logs::list_without_metadata(&mut tx, filter, cursor, limit).await?;
    complete(state, tx, live, filter, cursor, Direction::Older, limit).await
}

/// Adds to a page what the archive has of it.
async fn complete(
    state: &AppState,
    mut tx: OrgTx,
    live: Vec<SyncLog>,
    filter: &SyncFilter,
    cursor: Option<Place>,
    direction: Direction,
    limit: i64,
) -> Result<Vec<Found>, ApiError> {
    let mut page: Vec<Found> = live.into_iter().map(|sync| Found { sync, archived: false }).collect();
    let limit = usize::try_from(limit).unwrap_or(0);
    let youngest = state.clock.now() - Duration::days(YOUNGEST_DAYS);
    let ends = match direction {
        Direction::Older => page.get(limit.saturating_sub(1)).map(Found::place),
        Direction::Newer => cursor,
    };
    if filter.retryable == Some(true) || ends.is_some_and(|(at, _)| at > youngest) {
        return Ok(page);
    }
    let mut entries = month::within(&mut tx, LedgerTable::SyncLogs, filter.from, filter.to).await?;
    drop(tx);
    if direction == Direction::Newer {
        entries.reverse();
    }
    for entry in entries {
        let (Some(oldest), Some(newest)) = (entry.min_started_at, entry.max_started_at) else { continue };
        // The ends of the month that lie nearest to the cursor, and farthest from it.
        let (near, far) = match direction {
            Direction::Older => ((newest, Uuid::max()), (oldest, Uuid::nil())),
            Direction::Newer => ((oldest, Uuid::nil()), (newest, Uuid::max())),
        };
        if cursor.is_some_and(|cursor| !is_beyond(direction, far, cursor)) {
            continue;
        }
        if page.len() >= limit && page.last().is_some_and(|last| is_beyond(direction, near, last.place())) {
            break;
        }
        let found = month::syncs(&state.archive, &entry, filter, cursor, direction, limit).await?;
        page.extend(found.into_iter().map(|sync| Found { sync, archived: true }));
        page.sort_by(|left, right| match direction {
            Direction::Older => right.place().cmp(&left.place()),
            Direction::Newer => left.place().cmp(&right.place()),
        });
        page.truncate(limit);
    }
    Ok(page)
}

/// The sync of an id that the transaction has not found in the database.
pub async fn archived_sync(state: &AppState, tx: OrgTx, id: Uuid) -> Result<SyncLog, ApiError> {
    Month::of(tx, id).await?.sync(&state.archive).await
}

/// The attempts of a sync, the first one first, wherever it lies.
pub async fn attempts(state: &AppState, mut tx: OrgTx, id: Uuid) -> Result<Vec<SyncAttempt>, ApiError> {
    if let Some(sync) = store::sync_logs::find(&mut tx, id).await? {
        return Ok(store::sync_attempts::list(&mut tx, sync.key()).await?);
    }
    let month = Month::of(tx, id).await?;
    month.sync(&state.archive).await?;
    month.attempts(&state.archive).await
}

/// Records of a sync, and what it takes to show them.
#[derive(Clone, Debug)]
pub struct Records {
    /// The sync, and where it lies.
    pub found: Found,
    /// The records by their latest outcome.
    pub rows: Vec<OutcomeRow>,
    /// How a record's address in the organization's own app is made.
    pub url_template: Option<String>,
}

/// Up to `limit` records of a sync by their latest outcome, wherever it lies. Where the records stand today is told for
/// archived ones too.
pub async fn records(
    state: &AppState,
    mut tx: OrgTx,
    id: Uuid,
    filter: &OutcomeFilter,
    limit: i64,
) -> Result<Records, ApiError> {
    if let Some(sync) = store::sync_logs::find(&mut tx, id).await? {
        let integration = sync.integration_config_id;
        let rows = store::record_outcomes::list(&mut tx, sync.key(), integration, filter, limit).await?;
        let url_template = url_template(&mut tx, integration).await?;
        return Ok(Records { found: Found { sync, archived: false }, rows, url_template });
    }
    let organization_id = tx.organization_id();
    let month = Month::of(tx, id).await?;
    let sync = month.sync(&state.archive).await?;
    let picked = pick(month.outcomes(&state.archive).await?, filter, usize::try_from(limit).unwrap_or(0))?;
    let mut tx = OrgTx::begin(&state.db, organization_id).await?;
    let rows = store::archives::standing(&mut tx, sync.integration_config_id, picked).await?;
    let url_template = url_template(&mut tx, sync.integration_config_id).await?;
    Ok(Records { found: Found { sync, archived: true }, rows, url_template })
}

async fn url_template(tx: &mut OrgTx, integration_config_id: Uuid) -> Result<Option<String>, ApiError> {
    let config = store::integrations::find(tx, integration_config_id).await?;
    Ok(config.and_then(|config| config.record_url_template))
}

/// What the ledger's own list takes from a sync's outcomes. They come ordered by record and attempt, and places are told
/// by that order, which is the database's.
fn pick(outcomes: Vec<OutcomeColumns>, filter: &OutcomeFilter, limit: usize) -> Result<Vec<OutcomeColumns>, ApiError> {
    let mut latest: Vec<OutcomeColumns> = Vec::new();
    for outcome in outcomes {
        match latest.last_mut() {
            Some(known) if record_of(known) == record_of(&outcome) => *known = outcome,
            _ => latest.push(outcome),
        }
    }
    let place_of = |key: &RecordKey| latest.iter().position(|known| record_of(known) == *key);
    let begin = filter.after.as_ref().map_or(0, |key| place_of(key).map_or(latest.len(), |place| place + 1));
    let end = filter.before.as_ref().map_or(latest.len(), |key| place_of(key).unwrap_or(0)).max(begin);
    let mut within = latest.drain(begin..end).collect::<Vec<_>>();
    if filter.before.is_some() {
        within.reverse();
    }
    let mut picked = Vec::new();
    for row in within {
        let fits = filter.record.as_ref().is_none_or(|key| record_of(&row) == *key)
            && (filter.outcomes.is_empty() || filter.outcomes.contains(&outcome_of(&row)?))
            && match &filter.error_code {
                Some(code) => errors_of(&row)?.iter().any(|error| error.code == *code),
                None => true,
            };
        if fits && picked.len() < limit {
            picked.push(row);
        }
    }
    Ok(picked)
}

/// A record across all syncs, newest first, up to `limit` steps, wherever they lie.
pub async fn journey(
    state: &AppState,
    mut tx: OrgTx,
    record: &RecordKey,
    limit: i64,
) -> Result<Vec<JourneyRow>, ApiError> {
    let mut steps = store::record_outcomes::journey(&mut tx, record, limit).await?;
    let outcomes = month::within(&mut tx, LedgerTable::SyncRecordOutcomes, None, None).await?;
    if outcomes.is_empty() {
        return Ok(steps);
    }
    let syncs = month::within(&mut tx, LedgerTable::SyncLogs, None, None).await?;
    let organization_id = tx.organization_id();
    drop(tx);
    let limit = usize::try_from(limit).unwrap_or(0);
    for entry in outcomes {
        let last = steps.get(limit.saturating_sub(1)).and_then(|step| started_at_of(step.sync_id));
        if last.is_some_and(|last| entry.max_started_at.is_some_and(|newest| newest < last)) {
            break;
        }
        let rows = month::outcomes_of(&state.archive, &entry, record).await?;
        let Some(syncs) = syncs.iter().find(|syncs| syncs.month == entry.month).filter(|_| !rows.is_empty()) else {
            continue;
        };
        let integrations = month::integrations_of(&state.archive, syncs, &rows).await?;
        let names = names(state, organization_id, integrations.values().copied()).await?;
        for row in rows {
            let integration = integrations.get(&row.sync_id).copied().unwrap_or_default();
            steps.push(step(row, integration, names.get(&integration).cloned().unwrap_or_default())?);
        }
        steps.sort_by_key(|step| std::cmp::Reverse((started_at_of(step.sync_id), step.sync_id, step.attempt)));
        steps.truncate(limit);
    }
    Ok(steps)
}

/// The names of integrations.
async fn names(
    state: &AppState,
    organization_id: Uuid,
    integrations: impl Iterator<Item = Uuid>,
) -> Result<HashMap<Uuid, String>, ApiError> {
    let mut tx = OrgTx::begin(&state.db, organization_id).await?;
    let mut names = HashMap::new();
    for id in integrations {
        if let Entry::Vacant(place) = names.entry(id)
            && let Some(config) = store::integrations::find(&mut tx, id).await?
        {
            place.insert(config.name);
        }
    }
    Ok(names)
}

fn step(row: OutcomeColumns, integration_config_id: Uuid, integration_name: String) -> Result<JourneyRow, ApiError> {
    Ok(JourneyRow {
        sync_id: row.sync_id,
        integration_config_id,
        integration_name,
        attempt: row.attempt_number.unsigned_abs(),
        outcome: outcome_of(&row)?,
        errors: errors_of(&row)?,
        http_status_code: row.http_status_code,
        external_reference_id: row.external_reference_id,
        label: row.label,
        updated_at: row.updated_at,
    })
}

/// Refuses to change a sync that lies in the archive. Says nothing of syncs that are not there at all.
pub async fn refuse_archived(state: &AppState, organization_id: Uuid, id: Uuid) -> Result<(), ApiError> {
    let youngest = state.clock.now() - Duration::days(YOUNGEST_DAYS);
    if started_at_of(id).is_none_or(|started_at| started_at > youngest) {
        return Ok(());
    }
    let mut tx = OrgTx::begin(&state.db, organization_id).await?;
    if store::sync_logs::find(&mut tx, id).await?.is_some() {
        return Ok(());
    }
    match archived_sync(state, tx, id).await {
        Ok(_) => {
            Err(ApiError::new(ErrorCode::Archived, "the sync lies in the archive; nothing in it changes any more"))
        }
        Err(error) if error.code() == ErrorCode::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use domain::record::RecordOutcome;

    use super::*;

    fn outcome(record: u128, attempt: i16, outcome: &str) -> OutcomeColumns {
        OutcomeColumns {
            organization_id: Uuid::nil(),
            sync_started_at: DateTime::UNIX_EPOCH,
            sync_id: Uuid::nil(),
            attempt_number: attempt,
            source_record_type: "claims".to_owned(),
            source_record_id: Uuid::from_u128(record),
            outcome: outcome.to_owned(),
            errors: "[]".to_owned(),
            http_status_code: None,
            external_reference_id: None,
            request_payload_hash: None,
            label: None,
            amount: None,
            currency: None,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }

    fn key(record: u128) -> RecordKey {
        RecordKey { source_record_type: "claims".to_owned(), source_record_id: Uuid::from_u128(record) }
    }

    fn picked(filter: &OutcomeFilter, limit: usize) -> Vec<(u128, i16)> {
        let all = vec![
            outcome(1, 0, "failed"),
            outcome(1, 1, "succeeded"),
            outcome(2, 0, "succeeded"),
            outcome(3, 0, "failed"),
            outcome(4, 0, "failed"),
            outcome(4, 2, "failed"),
        ];
        let rows = pick(all, filter, limit).unwrap();
        rows.iter().map(|row| (row.source_record_id.as_u128(), row.attempt_number)).collect()
    }

    #[test]
    fn each_record_is_listed_once_by_its_latest_outcome() {
        assert_eq!(picked(&OutcomeFilter::default(), 10), [(1, 1), (2, 0), (3, 0), (4, 2)]);
        let failed = OutcomeFilter { outcomes: vec![RecordOutcome::Failed], ..OutcomeFilter::default() };
        assert_eq!(picked(&failed, 10), [(3, 0), (4, 2)]);
        let one = OutcomeFilter { record: Some(key(2)), ..OutcomeFilter::default() };
        assert_eq!(picked(&one, 10), [(2, 0)]);
    }

    #[test]
    fn pages_go_on_from_a_record_in_both_directions() {
        let after = OutcomeFilter { after: Some(key(1)), ..OutcomeFilter::default() };
        assert_eq!(picked(&after, 2), [(2, 0), (3, 0)]);
        let before = OutcomeFilter { before: Some(key(4)), ..OutcomeFilter::default() };
        assert_eq!(picked(&before, 2), [(3, 0), (2, 0)]);
        let nowhere = OutcomeFilter { after: Some(key(9)), ..OutcomeFilter::default() };
        assert_eq!(picked(&nowhere, 2), []);
    }
}
