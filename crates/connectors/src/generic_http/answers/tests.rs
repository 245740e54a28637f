use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::generic_http::settings::parse;
use crate::guard::OutboundPolicy;

const URL: &str = "https://books.example/claims";

/// What the judge says of an answer to three records (batches) or one.
fn judged(extra: &Value, count: usize, answer: Answer) -> Vec<RecordAnswer> {
    let mut settings = json!({ "url": URL });
    for (name, value) in extra.as_object().unwrap() {
        settings[name] = value.clone();
    }
    let credentials = json!({ "type": "bearer", "token": "s3cret-token" });
    let (settings, credentials) = parse(&settings, Some(&credentials), &OutboundPolicy::public_only()).unwrap();
    let payload =
        json!({ "claim_number": "C-1", "cost_center": "9999", "amount": "12.00", "lines": [{ "account": "1" }] });
    let sent = SentBody {
        payloads: vec![&payload; count],
        batch: (settings.batch_size > 1).then_some(settings.batch_member.as_deref()),
    };
    Judge { settings: &settings, credentials: &credentials, sent: &sent }.answers(&Exchange::Answered(answer))
}

fn answer(status: u16, content_type: &str, body: &str) -> Answer {
    Answer {
        status,
        content_type: Some(content_type.to_owned()).filter(|text| !text.is_empty()),
        location: None,
        retry_after: None,
        body: body.as_bytes().to_vec(),
        completeness: Completeness::Whole,
    }
}

fn json_answer(status: u16, body: &Value) -> Answer {
    answer(status, "application/json", &body.to_string())
}

fn single(extra: &Value, answer: Answer) -> RecordAnswer {
    let mut all = judged(extra, 1, answer);
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn batch() -> Value {
    json!({ "batch_size": 10, "batch_member": "items" })
}

/// Outcome and first code of each, in short.
fn short(answers: &[RecordAnswer]) -> Vec<String> {
    let code = |one: &RecordAnswer| one.errors.first().map(|error| error.code.clone()).unwrap_or_default();
    answers.iter().map(|one| format!("{} {}", one.outcome, code(one)).trim().to_owned()).collect()
}

#[test]
fn success_in_all_its_forms() {
    let none = json!({});
    for good in [
        answer(200, "", ""),
        answer(200, "text/html", "  \n"),
        answer(200, "text/plain", "OK"),
        answer(201, "", ""),
        answer(202, "text/html", "<html>accepted</html>"),
        answer(204, "", ""),
        json_answer(200, &json!({ "id": 3, "errors": [] })),
        json_answer(200, &json!(null)),
        answer(201, "application/json", "cut o"),
    ] {
        let one = single(&none, good.clone());
        assert_eq!(one.outcome, RecordOutcome::Succeeded, "{good:?}");
        assert!(one.errors.is_empty());
        assert_eq!(one.http_status_code, i16::try_from(good.status).ok());
    }
}

#[test]
fn a_two_hundred_that_is_no_answer_is_unknown() {
    let none = json!({});
    let page = "<!DOCTYPE html><html><title>Sign in</title>";
    for (body, content_type) in [(page, "text/html"), (page, ""), ("{\"id\": ", "application/json"), ("x", "text/html")]
    {
        assert_eq!(short(&[single(&none, answer(200, content_type, body))]), ["unknown NOT_JSON"], "{body}");
    }
    let mut broken = json_answer(201, &json!({ "id": 1 }));
    broken.completeness = Completeness::Broken;
    assert_eq!(short(&[single(&none, broken)]), ["unknown NO_ANSWER"]);
    for (status, expected) in [(200, "unknown ANSWER_TOO_LARGE"), (201, "warning ANSWER_TOO_LARGE")] {
        let mut large = json_answer(status, &json!({}));
        large.completeness = Completeness::Cut;
        assert_eq!(short(&[single(&none, large)]), [expected]);
    }
}

#[test]
fn complaints_under_a_success() {
    let none = json!({});
    let one =
        single(&none, json_answer(200, &json!({ "error": { "code": "E1", "message": "no", "target": "Amount" } })));
    assert_eq!((one.outcome, one.permanence), (RecordOutcome::Failed, Permanence::Permanent));
    assert_eq!(one.errors[0].field.as_deref(), Some("/amount"));
    let throttled =
        json!({ "errors": [{ "message": "wait", "code": "BAD_REQUEST.BURST_RATE_LIMIT_REACHED" }], "data": null });
    assert_eq!(single(&none, json_answer(200, &throttled)).permanence, Permanence::Transient);
    assert_eq!(short(&[single(&none, json_answer(200, &json!({ "success": false })))]), ["failed HTTP_200"]);
    let partial = json!({ "data": { "a": { "id": 1 } }, "errors": [{ "message": "half" }] });
    assert_eq!(short(&[single(&none, json_answer(200, &partial))]), ["warning REJECTED"]);
    let created = json!({ "id": 1, "errors": [{ "message": "late" }] });
    let one = single(&json!({ "reference_pointer": "/id" }), json_answer(201, &created));
    assert_eq!(short(std::slice::from_ref(&one)), ["warning REJECTED"]);
    assert_eq!(one.external_reference_id.as_deref(), Some("1"));
    let warned = json!({ "id": 1, "warnings": ["Rounded", { "code": "W2", "message": "Old account", "field": "lines[0].account" }] });
    let one = single(&none, json_answer(201, &warned));
    assert_eq!(short(std::slice::from_ref(&one)), ["warning W2"]);
    assert_eq!(one.errors.len(), 2);
}

#[test]
fn refusals_keep_the_systems_words() {
    let none = json!({});
    let body = json!({ "detail": [
        { "type": "invalid", "loc": ["body", "cost_center"], "msg": "Invalid cost center code: 9999", "input": "9999" },
        { "type": "missing", "loc": ["body", "period"], "msg": "Field required", "input": {} },
    ] });
    let one = single(&none, json_answer(422, &body));
    assert_eq!(
        (one.outcome, one.permanence, one.http_status_code),
        (RecordOutcome::Failed, Permanence::Permanent, Some(422))
    );
    assert_eq!(one.errors[0].message, "Invalid cost center code: 9999");
    assert_eq!(one.errors[0].field.as_deref(), Some("/cost_center"));
    assert_eq!(one.errors[0].field_name.as_deref(), Some("body.cost_center"));
    assert_eq!(one.errors[1].field.as_deref(), Some("/period"));

    let one = single(&none, answer(404, "", ""));
    assert_eq!(
        (one.errors[0].code.as_str(), one.errors[0].message.as_str()),
        ("HTTP_404", "The system answered 404 Not Found.")
    );
    let mut broken = json_answer(422, &body);
    broken.completeness = Completeness::Broken;
    broken.body.truncate(60);
    let one = single(&none, broken);
    assert_eq!(short(std::slice::from_ref(&one)), ["failed HTTP_422"]);
    assert!(!one.errors[0].message.contains("detail"), "a torn body is not quoted");

    let echo = json!({ "detail": "bad header Bearer s3cret-token" });
    let one = single(&none, json_answer(401, &echo));
    assert_eq!(one.errors[0].message, "bad header Bearer [credential]");
}

#[test]
fn redirects_say_where_without_the_query() {
    let mut moved = answer(307, "", "");
    moved.location = Some("https://login.example/in?session=1#x".into());
    let one = single(&json!({}), moved);
    assert_eq!((one.outcome, one.permanence), (RecordOutcome::Failed, Permanence::Permanent));
    assert!(one.errors[0].message.contains("https://login.example/in ("), "{}", one.errors[0].message);
    assert_eq!(short(&[single(&json!({}), answer(303, "", ""))]), ["unknown HTTP_303"]);
}

#[test]
fn server_errors_are_unknown_even_where_repetition_is_safe() {
    let keyed = json!({ "idempotency_header": "Idempotency-Key" });
    let by_id = json!({ "method": "PUT", "url": format!("{URL}/{{source_record_id}}") });
    for settings in [&json!({}), &keyed, &by_id] {
        for status in [500, 502, 503, 504] {
            let one = single(settings, answer(status, "", ""));
            assert_eq!(short(std::slice::from_ref(&one)), [format!("unknown HTTP_{status}")], "{settings}");
            assert_eq!(one.certainty, Certainty::Open);
        }
    }
    let named = json!({ "error": { "code": "E9", "message": "no", "target": "amount" } });
    let one = single(&json!({}), json_answer(500, &named));
    assert_eq!((one.outcome, one.permanence), (RecordOutcome::Failed, Permanence::Permanent));
    assert_eq!(one.certainty, Certainty::NotTaken);
    assert_eq!(short(&[single(&keyed, json_answer(409, &json!({ "detail": "under way" })))]), ["unknown HTTP_409"]);
}

#[test]
fn unavailable_is_a_refusal_only_in_the_systems_own_words() {
    let none = json!({});
    let words = json!({ "title": "Down for the night", "detail": "Back at six" });
    // Gateways write JSON, too.
    assert_eq!(short(&[single(&none, json_answer(503, &words))]), ["unknown HTTP_503"]);
    let problem = answer(503, "application/problem+json; charset=utf-8", &words.to_string());
    let mut later = answer(503, "text/html", "<h1>Down for the night</h1>");
    later.retry_after = Some(std::time::Duration::from_secs(30));
    let throttled = json_answer(503, &json!({ "error": { "code": "0x80072322", "message": "wait" } }));
    for declined in [problem, later, throttled] {
        let one = single(&none, declined.clone());
        let judged = (one.outcome, one.certainty, one.permanence);
        assert_eq!(judged, (RecordOutcome::Failed, Certainty::NotTaken, Permanence::Transient), "{declined:?}");
    }
    // After the request was sent on, a gateway asks to come back, too.
    let mut lost = answer(502, "", "");
    lost.retry_after = Some(std::time::Duration::from_secs(30));
    assert_eq!(short(&[single(&none, lost)]), ["unknown HTTP_502"]);
}

#[test]
fn the_external_id_is_found() {
    let pointed = json!({ "reference_pointer": "/data/id" });
    let one = single(&pointed, json_answer(201, &json!({ "data": { "id": 77 } })));
    assert_eq!(one.external_reference_id.as_deref(), Some("77"));
    for (location, id) in [
        ("https://books.example/claims/41?x=1", "41"),
        ("/claims/41/", "41"),
        ("https://o.example/api/ExpenseClaims(41)", "41"),
        (
            "https://o.example/api/accounts(00000000-0000-0000-0000-000000000001)",
            "00000000-0000-0000-0000-000000000001",
        ),
        ("ExpenseClaims(claim_number='C-1')", "C-1"),
    ] {
        let mut created = answer(201, "", "");
        created.location = Some(location.into());
        assert_eq!(single(&json!({}), created).external_reference_id.as_deref(), Some(id), "{location}");
    }
    let one = single(&pointed, json_answer(201, &json!({ "data": { "id": {} } })));
    assert_eq!(one.external_reference_id, None);
}

#[test]
fn a_refused_batch_is_attributed_record_by_record() {
    let fastapi = json!({ "detail": [{ "type": "x", "loc": ["body", "items", 1, "amount"], "msg": "no" }] });
    let django = json!({ "items": { "1": { "amount": ["no"] } } });
    let list = json!({ "items": [{}, { "amount": ["no"] }, {}] });
    let pointers = json!({ "errors": [{ "detail": "no", "pointer": "/items/1/amount" }] });
    let aspnet = json!({ "errors": { "$.items[1].amount": ["no"] } });
    for body in [fastapi, django, list, pointers, aspnet] {
        let all = judged(&batch(), 3, json_answer(422, &body));
        let outcomes: Vec<_> = all.iter().map(|one| one.outcome).collect();
        assert_eq!(
            outcomes,
            [RecordOutcome::NotAttempted, RecordOutcome::Failed, RecordOutcome::NotAttempted],
            "{body}"
        );
        assert_eq!(all[1].errors[0].field.as_deref(), Some("/amount"), "{body}");
        assert_eq!(all[0].errors[0].code, "BATCH_REJECTED");
        assert_eq!(all[0].permanence, Permanence::Transient);
    }
    let bare = judged(&json!({ "batch_size": 10 }), 2, json_answer(400, &json!([{}, { "amount": ["no"] }])));
    assert_eq!(short(&bare), ["not_attempted BATCH_REJECTED", "failed HTTP_400"]);

    let unnamed = judged(&batch(), 2, json_answer(422, &json!({ "detail": "The period is closed" })));
    assert_eq!(short(&unnamed), ["failed HTTP_422", "failed HTTP_422"]);
    assert_eq!(unnamed[1].errors[0].message, "The period is closed");

    let mixed = json!({ "errors": { "items.0.amount": ["no"], "voucher": ["missing"] } });
    let all = judged(&batch(), 2, json_answer(422, &mixed));
    assert_eq!(all[0].errors.len(), 2);
    assert_eq!((all[1].outcome, all[1].errors[0].message.as_str()), (RecordOutcome::NotAttempted, "missing"));

    // A server that broke while it named a record may have booked the others.
    let named = json!({ "errors": { "items.0.amount": ["no"] } });
    let broken = judged(&batch(), 2, json_answer(600, &named));
    assert!(broken.iter().all(|one| one.outcome == RecordOutcome::Unknown));
    let broken = judged(&batch(), 2, json_answer(500, &named));
    assert_eq!(short(&broken), ["failed HTTP_500", "unknown PARTIAL_ANSWER"]);
}

#[test]
fn results_are_taken_record_by_record() {
    let pointed = json!({ "batch_size": 10, "results_pointer": "/out", "reference_pointer": "/ref" });
    let body = json!({ "out": [
        { "status": 201, "ref": "V-1" },
        { "status": 422, "error": { "detail": [{ "type": "x", "loc": ["amount"], "msg": "no" }] } },
        { "status": "failed", "message": "Locked", "field": "cost_center" },
        { "status": 500 },
        null,
        { "ok": true, "ref": 6, "warnings": ["Rounded"] },
        { "status": 429, "body": { "message": "Slow down" } },
    ] });
    let all = judged(&pointed, 7, json_answer(200, &body));
    assert_eq!(
        short(&all),
        [
            "succeeded",
            "failed x",
            "failed failed",
            "unknown HTTP_500",
            "unknown RESULTS_MISSING",
            "warning WARNING",
            "failed HTTP_429",
        ]
    );
    assert_eq!(all[0].external_reference_id.as_deref(), Some("V-1"));
    assert_eq!((all[0].http_status_code, all[1].http_status_code), (Some(201), Some(422)));
    assert_eq!(all[1].errors[0].field.as_deref(), Some("/amount"));
    assert_eq!(all[2].errors[0].field.as_deref(), Some("/cost_center"));
    assert_eq!(all[5].external_reference_id.as_deref(), Some("6"));
    assert_eq!(all[6].permanence, Permanence::Transient);

    let multi = json!({ "results": [{ "status": 201, "id": "a" }, { "status": 400, "error": { "amount": ["no"] } }] });
    let all = judged(&batch(), 2, json_answer(207, &multi));
    assert_eq!(short(&all), ["succeeded", "failed HTTP_400"]);
    assert_eq!(all[0].external_reference_id.as_deref(), Some("a"));

    for missing in [json!({}), json!({ "results": [{ "status": 201 }] }), json!([])] {
        let all = judged(&batch(), 2, json_answer(207, &missing));
        assert_eq!(short(&all), ["unknown RESULTS_MISSING", "unknown RESULTS_MISSING"], "{missing}");
    }
    let refused = judged(&pointed, 2, json_answer(200, &json!({ "error": "closed" })));
    assert_eq!(short(&refused), ["failed closed", "failed closed"]);
}

#[test]
fn a_partial_answer_leaves_the_unnamed_unknown() {
    let body = json!({ "data": { "add": {} }, "errors": [{ "message": "no", "extensions": { "argument": "items.1.amount" } }] });
    let all = judged(&batch(), 2, json_answer(200, &body));
    assert_eq!(short(&all), ["unknown PARTIAL_ANSWER", "failed REJECTED"]);
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    let words = prop_oneof![
        Just(json!({ "errors": { "items.1.amount": ["no"] } })),
        Just(json!({ "results": [null, { "status": 500 }, 3] })),
        Just(json!({ "data": {}, "errors": [{}] })),
        Just(json!([{}, { "a": ["b"] }])),
        Just(json!({ "out": [] })),
    ];
    prop_oneof![prop::collection::vec(any::<u8>(), 0..200), words.prop_map(|value| value.to_string().into_bytes())]
}

proptest! {
    #[test]
    fn every_answer_gives_one_answer_per_record(
        status in 100_u16..700, body in any_body(), count in 1_usize..6, kind in 0_usize..4, whole in 0_u8..3,
    ) {
        let completeness = [Completeness::Whole, Completeness::Cut, Completeness::Broken][usize::from(whole)];
        let answer = Answer { body, completeness, ..answer(status, "application/json", "") };
        let settings = [
            json!({}), json!({ "batch_size": 9 }), batch(), json!({ "batch_size": 9, "results_pointer": "/out" }),
        ];
        let count = if kind == 0 { 1 } else { count };
        let all = judged(&settings[kind], count, answer);
        prop_assert_eq!(all.len(), count);
        for one in all {
            prop_assert!(one.outcome.is_final());
            prop_assert_eq!(one.errors.is_empty(), one.outcome == RecordOutcome::Succeeded);
            // What may have been taken is never called failed or not attempted.
            prop_assert_eq!(one.certainty, Certainty::of(one.outcome));
        }
    }
}
