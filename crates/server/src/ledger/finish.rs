//! Ending an attempt: the one place in which a sync reaches a terminal status.

pub(super) mod judge;

use domain::asking::AWAITING_POSTING;
use domain::error_group::{FailedRecord, group};
use domain::integration::Runner;
use domain::sync_log::draft::{Completion, ValidCompletion, count_warnings, validate_completion};
use domain::sync_log::{
    ALL_RECORDS_FAILED, ATTEMPT_ABANDONED, Failure, PARTIAL_FAILURE, SyncStatus, SyncWarning, Transition,
    TransitionRefused,
};
use store::integrations::IntegrationConfig;
use store::record_outcomes::NewOutcome;
use store::source_records::RecordKey;
use store::sync_attempts::SyncAttempt;
use store::sync_logs::SyncLog;
use uuid::Uuid;

use judge::Judged;

use super::{Ledger, LedgerError, message, state_of};

/// Most failed records that a sync's message is made from.
const PUT_INTO_WORDS: i64 = 2_000;
/// Most kinds of error in a sync's message.
const GROUPS_IN_WORDS: usize = 5;

/// How an attempt ended, as its runner reports it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The attempt's number.
    pub attempt: u16,
    /// What rules are about; its `started_at` is filled in by the ledger.
    pub completion: Completion,
    /// The runner's remarks.
    pub warnings: Vec<SyncWarning>,
}

impl Ledger<'_> {
    /// Ends an attempt as its runner reports it. A report that says again what is known changes nothing.
    pub async fn finish(&mut self, sync_id: Uuid, report: &Report) -> Result<SyncLog, LedgerError> {
        let sync = self.lock_sync(sync_id).await?;
        let succeeded = report.completion.succeeded;
        let attempt = store::sync_attempts::find(self.tx, sync.key(), report.attempt).await?;
        // Where there is no such attempt, the status machine refuses below.
        let started_at = attempt.as_ref().map_or(sync.started_at, |attempt| attempt.started_at);
        let valid = validate_completion(&Completion { started_at, ..report.completion.clone() }, self.now)?;
        let state = state_of(&sync, None, false);
        let said_before = report.attempt == sync.retry_count
            && sync.status.is_terminal()
            && !state.abandoned
            && (sync.status.is_success() == succeeded || self.judged_a_failure(&sync).await?);
        if said_before {
            return Ok(sync);
        }
        state.apply(Transition::Finish { attempt: report.attempt, succeeded })?;
        let attempt = attempt.ok_or(TransitionRefused::NotBegun(report.attempt))?;
        self.end(sync, attempt, report, &valid).await
    }

    /// Whether it was the ledger that called a sync a failure, and perhaps not its runner.
    async fn judged_a_failure(&mut self, sync: &SyncLog) -> Result<bool, LedgerError> {
        match sync.error_code.as_deref() {
            Some(PARTIAL_FAILURE | ALL_RECORDS_FAILED) => Ok(true),
            // An external runner may have a code of this name.
            Some(AWAITING_POSTING) => {
                let config = store::integrations::find(self.tx, sync.integration_config_id).await?;
                Ok(config.is_some_and(|config| config.runner == Runner::Managed))
            }
            _ => Ok(false),
        }
    }

    /// Ends the running (or abandoned) attempt of a locked sync.
    pub(super) async fn end(
        &mut self,
        mut sync: SyncLog,
        mut attempt: SyncAttempt,
        report: &Report,
        valid: &ValidCompletion,
    ) -> Result<SyncLog, LedgerError> {
        let config =
            store::integrations::find(self.tx, sync.integration_config_id).await?.ok_or(LedgerError::NotFound)?;
        self.close_open_records(&sync, &config, report.attempt).await?;
        let own = store::record_outcomes::count_attempt(self.tx, sync.key(), attempt.number).await?;
        let by_record = own.total() > 0 || config.runner == Runner::Managed;
        let all = if by_record { Some(store::record_outcomes::count_sync(self.tx, sync.key()).await?) } else { None };
        let left = match all {
            Some(counts) if counts.undelivered() > 0 => self.left_behind(&sync, &config).await?,
            _ => Vec::new(),
        };
        let awaiting = self.awaiting(&left, &config, report.attempt);
        let mut judged = judge::judge(&config, &report.completion, valid, all, awaiting, sync.records_total);
        if !by_record && report.attempt > 0 {
            // What former attempts delivered counts too.
            let former = store::sync_attempts::list(self.tx, sync.key()).await?;
            let delivered =
                former.iter().filter_map(|attempt| attempt.records_processed).fold(0_i32, i32::saturating_add);
            judged.processed = valid.records_processed.map(|processed| processed.saturating_add(delivered));
        }
        judged.warnings.extend(self.zero_records(&judged, &config).await?);
        let mut http_status_code = valid.http_status_code;
        if by_record
            && report.completion.succeeded
            && let Some(failure) = &mut judged.failure
        {
            http_status_code = self.put_into_words(&sync, failure).await?.or(http_status_code);
        }

        attempt.status = if judged.failure.is_none() { SyncStatus::Success } else { SyncStatus::Failed };
        // The clock may have been set back since the attempt began.
        let completed_at = valid.completed_at.max(attempt.started_at);
        attempt.completed_at = Some(completed_at);
        attempt.duration_ms = Some((completed_at - attempt.started_at).num_milliseconds());
        if by_record {
            attempt.records_total = Some(own.total());
            attempt.records_done = own.total();
            attempt.records_processed = Some(own.processed);
            attempt.records_failed = Some(own.failed);
            attempt.records_skipped = Some(own.skipped);
            attempt.records_unknown = Some(own.unknown);
            attempt.records_not_attempted = Some(own.not_attempted);
        } else {
            attempt.records_processed = valid.records_processed;
            attempt.records_failed = valid.records_failed;
        }
        attempt.error_code = judged.failure.as_ref().map(|failure| failure.code.clone());
        attempt.error_message = judged.failure.as_ref().map(|failure| failure.message.clone());
        attempt.http_status_code = http_status_code;
        store::sync_attempts::update_ended(self.tx, sync.key(), &attempt).await?;

        sync.status = SyncStatus::finished(report.attempt, judged.failure.is_none());
        sync.completed_at = Some(completed_at.max(sync.started_at));
        sync.duration_ms = sync.completed_at.map(|completed| (completed - sync.started_at).num_milliseconds());
        sync.records_processed = judged.processed;
        sync.records_failed = judged.failed;
        sync.records_total = judged.total;
        sync.error_code = attempt.error_code;
        sync.error_message = attempt.error_message;
        sync.http_status_code = http_status_code;
        sync.external_reference_id = report.completion.external_reference_id.clone().or(sync.external_reference_id);
        sync.request_payload_hash = report.completion.request_payload_hash.clone().or(sync.request_payload_hash);
        sync.warnings = report.warnings.iter().map(message::storable_warning).collect();
        sync.warnings.extend(judged.warnings);
        store::sync_logs::update_ended(self.tx, &sync).await?;
        store::active_syncs::delete(self.tx, sync.id).await?;
        self.enter_for_sealing(sync.key(), Some(report.attempt)).await?;
        self.tell_sync(&sync).await?;
        self.schedule_retry(&sync, &config, &left).await?;
        self.draw_consequences(&sync, &config).await?;
        Ok(sync)
    }

    /// What an ended attempt left open was not sent, or was sent without an answer; that nothing was sent of a record in it
    /// says nothing of what was sent before.
    async fn close_open_records(
        &mut self,
        sync: &SyncLog,
        config: &IntegrationConfig,
        attempt: u16,
    ) -> Result<(), LedgerError> {
        let closed = store::record_outcomes::abandon(self.tx, sync.key(), attempt, self.now).await?;
        if !closed.is_empty() {
            store::source_records::revert_abandoned(self.tx, config.id, sync.id, self.now).await?;
        }
        if config.runner == Runner::Managed {
            let left = store::record_outcomes::not_attempted(self.tx, sync.key(), attempt).await?;
            if !left.is_empty() {
                let in_doubt = store::source_records::in_doubt(self.tx, config.id, &left).await?;
                let doubted: Vec<RecordKey> = left.into_iter().filter(|key| in_doubt.contains(key)).collect();
                store::record_outcomes::keep_unknown(self.tx, sync.key(), attempt, &doubted, self.now).await?;
            }
        } else if !closed.is_empty() {
            let outcomes: Vec<NewOutcome> =
                closed.into_iter().map(|(key, outcome)| NewOutcome::bare(key, outcome)).collect();
            let borrowed: Vec<&NewOutcome> = outcomes.iter().collect();
            store::source_records::upsert_reported(self.tx, config.id, sync.id, &borrowed, true, self.now).await?;
        }
        Ok(())
    }

    /// Says a failure in the external system's own words: each kind of error with its number of records, the most frequent
    /// first. Returns the HTTP status that came with it.
    async fn put_into_words(&mut self, sync: &SyncLog, failure: &mut Failure) -> Result<Option<i16>, LedgerError> {
        let failed =
            store::record_outcomes::failed(self.tx, sync.key(), sync.integration_config_id, PUT_INTO_WORDS).await?;
        let groups = group(failed.iter().map(|row| FailedRecord {
            record: row.http_status_code,
            identifiers: row.label.as_deref().into_iter().collect(),
            errors: &row.errors,
        }));
        let words: Vec<String> = match groups.as_slice() {
            [] => return Ok(None),
            [only] => vec![only.message.clone()],
            several => several
                .iter()
                .take(GROUPS_IN_WORDS)
                .map(|group| {
                    format!(
                        "{} ({} {})",
                        group.message,
                        group.count,
                        if group.count == 1 { "record" } else { "records" }
                    )
                })
                .collect(),
        };
        failure.message = Failure::new("", &words.join("; ")).message;
        Ok(groups.first().and_then(|group| group.sample))
    }

    /// A sync of an external runner that reports no records, where its integration is used to some, is suspicious.
    async fn zero_records(
        &mut self,
        judged: &Judged,
        config: &IntegrationConfig,
    ) -> Result<Vec<SyncWarning>, LedgerError> {
        if config.runner == Runner::Managed || judged.total != Some(0) {
            return Ok(Vec::new());
        }
        let facts = store::health::find(self.tx, config.id).await?;
        let expects = facts.recent.iter().any(|recent| recent.records_total.unwrap_or(0) > 0);
        Ok(count_warnings(Some(0), 0, expects))
    }
}

/// The report of an attempt whose lease ran out.
pub(super) fn abandoned(attempt: u16) -> Report {
    Report {
        attempt,
        completion: Completion {
            error_code: Some(ATTEMPT_ABANDONED.to_owned()),
            error_message: Some("the runner went silent before the attempt ended".to_owned()),
            ..Completion::default()
        },
        warnings: Vec::new(),
    }
}
