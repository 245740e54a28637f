//! What a body says of success: failures under a 2xx, and results record by record.

use serde_json::Value;

/// Members that hold one result per record in the bodies of 207 answers.
const RESULT_MEMBERS: &[&str] = &["results", "items", "responses", "result", "data", "value"];
/// Words that systems use for a status that is a failure.
const FAILURE_WORDS: &[&str] = &["error", "errors", "failed", "fail", "failure", "rejected", "invalid", "refused"];

/// The list of results: where the settings say, else, for 207, where it usually is.
pub(super) fn results<'a>(value: &'a Value, pointer: Option<&str>, status: u16) -> Option<&'a Vec<Value>> {
    match pointer {
        Some(pointer) => value.pointer(pointer).and_then(Value::as_array),
        None if status == 207 => value
            .as_array()
            .or_else(|| RESULT_MEMBERS.iter().find_map(|name| value.get(name).and_then(Value::as_array))),
        None => None,
    }
}

/// The HTTP status that a result carries.
pub(super) fn status(result: &Value) -> Option<u16> {
    let found = ["status", "statusCode", "status_code", "httpStatus", "http_status"].iter().find_map(|name| {
        let value = result.get(name)?;
        let number = value.as_u64().or_else(|| value.as_str()?.split(' ').next()?.parse().ok())?;
        u16::try_from(number).ok()
    });
    found.filter(|status| (100..600).contains(status))
}

/// Whether a body that came with success says otherwise.
pub(super) fn is_failure(value: &Value) -> bool {
    let Some(object) = value.as_object() else { return false };
    let filled = |value: &Value| match value {
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(entries) => !entries.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => false,
    };
    ["errors", "Errors", "error"].iter().any(|name| object.get(*name).is_some_and(filled))
        || ["success", "ok"].iter().any(|name| object.get(*name) == Some(&Value::Bool(false)))
        || object
            .get("status")
            .and_then(Value::as_str)
            .is_some_and(|word| FAILURE_WORDS.iter().any(|failure| word.eq_ignore_ascii_case(failure)))
}

/// GraphQL: something was done although something else was not.
pub(super) fn is_partial(value: &Value) -> bool {
    match value.get("data") {
        Some(Value::Object(members)) => members.values().any(|member| !member.is_null()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn failures_under_success_are_seen() {
        for failure in [
            json!({ "errors": [{ "message": "no" }], "data": null }),
            json!({ "error": { "code": "1", "message": "no" } }),
            json!({ "error": "no" }),
            json!({ "success": false }),
            json!({ "status": "Error" }),
        ] {
            assert!(is_failure(&failure), "{failure}");
        }
        for success in [
            json!({}),
            json!([]),
            json!(null),
            json!("x"),
            json!({ "errors": [] }),
            json!({ "errors": {} }),
            json!({ "error": null }),
            json!({ "error": "" }),
            json!({ "error": 0 }),
            json!({ "success": true }),
            json!({ "status": "booked" }),
            json!({ "status": 400 }),
        ] {
            assert!(!is_failure(&success), "{success}");
        }
    }

    #[test]
    fn a_results_status_is_read_in_every_form() {
        assert_eq!(status(&json!({ "status": 422 })), Some(422));
        assert_eq!(status(&json!({ "status": "201 Created" })), Some(201));
        assert_eq!(status(&json!({ "statusCode": "409" })), Some(409));
        for none in [json!({ "status": "ok" }), json!({ "status": 7 }), json!({}), json!(3), json!({ "status": -1 })] {
            assert_eq!(status(&none), None, "{none}");
        }
    }

    #[test]
    fn data_beside_errors_is_partial_only_when_there_is_some() {
        assert!(is_partial(&json!({ "data": { "a": 1, "b": null } })));
        assert!(!is_partial(&json!({ "data": { "a": null } })));
        assert!(!is_partial(&json!({ "data": null })));
    }
}
