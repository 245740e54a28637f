//! Attempts: the executions of a sync.

use chrono::{DateTime, Utc};
use domain::sync_log::SyncStatus;
use uuid::Uuid;

use crate::macros::wire;
use crate::sync_logs::RecordKey;

wire! {
    /// One execution of a sync.
    pub struct Attempt {
        /// 0 for the first, then the number of the retry.
        pub attempt: u16,
        /// `in_progress`, then `success` or `failed`.
        pub status: SyncStatus,
        /// When it began.
        pub started_at: DateTime<Utc>,
        /// When it ended.
        pub completed_at: Option<DateTime<Utc>>,
        /// Its own wall-clock milliseconds.
        pub duration_ms: Option<i64>,
        /// Records in its scope.
        pub records_total: Option<i32>,
        /// Delivered in it.
        pub records_processed: Option<i32>,
        /// Failed in it.
        pub records_failed: Option<i32>,
        /// Left out on purpose in it.
        pub records_skipped: Option<i32>,
        /// Sent in it without an answer.
        pub records_unknown: Option<i32>,
        /// In its scope and never sent.
        pub records_not_attempted: Option<i32>,
        /// Machine-readable code of its failure.
        pub error_code: Option<String>,
        /// The external system's words.
        pub error_message: Option<String>,
        /// HTTP status of the external system's answer.
        pub http_status_code: Option<i16>,
        /// The person who asked for it, for a retry by hand.
        pub triggered_by_user_id: Option<Uuid>,
    }

    /// A claimed attempt and the records it is about.
    pub struct StartedAttempt {
        /// Its number.
        pub attempt: u16,
        /// Whether it is about everything there is: no record of the sync is known one by one.
        pub whole: bool,
        /// What is to be sent, and nothing else, unless the attempt is about everything.
        pub records: Vec<RecordKey>,
    }

    /// How long the claimed attempt may stay silent.
    #[derive(Default)]
    #[serde(deny_unknown_fields)]
    pub struct StartAttempt {
        /// Seconds, 1–86,400; 60 if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 86_400))]
        pub lease_seconds: Option<i64>,
    }
}
