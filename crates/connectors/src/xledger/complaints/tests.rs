use super::*;

fn now() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn only(entry: &Value) -> Complaint {
    let found = read(&json!({ "errors": [entry] }), now());
    assert_eq!(found.len(), 1, "{entry}");
    found[0].clone()
}

#[test]
fn codes_and_words_say_what_a_complaint_says_of_the_request() {
    for (entry, kind) in [
        (json!({ "message": "no", "code": "BAD_REQUEST.BURST_RATE_LIMIT_REACHED" }), Kind::Throttled),
        (json!({ "message": "no", "code": "BAD_REQUEST.CONCURRENCY_LIMIT_REACHED" }), Kind::Throttled),
        (json!({ "message": "no", "code": "BAD_REQUEST.INSUFFICIENT_CREDITS" }), Kind::Throttled),
        (json!({ "message": "no", "extensions": { "code": "RATE_LIMITED" } }), Kind::Throttled),
        (json!({ "message": "no", "extensions": { "code": "INVALID_VALUE" } }), Kind::Invalid),
        (json!({ "message": "no", "code": "X", "extensions": { "code": "ARGUMENTS_OF_CORRECT_TYPE" } }), Kind::Invalid),
        (json!({ "message": "no", "code": "BAD_REQUEST.INVALID" }), Kind::Invalid),
        (json!({ "message": "Cannot query field `foo` on type `Query`" }), Kind::Invalid),
        (json!({ "message": "Variable \"$inputs\" got invalid value 1 at \"inputs[0]\"; No." }), Kind::Invalid),
        (json!({ "message": "no", "extensions": { "code": "FORBIDDEN" } }), Kind::Denied),
        (json!({ "message": "Bad format for API Token. Expected header: …" }), Kind::Denied),
        (json!({ "message": "Your query timed out." }), Kind::Unclear),
        (json!({ "message": "no", "code": "BAD_REQUEST.TIMEOUT" }), Kind::Unclear),
        (
            json!({ "message": "Cannot query field `foo`", "extensions": { "code": "INTERNAL_SERVER_ERROR" } }),
            Kind::Unclear,
        ),
        (json!({}), Kind::Unclear),
        (json!("no"), Kind::Unclear),
        (json!(null), Kind::Unclear),
    ] {
        assert_eq!(only(&entry).kind, kind, "{entry}");
    }
}

#[test]
fn the_node_and_the_field_are_found_wherever_they_are_named() {
    let invalid =
        |said: &str| json!({ "message": format!("Variable \"$inputs\" got invalid value {{\"a\": 1}} {said}") });
    let argued = |argument: &str| json!({ "message": "no", "path": ["addX"], "extensions": { "code": "INVALID_VALUE", "argument": argument } });
    for (entry, node, name) in [
        (invalid("at \"inputs[3].node.amount\"; MoneyString must be a text"), Some(3), Some("amount")),
        (invalid("at \"inputs[0].node\"; Field \"postedDate\" of required type"), Some(0), Some("postedDate")),
        (invalid("at \"inputs[12].node.account\"; Field \"colour\" is not defined"), Some(12), Some("account.colour")),
        (invalid("at \"i[1].node\"; Expected an object"), Some(1), None),
        (argued("amount"), None, Some("amount")),
        (argued("inputs[2].node.glObject1"), Some(2), Some("glObject1")),
        (argued("inputs.2.node.account.code"), Some(2), Some("account.code")),
        (argued("inputs"), None, None),
        (json!({ "message": "no", "path": ["addX", "edges", 4] }), Some(4), None),
        (json!({ "message": "The value at \"Oslo\" is unknown" }), None, None),
    ] {
        let found = only(&entry);
        assert_eq!((found.node, found.name.as_deref()), (node, name), "{entry}");
    }
    assert!(only(&json!({ "message": "no", "path": ["addX", "edges", 4] })).is_partial);
    assert!(!only(&argued("amount")).is_partial);
}

#[test]
fn it_is_said_how_long_to_wait() {
    let waits = |code: &str, reset_at: Value| {
        let entry = json!({ "message": "no", "code": code, "extensions": { "resetAt": reset_at } });
        only(&entry).wait.map(|wait| wait.as_secs())
    };
    assert_eq!(waits("BAD_REQUEST.BURST_RATE_LIMIT_REACHED", json!(null)), Some(5));
    assert_eq!(waits("BAD_REQUEST.CONCURRENCY_LIMIT_REACHED", json!(null)), Some(1));
    let credits = "BAD_REQUEST.INSUFFICIENT_CREDITS";
    let seconds = now().timestamp();
    for (reset_at, wait) in [
        (json!("2026-11-21T12:02:00Z"), 120),
        (json!("2026-11-21T13:02:00+01:00"), 120),
        (json!("2026-11-21T11:00:00Z"), 0),
        (json!("2026-12-01T00:00:00Z"), 3_600),
        (json!(seconds + 90), 90),
        (json!((seconds + 90) * 1_000), 90),
        (json!("tomorrow"), 300),
        (json!(1.5), 300),
        (json!(null), 300),
    ] {
        assert_eq!(waits(credits, reset_at.clone()), Some(wait), "{reset_at}");
    }
    assert_eq!(waits("INVALID_VALUE", json!(null)), None);
}

#[test]
fn too_many_complaints_say_nothing_for_sure() {
    let refused = json!({ "message": "no", "extensions": { "code": "INVALID_VALUE" } });
    let kinds = |count: usize| -> Vec<Kind> {
        let found = read(&json!({ "errors": vec![refused.clone(); count] }), now());
        found.iter().map(|complaint| complaint.kind).collect()
    };
    assert!(kinds(500).iter().all(|kind| *kind == Kind::Invalid));
    assert_eq!(kinds(501).len(), 500);
    assert!(kinds(501).contains(&Kind::Unclear));
    assert!(read(&json!({ "data": {} }), now()).is_empty());
}
