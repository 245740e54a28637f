use serde_json::json;

use super::*;

fn token() -> Value {
    json!({ "type": "token", "token": "xledger-token" })
}

fn least() -> Value {
    json!({
        "endpoint": "production",
        "mapping": {
            "entity": "addGLImportItems",
            "fields": { "account.code": { "from": "/account", "as": "text" }, "amount": { "from": "/a", "as": "money" } },
        },
    })
}

fn refused(settings: &Value) -> Vec<String> {
    let found = parse(settings, Some(&token()), &OutboundPolicy::public_only()).err().unwrap_or_default();
    let mut found: Vec<String> = found.iter().map(|one| format!("{} {}", one.pointer, one.rule)).collect();
    found.sort();
    found
}

#[test]
fn the_least_settings_have_the_defaults() {
    let (settings, _) = parse(&least(), Some(&token()), &OutboundPolicy::public_only()).unwrap();
    assert_eq!(settings.endpoint.as_str(), XLEDGER_PRODUCTION);
    assert_eq!((settings.batch_size, settings.concurrency), (100, 1));
    assert_eq!(settings.timeout, Duration::from_mins(1));
    assert_eq!(settings.mutation.input, "AddGLImportItemsInput");
    assert!(settings.adds());
    let mut demonstration = least();
    demonstration["endpoint"] = json!("demonstration");
    let (settings, _) = parse(&demonstration, Some(&token()), &OutboundPolicy::public_only()).unwrap();
    assert_eq!(settings.endpoint.as_str(), XLEDGER_DEMONSTRATION);
}

#[test]
fn everything_wrong_is_said_at_once() {
    let wrong = json!({
        "endpoint": "ftp://xledger.example", "batch_size": 501, "concurrency": 0, "timeout_ms": "soon", "colour": "red",
        "mapping": {
            "entity": "addGLImportItems",
            "fields": {
                "account": { "from": "/account", "as": "text" },
                "colour": { "value": "red" },
                "extIdentifier": { "from": "/id", "as": "text" },
                "project.code": { "from": "/project", "as": "bind", "set": "projects" },
            },
        },
    });
    let expected = [
        "/settings/batch_size out_of_range",
        "/settings/colour unknown_field",
        "/settings/concurrency out_of_range",
        "/settings/endpoint invalid_format",
        "/settings/mapping/fields/account unknown_field",
        "/settings/mapping/fields/colour unknown_field",
        "/settings/mapping/fields/extIdentifier unknown_field",
        "/settings/mapping/fields/project.code/as unknown_value",
        "/settings/timeout_ms invalid_format",
    ];
    assert_eq!(refused(&wrong), expected);
    assert_eq!(refused(&json!({})), ["/settings/endpoint required", "/settings/mapping required"]);
    assert_eq!(refused(&json!([])), ["/settings invalid_format"]);
}

#[test]
fn what_is_wrong_with_the_mapping_itself_is_said_in_its_place() {
    let mut wrong = least();
    wrong["mapping"]["entity"] = json!("removeSuppliers");
    assert_eq!(refused(&wrong), ["/settings/mapping/entity unknown_value"]);
    wrong["mapping"]["fields"]["amount"]["as"] = json!("float");
    assert_eq!(refused(&wrong), ["/settings/mapping/fields/amount/as unknown_value"]);
    wrong["mapping"] = json!("lines");
    assert_eq!(refused(&wrong), ["/settings/mapping invalid_format"]);
}

#[test]
fn a_token_is_needed_and_addresses_are_guarded() {
    let policy = OutboundPolicy::public_only();
    let found = parse(&least(), None, &policy).unwrap_err();
    assert_eq!(found.iter().map(|one| one.pointer.as_str()).collect::<Vec<_>>(), ["/credentials"]);
    let mut inside = least();
    for address in ["http://127.0.0.1/graphql", "https://u:p@xledger.example/", "xledger"] {
        inside["endpoint"] = json!(address);
        assert_eq!(refused(&inside), ["/settings/endpoint invalid_format"], "{address}");
    }
    inside["endpoint"] = json!("http://127.0.0.1/graphql");
    assert!(read_leniently(&inside).is_some());
}

#[test]
fn only_what_carries_an_identifier_can_be_looked_up() {
    let mut settings = least();
    settings["settle_seconds"] = json!(5);
    settings["timeout_ms"] = json!(1_000);
    settings["posting"] = json!({ "wait_seconds": 30 });
    let read = read_leniently(&settings).unwrap();
    assert_eq!(read.asking().look_up, Some(TimeDelta::seconds(6)));
    assert_eq!(read.refusable_for(), Some(TimeDelta::seconds(30)));
    assert_eq!(read.asking().refusable_for, read.refusable_for());
    assert_eq!(read_leniently(&least()).unwrap().refusable_for(), None);
    settings["posting"] = json!({ "wait_seconds": 0, "colour": "red" });
    assert_eq!(
        refused(&settings),
        ["/settings/posting/colour unknown_field", "/settings/posting/wait_seconds out_of_range"]
    );
    settings["posting"] = json!({});
    settings["mapping"] = json!({ "entity": "addSuppliers", "fields": { "code": { "from": "/code", "as": "text" } } });
    assert_eq!(refused(&settings), ["/settings/posting invalid_format", "/settings/settle_seconds invalid_format"]);
}

#[test]
fn another_shape_of_the_records_is_another_target() {
    let mut of_lines = least();
    of_lines["mapping"]["lines"] = json!("/lines");
    of_lines["mapping"]["fields"]["amount"]["per_line"] = json!(true);
    let mut demonstration = least();
    demonstration["endpoint"] = json!("demonstration");
    let mut renamed = least();
    renamed["mapping"]["fields"]["text"] = json!({ "value": "Expenses" });
    let target = |settings: &Value| read_leniently(settings).unwrap().asking().target;
    assert_ne!(target(&of_lines), target(&least()));
    assert_ne!(target(&demonstration), target(&least()));
    assert_eq!(target(&renamed), target(&least()));
}

#[test]
fn only_what_changes_rows_may_be_repeated() {
    let updates = json!({
        "endpoint": "production",
        "mapping": { "entity": "updateSuppliers", "fields": { "dbId": { "from": "/id", "as": "id" } } },
    });
    let updates = read_leniently(&updates).unwrap();
    assert!(!updates.adds());
    assert_eq!(updates.asking().recognition.map(|recognition| recognition.by), Some("updateSuppliers".to_owned()));
    assert_eq!(updates.asking().look_up, None);
    let adds = read_leniently(&least()).unwrap();
    assert!(adds.adds());
    assert_eq!(adds.asking().recognition, None);
    assert_eq!(read_leniently(&json!({})), None);
}
