//! The headers that answers carry.

use serde_json::{Map, Value, json};

use super::operations_mut;

/// Carried by every answer of the API, by the names of their components.
const EVERYWHERE: [(&str, &str); 3] =
    [("X-Request-Id", "RequestId"), ("RateLimit", "RateLimit"), ("RateLimit-Policy", "RateLimitPolicy")];

/// Answers that say where the thing is.
const LOCATED: [(&str, &str); 8] = [
    ("createIntegration", "201"),
    ("triggerSync", "202"),
    ("startSync", "201"),
    ("startSync", "200"),
    ("recordFinishedSync", "201"),
    ("recordFinishedSync", "200"),
    ("startAttempt", "201"),
    ("requestRetry", "202"),
];

/// Answers that say which version of the settings they show, and whether they always do: a replayed one doesn't.
const VERSIONED: [(&str, &str, bool); 3] =
    [("createIntegration", "201", false), ("getIntegration", "200", true), ("updateIntegration", "200", true)];

/// Describes the headers of every answer.
pub(super) fn describe(document: &mut Value) {
    for operation in operations_mut(document) {
        let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default().to_owned();
        let parameters = operation.get("parameters").and_then(Value::as_array);
        let repeatable = parameters.is_some_and(|all| all.iter().any(|one| one["name"] == "Idempotency-Key"));
        let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
        for (status, response) in responses.into_iter().flatten() {
            // Shared ones are described below, once.
            if let Some(headers) = headers_of(response) {
                add_everywhere(headers);
                add_own(headers, &id, status, repeatable);
            }
        }
    }
    let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) else { return };
    components.insert("headers".to_owned(), shared());
    let responses = components.get_mut("responses").and_then(Value::as_object_mut);
    for (name, response) in responses.into_iter().flatten() {
        if let Some(headers) = headers_of(response) {
            add_everywhere(headers);
            add_own(headers, "", name.trim_start_matches("Problem"), false);
        }
    }
}

/// The headers of an answer that is written out; none of one that only refers to another.
fn headers_of(response: &mut Value) -> Option<&mut Map<String, Value>> {
    let response = response.as_object_mut().filter(|response| !response.contains_key("$ref"))?;
    response.entry("headers").or_insert_with(|| json!({})).as_object_mut()
}

fn add_everywhere(headers: &mut Map<String, Value>) {
    for (name, component) in EVERYWHERE {
        headers.insert(name.to_owned(), json!({ "$ref": format!("#/components/headers/{component}") }));
    }
}

fn add_own(headers: &mut Map<String, Value>, operation: &str, status: &str, repeatable: bool) {
    let mut add = |name: &str, header: Value| drop(headers.insert(name.to_owned(), header));
    if status == "401" {
        let schema = json!({ "type": "string" });
        add("WWW-Authenticate", json!({ "description": "How to authenticate", "schema": schema }));
    }
    if LOCATED.contains(&(operation, status)) {
        let schema = json!({ "type": "string", "format": "uri-reference", "pattern": "^/api/v1/" });
        add("Location", json!({ "description": "Where it is", "required": true, "schema": schema }));
    }
    if let Some((.., always)) = VERSIONED.iter().find(|(id, code, _)| (*id, *code) == (operation, status)) {
        let schema = json!({ "type": "string", "pattern": "^\"[0-9]{1,18}\"$" });
        let description = "Version of the settings, for `If-Match`";
        add("ETag", json!({ "description": description, "required": always, "schema": schema }));
    }
    if repeatable && status.starts_with('2') {
        let schema = json!({ "type": "string", "pattern": "^true$" });
        let description = "The answer is the one that this `Idempotency-Key` got before";
        add("Idempotent-Replayed", json!({ "description": description, "schema": schema }));
    }
}

fn shared() -> Value {
    json!({
        "RequestId": {
            "description": "Finds the request in the server's log; the caller's own, where one came and was plain",
            "required": true,
            "schema": { "type": "string", "pattern": "^[A-Za-z0-9._:-]{8,128}$" },
        },
        "RateLimit": {
            "description": "Requests that remain, and seconds until more do; missing where nothing is limited",
            "schema": { "type": "string", "pattern": "^\"default\";r=[0-9]+;t=[0-9]+$" },
            "example": "\"default\";r=599;t=1",
        },
        "RateLimitPolicy": {
            "description": "Requests in a window of seconds; missing where nothing is limited",
            "schema": { "type": "string", "pattern": "^\"default\";q=[0-9]+;w=[0-9]+$" },
            "example": "\"default\";q=600;w=60",
        },
    })
}
