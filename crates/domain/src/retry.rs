//! Which records a retry sends, and how retries are paced.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::asking::Way;
use crate::record::{RecordOutcome, RecordState};

/// What the ledger knows of one record of the sync that is to be retried.
#[expect(clippy::struct_excessive_bools, reason = "what is known of it, each by itself")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryCandidate {
    /// Its latest outcome in this sync.
    pub outcome: RecordOutcome,
    /// Where it stands towards the integration, over all syncs.
    pub state: RecordState,
    /// Its current payload's hash differs from the one that failed.
    pub changed: bool,
    /// What was sent stays refused until somebody changes something, or there is nothing to send.
    pub refused_for_good: bool,
    /// How it can be found out what became of it, where that is unknown.
    pub way: Way,
    /// Another sync has it under way.
    pub claimed_elsewhere: bool,
    /// Its system is known to have accepted it, whatever was said when it was asked again.
    pub accepted: bool,
    /// Its system has accepted it, and can refuse it after all until then.
    pub refusable_until: Option<DateTime<Utc>>,
}

wire_enum! {
    /// What a retry does with one record.
    RetryDecision {
        /// Sends it.
        Send = "send",
        /// Asks the external system what became of it, and sends it only if it has not arrived.
        Ask = "ask",
        /// Leaves it out: it has arrived since.
        DeliveredSince = "delivered_since",
        /// Leaves it out: a person booked it.
        Handled = "handled",
        /// Leaves it out until a person says what became of it.
        Unknown = "unknown",
        /// Leaves it out: another sync has it under way.
        Active = "active",
        /// Leaves it out: it did not fail in this sync.
        NotFailed = "not_failed",
    }
}

/// Decides about one record. A record that has succeeded anywhere is never sent again.
pub const fn decide(candidate: &RetryCandidate) -> RetryDecision {
    match candidate.outcome {
        RecordOutcome::Failed | RecordOutcome::NotAttempted | RecordOutcome::Unknown => {}
        _ => return RetryDecision::NotFailed,
    }
    match candidate.state {
        RecordState::Delivered => RetryDecision::DeliveredSince,
        RecordState::Handled => RetryDecision::Handled,
        _ if candidate.claimed_elsewhere => RetryDecision::Active,
        RecordState::Sending => RetryDecision::Active,
        RecordState::Unknown => match candidate.way {
            Way::Repeat => RetryDecision::Send,
            Way::LookUp => RetryDecision::Ask,
            Way::Person => RetryDecision::Unknown,
        },
        RecordState::Failed | RecordState::Staged => RetryDecision::Send,
    }
}

/// Whether a retry that nobody asked for is about a record: one that may get through by itself, or whose fate can be asked
/// for. What was refused for good is not, unless it was corrected since; nor is what a person has to decide about.
pub const fn may_pass_by_itself(candidate: &RetryCandidate) -> bool {
    match decide(candidate) {
        // Of one in doubt it is the version in doubt that leaves.
        RetryDecision::Send => {
            !candidate.refused_for_good || (candidate.changed && !matches!(candidate.state, RecordState::Unknown))
        }
        RetryDecision::Ask => true,
        _ => false,
    }
}

/// Retries of a sync that may be such: the first six of its ten, so that the others are left to a person.
pub const MOST_AUTOMATIC: u16 = 6;
/// The first ceiling of the wait for one, in milliseconds.
const AUTOMATIC_BASE: u64 = 60_000;
/// The last one.
const AUTOMATIC_CAP: u64 = 3_600_000;
/// The shortest wait.
const AUTOMATIC_LEAST: u64 = 1_000;

/// How long to wait until a sync is retried by itself that has been retried so often; `None` if it is not, where so many
/// are `allowed`. `random` is a number in `[0, 1)` chosen by the caller.
pub fn automatic_wait(retry_count: u16, allowed: u16, random: f64) -> Option<TimeDelta> {
    if retry_count >= allowed.min(MOST_AUTOMATIC) {
        return None;
    }
    let wait = backoff_millis(u32::from(retry_count) + 1, AUTOMATIC_BASE, AUTOMATIC_CAP, random);
    Some(TimeDelta::milliseconds(wait.max(AUTOMATIC_LEAST).cast_signed()))
}

/// What a retry will do, before it is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetryPreview {
    /// Records that will be sent.
    pub records: i64,
    /// Of those: changed since they failed, so worth another try.
    pub changed: i64,
    /// Of those: unchanged, which will probably fail again.
    pub unchanged: i64,
    /// Sent before without an answer: the external system is asked for them first, and those it does not have are sent.
    pub asked: i64,
    /// Left out: sent before, no answer came, and a repetition could book them twice.
    pub unknown: i64,
    /// Left out: booked by hand.
    pub handled: i64,
    /// Left out: delivered by another sync since.
    pub delivered_since: i64,
    /// Left out: under way in another sync.
    pub active: i64,
    /// Left out: no longer at their source, as far as it says so at the moment.
    #[serde(default)]
    pub gone: i64,
}

impl RetryPreview {
    /// Sums the decisions about a sync's records.
    pub fn of<'a>(candidates: impl IntoIterator<Item = &'a RetryCandidate>) -> Self {
        let mut preview = Self::default();
        for candidate in candidates {
            match decide(candidate) {
                RetryDecision::Send => {
                    preview.records += 1;
                    if candidate.changed {
                        preview.changed += 1;
                    } else {
                        preview.unchanged += 1;
                    }
                }
                RetryDecision::Ask => preview.asked += 1,
                RetryDecision::DeliveredSince => preview.delivered_since += 1,
                RetryDecision::Handled => preview.handled += 1,
                RetryDecision::Unknown => preview.unknown += 1,
                RetryDecision::Active => preview.active += 1,
                RetryDecision::NotFailed => {}
            }
        }
        preview
    }

    /// Records that the retry is about.
    pub const fn in_scope(&self) -> i64 {
        self.records + self.asked
    }
}

/// Milliseconds to wait before try `number` (1 is the first repetition): exponential with full jitter.
///
/// `random` is a number in `[0, 1)` chosen by the caller.
pub fn backoff_millis(number: u32, base_millis: u64, cap_millis: u64, random: f64) -> u64 {
    let ceiling =
        base_millis.saturating_mul(1_u64.checked_shl(number.saturating_sub(1)).unwrap_or(u64::MAX)).min(cap_millis);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "bounded by the cap"
    )]
    let waited = (ceiling as f64 * random.clamp(0.0, 1.0)) as u64;
    waited.min(ceiling)
}

#[cfg(test)]
mod tests;
