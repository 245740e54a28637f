//! What happened to one source record in one attempt.

use serde::{Deserialize, Serialize};

wire_enum! {
    /// The outcome of one source record in one attempt.
    RecordOutcome {
        /// In scope, nothing sent yet.
        Queued = "queued",
        /// Committed before the request leaves.
        Sending = "sending",
        /// Delivered.
        Succeeded = "succeeded",
        /// Delivered, and the external system complained.
        Warning = "warning",
        /// Rejected or errored.
        Failed = "failed",
        /// Not sent on purpose, with a code.
        Skipped = "skipped",
        /// Sent, and no answer came.
        Unknown = "unknown",
        /// In scope, and never sent.
        NotAttempted = "not_attempted",
    }
}

impl RecordOutcome {
    /// The record has arrived.
    pub const fn is_delivered(self) -> bool {
        matches!(self, Self::Succeeded | Self::Warning)
    }

    /// Nothing more will happen to the record in its attempt.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Sending)
    }

    /// What a record's outcome becomes when its attempt dies.
    #[must_use]
    pub const fn after_abandonment(self) -> Self {
        match self {
            Self::Sending => Self::Unknown,
            Self::Queued => Self::NotAttempted,
            other => other,
        }
    }
}

wire_enum! {
    /// Where a source record stands towards one integration, over all syncs.
    RecordState {
        /// Its current version was never sent.
        Staged = "staged",
        /// A request with it is under way.
        Sending = "sending",
        /// It has arrived; it is never sent again.
        Delivered = "delivered",
        /// The external system rejected it.
        Failed = "failed",
        /// It was sent and no answer came.
        Unknown = "unknown",
        /// A person booked it by hand; it is never sent again.
        Handled = "handled",
    }
}

impl RecordState {
    /// The state that an outcome by itself leaves a record in; `None` leaves it as it was. What a record was before
    /// counts too: see [`doubt::after`](crate::doubt::after).
    pub const fn after(outcome: RecordOutcome) -> Option<Self> {
        match outcome {
            RecordOutcome::Sending => Some(Self::Sending),
            RecordOutcome::Succeeded | RecordOutcome::Warning => Some(Self::Delivered),
            RecordOutcome::Failed => Some(Self::Failed),
            RecordOutcome::Unknown => Some(Self::Unknown),
            RecordOutcome::NotAttempted => Some(Self::Staged),
            RecordOutcome::Queued | RecordOutcome::Skipped => None,
        }
    }
}

wire_enum! {
    /// What a person decided about a record.
    Resolution {
        /// Booked by hand: never sent again.
        HandledManually = "handled_manually",
        /// An unknown outcome turned out to be delivered: never sent again.
        Delivered = "delivered",
        /// An unknown outcome turned out not to have arrived: it may be sent again.
        SendAgain = "send_again",
    }
}

/// Why a record was skipped: another sync has it under way.
pub const ALREADY_ACTIVE: &str = "ALREADY_ACTIVE";
/// Why a record was skipped: an earlier sync delivered it.
pub const ALREADY_DELIVERED: &str = "ALREADY_DELIVERED";
/// Why a record was skipped: a person handled it.
pub const HANDLED_MANUALLY: &str = "HANDLED_MANUALLY";

/// One complaint of the external system about one record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordError {
    /// Machine-readable code, the external system's own where it gives one.
    pub code: String,
    /// The external system's own words, redacted, at most 4,000 characters.
    pub message: String,
    /// JSON Pointer into the record that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The field as the external system wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_name: Option<String>,
    /// Valid values the external system offered, if any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

/// Counts of one attempt or of one sync, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeCounts {
    /// `queued` and `sending`.
    pub open: i32,
    /// `succeeded` and `warning`.
    pub processed: i32,
    /// `warning` alone.
    pub warning: i32,
    /// `failed`.
    pub failed: i32,
    /// `skipped`.
    pub skipped: i32,
    /// `unknown`.
    pub unknown: i32,
    /// `not_attempted`.
    pub not_attempted: i32,
}

impl OutcomeCounts {
    /// Counts a list of outcomes.
    pub fn of(outcomes: impl IntoIterator<Item = RecordOutcome>) -> Self {
        let mut counts = Self::default();
        for outcome in outcomes {
            match outcome {
                RecordOutcome::Queued | RecordOutcome::Sending => counts.open += 1,
                RecordOutcome::Succeeded => counts.processed += 1,
                RecordOutcome::Warning => {
                    counts.processed += 1;
                    counts.warning += 1;
                }
                RecordOutcome::Failed => counts.failed += 1,
                RecordOutcome::Skipped => counts.skipped += 1,
                RecordOutcome::Unknown => counts.unknown += 1,
                RecordOutcome::NotAttempted => counts.not_attempted += 1,
            }
        }
        counts
    }

    /// Every record in scope.
    pub const fn total(&self) -> i32 {
        self.open + self.processed + self.failed + self.skipped + self.unknown + self.not_attempted
    }

    /// Records that did not arrive and were not left out on purpose.
    pub const fn undelivered(&self) -> i32 {
        self.failed + self.unknown + self.not_attempted
    }
}

#[cfg(test)]
mod tests;
