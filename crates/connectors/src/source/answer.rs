//! What a source's answer is, or why it is none.

use serde_json::Value;

use super::SourceTrouble;
use crate::credentials::Credentials;
use crate::error_shapes::is_html;
use crate::exchange::{Answer, Completeness, Exchange};
use crate::wording::{status_words, words};

/// What was answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Said {
    /// A JSON document.
    Json(Value),
    /// There is nothing at this address (404, 410).
    Absent,
}

/// Reads an answer.
pub(super) fn judge(exchange: &Exchange, credentials: &Credentials) -> Result<Said, SourceTrouble> {
    let trouble =
        |code: &str, message: &str| Err(SourceTrouble { code: code.to_owned(), message: words(credentials, message) });
    match exchange {
        Exchange::NeverLeft(why) | Exchange::NoAnswer(why) => trouble(why.code, &why.message),
        Exchange::Answered(answer) => match reading(answer) {
            Ok(said) => Ok(said),
            Err((code, message)) => trouble(&code, &message),
        },
    }
}

fn reading(answer: &Answer) -> Result<Said, (String, String)> {
    let status = answer.status;
    let trouble = |code: &str, message: &str| Err((code.to_owned(), message.to_owned()));
    match answer.completeness {
        Completeness::Whole => {}
        Completeness::Cut => return trouble("ANSWER_TOO_LARGE", "The source's answer is longer than 1 MiB."),
        Completeness::Broken => return trouble("NO_ANSWER", "The source's answer broke off."),
    }
    if matches!(status, 401 | 403) {
        let message = format!("The source was reached, and refused the credentials ({status}).");
        return trouble("CREDENTIALS_REFUSED", &message);
    }
    if is_html(&answer.body, answer.content_type.as_deref()) {
        let message = "A page came back: a sign-in page or a proxy may have answered in the source's place.";
        return trouble("NOT_JSON", message);
    }
    match status {
        200..=299 => match serde_json::from_slice(&answer.body) {
            Ok(value) => Ok(Said::Json(value)),
            Err(_) => trouble("NOT_JSON", "The source's answer is not JSON."),
        },
        404 | 410 => Ok(Said::Absent),
        _ => trouble(&format!("HTTP_{status}"), &status_words(status)),
    }
}
