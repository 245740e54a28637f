//! Words about a record as they are kept: redacted, without credentials, bounded.

use domain::record::RecordError;
use domain::redaction::redact;
use reqwest::StatusCode;

use crate::credentials::Credentials;
use crate::error_shapes::{MAX_MESSAGE, clean};

/// Complaints kept for one record.
pub(crate) const MAX_ERRORS: usize = 20;

/// Words as they are kept, whoever said them.
pub(crate) fn words(credentials: &Credentials, text: &str) -> String {
    clean(&redact(&credentials.scrub(text)), MAX_MESSAGE)
}

/// A complaint of the connector's own.
pub(crate) fn own(credentials: &Credentials, code: &str, message: &str) -> RecordError {
    RecordError { code: code.to_owned(), message: words(credentials, message), ..RecordError::default() }
}

/// A status in words, for answers that say nothing.
pub(crate) fn status_words(status: u16) -> String {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    match reason {
        Some(reason) => format!("The system answered {status} {reason}."),
        None => format!("The system answered {status}."),
    }
}
