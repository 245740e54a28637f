//! Records that an external system has accepted and may refuse after all: neither delivered nor failed, for as long as
//! somebody will ask what became of them.

use chrono::{DateTime, TimeDelta, Utc};

use crate::asking::{AWAITING_POSTING, Way};
use crate::health::tolerates;
use crate::integration::PartialFailure;
use crate::record::{RecordOutcome, RecordState};
use crate::retry::{MOST_AUTOMATIC, RetryCandidate, automatic_wait, may_pass_by_itself};
use crate::sync_log::{ALL_RECORDS_FAILED, PARTIAL_FAILURE, SyncStatus, SyncWarning};

/// The shortest wait until it is asked what became of them.
const LEAST: TimeDelta = TimeDelta::seconds(1);

/// Whether a record awaits its posting, and the next attempt will find out more about it without sending it.
pub const fn awaits(candidate: &RetryCandidate) -> bool {
    if candidate.refusable_until.is_none() || !matches!(candidate.outcome, RecordOutcome::Unknown) {
        return false;
    }
    match candidate.state {
        RecordState::Unknown | RecordState::Sending => matches!(candidate.way, Way::LookUp),
        // Settled since; the next attempt says so.
        RecordState::Delivered | RecordState::Handled => true,
        RecordState::Staged | RecordState::Failed => false,
    }
}

/// Whether a record was accepted, and perhaps only a person can find out any more what became of it: its system is
/// reached by other settings or credentials now, did not say when it was asked, or does not have it any more.
pub const fn is_lost(candidate: &RetryCandidate) -> bool {
    candidate.accepted
        && matches!(candidate.outcome, RecordOutcome::Unknown)
        && matches!(candidate.state, RecordState::Unknown | RecordState::Sending)
        && !matches!(candidate.way, Way::Repeat)
        && !awaits(candidate)
}

/// Records of a sync that await their posting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Awaiting {
    /// How many.
    pub records: i32,
    /// Whether they will be asked for without anybody's doing.
    pub asked_again: bool,
    /// How many others were accepted, and perhaps only a person can find out what became of them.
    pub lost: i32,
}

/// What an attempt that ended well makes of its sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A success.
    Success,
    /// A success with the remark that records await their posting.
    Awaiting,
    /// A failure.
    Failure {
        /// What kind.
        code: &'static str,
        /// Records that make it one.
        undelivered: i32,
    },
}

/// Judges a sync by its records: so many were delivered, so many neither delivered nor left out on purpose, and of
/// these some await their posting.
///
/// What awaits has got through so far, as long as it will be asked for. What nobody will ask for, or asked for was not
/// told of, makes the sync a failure, whatever its integration takes as a warning: a person has to know of it.
pub fn verdict(policy: PartialFailure, processed: i32, undelivered: i32, awaiting: Awaiting) -> Verdict {
    let partial = |through: i32| if through > 0 { PARTIAL_FAILURE } else { ALL_RECORDS_FAILED };
    let Awaiting { records, asked_again, lost } = awaiting;
    if lost > 0 || (records > 0 && !asked_again) {
        let code = if records >= undelivered { AWAITING_POSTING } else { partial(processed) };
        return Verdict::Failure { code, undelivered };
    }
    let through = processed.saturating_add(records);
    let undelivered = undelivered.saturating_sub(records).max(0);
    if !tolerates(policy, through, undelivered) {
        Verdict::Failure { code: partial(through), undelivered }
    } else if records > 0 {
        Verdict::Awaiting
    } else {
        Verdict::Success
    }
}

/// Whether a sync is such a success with a remark, by which it is known as long as nobody has asked. In the ledger the
/// remark is nobody else's to make.
pub fn is_awaiting(status: SyncStatus, warnings: &[SyncWarning]) -> bool {
    status.is_success() && warnings.iter().any(|warning| warning.code == AWAITING_POSTING)
}

/// How long to wait until a sync is retried by itself of which these records are left; `None` as for
/// [`automatic_wait`].
///
/// Where all that the retry is about await their posting, the retries that are left are spread over the time until the
/// last of them can no longer be refused, so that none is wasted before the system can say, and the last is not late.
pub fn next_wait(
    left: &[RetryCandidate],
    retry_count: u16,
    allowed: u16,
    random: f64,
    now: DateTime<Utc>,
) -> Option<TimeDelta> {
    let wait = automatic_wait(retry_count, allowed, random)?;
    let mut until: Option<DateTime<Utc>> = None;
    for candidate in left {
        if awaits(candidate) {
            // Of what is settled already the retry has only to say so.
            let settled = matches!(candidate.state, RecordState::Delivered | RecordState::Handled);
            until = until.max(candidate.refusable_until.filter(|_| !settled));
        } else if may_pass_by_itself(candidate) {
            return Some(wait);
        }
    }
    let Some(until) = until else { return Some(wait) };
    let needed = (until - now).max(LEAST);
    let retries = i32::from(allowed.min(MOST_AUTOMATIC) - retry_count);
    Some(wait.max(needed / retries).min(needed))
}

#[cfg(test)]
mod tests;
