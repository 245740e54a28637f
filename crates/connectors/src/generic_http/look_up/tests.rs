use serde_json::json;

use super::*;
use crate::connector::Permanence;
use crate::exchange::Trouble;
use crate::generic_http::settings::parse;

const ID: Uuid = Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0001);

fn look_up(mut settings: Value) -> LookUp {
    settings["url"] = json!("https://books.example/claims?record={source_record_id}");
    let settings = json!({ "url": "https://books.example/claims", "look_up": settings });
    parse(&settings, None, &OutboundPolicy::public_only()).unwrap().0.look_up.unwrap()
}

fn answer(status: u16, content_type: &str, body: &str) -> Exchange {
    Exchange::Answered(Answer {
        status,
        content_type: Some(content_type.to_owned()),
        location: None,
        retry_after: None,
        body: body.as_bytes().to_vec(),
        completeness: Completeness::Whole,
    })
}

fn said(look_up: &LookUp, exchange: &Exchange) -> String {
    match judge(look_up, ID, exchange, &Credentials::None) {
        Asked::Found { reference } => format!("found {}", reference.unwrap_or_default()),
        Asked::Absent => "absent".to_owned(),
        Asked::Unclear(error) => {
            assert!(!error.message.is_empty());
            error.code
        }
        Asked::Taken { .. } | Asked::Refused(_) => panic!("a generic system says neither"),
    }
}

#[test]
fn a_list_says_what_is_in_it() {
    let listed = look_up(json!({
        "found_pointer": "/items/0", "record_pointer": "/items/0/record_id", "reference_pointer": "/items/0/reference",
    }));
    for (body, expected) in [
        (json!({ "items": [{ "record_id": ID, "reference": "V-1" }] }), "found V-1"),
        (json!({ "items": [{ "record_id": ID.to_string().to_uppercase() }] }), "found "),
        (json!({ "items": [] }), "absent"),
        (json!({ "items": [null] }), "absent"),
        // Somebody who doesn't know the filter shows whatever comes first.
        (json!({ "items": [{ "record_id": Uuid::max(), "reference": "V-2" }] }), "LOOK_UP_MISMATCH"),
        (json!({ "items": [{ "reference": "V-2" }] }), "LOOK_UP_MISMATCH"),
        (json!({ "items": null }), "LOOK_UP_UNCLEAR"),
        (json!({ "items": {} }), "LOOK_UP_UNCLEAR"),
        (json!({}), "LOOK_UP_UNCLEAR"),
        (json!([]), "LOOK_UP_UNCLEAR"),
        (json!(null), "LOOK_UP_UNCLEAR"),
        (json!({ "message": "Under maintenance" }), "LOOK_UP_UNCLEAR"),
        (json!({ "items": [], "errors": ["no such index"] }), "REJECTED"),
        (json!({ "success": false, "items": [] }), "REJECTED"),
    ] {
        assert_eq!(said(&listed, &answer(200, "application/json", &body.to_string())), expected, "{body}");
    }
}

#[test]
fn a_count_says_whether_there_is_one() {
    let counted = look_up(json!({ "found_pointer": "/total" }));
    for (body, expected) in [
        ("{\"total\": 1}", "found "),
        ("{\"total\": 0}", "absent"),
        ("{\"total\": false}", "absent"),
        ("{\"total\": null}", "absent"),
        ("{\"total\": \"\"}", "absent"),
        ("{}", "LOOK_UP_UNCLEAR"),
    ] {
        assert_eq!(said(&counted, &answer(200, "application/json", body)), expected, "{body}");
    }
}

#[test]
fn a_status_says_that_there_is_none_where_the_settings_say_so() {
    let by_status = look_up(json!({ "absent_status": [404], "reference_pointer": "/id" }));
    let by_content = look_up(json!({ "found_pointer": "/id", "reference_pointer": "/id" }));
    let json = "application/json";
    for (exchange, expected, otherwise) in [
        (answer(404, json, "{\"detail\": \"Not Found\"}"), "absent", "HTTP_404"),
        (answer(404, json, ""), "absent", "HTTP_404"),
        // Whoever has such a page is not the system.
        (answer(404, "text/html", "<html>Not found</html>"), "NOT_JSON", "NOT_JSON"),
        (answer(410, json, "{}"), "HTTP_410", "HTTP_410"),
        (answer(200, json, "{\"id\": 7}"), "found 7", "found 7"),
        (answer(200, json, "{}"), "LOOK_UP_UNCLEAR", "LOOK_UP_UNCLEAR"),
        (answer(200, json, "[]"), "LOOK_UP_UNCLEAR", "LOOK_UP_UNCLEAR"),
        (answer(200, json, ""), "NOT_JSON", "NOT_JSON"),
        (answer(200, json, "\"ok\""), "LOOK_UP_UNCLEAR", "LOOK_UP_UNCLEAR"),
        (answer(204, json, ""), "NOT_JSON", "NOT_JSON"),
    ] {
        assert_eq!(said(&by_status, &exchange), expected, "{exchange:?}");
        assert_eq!(said(&by_content, &exchange), otherwise, "{exchange:?}");
    }
}

#[test]
fn trouble_says_nothing() {
    let any = look_up(json!({ "found_pointer": "/id", "absent_status": [204, 404, 410] }));
    for status in [301, 302, 400, 401, 403, 408, 409, 422, 425, 429, 500, 502, 503, 504] {
        assert_eq!(said(&any, &answer(status, "application/json", "{}")), format!("HTTP_{status}"));
    }
    for completeness in [Completeness::Cut, Completeness::Broken] {
        for status in [200, 404] {
            let Exchange::Answered(whole) = answer(status, "application/json", "{\"id\": 1}") else { unreachable!() };
            let cut = Exchange::Answered(Answer { completeness, ..whole });
            assert_eq!(said(&any, &cut), "LOOK_UP_INCOMPLETE");
        }
    }
    let trouble = || Trouble {
        code: "TIMEOUT",
        message: "No answer came in time.".to_owned(),
        permanence: Permanence::Transient,
    };
    for exchange in [Exchange::NeverLeft(trouble()), Exchange::NoAnswer(trouble())] {
        assert_eq!(said(&any, &exchange), "TIMEOUT");
    }
    assert!(matches!(not_offered(), Asked::Unclear(error) if error.code == "NO_LOOK_UP"));
}

#[test]
fn everything_wrong_with_a_look_up_is_said_at_once() {
    let refused = |look_up: Value| {
        let settings = json!({ "url": "https://books.example/claims", "look_up": look_up });
        let found = parse(&settings, None, &OutboundPolicy::public_only()).err().unwrap_or_default();
        found.iter().map(|one| format!("{} {}", one.pointer, one.rule)).collect::<Vec<_>>()
    };
    let url = "https://books.example/claims/{source_record_id}";
    let at = |name: &str, rule: &str| vec![format!("/settings/look_up{name} {rule}")];
    for (look_up, expected) in [
        (json!({ "url": url, "absent_status": [404] }), Vec::new()),
        (json!({ "url": url, "found_pointer": "/id" }), Vec::new()),
        (json!({ "url": url }), at("/found_pointer", "required")),
        (json!([]), at("", "invalid_format")),
        (json!({ "absent_status": [404] }), at("/url", "required")),
        (json!({ "url": "https://books.example/claims", "absent_status": [404] }), at("/url", "invalid_format")),
        (json!({ "url": format!("{url}/{{other}}"), "absent_status": [404] }), at("/url", "invalid_format")),
        (json!({ "url": "http://127.0.0.1/{source_record_id}", "absent_status": [404] }), at("/url", "invalid_format")),
        (json!({ "url": url, "absent_status": 404, "found_pointer": "/id" }), at("/absent_status", "invalid_format")),
        (json!({ "url": url, "absent_status": [404, 500] }), at("/absent_status", "unknown_value")),
        (
            json!({ "url": url, "absent_status": ["404"], "found_pointer": "/id" }),
            at("/absent_status", "unknown_value"),
        ),
        (json!({ "url": url, "found_pointer": "id", "absent_status": [404] }), at("/found_pointer", "invalid_format")),
        (json!({ "url": url, "absent_status": [404], "method": "POST" }), at("/method", "unknown_field")),
    ] {
        assert_eq!(refused(look_up.clone()), expected, "{look_up}");
    }
}
