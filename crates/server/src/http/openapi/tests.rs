//! The document as a whole, and the parts that are added to it.

use super::*;

fn operations(document: &Value) -> Vec<(String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let path = path.clone();
        let items = item.as_object().unwrap().clone();
        items
            .into_iter()
            .filter(|(method, _)| METHODS.contains(&method.as_str()))
            .map(move |(method, operation)| (format!("{method} {path}"), operation))
            .collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[test]
fn every_operation_is_described() {
    let document = document_json();
    assert_eq!(document["openapi"], "3.1.0");
    let operations = operations(&document);
    assert!(operations.len() >= 7);
    let mut ids = BTreeSet::new();
    for (name, operation) in operations {
        let id = operation["operationId"].as_str().unwrap().to_owned();
        assert!(id.starts_with(|c: char| c.is_ascii_lowercase()) && !id.contains('_'), "{name}: {id}");
        assert!(ids.insert(id), "{name} has an operation id that is taken");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{name} has no summary");
        let tags = operation["tags"].as_array().unwrap();
        assert!(tags.len() == 1, "{name} has not one tag");
        assert!(TAGS.iter().any(|(tag, _)| tags[0] == *tag), "{name} has a tag that nobody explains");
        assert!(operation["security"].is_array(), "{name} names no security");
        assert!(operation["responses"].get("500").is_some(), "{name}");
        assert!(name.contains(" /api/v1/"), "{name}");
    }
}

#[test]
fn the_webhook_is_described_as_it_is_sent() {
    let document = document_json();
    let operation = &document["webhooks"]["retryRequested"]["post"];
    let example = &operation["requestBody"]["content"]["application/json"]["example"];
    let message: RetryRequested = serde_json::from_value(example.clone()).unwrap();
    assert_eq!(message.kind.as_str(), "retry.requested");
    let ids: BTreeSet<String> =
        operations(&document).into_iter().map(|(_, operation)| operation["operationId"].to_string()).collect();
    assert!(!ids.contains(&operation["operationId"].to_string()));
    assert!(document["components"]["schemas"]["RetryRequestedData"]["properties"]["attempt"].is_object());
}

#[test]
fn every_reference_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    found.push(reference.clone());
                }
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = document_json();
    let mut found = Vec::new();
    references(&document, &mut found);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn a_closed_schema_is_opened_where_it_is_a_part() {
    let mut document = json!({ "components": { "schemas": {
        "Part": { "type": "object", "additionalProperties": false, "properties": { "a": {} } },
        "Whole": { "allOf": [{ "$ref": "#/components/schemas/Part" }, { "properties": { "b": {} } }] },
    } } });
    open_composed_schemas(&mut document);
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["Part"]["additionalProperties"], false);
    assert_eq!(schemas["Whole"]["allOf"][0], json!({ "type": "object", "properties": { "a": {} } }));
}

#[test]
fn the_document_is_the_same_every_time() {
    assert_eq!(document_json().to_string(), document_json().to_string());
}

#[test]
fn the_route_table_knows_parameters() {
    let document = json!({ "paths": {
        "/a/{id}": { "get": {}, "patch": {} }, "/a/export": { "get": {} }, "/b": { "post": {} },
    } });
    let table = RouteTable::of(&document);
    assert_eq!(table.methods("/a/1"), ["GET", "PATCH"]);
    assert_eq!(table.methods("/a/export"), ["GET"]);
    assert_eq!(table.methods("/b"), ["POST"]);
    assert!(table.methods("/a").is_empty() && table.methods("/a/").is_empty() && table.methods("/a/1/2").is_empty());
}
