//! What a test of the connection says, in plain words.

use serde_json::Value;

use super::settings::Settings;
use crate::error_shapes::parse_body;
use crate::exchange::{Answer, Exchange};
use crate::wording::status_words;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) ok: bool,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) status: Option<i16>,
}

/// Whether the environment lets the client in.
pub(super) fn who_am_i(exchange: &Exchange) -> Found {
    let answer = match exchange {
        Exchange::Answered(answer) => answer,
        Exchange::NeverLeft(trouble) | Exchange::NoAnswer(trouble) => {
            return Found { ok: false, code: trouble.code.to_owned(), message: trouble.message.clone(), status: None };
        }
    };
    let status = answer.status;
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match status {
        200 if body.get("UserId").is_some() => {
            found(answer, true, "OK", "The environment was reached, and lets the client in.")
        }
        200 => {
            let message = "Something else than the environment answered at this address.";
            found(answer, false, "NOT_JSON", message)
        }
        401 | 403 => {
            let message = format!(
                "The environment was reached, and does not let the client in ({status}): it has to be an application \
                 user there. {}",
                said(answer)
            );
            found(answer, false, "CREDENTIALS_REFUSED", &message)
        }
        _ => other(answer),
    }
}

/// Whether rows can be read, and have the column they are found by.
pub(super) fn any_row(exchange: &Exchange, settings: &Settings) -> Found {
    let Exchange::Answered(answer) = exchange else { return who_am_i(exchange) };
    let set = settings.mapping.entity();
    match answer.status {
        200 => {
            let message = format!(
                "The environment lets the client in, and read {set}. Whether it may write there shows only when a \
                 record is sent."
            );
            found(answer, true, "OK", &message)
        }
        401 | 403 => {
            let message = format!("The environment does not let the client read {set}. {}", said(answer));
            found(answer, false, "CREDENTIALS_REFUSED", &message)
        }
        400 | 404 => {
            let column = &settings.key_attribute;
            let message = format!("The environment has no {set} with a column {column}. {}", said(answer));
            found(answer, false, &format!("HTTP_{}", answer.status), &message)
        }
        _ => other(answer),
    }
}

fn other(answer: &Answer) -> Found {
    match answer.status {
        429 => {
            let message = format!("The environment was reached, and asks for fewer requests. {}", said(answer));
            found(answer, true, "REACHED", &message)
        }
        status => {
            let message = format!("{} {}", status_words(status), said(answer));
            found(answer, false, &format!("HTTP_{status}"), &message)
        }
    }
}

/// The system's own words.
fn said(answer: &Answer) -> String {
    let complaints = parse_body(&answer.body, answer.content_type.as_deref());
    complaints.first().map(|complaint| format!("It said: {}", complaint.message)).unwrap_or_default()
}

fn found(answer: &Answer, ok: bool, code: &str, message: &str) -> Found {
    let status = i16::try_from(answer.status).ok();
    Found { ok, code: code.to_owned(), message: message.trim().to_owned(), status }
}
