//! Broken rules, each with a stable code and the place in the request that broke it.

use serde::{Deserialize, Serialize};

/// A word outside a closed set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not a known {expected}")]
pub struct UnknownWord {
    /// The set that was expected.
    pub expected: &'static str,
    /// What stood there.
    pub found: String,
}

wire_enum! {
    /// The rules a request can break, by the names of the ledger's rule table.
    Rule {
        /// The integration exists in the caller's organization.
        IntegrationConfigIdMustExist = "integration_config_id_must_exist",
        /// `connector_type` equals the integration's.
        ConnectorTypeMustMatch = "connector_type_must_match_integration_config",
        /// `started_at` is not in the future (5 s of clock skew are let through).
        StartedAtNotInFuture = "started_at_not_in_future",
        /// `started_at` lies where the ledger has partitions.
        StartedAtOutOfRange = "started_at_out_of_range",
        /// `completed_at >= started_at`, and not in the future.
        CompletedAtMustFollowStartedAt = "completed_at_must_follow_started_at",
        /// A failure has a code and a message, a success has neither.
        ErrorFieldsRequiredOnFailure = "error_fields_required_on_failure",
        /// Counts are not negative.
        RecordsProcessedNonNegative = "records_processed_non_negative",
        /// Warning: more failed than were in scope.
        RecordsFailedNotExceedTotal = "records_failed_not_exceed_total",
        /// Warning: the counts of a finished sync do not add up to its total.
        CountsMustAddUp = "counts_must_add_up",
        /// Warning: nothing was sent where something was expected.
        ZeroRecords = "zero_records",
        /// 100–599.
        HttpStatusCodeRange = "http_status_code_range",
        /// A manual sync names the person, any other names none.
        TriggeredByUserIdRequiredForManual = "triggered_by_user_id_required_for_manual",
        /// A source record's id needs its type.
        SourceRecordTypeRequiredWhenIdPresent = "source_record_type_required_when_id_present",
        /// 64 lower-case hexadecimal characters.
        RequestPayloadHashFormat = "request_payload_hash_format",
        /// A value is missing.
        Required = "required",
        /// A value has the wrong form.
        InvalidFormat = "invalid_format",
        /// A value lies outside its range.
        OutOfRange = "out_of_range",
        /// A text is too long.
        TooLong = "too_long",
        /// A word outside a closed set.
        UnknownValue = "unknown_value",
        /// A member the request may not have.
        UnknownField = "unknown_field",
        /// A value that must be unique stands twice.
        Duplicate = "duplicate",
        /// A referenced thing does not exist in the caller's organization.
        UnknownReference = "unknown_reference",
    }
}

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which rule.
    pub rule: Rule,
    /// JSON Pointer into the request's body.
    pub pointer: String,
    /// One plain English sentence; clients match on the rule, never on this text.
    pub detail: String,
}

impl Violation {
    /// A broken rule at a place.
    pub fn new(rule: Rule, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { rule, pointer: pointer.into(), detail: detail.into() }
    }
}
