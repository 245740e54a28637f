//! The rules of an attempt that ended, all checked at once.

use chrono::{DateTime, Utc};

use super::{check_count, check_text};
use crate::payload::is_payload_hash;
use crate::sync_log::{CLOCK_SKEW, SyncStatus, SyncWarning, whole_millis};
use crate::violation::{Rule, Violation};

/// What a caller says of an attempt that ended.
#[derive(Clone, Debug, Default)]
pub struct Completion {
    /// Whether it is reported as a success.
    pub succeeded: bool,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// The attempt's own count of delivered records.
    pub records_processed: Option<i64>,
    /// The attempt's own count of failed records.
    pub records_failed: Option<i64>,
    /// The sync's records in scope.
    pub records_total: Option<i64>,
    /// Machine-readable code of a failure.
    pub error_code: Option<String>,
    /// The external system's words.
    pub error_message: Option<String>,
    /// HTTP status, if there was one.
    pub http_status_code: Option<i64>,
    /// The external system's id.
    pub external_reference_id: Option<String>,
    /// SHA-256 of the payload.
    pub request_payload_hash: Option<String>,
}

/// The checked parts of a [`Completion`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidCompletion {
    /// In whole milliseconds, never in the future.
    pub completed_at: DateTime<Utc>,
    /// The attempt's own count of delivered records.
    pub records_processed: Option<i32>,
    /// The attempt's own count of failed records.
    pub records_failed: Option<i32>,
    /// The sync's records in scope.
    pub records_total: Option<i32>,
    /// HTTP status, if there was one.
    pub http_status_code: Option<i16>,
    /// What the ledger remarks on.
    pub warnings: Vec<SyncWarning>,
}

/// Checks everything about an attempt that ended.
pub fn validate_completion(completion: &Completion, now: DateTime<Utc>) -> Result<ValidCompletion, Vec<Violation>> {
    let mut found = Vec::new();
    let completed_at = completion.completed_at.unwrap_or(now);
    if completed_at > now + CLOCK_SKEW {
        found.push(Violation::new(
            Rule::CompletedAtMustFollowStartedAt,
            "/completed_at",
            "a sync cannot have ended in the future",
        ));
    }
    // What was reported is compared as it was reported: clamping both ends could hide, and clamping one could invent,
    // an end before the beginning.
    let began = completion.completed_at.map_or(completion.started_at.min(now), |_| completion.started_at);
    if whole_millis(completed_at) < whole_millis(began) {
        found.push(Violation::new(
            Rule::CompletedAtMustFollowStartedAt,
            "/completed_at",
            "a sync cannot end before it began",
        ));
    }
    let completed_at = whole_millis(completed_at.min(now));
    check_error_fields(completion, &mut found);
    let records_processed = check_count(completion.records_processed, "/records_processed", &mut found);
    let records_failed = check_count(completion.records_failed, "/records_failed", &mut found);
    let records_total = check_count(completion.records_total, "/records_total", &mut found);
    let http_status_code = match completion.http_status_code {
        None => None,
        Some(code) => match i16::try_from(code) {
            Ok(code) if (100..=599).contains(&code) => Some(code),
            _ => {
                found.push(Violation::new(Rule::HttpStatusCodeRange, "/http_status_code", "between 100 and 599"));
                None
            }
        },
    };
    if let Some(reference) = &completion.external_reference_id {
        check_text(reference, 500, "/external_reference_id", &mut found);
    }
    if let Some(hash) = &completion.request_payload_hash
        && !is_payload_hash(hash)
    {
        found.push(Violation::new(
            Rule::RequestPayloadHashFormat,
            "/request_payload_hash",
            "64 lower-case hexadecimal characters",
        ));
    }
    if !found.is_empty() {
        return Err(found);
    }
    let mut warnings = Vec::new();
    if let (Some(total), Some(failed)) = (records_total, records_failed)
        && failed > total
    {
        warnings.push(SyncWarning {
            code: Rule::RecordsFailedNotExceedTotal.as_str().to_owned(),
            message: format!("{failed} records failed, but only {total} were in scope"),
            pointer: Some("/records_failed".to_owned()),
        });
    }
    Ok(ValidCompletion { completed_at, records_processed, records_failed, records_total, http_status_code, warnings })
}

fn check_error_fields(completion: &Completion, found: &mut Vec<Violation>) {
    let fields = [("/error_code", &completion.error_code), ("/error_message", &completion.error_message)];
    for (pointer, field) in fields {
        let given = field.as_deref().is_some_and(|text| !text.trim().is_empty());
        if !completion.succeeded && !given {
            found.push(Violation::new(Rule::ErrorFieldsRequiredOnFailure, pointer, "a failure needs this"));
        } else if completion.succeeded && field.is_some() {
            found.push(Violation::new(Rule::ErrorFieldsRequiredOnFailure, pointer, "a success has no error"));
        }
    }
    if let Some(code) = &completion.error_code {
        check_text(code, 200, "/error_code", found);
    }
}

/// Warns where the counts of a sync do not add up, or where it reports nothing although something is expected.
pub fn count_warnings(total: Option<i32>, accounted: i32, expects_records: bool) -> Vec<SyncWarning> {
    let mut warnings = Vec::new();
    if let Some(total) = total
        && total != accounted
    {
        warnings.push(SyncWarning {
            code: Rule::CountsMustAddUp.as_str().to_owned(),
            message: format!("{total} records were in scope, {accounted} are accounted for"),
            pointer: Some("/records_total".to_owned()),
        });
    }
    if expects_records && accounted == 0 && total.unwrap_or(0) == 0 {
        warnings.push(SyncWarning {
            code: Rule::ZeroRecords.as_str().to_owned(),
            message: "the sync reports no records".to_owned(),
            pointer: Some("/records_total".to_owned()),
        });
    }
    warnings
}

/// The ledger takes a status of a finished sync only as `success` or `failed`; a retry is the ledger's own word.
pub fn finished_status(status: SyncStatus) -> Option<bool> {
    match status {
        SyncStatus::Success => Some(true),
        SyncStatus::Failed => Some(false),
        _ => None,
    }
}
