//! Looking up a record of unknown fate: what its answer says, and what it leaves open.
//!
//! Both wrong words do harm: a record that is wrongly missing is sent twice, one that is wrongly there is never sent. So
//! only an answer that says it outright is taken for either.

use domain::asking::Asked;
use domain::record::RecordError;
use domain::redaction::redact;
use domain::violation::Rule;
use serde_json::Value;
use uuid::Uuid;

use super::results::is_failure;
use super::settings::{ID_PLACEHOLDER, address};
use crate::credentials::Credentials;
use crate::error_shapes::{MAX_MESSAGE, clean, is_html};
use crate::exchange::{Answer, Completeness, Exchange};
use crate::guard::OutboundPolicy;
use crate::reader::Reader;
use crate::reference::reference;

/// Statuses that can mean that there is no such record.
const ABSENT: &[u16] = &[204, 404, 410];

/// How a record is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookUp {
    /// Where, with the record's id in it.
    pub url: String,
    /// JSON Pointer into the answer to what was found; without it, any filled answer is the record.
    pub found_pointer: Option<String>,
    /// JSON Pointer into the answer to where what was found names the record's id.
    pub record_pointer: Option<String>,
    /// JSON Pointer into the answer to the external id.
    pub reference_pointer: Option<String>,
    /// Statuses by which the system says that there is no such record.
    pub absent_status: Vec<u16>,
}

/// Reads the settings of a look-up.
pub(super) fn read(mut reader: Reader<'_>, policy: &OutboundPolicy) -> LookUp {
    let url = reader.needed("url", 2_000);
    if !url.is_empty() && address(&mut reader, "url", &url, policy).is_some() && !url.contains(ID_PLACEHOLDER) {
        reader.complain(Rule::InvalidFormat, "url", "an address with {source_record_id} in it");
    }
    let found_pointer = reader.pointer("found_pointer");
    let record_pointer = reader.pointer("record_pointer");
    let reference_pointer = reader.pointer("reference_pointer");
    let absent_status = statuses(&mut reader);
    if found_pointer.is_none() && absent_status.is_empty() {
        let detail = "found_pointer or absent_status; without them nothing says that a record is missing";
        reader.complain(Rule::Required, "found_pointer", detail);
    }
    reader.finish();
    LookUp { url, found_pointer, record_pointer, reference_pointer, absent_status }
}

fn statuses(reader: &mut Reader<'_>) -> Vec<u16> {
    let Some(value) = reader.take("absent_status") else { return Vec::new() };
    let Some(list) = value.as_array() else {
        reader.complain(Rule::InvalidFormat, "absent_status", "a list of statuses");
        return Vec::new();
    };
    let mut statuses = Vec::new();
    for one in list {
        let status = one.as_u64().and_then(|status| u16::try_from(status).ok());
        let Some(status) = status.filter(|status| ABSENT.contains(status)) else {
            // Refused credentials, throttling and trouble of its own say nothing about a record.
            let detail = "204, 404 and 410 can mean that there is no such record";
            reader.complain(Rule::UnknownValue, "absent_status", detail);
            break;
        };
        statuses.push(status);
    }
    statuses
}

/// What is said where there is no look-up.
pub(super) fn not_offered() -> Asked {
    unclear("NO_LOOK_UP", "The integration has no look-up by which the system could be asked.")
}

/// What a look-up's answer says of a record.
pub(super) fn judge(look_up: &LookUp, id: Uuid, exchange: &Exchange, credentials: &Credentials) -> Asked {
    match exchange {
        Exchange::Answered(answer) => answered(look_up, id, answer),
        Exchange::NeverLeft(trouble) | Exchange::NoAnswer(trouble) => {
            let words = format!("Asked whether it has the record: {}", trouble.message);
            unclear(trouble.code, &clean(&redact(&credentials.scrub(&words)), MAX_MESSAGE))
        }
    }
}

fn answered(look_up: &LookUp, id: Uuid, answer: &Answer) -> Asked {
    let status = answer.status;
    if answer.completeness != Completeness::Whole {
        return unclear(
            "LOOK_UP_INCOMPLETE",
            "Asked whether it has the record, the system's answer did not come whole.",
        );
    }
    if is_html(&answer.body, answer.content_type.as_deref()) {
        let words = "Asked whether it has the record, a page came back: a sign-in page or a proxy may have answered in its place.";
        return unclear("NOT_JSON", words);
    }
    if look_up.absent_status.contains(&status) {
        return Asked::Absent;
    }
    if !(200..300).contains(&status) {
        let words = format!("Asked whether it has the record, the system answered {status}.");
        return unclear(&format!("HTTP_{status}"), &words);
    }
    match serde_json::from_slice::<Value>(&answer.body) {
        Ok(value) if !is_failure(&value) => found(look_up, id, &value),
        Ok(_) => unclear("REJECTED", "Asked whether it has the record, the system complained."),
        Err(_) => unclear("NOT_JSON", "Asked whether it has the record, the system's answer was not JSON."),
    }
}

fn found(look_up: &LookUp, id: Uuid, value: &Value) -> Asked {
    let there = match &look_up.found_pointer {
        Some(pointer) => presence(value, pointer),
        None if value.is_object() || value.is_array() => (!says_no(value)).then_some(true),
        None => None,
    };
    match there {
        Some(true) if !is_about(look_up, id, value) => {
            unclear("LOOK_UP_MISMATCH", "Asked whether it has the record, the system answered about something else.")
        }
        Some(true) => {
            let named = look_up.reference_pointer.as_deref().and_then(|pointer| value.pointer(pointer));
            Asked::Found { reference: named.and_then(reference) }
        }
        Some(false) => Asked::Absent,
        None => unclear("LOOK_UP_UNCLEAR", "Asked whether it has the record, the system's answer does not say."),
    }
}

/// Whether something is where a pointer leads; `None` where the answer is not of the form that the pointer expects.
fn presence(value: &Value, pointer: &str) -> Option<bool> {
    if let Some(there) = value.pointer(pointer) {
        return Some(!says_no(there));
    }
    // The first place of an empty list. A member that is not there at all may be another answer's.
    let list = value.pointer(pointer.strip_suffix("/0")?)?.as_array()?;
    list.is_empty().then_some(false)
}

fn says_no(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(entries) => entries.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// Whether what was found names the record, where the settings say how.
fn is_about(look_up: &LookUp, id: Uuid, value: &Value) -> bool {
    let Some(pointer) = &look_up.record_pointer else { return true };
    let named = value.pointer(pointer).and_then(Value::as_str);
    named.and_then(|named| Uuid::try_parse(named).ok()) == Some(id)
}

fn unclear(code: &str, message: &str) -> Asked {
    Asked::Unclear(RecordError { code: code.to_owned(), message: message.to_owned(), ..RecordError::default() })
}

#[cfg(test)]
mod tests;
