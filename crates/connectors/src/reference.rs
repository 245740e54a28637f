//! The external system's own id of what it made of a record.

use serde_json::Value;

use crate::error_shapes::{MAX_NAME, clean};

/// An id as text; ids are short.
pub(crate) fn reference(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => clean(text, MAX_NAME),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// The key of `…/ExpenseClaims(41)`, or the last step of `…/claims/41`.
pub(crate) fn reference_in_location(location: &str) -> Option<String> {
    let path = location.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let last = path.rsplit('/').next().unwrap_or_default();
    let key = match (last.find('('), last.strip_suffix(')')) {
        (Some(open), Some(closed)) => {
            let key = closed.get(open + 1..).unwrap_or_default();
            // `claim_number='41'`; several such keep their names.
            key.split_once('=').filter(|_| !key.contains(',')).map_or(key, |(_, value)| value).trim_matches('\'')
        }
        _ => last,
    };
    let key = clean(key, MAX_NAME);
    (!key.is_empty()).then_some(key)
}
