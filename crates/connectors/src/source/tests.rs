use domain::integration::ConnectorType;
use serde_json::json;

use super::*;
use crate::connector::{asking, validate_settings};

fn source() -> Value {
    json!({
        "kind": "http", "list_url": "https://app.example/claims?since={since}&cursor={cursor}",
        "fetch_url": "https://app.example/claims/{source_record_id}", "type": "expense_claims",
        "items_pointer": "/items", "next_pointer": "/next", "id_pointer": "/id",
    })
}

fn settings(source: &Value) -> Value {
    json!({ "url": "https://books.example/claims", "source": source })
}

fn refused(settings: &Value, credentials: &Value) -> Vec<String> {
    let policy = OutboundPolicy::public_only();
    let found = validate_settings(ConnectorType::GenericHttp, settings, Some(credentials), &policy);
    found.iter().map(|one| format!("{} {}", one.pointer, one.rule)).collect()
}

#[test]
fn only_where_nobody_is_there_the_next_record_fares_no_better() {
    let is_silence = |code: &str| SourceTrouble { code: code.to_owned(), message: "no".to_owned() }.is_silence();
    for code in ["CONNECTION_REFUSED", "TIMEOUT", "DNS_FAILURE"] {
        assert!(is_silence(code), "{code}");
    }
    for code in ["SOURCE_UNCLEAR", "HTTP_500", "CREDENTIALS_REFUSED", "NOT_JSON", "NO_ANSWER"] {
        assert!(!is_silence(code), "{code}");
    }
}

#[test]
fn a_source_stands_beside_what_its_records_go_to() {
    assert_eq!(refused(&settings(&source()), &Value::Null), Vec::<String>::new());
    let without = json!({ "url": "https://books.example/claims" });
    assert!(has_source(&settings(&source())) && !has_source(&without) && !has_source(&settings(&Value::Null)));
    // Where records come from says nothing of where they went.
    let target = |settings: &Value| asking(ConnectorType::GenericHttp, settings).target;
    assert_eq!(target(&settings(&source())), target(&without));
    let policy = OutboundPolicy::public_only();
    assert!(build_source(&without, None, &policy).unwrap().is_none());
    assert_eq!(build_source(&settings(&source()), None, &policy).unwrap().unwrap().record_type(), "expense_claims");
}

#[test]
fn everything_wrong_is_said_at_once() {
    let wrong = json!({
        "kind": "ftp", "list_url": "https://app.example/{page}", "fetch_url": "https://app.example/claims",
        "type": "expense claims", "next_pointer": "next", "concurrency": 0, "url": "x",
    });
    let expected = [
        "/settings/source/kind unknown_value",
        "/settings/source/list_url invalid_format",
        "/settings/source/fetch_url invalid_format",
        "/settings/source/type invalid_format",
        "/settings/source/next_pointer invalid_format",
        "/settings/source/id_pointer required",
        "/settings/source/concurrency out_of_range",
        "/settings/source/url unknown_field",
    ];
    assert_eq!(refused(&settings(&wrong), &Value::Null), expected);
    assert_eq!(refused(&settings(&json!(7)), &Value::Null), ["/settings/source invalid_format"]);
    let mut inside = source();
    inside["list_url"] = json!("http://169.254.169.254/claims");
    inside["fetch_url"] = json!("http://{source_record_id}.example/");
    let expected = [
        "/settings/source/list_url invalid_format",
        "/settings/source/fetch_url invalid_format",
        "/settings/source/next_pointer invalid_format",
    ];
    inside["next_pointer"] = json!("next");
    assert_eq!(refused(&settings(&inside), &Value::Null), expected);
}

#[test]
fn credentials_come_in_two_sets_or_are_the_targets() {
    let token = json!({ "type": "bearer", "token": "t" });
    assert_eq!(refused(&settings(&source()), &token), Vec::<String>::new());
    assert_eq!(refused(&settings(&source()), &json!({ "target": token, "source": token })), Vec::<String>::new());
    let wrong = json!({ "target": { "type": "bearer" }, "source": { "type": "magic" }, "other": token });
    let expected = [
        "/credentials/target/token required",
        "/credentials/source/type unknown_value",
        "/credentials/other unknown_field",
    ];
    assert_eq!(refused(&settings(&source()), &wrong), expected);
    // Those of a source that is no more stand in nobody's way.
    let without = json!({ "url": "https://books.example/claims" });
    assert_eq!(refused(&without, &json!({ "target": token, "source": token })), Vec::<String>::new());
    assert_eq!(refused(&without, &json!({ "source": {} })), Vec::<String>::new());
}

#[test]
fn a_set_that_is_not_given_anew_stays() {
    let (old, new) = (json!({ "type": "bearer", "token": "old" }), json!({ "type": "bearer", "token": "new" }));
    let merged = |kept: &Value, given: Value| merged_credentials(Some(kept), given);
    let both = json!({ "target": old, "source": old });
    assert_eq!(merged(&both, json!({ "source": new })), json!({ "target": old, "source": new }));
    assert_eq!(merged(&both, json!({ "source": null })), json!({ "target": old, "source": null }));
    assert_eq!(merged(&old, json!({ "source": new })), json!({ "target": old, "source": new }));
    assert_eq!(merged(&both, new.clone()), new);
    let nothing_kept = merged_credentials(None, json!({ "source": new }));
    assert_eq!(nothing_kept, json!({ "source": new }));
}

#[test]
fn a_record_is_read_as_far_as_it_can_be_kept() {
    let pointers = record::Pointers {
        id: "/id".to_owned(),
        label: Some("/title".to_owned()),
        amount: Some("/sum".to_owned()),
        currency: Some("/code".to_owned()),
        payload: Some("/data".to_owned()),
    };
    let id = Uuid::from_u128(7);
    let whole = json!({ "id": id, "title": "Claim 7", "sum": 1250.5, "code": "NOK", "data": { "a": 1 }, "more": true });
    let read = pointers.record(&whole).unwrap();
    assert_eq!((read.id, read.label.as_deref(), &read.payload), (id, Some("Claim 7"), &json!({ "a": 1 })));
    assert_eq!((read.amount, read.currency.as_deref()), (Some(Decimal::new(12_505, 1)), Some("NOK")));
    for (sum, code) in [("1e3", "NOK"), ("0.00001", "NOK"), ("1250.00", "kroner"), ("", "NOK")] {
        let read = pointers.record(&json!({ "id": id, "sum": sum, "code": code, "data": {} })).unwrap();
        assert_eq!((read.amount, read.currency, read.label), (None, None, None), "{sum} {code}");
    }
    let no_record = |item: &Value| pointers.record(item).unwrap_err();
    assert_eq!(no_record(&json!({ "id": 7, "data": {} })), record::NoRecord::Id);
    assert_eq!(no_record(&json!({ "id": "claim 7", "data": {} })), record::NoRecord::Id);
    assert_eq!(no_record(&json!({ "id": id, "data": [] })), record::NoRecord::Payload);
    assert_eq!(no_record(&json!({ "id": id })), record::NoRecord::Payload);
}
