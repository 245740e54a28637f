//! Ending an attempt: the one place in which a sync reaches a terminal status.

use domain::asking::AWAITING_POSTING;
use domain::error_group::{FailedRecord, group};
use domain::integration::Runner;
use domain::posting::{Awaiting, Verdict, verdict};
use domain::record::OutcomeCounts;
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

use super::{Ledger, LedgerError, message, state_of};

/// Most failed records that a sync's message is made from.
const PUT_INTO_WORDS: i64 = 2_000;
/// Most kinds of error in a sync's message.
const GROUPS_IN_WORDS: usize = 5;
/// Warning code of records that were delivered although the external system complained.
const RECORD_WARNINGS: &str = "RECORD_WARNINGS";
/// Warning code of records that have not arrived, or of which nobody knows, where that is no failure.
const RECORDS_NOT_ARRIVED: &str = "RECORDS_NOT_ARRIVED";

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

/// What an ended attempt makes of its sync.
pub(super) struct Ended {
    /// Whether records were reported one by one; otherwise the counts are the runner's word.
    pub(super) by_record: bool,
    /// Delivered in the sync.
    pub(super) processed: Option<i32>,
    /// Failed in the sync.
    pub(super) failed: Option<i32>,
    /// In the sync's scope.
    pub(super) total: Option<i32>,
    /// What makes it a failure.
    pub(super) failure: Option<Failure>,
    /// What the ledger remarks on.
    pub(super) warnings: Vec<SyncWarning>,
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
        let mut ended = ended(&config, &report.completion, valid, all, awaiting, sync.records_total);
        if !by_record && report.attempt > 0 {
            // What former attempts delivered counts too.
            let former = store::sync_attempts::list(self.tx, sync.key()).await?;
            let delivered =
                former.iter().filter_map(|attempt| attempt.records_processed).fold(0_i32, i32::saturating_add);
            ended.processed = valid.records_processed.map(|processed| processed.saturating_add(delivered));
        }
        ended.warnings.extend(self.zero_records(&ended, &config).await?);
        let mut http_status_code = valid.http_status_code;
        if by_record
            && report.completion.succeeded
            && let Some(failure) = &mut ended.failure
        {
            http_status_code = self.put_into_words(&sync, failure).await?.or(http_status_code);
        }

        attempt.status = if ended.failure.is_none() { SyncStatus::Success } else { SyncStatus::Failed };
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
        attempt.error_code = ended.failure.as_ref().map(|failure| failure.code.clone());
        attempt.error_message = ended.failure.as_ref().map(|failure| failure.message.clone());
        attempt.http_status_code = http_status_code;
        store::sync_attempts::update_ended(self.tx, sync.key(), &attempt).await?;

        sync.status = SyncStatus::finished(report.attempt, ended.failure.is_none());
        sync.completed_at = Some(completed_at.max(sync.started_at));
        sync.duration_ms = sync.completed_at.map(|completed| (completed - sync.started_at).num_milliseconds());
        sync.records_processed = ended.processed;
        sync.records_failed = ended.failed;
        sync.records_total = ended.total;
        sync.error_code = attempt.error_code;
        sync.error_message = attempt.error_message;
        sync.http_status_code = http_status_code;
        sync.external_reference_id = report.completion.external_reference_id.clone().or(sync.external_reference_id);
        sync.request_payload_hash = report.completion.request_payload_hash.clone().or(sync.request_payload_hash);
        sync.warnings = report.warnings.iter().map(message::storable_warning).collect();
        sync.warnings.extend(ended.warnings);
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
        ended: &Ended,
        config: &IntegrationConfig,
    ) -> Result<Vec<SyncWarning>, LedgerError> {
        if config.runner == Runner::Managed || ended.total != Some(0) {
            return Ok(Vec::new());
        }
        let facts = store::health::find(self.tx, config.id).await?;
        let expects = facts.recent.iter().any(|recent| recent.records_total.unwrap_or(0) > 0);
        Ok(count_warnings(Some(0), 0, expects))
    }
}

/// Judges an attempt that ended: its figures, whether it failed, and what is remarkable. `counts` are the sync's, where
/// records were reported one by one; among those that have not arrived are the `awaiting` ones.
pub(super) fn ended(
    config: &IntegrationConfig,
    completion: &Completion,
    valid: &ValidCompletion,
    counts: Option<OutcomeCounts>,
    awaiting: Awaiting,
    total_so_far: Option<i32>,
) -> Ended {
    let told = valid.records_total.or(total_so_far);
    let (processed, failed, total) = match counts {
        Some(counts) => (Some(counts.processed), Some(counts.failed), Some(told.unwrap_or(0).max(counts.total()))),
        None => (valid.records_processed, valid.records_failed, told),
    };
    let mut warnings = valid.warnings.clone();
    if warnings.is_empty() && (counts.is_some() || processed.is_some() || failed.is_some()) {
        let accounted =
            counts.map_or(processed.unwrap_or(0).saturating_add(failed.unwrap_or(0)), |counts| counts.total());
        warnings.extend(count_warnings(total, accounted, false));
    }
    let with_warning = counts.map_or(0, |counts| counts.warning);
    if with_warning > 0 {
        warnings.push(SyncWarning {
            code: RECORD_WARNINGS.to_owned(),
            message: format!("{with_warning} records were delivered with a warning"),
            pointer: None,
        });
    }
    // Counts that make no sense are remarked on; they say nothing about failed records.
    let nonsense = !valid.warnings.is_empty();
    let undelivered = counts.map_or(failed.unwrap_or(0), |counts| counts.undelivered());
    let failure = if completion.succeeded {
        match verdict(config.policy.partial_failure, processed.unwrap_or(0), undelivered, awaiting) {
            // Of what was accepted nobody else would hear.
            Verdict::Failure { code, undelivered } if !nonsense || awaiting.records > 0 || awaiting.lost > 0 => {
                Some(undelivered_failure(completion, code, undelivered, total.unwrap_or(0)))
            }
            Verdict::Awaiting => {
                warnings.push(awaiting_posting(awaiting.records));
                None
            }
            Verdict::Success | Verdict::Failure { .. } => None,
        }
    } else {
        let code = completion.error_code.as_deref().unwrap_or_default();
        Some(Failure::new(code, &message::storable(completion.error_message.as_deref().unwrap_or_default())))
    };
    // Those that failed show by their count; without a remark the light would be green in spite of the others.
    let others = counts.map_or(0, |counts| counts.unknown + counts.not_attempted - awaiting.records);
    if failure.is_none() && others > 0 {
        warnings.push(SyncWarning {
            code: RECORDS_NOT_ARRIVED.to_owned(),
            message: format!("records that have not arrived, or of which it is not known: {others}"),
            pointer: None,
        });
    }
    Ended { by_record: counts.is_some(), processed, failed, total, failure, warnings }
}

/// A payment that did not leave is a failure, whatever the runner called it; so is one of which nobody would ever hear
/// whether it was posted.
fn undelivered_failure(completion: &Completion, code: &str, undelivered: i32, total: i32) -> Failure {
    let words = completion.error_message.clone().unwrap_or_else(|| {
        if code == AWAITING_POSTING {
            format!(
                "{undelivered} of {total} records were accepted and are yet to be posted; nobody will ask for them \
                 unless the sync is retried"
            )
        } else {
            format!("{undelivered} of {total} records did not arrive")
        }
    });
    Failure::new(code, &message::storable(&words))
}

/// The remark by which the ledger knows a sync that it will ask about.
fn awaiting_posting(records: i32) -> SyncWarning {
    SyncWarning {
        code: AWAITING_POSTING.to_owned(),
        message: format!("records that were accepted, and are yet to be posted: {records}"),
        pointer: None,
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
