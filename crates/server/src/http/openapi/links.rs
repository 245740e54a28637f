//! Links: which operation goes on from an answer, and with what of it.

use serde_json::{Map, Value, json};

use super::operations_mut;

type Pairs = &'static [(&'static str, &'static str)];

/// From an answer of one operation to another operation.
struct Link {
    from: &'static str,
    status: &'static str,
    to: &'static str,
    parameters: Pairs,
    /// Members of the other operation's body.
    body: Pairs,
}

const fn link(from: &'static str, status: &'static str, to: &'static str, parameters: Pairs, body: Pairs) -> Link {
    Link { from, status, to, parameters, body }
}

const ID: Pairs = &[("id", "$response.body#/id")];
const SAME_ID: Pairs = &[("id", "$request.path.id")];
const ATTEMPT: Pairs = &[("attempt", "$response.body#/attempt")];
const INTEGRATION: Pairs = &[("id", "$response.body#/integration_config_id")];
const NONE: Pairs = &[];

/// Every link, in the order of a sync's life.
const LINKS: &[Link] = &[
    link("createIntegration", "201", "getIntegration", ID, NONE),
    link("createIntegration", "201", "getTrends", ID, NONE),
    link("createIntegration", "201", "testIntegration", ID, NONE),
    link("createIntegration", "201", "triggerSync", ID, NONE),
    link("createIntegration", "201", "stageRecord", ID, NONE),
    link(
        "createIntegration",
        "201",
        "updateIntegration",
        &[("id", "$response.body#/id"), ("If-Match", "$response.header.ETag")],
        NONE,
    ),
    link(
        "createIntegration",
        "201",
        "startSync",
        NONE,
        &[("integration_config_id", "$response.body#/id"), ("connector_type", "$response.body#/connector_type")],
    ),
    link(
        "getIntegration",
        "200",
        "updateIntegration",
        &[("id", "$request.path.id"), ("If-Match", "$response.header.ETag")],
        NONE,
    ),
    link(
        "stageRecord",
        "201",
        "getStagedRecord",
        &[
            ("id", "$request.path.id"),
            ("source_record_type", "$request.path.source_record_type"),
            ("source_record_id", "$request.path.source_record_id"),
        ],
        NONE,
    ),
    link("triggerSync", "202", "getSync", ID, NONE),
    link("startSync", "201", "getSync", ID, NONE),
    link("startSync", "201", "getIntegration", INTEGRATION, NONE),
    link("startSync", "201", "reportProgress", ID, ATTEMPT),
    link("startSync", "201", "appendRecordOutcomes", ID, ATTEMPT),
    link("startSync", "201", "succeedSync", ID, ATTEMPT),
    link("startSync", "201", "failSync", ID, ATTEMPT),
    link("startSync", "201", "startAttempt", ID, NONE),
    link("startSync", "201", "listAttempts", ID, NONE),
    link("appendRecordOutcomes", "200", "listRecordOutcomes", SAME_ID, NONE),
    link("appendRecordOutcomes", "200", "listErrorGroups", SAME_ID, NONE),
    link("failSync", "200", "requestRetry", ID, NONE),
    link("failSync", "200", "previewRetry", ID, NONE),
    link("failSync", "200", "listErrorGroups", ID, NONE),
    link("succeedSync", "200", "getSync", ID, NONE),
    link("requestRetry", "202", "startAttempt", ID, NONE),
    link("requestRetry", "202", "getSync", ID, NONE),
    link("startAttempt", "201", "reportProgress", SAME_ID, ATTEMPT),
    link("startAttempt", "201", "appendRecordOutcomes", SAME_ID, ATTEMPT),
    link("startAttempt", "201", "succeedSync", SAME_ID, ATTEMPT),
    link("startAttempt", "201", "failSync", SAME_ID, ATTEMPT),
    link("recordFinishedSync", "201", "getSync", ID, NONE),
    link("recordFinishedSync", "201", "listRecordOutcomes", ID, NONE),
    link("recordFinishedSync", "201", "previewRetry", ID, NONE),
    link("recordFinishedSync", "201", "requestRetry", ID, NONE),
];

/// Adds the links to the answers they start from.
pub(super) fn add(document: &mut Value) {
    for operation in operations_mut(document) {
        let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default().to_owned();
        for link in LINKS.iter().filter(|link| link.from == id) {
            let response = operation.get_mut("responses").and_then(|responses| responses.get_mut(link.status));
            let Some(response) = response.and_then(Value::as_object_mut) else { continue };
            let links = response.entry("links").or_insert_with(|| json!({}));
            links[link.to] = link.to_json();
        }
    }
}

impl Link {
    fn to_json(&self) -> Value {
        let mut json = json!({ "operationId": self.to });
        if !self.parameters.is_empty() {
            json["parameters"] = object(self.parameters);
        }
        if !self.body.is_empty() {
            json["requestBody"] = object(self.body);
        }
        json
    }
}

fn object(pairs: Pairs) -> Value {
    Value::Object(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::super::document_json;
    use super::*;

    #[test]
    fn every_link_leads_from_an_answer_to_an_operation_and_its_parameters() {
        let mut document = document_json();
        let operations: Vec<Map<String, Value>> =
            operations_mut(&mut document).map(|operation| operation.clone()).collect();
        let find = |id: &str| operations.iter().find(|operation| operation["operationId"] == id);
        for link in LINKS {
            let name = format!("{} {} → {}", link.from, link.status, link.to);
            let from = find(link.from).unwrap_or_else(|| panic!("{name}"));
            assert!(from["responses"][link.status]["links"][link.to].is_object(), "{name}");
            let to = find(link.to).unwrap_or_else(|| panic!("{name}"));
            for (parameter, _) in link.parameters {
                let known = to["parameters"].as_array().unwrap().iter().any(|known| known["name"] == *parameter);
                assert!(known, "{name}: {parameter}");
            }
            assert!(link.body.is_empty() || to.contains_key("requestBody"), "{name}");
        }
    }
}
