//! What an ended attempt makes of its sync: figures, a failure, remarks.

use domain::asking::AWAITING_POSTING;
use domain::posting::{Awaiting, Verdict, verdict};
use domain::record::OutcomeCounts;
use domain::sync_log::draft::{Completion, ValidCompletion, count_warnings};
use domain::sync_log::{Failure, RECORDS_NOT_ARRIVED, SyncWarning};
use store::integrations::IntegrationConfig;

use crate::ledger::message;

/// Warning code of records that were delivered although the external system complained.
const RECORD_WARNINGS: &str = "RECORD_WARNINGS";

/// What an ended attempt makes of its sync.
pub(in crate::ledger) struct Judged {
    /// Whether records were reported one by one; otherwise the counts are the runner's word.
    pub(in crate::ledger) by_record: bool,
    /// Delivered in the sync.
    pub(in crate::ledger) processed: Option<i32>,
    /// Failed in the sync.
    pub(in crate::ledger) failed: Option<i32>,
    /// In the sync's scope.
    pub(in crate::ledger) total: Option<i32>,
    /// What makes it a failure.
    pub(in crate::ledger) failure: Option<Failure>,
    /// What the ledger remarks on.
    pub(in crate::ledger) warnings: Vec<SyncWarning>,
}

/// Judges an attempt that ended: its figures, whether it failed, and what is remarkable. `counts` are the sync's, where
/// records were reported one by one; among those that have not arrived are the `awaiting` ones.
pub(in crate::ledger) fn judge(
    config: &IntegrationConfig,
    completion: &Completion,
    valid: &ValidCompletion,
    counts: Option<OutcomeCounts>,
    awaiting: Awaiting,
    total_so_far: Option<i32>,
) -> Judged {
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
    Judged { by_record: counts.is_some(), processed, failed, total, failure, warnings }
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
