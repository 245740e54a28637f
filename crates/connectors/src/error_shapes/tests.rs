use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// The fixtures that are taken from a real framework, by `tests/peers/capture.mjs`.
const CAPTURED: [(&str, &[&str]); 14] = [
    (
        "ASP.NET Core",
        &[
            "aspnet",
            "aspnet_array",
            "aspnet_batch",
            "aspnet_conversion",
            "aspnet_conversion_batch",
            "aspnet_forbidden",
            "aspnet_whole",
        ],
    ),
    ("Django REST framework", &["drf_array", "drf_batch", "drf_non_field", "drf_single"]),
    ("FastAPI", &["fastapi_array", "fastapi_batch", "fastapi_http_exception", "fastapi_not_found", "fastapi_single"]),
    ("Laravel", &["laravel", "laravel_array", "laravel_batch", "laravel_forbidden"]),
    ("Prism", &["prism", "prism_array", "prism_batch"]),
    ("Rails", &["rails", "rails_bad_request", "rails_base", "rails_batch", "rails_scaffold"]),
    ("Spring", &["spring_page"]),
    ("Spring Boot", &["spring", "spring_batch", "spring_global", "spring_unreadable", "spring_unreadable_batch"]),
    ("djangorestframework-jsonapi", &["jsonapi", "jsonapi_non_field"]),
    (
        "drf-standardized-errors",
        &["drf_standardized_array", "drf_standardized_batch", "drf_standardized_non_field", "drf_standardized_single"],
    ),
    ("fe-mockserver-core", &["odata_details", "odata_single"]),
    ("graphql-yoga", &["yoga_coercion", "yoga_scalar", "yoga_scope", "yoga_value"]),
    ("oauth2-mock-server", &["mock_grant"]),
    ("oidc-provider", &["oidc_secret"]),
];

/// Those that are written after documentation, by whose shape they have: of other versions of frameworks than could be
/// run (ASP.NET before it was called Core; Spring Boot since 2.3, which leaves messages out), of systems that only
/// their vendors run, of standards beyond what the frameworks above make of them, of what stands in between.
const WRITTEN: [(&str, &[&str]); 16] = [
    ("ASP.NET", &["aspnet_model_state"]),
    (
        "Dataverse",
        &[
            "dataverse_duplicate_as_500",
            "dataverse_duplicate_key",
            "dataverse_matching_key",
            "dataverse_not_found_by_id",
            "dataverse_not_found_by_key",
            "dataverse_option",
            "dataverse_privilege",
            "dataverse_privilege_of_another",
            "dataverse_throttled_by_concurrency",
            "dataverse_throttled_by_number",
            "dataverse_throttled_by_time",
            "dataverse_too_long",
            "dataverse_undeclared",
            "dataverse_unknown_property",
            "dataverse_without_code",
        ],
    ),
    ("Google", &["google"]),
    ("GraphQL", &["graphql_coercion", "graphql_minimal", "graphql_xledger"]),
    ("JSON:API", &["jsonapi_batch"]),
    ("OAuth", &["oauth"]),
    ("OData", &["odata_spec"]),
    ("PayPal", &["paypal"]),
    ("RFC 7807", &["rfc7807_invalid_params"]),
    ("RFC 9457", &["rfc9457"]),
    ("Spring Boot", &["spring_default"]),
    ("Stripe", &["stripe"]),
    ("Tripletex", &["tripletex"]),
    ("Visma", &["visma"]),
    ("Xledger", &["xledger_burst", "xledger_concurrency", "xledger_credits", "xledger_timed_out", "xledger_token"]),
    ("none", &["html_page", "plain_text"]),
];

/// One body as a real system wrote it, what had been sent, and what must be understood.
fn check(name: &str, fixture: &Value) {
    let body = match &fixture["body"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let payloads: Vec<&Value> = fixture["sent"].as_array().unwrap().iter().collect();
    let batch = fixture["batch"].as_str().map(|member| Some(member).filter(|member| !member.is_empty()));
    let sent = SentBody { payloads, batch };
    let found: Vec<Value> = parse_body(body.as_bytes(), fixture["content_type"].as_str())
        .into_iter()
        .map(|error| {
            let place = locate(&error.path, &sent);
            let mut one = json!({
                "record": place.record.filter(|_| !error.path.is_empty()),
                "code": error.code,
                "field": place.pointer,
                "field_name": error.field_name,
                "message": error.message,
            });
            if !error.hints.is_empty() {
                one["hints"] = json!(error.hints);
            }
            one
        })
        .collect();
    let in_order = |list: &[Value]| {
        let mut texts: Vec<String> = list.iter().map(ToString::to_string).collect();
        texts.sort();
        texts
    };
    let expected = fixture["expect"].as_array().unwrap();
    assert_eq!(in_order(&found), in_order(expected), "{name}");
}

/// The framework that a fixture was taken from; `None` if it was written after documentation.
fn framework(fixture: &Value) -> Option<String> {
    let source = fixture["source"].as_str().unwrap();
    let taken = source.strip_suffix(", captured");
    assert!(taken.is_some() || source == "documentation", "{source}");
    let (framework, version) = taken?.rsplit_once(' ').unwrap();
    assert!(version.split('.').all(|number| number.parse::<u32>().is_ok()), "{source}");
    Some(framework.to_owned())
}

#[test]
fn every_shape_is_understood() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
    let mut written = Vec::new();
    let mut captured: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let fixture = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        check(&name, &fixture);
        if let Some(framework) = framework(&fixture) {
            captured.entry(framework).or_default().push(name);
        } else {
            written.push(name);
        }
    }
    written.sort();
    let mut listed: Vec<&str> = WRITTEN.iter().flat_map(|(_, names)| *names).copied().collect();
    listed.sort_unstable();
    assert_eq!(written, listed, "each shape has its fixtures");
    for names in captured.values_mut() {
        names.sort();
    }
    let table = CAPTURED.map(|(framework, names)| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        (framework.to_owned(), names)
    });
    assert_eq!(captured, BTreeMap::from(table), "the table says where each fixture is from");
}

#[test]
fn echoes_of_what_was_sent_are_not_kept() {
    let bodies = [
        json!({ "detail": [{ "type": "x", "loc": ["body", "a"], "msg": "bad", "input": "S3CRET", "ctx": { "v": "S3CRET" } }] }),
        json!({ "errors": [{ "field": "a", "defaultMessage": "bad", "rejectedValue": "S3CRET" }] }),
        json!({ "details": [{ "field": "/a", "value": "S3CRET", "issue": "BAD", "description": "bad" }] }),
        json!({ "status": 400, "message": "JSON parse error: Unrecognized token 'S3CRET': was expecting JSON" }),
        json!({ "errors": { "amount": ["no `X` from String \"S3CRET\": not a valid representation"] } }),
        json!({ "errors": ["Numeric value (5S3CRET5) out of range of int"] }),
        json!({ "errors": [{ "message": "Variable \"$i\" got invalid value \"S3CRET\"; Expected Int." }] }),
    ];
    for body in bodies {
        let found = parse_json(&body);
        assert_eq!(found.len(), 1, "{body}");
        assert!(!format!("{found:?}").contains("S3CRET"), "{body}");
    }
    let text = "No content\n at [Source: (String)\"S3CRET\"; line: 1, column: 0]";
    assert_eq!(parse_body(text.as_bytes(), Some("text/plain")).remove(0).message, "No content");
}

#[test]
fn a_member_that_only_the_sentence_names_is_added_to_the_place_of_its_parent() {
    let missing = "must have required property 'amount'";
    let cases = [
        (json!({ "instancePath": "/lines/1", "message": missing }), "lines.1.amount"),
        (json!({ "instancePath": "/lines/1/amount", "message": missing }), "lines.1.amount"),
        (json!({ "location": ["body"], "message": format!("{missing} when currency is set") }), "body"),
        (json!({ "location": ["body"], "message": "must have required property ''" }), "body"),
        // Where nothing says what the parent is, the record itself must not be taken for it.
        (json!({ "message": format!("body/lines/1 {missing}") }), ""),
    ];
    for (entry, place) in cases {
        let found = parse_json(&json!({ "errors": [entry] })).remove(0);
        assert_eq!(path::to_text(&found.path), place, "{entry}");
    }
}

#[test]
fn everything_is_bounded() {
    let long = json!({ "errors": [{ "message": "x".repeat(100_000), "field": "f".repeat(5_000), "code": "c".repeat(5_000) }] });
    let found = parse_json(&long).remove(0);
    assert_eq!(found.message.len(), MAX_MESSAGE);
    assert_eq!(found.code.unwrap().len(), MAX_CODE);
    assert_eq!(found.field_name.unwrap().len(), MAX_NAME);

    let many = Value::Array(vec![json!({ "message": "no" }); 5_000]);
    assert_eq!(parse_json(&json!({ "errors": many })).len(), MAX_COMPLAINTS);

    let mut deep = json!("no");
    for _ in 0..100 {
        deep = json!({ "errors": [{ "a": [deep] }] });
    }
    assert!(parse_json(&deep).len() <= 1);
    assert!(parse_body("[".repeat(100_000).as_bytes(), None).is_empty());
}

#[test]
fn what_says_nothing_yields_nothing() {
    for body in
        ["", "   ", "{}", "[]", "null", "3", "true", "{\"id\": 3}", "{\"detail\": \"  \"}", "{\"detail\": \"cut o"]
    {
        assert_eq!(parse_body(body.as_bytes(), None), Vec::new(), "{body}");
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let names = prop_oneof![
        Just("errors"),
        Just("error"),
        Just("detail"),
        Just("details"),
        Just("message"),
        Just("loc"),
        Just("path"),
        Just("source"),
        Just("pointer"),
        Just("code"),
        Just("extensions"),
        Just("data"),
        Just("items"),
        Just("0"),
        Just("amount"),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        Just(json!("Variable \"$i\" got invalid value ")),
    ];
    leaf.prop_recursive(6, 60, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..5)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_document_breaks_the_parser(body in json_value(), payload in json_value()) {
        for batch in [None, Some(None), Some(Some("items"))] {
            let sent = SentBody { payloads: vec![&payload, &payload], batch };
            for error in parse_json(&body) {
                let place = locate(&error.path, &sent);
                prop_assert!(place.record.is_none_or(|record| record < 2));
                prop_assert!(place.pointer.is_none_or(|pointer| pointer.starts_with('/')));
                prop_assert!(!error.message.contains('\0'));
            }
        }
    }

    #[test]
    fn no_bytes_break_the_parser(body in prop::collection::vec(any::<u8>(), 0..400), text in "[<>a-z/\\[\\]{}\":å]{0,80}") {
        for content_type in [None, Some("text/html"), Some("application/json")] {
            let _ = parse_body(&body, content_type);
            let _ = parse_body(text.as_bytes(), content_type);
            let _ = is_html(&body, content_type);
        }
    }
}
