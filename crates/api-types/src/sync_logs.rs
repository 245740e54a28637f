//! Syncs and their attempts.

use chrono::{DateTime, Utc};
use domain::integration::{ConnectorType, SyncType};
use domain::sync_log::{SyncStatus, SyncWarning, TriggeredBy};
use serde_json::Value;
use uuid::Uuid;

use crate::macros::wire;
use crate::problem::Problem;
use crate::records::RecordReport;

wire! {
    /// A sync: the ledger's 23 attributes by their names, and what the rules added.
    pub struct Sync {
        /// Its id, a `UUIDv7` whose time is `started_at`.
        pub id: Uuid,
        /// The integration.
        pub integration_config_id: Uuid,
        /// The organization.
        pub organization_id: Uuid,
        /// The external system's kind.
        pub connector_type: ConnectorType,
        /// What is synchronised.
        pub sync_type: SyncType,
        /// Lifecycle state.
        pub status: SyncStatus,
        /// Records delivered so far; `null` while an attempt runs.
        pub records_processed: Option<i32>,
        /// Records failed; `null` while an attempt runs.
        pub records_failed: Option<i32>,
        /// Records in scope.
        pub records_total: Option<i32>,
        /// Machine-readable code of the failure.
        pub error_code: Option<String>,
        /// The external system's words.
        pub error_message: Option<String>,
        /// Number of the latest attempt.
        pub retry_count: u16,
        /// What initiated it.
        pub triggered_by: TriggeredBy,
        /// The person, for a manual sync.
        pub triggered_by_user_id: Option<Uuid>,
        /// The primary source record.
        pub source_record_id: Option<Uuid>,
        /// The primary source record's type.
        pub source_record_type: Option<String>,
        /// The external system's id.
        pub external_reference_id: Option<String>,
        /// SHA-256 of the canonical payload.
        pub request_payload_hash: Option<String>,
        /// HTTP status of the external system's answer.
        pub http_status_code: Option<i16>,
        /// Wall-clock milliseconds from `started_at` to `completed_at`.
        pub duration_ms: Option<i64>,
        /// When it began.
        pub started_at: DateTime<Utc>,
        /// When it reached a terminal status.
        pub completed_at: Option<DateTime<Utc>>,
        /// The connector's context; only with the scope `debug`.
        pub metadata: Option<Value>,
        /// Remarks on a sync that otherwise stands.
        pub warnings: Vec<SyncWarning>,
        /// Imported or re-run old records, which never make the present look fresh.
        pub backfill: bool,
        /// The runner's own name for the run.
        pub client_run_id: Option<String>,
        /// Number of the latest attempt.
        pub attempt: u16,
        /// Whether a retry can be asked for.
        pub retryable: bool,
        /// When it is retried by itself, unless somebody asks for it before; told of a single sync, not in lists.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next_retry_at: Option<DateTime<Utc>>,
        /// It lies in the archive, where nothing changes any more; left out where it doesn't.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pub archived: bool,
        /// How far the running attempt is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub progress: Option<Progress>,
    }

    /// How far a running attempt is.
    pub struct Progress {
        /// Records in the attempt's scope, if known.
        pub records_total: Option<i32>,
        /// Records with a final outcome.
        pub records_done: i32,
    }

    /// A sync that begins.
    #[serde(deny_unknown_fields)]
    pub struct StartSync {
        /// The integration.
        pub integration_config_id: Uuid,
        /// Must be the integration's.
        pub connector_type: ConnectorType,
        /// What is synchronised.
        pub sync_type: SyncType,
        /// What initiated it.
        pub triggered_by: TriggeredBy,
        /// Records in scope, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 2_147_483_647))]
        pub records_total: Option<i64>,
        /// The primary source record's type.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(pattern = r"^[A-Za-z0-9_.-]{1,100}$"))]
        pub source_record_type: Option<String>,
        /// The primary source record.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub source_record_id: Option<Uuid>,
        /// When it began; now, if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub started_at: Option<DateTime<Utc>>,
        /// Whether it re-runs old records.
        #[serde(default)]
        pub backfill: bool,
        /// The runner's own name for the run, unique per integration for good.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(max_length = 200, pattern = r"\S"))]
        pub client_run_id: Option<String>,
        /// Seconds without a report until the attempt counts as abandoned, 1–86,400; 60 if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 86_400))]
        pub lease_seconds: Option<i64>,
        /// Only announced: it stays `pending` until a runner claims attempt 0.
        #[serde(default)]
        pub queued: bool,
        /// The connector's context.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub metadata: Option<Value>,
    }

    /// A sync that has already ended. The members of a start stand here once more: serde's `flatten` would take unknown
    /// members and lose the places of wrong ones.
    #[serde(deny_unknown_fields)]
    pub struct FinishedSync {
        /// The integration.
        pub integration_config_id: Uuid,
        /// Must be the integration's.
        pub connector_type: ConnectorType,
        /// What is synchronised.
        pub sync_type: SyncType,
        /// What initiated it.
        pub triggered_by: TriggeredBy,
        /// Records in scope, if known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 2_147_483_647))]
        pub records_total: Option<i64>,
        /// The primary source record's type.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(pattern = r"^[A-Za-z0-9_.-]{1,100}$"))]
        pub source_record_type: Option<String>,
        /// The primary source record.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub source_record_id: Option<Uuid>,
        /// When it began; now, if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub started_at: Option<DateTime<Utc>>,
        /// Whether it re-runs old records.
        #[serde(default)]
        pub backfill: bool,
        /// The runner's own name for the run, unique per integration for good.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(max_length = 200, pattern = r"\S"))]
        pub client_run_id: Option<String>,
        /// Seconds without a report until the attempt counts as abandoned, 1–86,400; 60 if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 86_400))]
        pub lease_seconds: Option<i64>,
        /// Only announced: it stays `pending` until a runner claims attempt 0.
        #[serde(default)]
        pub queued: bool,
        /// The connector's context.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub metadata: Option<Value>,
        /// When it ended.
        pub completed_at: DateTime<Utc>,
        /// `success` or `failed`.
        #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^(success|failed)$"))]
        pub status: SyncStatus,
        /// Delivered; counted from `records`, if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 2_147_483_647))]
        pub records_processed: Option<i64>,
        /// Failed; counted from `records`, if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 2_147_483_647))]
        pub records_failed: Option<i64>,
        /// Machine-readable code of a failure.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(max_length = 200))]
        pub error_code: Option<String>,
        /// The external system's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub error_message: Option<String>,
        /// HTTP status of the external system's answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(minimum = 100, maximum = 599))]
        pub http_status_code: Option<i64>,
        /// The external system's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(max_length = 500))]
        pub external_reference_id: Option<String>,
        /// SHA-256 of the canonical payload.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(pattern = "^[0-9a-f]{64}$"))]
        pub request_payload_hash: Option<String>,
        /// Remarks.
        #[serde(default)]
        pub warnings: Vec<SyncWarning>,
        /// What happened to each record, at most 1,000.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(max_items = 1000))]
        pub records: Vec<RecordReport>,
    }

    /// Many finished syncs.
    #[serde(deny_unknown_fields)]
    pub struct ImportRequest {
        /// At most 1,000.
        #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 1000))]
        pub items: Vec<FinishedSync>,
    }

    /// What became of each imported sync.
    pub struct ImportResponse {
        /// One result per item, in order.
        pub items: Vec<ImportItem>,
    }

    /// What became of one imported sync.
    pub struct ImportItem {
        /// Its place in the request.
        pub index: usize,
        /// 201 created, 200 known by its `client_run_id`, 422 refused.
        pub status: u16,
        /// The sync's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub id: Option<Uuid>,
        /// Why it was refused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub problem: Option<Problem>,
    }

    /// How far a running attempt is; also extends its lease.
    #[serde(deny_unknown_fields)]
    pub struct ReportProgress {
        /// The attempt that reports.
        #[cfg_attr(feature = "openapi", schema(maximum = 10))]
        pub attempt: u16,
        /// Records in its scope.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 2_147_483_647))]
        pub records_total: Option<i64>,
        /// Records with a final outcome.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 2_147_483_647))]
        pub records_done: Option<i64>,
    }

    /// The end of an attempt that succeeded. Counts are the attempt's own; left out, they are counted from the outcomes.
    #[serde(deny_unknown_fields)]
    pub struct SucceedSync {
        /// The attempt that reports.
        #[cfg_attr(feature = "openapi", schema(maximum = 10))]
        pub attempt: u16,
        /// Delivered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 2_147_483_647))]
        pub records_processed: Option<i64>,
        /// Failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 2_147_483_647))]
        pub records_failed: Option<i64>,
        /// The external system's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(max_length = 500))]
        pub external_reference_id: Option<String>,
        /// SHA-256 of the canonical payload.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(pattern = "^[0-9a-f]{64}$"))]
        pub request_payload_hash: Option<String>,
        /// HTTP status of the external system's answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(minimum = 100, maximum = 599))]
        pub http_status_code: Option<i64>,
        /// Remarks.
        #[serde(default)]
        pub warnings: Vec<SyncWarning>,
    }

    /// The end of an attempt that failed. Counts are the attempt's own; left out, they are counted from the outcomes.
    #[serde(deny_unknown_fields)]
    pub struct FailSync {
        /// The attempt that reports.
        #[cfg_attr(feature = "openapi", schema(maximum = 10))]
        pub attempt: u16,
        /// Machine-readable code.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = String, required = true, max_length = 200, pattern = r"\S"))]
        pub error_code: Option<String>,
        /// The external system's words; cut to 4,000 characters.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = String, required = true, pattern = r"\S"))]
        pub error_message: Option<String>,
        /// HTTP status of the external system's answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(minimum = 100, maximum = 599))]
        pub http_status_code: Option<i64>,
        /// Delivered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 2_147_483_647))]
        pub records_processed: Option<i64>,
        /// Failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(minimum = 0, maximum = 2_147_483_647))]
        pub records_failed: Option<i64>,
        /// The external system's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(max_length = 500))]
        pub external_reference_id: Option<String>,
        /// SHA-256 of the canonical payload.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(pattern = "^[0-9a-f]{64}$"))]
        pub request_payload_hash: Option<String>,
        /// Remarks.
        #[serde(default)]
        pub warnings: Vec<SyncWarning>,
    }

    /// Which records a triggered sync takes; all that are due, if left out.
    #[serde(deny_unknown_fields)]
    pub struct TriggerSync {
        /// One record's type.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(pattern = r"^[A-Za-z0-9_.-]{1,100}$"))]
        pub source_record_type: Option<String>,
        /// One record.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub source_record_id: Option<Uuid>,
    }

    /// A source record by type and id.
    pub struct RecordKey {
        /// Its type.
        pub source_record_type: String,
        /// Its id.
        pub source_record_id: Uuid,
    }
}
