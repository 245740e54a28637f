//! Each kind of breaking change is caught, and what breaks nothing is let through.

use serde_json::{Value, json};

use super::{changes, may_break};

/// A small description with something of everything.
fn document() -> Value {
    json!({
        "paths": { "/things/{id}": {
            "get": {
                "operationId": "getThing",
                "security": [{ "person": [] }, { "machine": ["things:read"] }],
                "parameters": [
                    { "in": "path", "name": "id", "required": true, "schema": { "type": "string" } },
                    { "in": "query", "name": "limit", "schema": { "type": "integer", "maximum": 200 } },
                ],
                "responses": {
                    "200": {
                        "headers": { "ETag": { "required": true, "schema": { "type": "string" } } },
                        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Thing" } } },
                    },
                    "404": { "$ref": "#/components/responses/Gone" },
                },
            },
            "put": {
                "operationId": "putThing",
                "requestBody": {
                    "required": false,
                    "content": { "application/json": { "schema": { "$ref": "#/components/schemas/NewThing" } } },
                },
                "responses": { "204": {} },
            },
        } },
        "components": {
            "responses": { "Gone": { "content": { "application/problem+json": { "schema": { "type": "object" } } } } },
            "schemas": {
                "Thing": {
                    "type": "object", "required": ["id", "kind"],
                    "properties": {
                        "id": { "type": "string", "format": "uuid" },
                        "kind": { "$ref": "#/components/schemas/Kind" },
                        "parts": { "type": "array", "items": { "$ref": "#/components/schemas/Thing" } },
                        "note": { "type": ["string", "null"] },
                    },
                },
                "Kind": { "type": "string", "enum": ["small", "large"] },
                "NewThing": {
                    "type": "object", "required": ["kind"],
                    "properties": {
                        "kind": { "$ref": "#/components/schemas/Kind" },
                        "size": { "type": ["integer", "null"], "minimum": 1, "maximum": 10 },
                        "name": { "oneOf": [{ "$ref": "#/components/schemas/Name" }, { "type": "null" }] },
                    },
                },
                "Name": { "type": "string", "maxLength": 100 },
            },
        },
    })
}

/// The changes after a value was put at a place, or taken away.
fn after(pointer: &str, value: Option<Value>) -> Vec<String> {
    let old = document();
    let mut new = document();
    let (above, name) = pointer.rsplit_once('/').unwrap();
    let name = name.replace("~1", "/");
    let parent = new.pointer_mut(above).unwrap_or_else(|| panic!("{above}"));
    match (parent, value) {
        (Value::Object(members), Some(value)) => drop(members.insert(name, value)),
        (Value::Object(members), None) => assert!(members.remove(&name).is_some(), "{pointer}"),
        (Value::Array(items), Some(value)) if name == "-" => items.push(value),
        (Value::Array(items), Some(value)) => items[name.parse::<usize>().unwrap()] = value,
        (Value::Array(items), None) => drop(items.remove(name.parse().unwrap())),
        _ => panic!("{pointer}"),
    }
    changes(&old, &new)
}

const GET: &str = "/paths/~1things~1{id}/get";
const PUT: &str = "/paths/~1things~1{id}/put";
const THING: &str = "/components/schemas/Thing";
const NEW_THING: &str = "/components/schemas/NewThing";

#[track_caller]
fn breaks(pointer: &str, value: Option<Value>, expected: &str) {
    let found = after(pointer, value);
    assert!(found.iter().any(|change| change.contains(expected)), "{pointer}: {found:?}");
}

#[track_caller]
fn keeps(pointer: &str, value: Option<Value>) {
    let found = after(pointer, value);
    assert!(found.is_empty(), "{pointer}: {found:?}");
}

#[test]
fn nothing_changes_nothing() {
    assert!(changes(&document(), &document()).is_empty());
}

#[test]
fn paths_and_operations_that_go() {
    breaks("/paths/~1things~1{id}", None, "the operation is gone");
    breaks(GET, None, "GET /things/{id}: the operation is gone");
    breaks(&format!("{GET}/operationId"), Some(json!("readThing")), "the operation id was \"getThing\"");
}

#[test]
fn new_operations_break_nothing() {
    keeps("/paths/~1others", Some(json!({ "get": { "operationId": "listOthers", "responses": {} } })));
    keeps("/paths/~1things~1{id}/delete", Some(json!({ "operationId": "deleteThing", "responses": {} })));
}

#[test]
fn authentication_that_no_longer_suffices() {
    breaks(&format!("{GET}/security/0"), None, "no longer does");
    breaks(&format!("{GET}/security/1"), Some(json!({ "machine": ["things:read", "debug"] })), "no longer does");
    keeps(&format!("{GET}/security/1"), Some(json!({ "machine": [] })));
    keeps(&format!("{GET}/security/-"), Some(json!({ "cookie": [] })));
}

#[test]
fn parameters_that_go_come_or_narrow() {
    let parameters = format!("{GET}/parameters");
    breaks(&format!("{parameters}/1"), None, "the query parameter limit is gone");
    breaks(&format!("{parameters}/1/required"), Some(json!(true)), "limit has become required");
    breaks(&format!("{parameters}/1/schema/maximum"), Some(json!(100)), "maximum narrows it to 100");
    breaks(&format!("{parameters}/1/schema/type"), Some(json!("string")), "the type was integer, and is string");
    let needed = json!({ "in": "header", "name": "Key", "required": true, "schema": {} });
    breaks(&format!("{parameters}/-"), Some(needed), "the header parameter Key is new and required");
    keeps(&format!("{parameters}/-"), Some(json!({ "in": "query", "name": "cursor", "schema": {} })));
    keeps(&format!("{parameters}/1/schema/maximum"), Some(json!(500)));
    keeps(&format!("{parameters}/1/schema/type"), Some(json!("number")));
}

#[test]
fn bodies_that_go_or_become_required() {
    breaks(&format!("{PUT}/requestBody"), None, "takes no body any more");
    breaks(&format!("{PUT}/requestBody/required"), Some(json!(true)), "the body has become required");
    breaks(&format!("{GET}/requestBody"), Some(json!({ "required": true, "content": {} })), "come to need a body");
    let form = json!({ "application/x-www-form-urlencoded": { "schema": {} } });
    breaks(&format!("{PUT}/requestBody/content"), Some(form), "the body is no longer application/json");
}

#[test]
fn members_of_bodies_that_go_narrow_or_become_required() {
    let size = format!("{NEW_THING}/properties/size");
    breaks(&size, None, "the member size is gone");
    breaks(&format!("{NEW_THING}/required/-"), Some(json!("size")), "size has become required");
    breaks(&format!("{size}/type"), Some(json!("integer")), "the type was integer or null, and is integer");
    breaks(&format!("{size}/minimum"), Some(json!(2)), "/size: minimum narrows it to 2");
    breaks(&format!("{size}/format"), Some(json!("int32")), "the format is another");
    breaks("/components/schemas/Name/maxLength", Some(json!(50)), "/name: maxLength narrows it to 50");
    breaks("/components/schemas/Name/pattern", Some(json!("^a")), "/name: pattern narrows it");
    breaks("/components/schemas/Name/type", Some(json!("integer")), "/name: the type was");
    breaks(
        &format!("{NEW_THING}/properties/name"),
        Some(json!({ "type": "string" })),
        "/name: the type was null or string",
    );
    breaks("/components/schemas/Kind/enum/1", None, "/kind: the value \"large\" is gone");
    breaks("/components/schemas/Name/enum", Some(json!(["a"])), "/name: the values have become a closed set");
    breaks(&format!("{NEW_THING}/additionalProperties"), Some(json!(false)), "other members are no longer taken");
    keeps(&format!("{NEW_THING}/properties/colour"), Some(json!({ "type": "string" })));
    keeps(&format!("{NEW_THING}/required/0"), None);
    keeps(&format!("{size}/maximum"), None);
}

#[test]
fn answers_that_go_or_lose_something() {
    let ok = format!("{GET}/responses/200");
    breaks(&ok, None, "the answer 200 is gone");
    breaks(&format!("{ok}/headers/ETag"), None, "the answer 200 no longer promises the header ETag");
    breaks(&format!("{ok}/headers/ETag/required"), Some(json!(false)), "no longer promises the header ETag");
    breaks(&format!("{ok}/content"), Some(json!({ "text/plain": {} })), "the answer 200 is no longer application/json");
    breaks(&format!("{THING}/properties/note"), None, "the answer 200: the member note is gone");
    breaks(&format!("{THING}/required/0"), None, "the member id is no longer always there");
    breaks(&format!("{THING}/properties/id/type"), Some(json!(["string", "null"])), "/id: the type was string");
    breaks(&format!("{THING}/properties/id/format"), None, "/id: the format is another");
    breaks(
        &format!("{THING}/properties/parts/items"),
        Some(json!({ "type": "string" })),
        "/parts[]: the type was object",
    );
    breaks("/components/responses/Gone/content", Some(json!({ "text/plain": {} })), "the answer 404 is no longer");
}

#[test]
fn answers_that_gain_something_break_nothing() {
    keeps(&format!("{THING}/properties/colour"), Some(json!({ "type": "string" })));
    keeps(&format!("{THING}/required/-"), Some(json!("note")));
    keeps(&format!("{THING}/properties/note/type"), Some(json!("string")));
    keeps(&format!("{GET}/responses/404"), None);
    keeps(&format!("{GET}/responses/410"), Some(json!({})));
}

#[test]
fn a_new_word_breaks_nobody() {
    keeps("/components/schemas/Kind/enum/-", Some(json!("huge")));
}

#[test]
fn parts_are_seen_through() {
    let mut old = document();
    old["components"]["schemas"]["Whole"] = json!({ "allOf": [
        { "$ref": "#/components/schemas/Thing" },
        { "type": "object", "properties": { "more": { "type": "string" } }, "required": ["more"] },
    ] });
    let schema = "/paths/~1things~1{id}/get/responses/200/content/application~1json/schema";
    *old.pointer_mut(schema).unwrap() = json!({ "$ref": "#/components/schemas/Whole" });
    let mut new = old.clone();
    assert!(changes(&old, &new).is_empty());
    new["components"]["schemas"]["Whole"]["allOf"][1]["properties"] = json!({});
    let found = changes(&old, &new);
    assert_eq!(found, ["GET /things/{id}: the answer 200: the member more is gone"]);
}

#[test]
fn a_version_may_break_when_its_leading_number_has_risen() {
    assert!(may_break("1.4.2", "2.0.0") && may_break("0.1.0", "0.2.0") && may_break("0.9.0", "1.0.0"));
    assert!(!may_break("1.4.2", "1.5.0") && !may_break("0.1.0", "0.1.7") && !may_break("0.1.0", "0.1.0"));
    assert!(!may_break("2.0.0", "1.9.0"));
}
