//! What happened to the records of a sync.

use chrono::{DateTime, Utc};
use domain::error_group::ErrorClass;
use domain::record::{RecordError, RecordOutcome, RecordState, Resolution};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::macros::wire;
use crate::sync_logs::RecordKey;

pub use domain::retry::RetryPreview;

wire! {
    /// One record's outcome, as a runner reports it.
    #[serde(deny_unknown_fields)]
    pub struct RecordReport {
        /// Its type.
        #[cfg_attr(feature = "openapi", schema(pattern = r"^[A-Za-z0-9_.-]{1,100}$"))]
        pub source_record_type: String,
        /// Its id.
        pub source_record_id: Uuid,
        /// A human label, for example "Claim 1043".
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(max_length = 200))]
        pub label: Option<String>,
        /// Its amount, as a decimal string.
        #[serde(default, deserialize_with = "crate::amount::deserialize", skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(pattern = r"^-?(0|[1-9][0-9]{0,13})(\.[0-9]{1,4})?$"))]
        pub amount: Option<Decimal>,
        /// ISO 4217 code of the amount.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(pattern = "^[A-Z]{3}$"))]
        pub currency: Option<String>,
        /// What happened.
        pub outcome: RecordOutcome,
        /// The external system's complaints; a failed record has at least one, and 50 are kept.
        #[serde(default)]
        pub errors: Vec<RecordError>,
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
    }

    /// Outcomes of an attempt, at most 1,000 a call.
    #[serde(deny_unknown_fields)]
    pub struct AppendRecords {
        /// The attempt that reports.
        #[cfg_attr(feature = "openapi", schema(maximum = 10))]
        pub attempt: u16,
        /// What happened.
        #[cfg_attr(feature = "openapi", schema(max_items = 1000))]
        pub records: Vec<RecordReport>,
    }

    /// How many outcomes were taken.
    pub struct AppendedRecords {
        /// Outcomes that were new or changed something.
        pub accepted: usize,
        /// Outcomes that said what was known already.
        pub unchanged: usize,
        /// Records that must not be sent: another sync has them under way, or the attempt that they were to go out in has
        /// ended.
        pub already_active: Vec<RecordKey>,
    }

    /// One complaint of the external system about one record, and what the ledger makes of it.
    pub struct ClassifiedError {
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
        /// What kind of failure it is.
        pub class: ErrorClass,
        /// What it has in common with other records' errors, from which it differs in ids, times and the like: 64 hexadecimal
        /// characters, the same for the same complaint wherever it comes up.
        pub fingerprint: String,
    }

    /// One record's latest outcome in a sync.
    pub struct RecordOutcomeItem {
        /// Its type.
        pub source_record_type: String,
        /// Its id.
        pub source_record_id: Uuid,
        /// A human label.
        pub label: Option<String>,
        /// Its amount.
        pub amount: Option<Decimal>,
        /// ISO 4217 code of the amount.
        pub currency: Option<String>,
        /// What happened in this sync, in the latest attempt that touched it.
        pub outcome: RecordOutcome,
        /// The attempt it happened in.
        pub attempt: u16,
        /// The external system's complaints.
        pub errors: Vec<ClassifiedError>,
        /// HTTP status of the external system's answer.
        pub http_status_code: Option<i16>,
        /// The external system's id.
        pub external_reference_id: Option<String>,
        /// SHA-256 of the payload that was sent.
        pub request_payload_hash: Option<String>,
        /// When it happened.
        pub updated_at: DateTime<Utc>,
        /// Where the record stands over all syncs, once anything is known of it.
        pub state: Option<RecordState>,
        /// Its data changed since it failed.
        pub changed_since_failure: bool,
        /// What a person decided about it.
        pub resolution: Option<RecordResolution>,
        /// Its address in the organization's own app.
        pub record_url: Option<String>,
    }

    /// What a person decided about a record.
    pub struct RecordResolution {
        /// The decision.
        pub resolution: Resolution,
        /// Why.
        pub reason: String,
        /// A voucher or other reference.
        pub reference: Option<String>,
        /// Who decided.
        pub resolved_by: Option<String>,
        /// When.
        pub resolved_at: DateTime<Utc>,
    }

    /// A person's decision about a record.
    #[serde(deny_unknown_fields)]
    pub struct ResolveRecord {
        /// The decision.
        pub resolution: Resolution,
        /// Why, 1–1,000 characters.
        #[cfg_attr(feature = "openapi", schema(max_length = 1000, pattern = r"\S"))]
        pub reason: String,
        /// A voucher or other reference; needed for `delivered`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(max_length = 500))]
        pub reference: Option<String>,
    }

    /// Failed records of a sync that went wrong in the same way.
    pub struct ErrorGroup {
        /// Machine-readable code.
        pub code: String,
        /// JSON Pointer of the field, where one is known.
        pub field: Option<String>,
        /// The field as the external system wrote it.
        pub field_name: Option<String>,
        /// The external system's words.
        pub message: String,
        /// What kind of failure it is.
        pub class: ErrorClass,
        /// What its records' errors have in common; `listRecordOutcomes` lists them by it.
        pub fingerprint: String,
        /// How many records.
        pub count: i64,
        /// One of them.
        pub sample: RecordOutcomeItem,
    }

    /// The error groups of a sync, largest first.
    pub struct ErrorGroups {
        /// The groups.
        pub items: Vec<ErrorGroup>,
    }

    /// One step of a source record's journey.
    pub struct JourneyStep {
        /// The sync.
        pub sync_id: Uuid,
        /// The integration.
        pub integration_config_id: Uuid,
        /// Its name.
        pub integration_name: String,
        /// The attempt.
        pub attempt: u16,
        /// What happened.
        pub outcome: RecordOutcome,
        /// The external system's complaints.
        pub errors: Vec<ClassifiedError>,
        /// HTTP status of the external system's answer.
        pub http_status_code: Option<i16>,
        /// The external system's id.
        pub external_reference_id: Option<String>,
        /// When.
        pub updated_at: DateTime<Utc>,
    }

    /// A source record across all syncs, newest first.
    pub struct RecordJourney {
        /// Its type.
        pub source_record_type: String,
        /// Its id.
        pub source_record_id: Uuid,
        /// A human label.
        pub label: Option<String>,
        /// The steps.
        pub items: Vec<JourneyStep>,
    }
}

impl ClassifiedError {
    /// An error with what is known of it.
    pub fn new(error: RecordError, class: ErrorClass, fingerprint: String) -> Self {
        let RecordError { code, message, field, field_name, hints } = error;
        Self { code, message, field, field_name, hints, class, fingerprint }
    }
}
