use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::guard::OutboundPolicy;

fn connector(settings: &Value) -> GenericHttp {
    let policy = OutboundPolicy::public_only();
    let (settings, credentials) = settings::parse(settings, None, &policy).unwrap();
    let client = GuardedClient::new(settings.timeout, &policy).unwrap();
    GenericHttp::new(settings, credentials, client)
}

fn record(kind: &str, key: &str) -> OutboundRecord {
    OutboundRecord {
        source_record_type: kind.to_owned(),
        source_record_id: Uuid::nil(),
        payload: json!({ "secret": 1 }),
        payload_hash: "0".repeat(64),
        idempotency_key: key.to_owned(),
        in_doubt: false,
    }
}

#[test]
fn the_address_names_the_record_and_nothing_else() {
    let sender = connector(&json!({ "url": "https://books.example/api/{source_record_type}/{source_record_id}?v=1" }));
    let url = sender.url(&[record("expense_claim", "k")]).unwrap();
    assert_eq!(url.as_str(), "https://books.example/api/expense_claim/00000000-0000-0000-0000-000000000000?v=1");
    for climbing in ["..", ".", "a/b", "a?b", "%2e%2e", "", "å"] {
        assert!(sender.url(&[record(climbing, "k")]).is_none(), "{climbing}");
    }
}

#[test]
fn a_batchs_key_depends_on_its_records_and_their_order() {
    let (a, b) = (record("t", "a"), record("t", "b"));
    assert_eq!(request_key(std::slice::from_ref(&a), false), "a");
    let both = request_key(&[a.clone(), b.clone()], true);
    assert_eq!(both.len(), 64);
    assert_eq!(both, request_key(&[a.clone(), b.clone()], true));
    assert_ne!(both, request_key(&[b, a.clone()], true));
    assert_ne!(request_key(&[a], true), "a");
}

#[test]
fn a_record_is_shown_without_its_payload() {
    assert!(!format!("{:?}", record("t", "k")).contains("secret"));
}

#[test]
fn a_tests_status_is_told_in_words() {
    for (status, health, ok, code) in [
        (200, true, true, "OK"),
        (204, false, true, "REACHED"),
        (405, false, true, "REACHED"),
        (405, true, false, "HTTP_405"),
        (401, true, false, "CREDENTIALS_REFUSED"),
        (403, false, false, "CREDENTIALS_REFUSED"),
        (404, false, false, "HTTP_404"),
        (302, true, false, "HTTP_302"),
        (429, true, true, "REACHED"),
        (500, false, false, "HTTP_500"),
    ] {
        let (found_ok, found_code, message, _) = tested(status, health);
        assert_eq!((found_ok, found_code.as_str()), (ok, code), "{status} {health}");
        assert!(message.contains(&status.to_string()));
    }
}
