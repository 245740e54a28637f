//! A sync: its status machine and the rules of its fields.

pub mod draft;
pub mod transition;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use crate::asking::AWAITING_POSTING;

pub use draft::{Completion, StartDraft, ValidStart, validate_completion, validate_start};
pub use transition::{SyncState, Transition, TransitionRefused};

wire_enum! {
    /// Lifecycle state of a sync.
    SyncStatus {
        /// Waiting for a runner.
        Pending = "pending",
        /// An attempt is running.
        InProgress = "in_progress",
        /// The first attempt succeeded.
        Success = "success",
        /// The first attempt failed.
        Failed = "failed",
        /// A retry succeeded.
        RetriedSuccess = "retried_success",
        /// A retry failed.
        RetriedFailed = "retried_failed",
    }
}

impl SyncStatus {
    /// No attempt is running or waiting.
    pub const fn is_terminal(self) -> bool {
        !self.is_active()
    }

    /// `pending` or `in_progress`.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Pending | Self::InProgress)
    }

    /// `failed` or `retried_failed`.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::RetriedFailed)
    }

    /// `success` or `retried_success`.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Success | Self::RetriedSuccess)
    }

    /// The terminal status of attempt `number`.
    pub const fn finished(number: u16, succeeded: bool) -> Self {
        match (number, succeeded) {
            (0, true) => Self::Success,
            (0, false) => Self::Failed,
            (_, true) => Self::RetriedSuccess,
            (_, false) => Self::RetriedFailed,
        }
    }
}

wire_enum! {
    /// What initiated a sync.
    TriggeredBy {
        /// A schedule or background job.
        Automatic = "automatic",
        /// A person.
        Manual = "manual",
        /// The external system.
        Webhook = "webhook",
    }
}

/// Longest `error_message`, in characters.
pub const MAX_MESSAGE_CHARS: usize = 4_000;
/// Most retries of one sync.
pub const MAX_RETRIES: u16 = 10;
/// Clock skew of reporters that is let through and clamped.
pub const CLOCK_SKEW: Duration = Duration::seconds(5);

/// Error code of an attempt whose lease ran out.
pub const ATTEMPT_ABANDONED: &str = "ATTEMPT_ABANDONED";
/// Error code of an attempt in which some, but not all, records failed.
pub const PARTIAL_FAILURE: &str = "PARTIAL_FAILURE";
/// Error code of an attempt in which every record failed.
pub const ALL_RECORDS_FAILED: &str = "ALL_RECORDS_FAILED";
/// Warning code of a retry that nobody claimed.
pub const RETRY_NOT_CLAIMED: &str = "RETRY_NOT_CLAIMED";
/// Warning code of records that have not arrived, or of which nobody knows, where that is no failure.
pub const RECORDS_NOT_ARRIVED: &str = "RECORDS_NOT_ARRIVED";
/// Error code of a first attempt that nobody claimed.
pub const START_NOT_CLAIMED: &str = "START_NOT_CLAIMED";

/// A remark on a sync that otherwise stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SyncWarning {
    /// Stable code.
    pub code: String,
    /// Plain words.
    pub message: String,
    /// JSON Pointer into the sync, where one fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
}

/// Warning codes of a success of which records are left that a retry may be about.
pub const LEFT_BEHIND: [&str; 2] = [AWAITING_POSTING, RECORDS_NOT_ARRIVED];

/// Whether a sync is a success of which records are left that a retry may be about: some have failed, or a remark says
/// so.
pub fn left_records_behind(status: SyncStatus, records_failed: Option<i32>, warnings: &[SyncWarning]) -> bool {
    let remarked = |warning: &SyncWarning| LEFT_BEHIND.contains(&warning.code.as_str());
    status.is_success() && (records_failed.unwrap_or(0) > 0 || warnings.iter().any(remarked))
}

/// What makes an attempt a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Machine-readable code.
    pub code: String,
    /// The external system's own words, at most [`MAX_MESSAGE_CHARS`].
    pub message: String,
}

impl Failure {
    /// A failure whose message is cut on a character boundary, without the character U+0000, which the database cannot
    /// hold.
    pub fn new(code: impl Into<String>, message: &str) -> Self {
        Self { code: code.into(), message: cut(&message.replace('\0', ""), MAX_MESSAGE_CHARS).to_owned() }
    }
}

/// The first `chars` characters of a text.
pub fn cut(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).map_or(text, |(end, _)| &text[..end])
}

/// A moment in whole milliseconds, as the ledger keeps them; a leap second is the second after it.
pub fn whole_millis(moment: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(moment.timestamp_millis()).unwrap_or(moment)
}

/// The moment a sync started, read from its id (a `UUIDv7`); `None` for any other id.
pub fn started_at_of(id: uuid::Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanos) = id.get_timestamp().filter(|_| id.get_version_num() == 7)?.to_unix();
    let moment = DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)?;
    Some(whole_millis(moment))
}

#[cfg(test)]
mod tests;
