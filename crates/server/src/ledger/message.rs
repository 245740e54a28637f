//! What the external systems said, made fit for storing.

use domain::record::{RecordError, RecordOutcome};
use domain::redaction::redact;
use domain::sync_log::{LEFT_BEHIND, MAX_MESSAGE_CHARS, SyncWarning, cut};
use store::record_outcomes::NewOutcome;
use store::source_records::RecordKey;

/// Most errors kept of one record.
pub(super) const MAX_ERRORS: usize = 50;

/// A text without personal data, cut to what the ledger keeps. NUL, which PostgreSQL's text cannot hold, is dropped.
pub(super) fn storable(text: &str) -> String {
    let clean = if text.contains('\0') { redact(&text.replace('\0', "")) } else { redact(text) };
    cut(&clean, MAX_MESSAGE_CHARS).to_owned()
}

/// The same for what is shorter, and may hold such data all the same: a hint can be somebody's account.
fn storable_short(text: &str, chars: usize) -> String {
    cut(&redact(&text.replace('\0', "")), chars).to_owned()
}

/// A record's errors, fit for storing.
pub fn storable_errors(errors: &[RecordError]) -> Vec<RecordError> {
    errors
        .iter()
        .take(MAX_ERRORS)
        .map(|error| RecordError {
            code: storable_short(&error.code, 200),
            message: storable(&error.message),
            // Some systems name a field after what stood in it.
            field: error.field.as_deref().map(|field| storable_short(field, 500)),
            field_name: error.field_name.as_deref().map(|name| storable_short(name, 500)),
            hints: error.hints.iter().take(20).map(|hint| storable_short(hint, 200)).collect(),
        })
        .collect()
}

/// A record that is not sent on purpose.
pub fn skipped(key: RecordKey, code: &str) -> NewOutcome {
    let message = match code {
        domain::record::ALREADY_ACTIVE => "another sync has the record under way",
        domain::record::ALREADY_DELIVERED => "an earlier sync delivered the record",
        domain::record::HANDLED_MANUALLY => "the record was booked by hand",
        domain::source::SOURCE_GONE => "the record is no longer at its source",
        _ => "the record was left out",
    };
    let error = RecordError { code: code.to_owned(), message: message.to_owned(), ..RecordError::default() };
    NewOutcome { errors: vec![error], ..NewOutcome::bare(key, RecordOutcome::Skipped) }
}

/// A runner's remark, fit for storing. Those by which the ledger knows the syncs of which records are left are its own to
/// make.
pub(super) fn storable_warning(warning: &SyncWarning) -> SyncWarning {
    let code = warning.code.replace('\0', "");
    SyncWarning {
        code: if LEFT_BEHIND.contains(&code.as_str()) {
            format!("REPORTED_{code}")
        } else {
            cut(&code, 200).to_owned()
        },
        message: storable(&warning.message),
        pointer: warning.pointer.as_deref().map(|pointer| cut(&pointer.replace('\0', ""), 500).to_owned()),
    }
}
