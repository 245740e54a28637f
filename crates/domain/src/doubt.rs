//! What an answer makes of a record, whether it is in doubt or not.
//!
//! A request that went without a clear answer may have been taken. Until it is known, the record is not free: another
//! version of it, or the same under another key, could be booked a second time. How it becomes known is told by
//! [`asking`](crate::asking).

use crate::record::{RecordOutcome, RecordState};

/// What the answer to a request says of it, unless the record arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// The record was not taken: the request was refused, or never left.
    NotTaken,
    /// The record may have been taken: nothing says so, and nothing rules it out.
    Open,
}

impl Certainty {
    /// What an outcome stands for: only what was certainly not taken is called failed or not attempted.
    pub const fn of(outcome: RecordOutcome) -> Self {
        match outcome {
            RecordOutcome::Failed | RecordOutcome::NotAttempted => Self::NotTaken,
            _ => Self::Open,
        }
    }

    /// The outcome of a record that was sent and did not arrive.
    pub const fn outcome(self) -> RecordOutcome {
        match self {
            Self::NotTaken => RecordOutcome::Failed,
            Self::Open => RecordOutcome::Unknown,
        }
    }
}

/// The state of a record after the answer to its last request.
///
/// `doubted` says that an earlier request is in doubt, since the record was sent again while its fate was unknown. That
/// the repetition was refused, or never left, says nothing about the earlier one: of the answers, only a delivery ends
/// such a doubt; besides, a person's word does, and that of a system that was asked for the record. What has arrived or
/// was booked by hand stays so whatever comes late.
pub const fn after(before: RecordState, doubted: bool, outcome: RecordOutcome, certainty: Certainty) -> RecordState {
    use RecordState::{Delivered, Failed, Handled, Staged, Unknown};
    match (before, RecordState::after(outcome)) {
        (Delivered | Handled, _) | (_, None) => before,
        (_, Some(Failed | Staged)) if doubted || matches!(certainty, Certainty::Open) => Unknown,
        // Where nothing was sent, the record stands where it stood.
        (Failed | Unknown, Some(Staged)) => before,
        (_, Some(next)) => next,
    }
}

#[cfg(test)]
mod tests;
