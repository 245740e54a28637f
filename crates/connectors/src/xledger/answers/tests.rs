use domain::mapping::Mapping;
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::connector::OutboundRecord;
use crate::xledger::mutation::Sent;

fn mapping(lines: bool) -> Mapping {
    let mut mapping = json!({
        "entity": "addGLImportItems",
        "fields": {
            "amount": { "from": "/amount", "as": "money" },
            "glObject1.code": { "from": "/cost_center", "as": "text" },
            "postedDate": { "from": "/date", "as": "date" },
            "text": { "from": "/member", "as": "text", "personal": true },
        },
    });
    if lines {
        mapping["lines"] = json!("/lines");
        for field in ["amount", "glObject1.code"] {
            mapping["fields"][field]["per_line"] = json!(true);
        }
    }
    Mapping::parse(&mapping).unwrap()
}

fn record(number: usize) -> OutboundRecord {
    OutboundRecord {
        source_record_type: "expense_claims".to_owned(),
        source_record_id: Uuid::from_u128(number as u128),
        payload: json!({ "amount": "1.00", "cost_center": "9999", "member": format!("Kari {number}") }),
        payload_hash: "0".repeat(64),
        idempotency_key: format!("{number:032x}"),
        in_doubt: false,
    }
}

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status,
        content_type: Some("application/json".to_owned()),
        location: None,
        retry_after: None,
        body: body.as_bytes().to_vec(),
        completeness: Completeness::Whole,
    }
}

/// What the judge says of an answer to records of so many lines each.
fn judged(lines: &[usize], answer: Answer) -> Vec<RecordAnswer> {
    judged_with(lines, answer, false)
}

fn judged_with(lines: &[usize], answer: Answer, awaits_posting: bool) -> Vec<RecordAnswer> {
    let records: Vec<OutboundRecord> = (0..lines.len()).map(record).collect();
    let sent: Vec<Sent<'_>> = records.iter().zip(lines).map(|(record, lines)| Sent { record, lines: *lines }).collect();
    let mapping = mapping(lines.iter().any(|lines| *lines > 1));
    let credentials = Credentials::Token { token: "s3cret-token".to_owned() };
    let nodes = Nodes { mapping: &mapping, sent: &sent };
    let mutation = Mutation::find("addGLImportItems").unwrap();
    Judge { mutation, credentials: &credentials, nodes, awaits_posting }.answers(&Exchange::Answered(answer))
}

fn said(lines: &[usize], body: &Value) -> Vec<RecordAnswer> {
    judged(lines, answer(200, &body.to_string()))
}

fn taken(ids: &[(&str, u32)]) -> Value {
    let edges: Vec<Value> =
        ids.iter().map(|(client, id)| json!({ "clientId": client, "node": { "dbId": id.to_string() } })).collect();
    json!({ "addGLImportItems": { "edges": edges } })
}

/// Outcome and first code of each, in short.
fn short(answers: &[RecordAnswer]) -> Vec<String> {
    let code = |one: &RecordAnswer| one.errors.first().map(|error| error.code.clone()).unwrap_or_default();
    let again = |one: &RecordAnswer| if one.again { " again" } else { "" };
    answers.iter().map(|one| format!("{} {}{}", one.outcome, code(one), again(one)).trim().to_owned()).collect()
}

fn invalid(argument: &str) -> Value {
    json!({
        "message": "Invalid cost center code: 9999", "path": ["addGLImportItems"],
        "extensions": {
            "code": "INVALID_VALUE", "argument": argument, "exampleValidInputs": [{ "dbId": 1, "code": "1000" }],
        },
    })
}

#[test]
fn what_has_an_id_for_each_line_has_arrived() {
    let all = said(&[1, 2], &json!({ "data": taken(&[("0.0", 901), ("1.0", 902), ("1.1", 903)]) }));
    assert_eq!(short(&all), ["succeeded", "succeeded"]);
    assert_eq!(all[0].external_reference_id.as_deref(), Some("901"));
    assert_eq!(all[1].external_reference_id.as_deref(), Some("902,903"));
    assert_eq!(all[0].http_status_code, Some(200));
    // In any order, and with ids that nobody asked for.
    let all = said(&[1, 1], &json!({ "data": taken(&[("7.7", 1), ("1.0", 902), ("0.0", 901)]) }));
    assert_eq!(all[1].external_reference_id.as_deref(), Some("902"));
    let many: Vec<(String, u32)> = (0..100).map(|line| (format!("0.{line}"), 900_000 + line)).collect();
    let many: Vec<(&str, u32)> = many.iter().map(|(client, id)| (client.as_str(), *id)).collect();
    let all = said(&[100], &json!({ "data": taken(&many) }));
    assert_eq!(all[0].external_reference_id.as_deref(), Some("900000…900099 (100)"));
}

#[test]
fn what_is_yet_to_be_posted_has_not_arrived() {
    let body = json!({ "data": taken(&[("0.0", 901), ("1.0", 902)]) });
    let all = judged_with(&[1, 2], answer(200, &body.to_string()), true);
    assert_eq!(short(&all), ["unknown AWAITING_POSTING", "unknown PARTLY_ACCEPTED"]);
    assert_eq!((all[0].certainty, all[0].external_reference_id.as_deref()), (Certainty::Open, Some("901")));
}

#[test]
fn what_is_half_taken_is_in_doubt() {
    let all = said(&[3, 1], &json!({ "data": taken(&[("0.0", 901), ("0.2", 903), ("1.0", 904)]) }));
    assert_eq!(short(&all), ["unknown PARTLY_ACCEPTED", "succeeded"]);
    assert!(all[0].errors[0].message.contains("901,903"), "{:?}", all[0].errors);
    assert_eq!(all[0].certainty, Certainty::Open);
    // Also where the others were surely refused.
    let refused = json!({ "data": taken(&[("0.0", 901)]), "errors": [invalid("inputs[1].node.glObject1")] });
    let all = said(&[2], &refused);
    assert_eq!(short(&all), ["unknown PARTLY_ACCEPTED"]);
    assert_eq!(all[0].errors[1].field.as_deref(), Some("/lines/1/cost_center"));
}

#[test]
fn of_a_partial_answer_only_what_is_named_and_refused_has_failed() {
    let body = json!({
        "data": taken(&[("0.0", 901)]),
        "errors": [
            invalid("inputs[1].node.glObject1"),
            { "message": "The item could not be imported.", "path": ["addGLImportItems", "edges", 2] },
        ],
    });
    let all = said(&[1, 1, 1, 1], &body);
    assert_eq!(short(&all), ["succeeded", "failed INVALID_VALUE", "unknown PARTIAL_ANSWER", "unknown PARTIAL_ANSWER"]);
    assert_eq!(all[1].permanence, Permanence::Permanent);
    assert_eq!(all[2].errors[1].message, "The item could not be imported.");
    // Of several lines each has to be refused.
    let body = json!({ "data": taken(&[("0.0", 901)]), "errors": [invalid("inputs[1].node.amount")] });
    assert_eq!(short(&said(&[1, 2], &body)), ["succeeded", "unknown PARTIAL_ANSWER"]);
    let both = [invalid("inputs[1].node.amount"), invalid("inputs[2].node.amount")];
    let body = json!({ "data": taken(&[("0.0", 901)]), "errors": both });
    assert_eq!(short(&said(&[1, 2], &body)), ["succeeded", "failed INVALID_VALUE"]);
}

#[test]
fn a_refused_record_names_its_field_in_the_source() {
    let all = said(&[1], &json!({ "data": { "addGLImportItems": null }, "errors": [invalid("glObject1")] }));
    assert_eq!(short(&all), ["failed INVALID_VALUE"]);
    let error = &all[0].errors[0];
    assert_eq!((error.field.as_deref(), error.field_name.as_deref()), (Some("/cost_center"), Some("glObject1")));
    assert_eq!(
        (error.message.as_str(), error.hints.as_slice()),
        ("Invalid cost center code: 9999", &["1000".to_owned()][..])
    );
    // Of three lines nobody knows which; the date is that of all of them.
    for (argument, field) in [("glObject1", None), ("postedDate", Some("/date"))] {
        let all = said(&[3], &json!({ "data": null, "errors": [invalid(argument)] }));
        assert_eq!((short(&all)[0].as_str(), all[0].errors[0].field.as_deref()), ("failed INVALID_VALUE", field));
    }
    let all = said(&[1, 3], &json!({ "data": null, "errors": [invalid("inputs[2].node.glObject1.code")] }));
    assert_eq!(short(&all), ["not_attempted BATCH_REJECTED again", "failed INVALID_VALUE"]);
    assert_eq!(all[1].errors[0].field.as_deref(), Some("/lines/1/cost_center"));
}

#[test]
fn who_is_not_to_blame_leaves_again() {
    let all = said(&[1, 1, 1], &json!({ "data": null, "errors": [invalid("glObject1")] }));
    assert_eq!(short(&all), vec!["not_attempted BATCH_REJECTED again"; 3]);
    assert!(all.iter().all(|one| one.certainty == Certainty::NotTaken && one.errors.len() == 2));
    let coerced = json!({ "errors": [{
        "message": "Variable \"$inputs\" got invalid value 12.5 at \"inputs[1].node.amount\"; MoneyString must be a text",
    }] });
    for status in [200, 400] {
        let all = judged(&[1, 1], answer(status, &coerced.to_string()));
        let code = if status == 200 { "REJECTED" } else { "HTTP_400" };
        assert_eq!(short(&all), ["not_attempted BATCH_REJECTED again".to_owned(), format!("failed {code}")]);
        assert_eq!(all[1].errors[0].field.as_deref(), Some("/amount"));
        assert!(!all[1].errors[0].message.contains("12.5"), "what was sent is not kept");
    }
    // A complaint about a part of the answer says nothing of the other parts.
    let deep = json!({
        "message": "no", "path": ["addGLImportItems", "edges", 1], "extensions": { "code": "INVALID_VALUE" },
    });
    let all = said(&[1, 1], &json!({ "data": { "addGLImportItems": { "edges": null } }, "errors": [deep] }));
    assert_eq!(short(&all), ["unknown PARTIAL_ANSWER", "failed INVALID_VALUE"]);
}

#[test]
fn what_may_not_be_read_of_the_answer_may_have_been_written() {
    let row = json!({ "clientId": "0.0", "node": null });
    for (code, path) in [
        ("FORBIDDEN", json!(["addGLImportItems", "edges", 0, "node"])),
        ("FORBIDDEN", json!(["addGLImportItems", "edges", 0])),
        ("BAD_REQUEST.INSUFFICIENT_CREDITS", json!(["addGLImportItems", "edges", 0, "node", "dbId"])),
        ("INVALID_VALUE", json!(["addGLImportItems", "edges", 0, "node", "amount"])),
        // The row is there, whatever is complained of.
        ("FORBIDDEN", json!(["addGLImportItems"])),
        ("INVALID_VALUE", json!(["addGLImportItems", "edges", 0])),
    ] {
        let complaint = json!({ "message": "no", "path": path, "extensions": { "code": code } });
        let body = json!({ "data": { "addGLImportItems": { "edges": [row] } }, "errors": [complaint] });
        let all = said(&[1], &body);
        assert_eq!((all[0].outcome, all[0].certainty), (RecordOutcome::Unknown, Certainty::Open), "{body}");
    }
}

#[test]
fn too_much_and_not_allowed_are_told_from_one_another() {
    let credits = json!({ "message": "no", "code": "BAD_REQUEST.INSUFFICIENT_CREDITS" });
    for (code, wait) in [("BURST_RATE_LIMIT_REACHED", 5), ("CONCURRENCY_LIMIT_REACHED", 1)] {
        let all = said(&[1, 1], &json!({ "errors": [{ "message": "no", "code": format!("BAD_REQUEST.{code}") }] }));
        assert_eq!(short(&all), vec![format!("failed BAD_REQUEST.{code}"); 2]);
        assert_eq!((all[0].permanence, all[0].retry_after), (Permanence::Transient, Some(Duration::from_secs(wait))));
    }
    let all = said(&[1, 1], &json!({ "errors": [credits] }));
    assert_eq!(all[1].retry_after, Some(Duration::from_mins(5)));
    let denied = json!({ "message": "no", "extensions": { "code": "FORBIDDEN" } });
    let all = said(&[1, 1], &json!({ "errors": [denied] }));
    assert_eq!(short(&all), ["failed FORBIDDEN", "failed FORBIDDEN"]);
    assert_eq!(all[0].permanence, Permanence::Permanent);
}

#[test]
fn what_says_nothing_for_sure_leaves_a_doubt() {
    let nothing = [
        json!({ "data": { "addGLImportItems": { "edges": null } } }),
        json!({ "data": { "addGLImportItems": null } }),
        json!({ "data": null }),
        json!({}),
    ];
    for body in nothing {
        assert_eq!(short(&said(&[1, 2], &body)), vec!["unknown RESULTS_MISSING"; 2], "{body}");
    }
    let late = json!({ "errors": [{ "message": "Your query timed out." }] });
    assert_eq!(short(&said(&[1, 1], &late)), vec!["unknown REJECTED"; 2]);
    let mixed = json!({ "errors": [invalid("inputs[0].node.amount"), { "message": "Failed" }] });
    assert_eq!(short(&said(&[1, 1], &mixed)), ["failed INVALID_VALUE", "unknown REJECTED"]);
    for (completeness, body, code) in [
        (Completeness::Whole, "<html>", "NOT_JSON"),
        (Completeness::Whole, "", "NOT_JSON"),
        (Completeness::Broken, "{", "NO_ANSWER"),
        (Completeness::Cut, "{", "ANSWER_TOO_LARGE"),
    ] {
        let all = judged(&[1], Answer { completeness, ..answer(200, body) });
        assert_eq!(short(&all), [format!("unknown {code}")]);
    }
}

#[test]
fn a_status_counts_where_xledger_itself_does_not_speak() {
    for (status, body, expected) in [
        (502, "<html>", "unknown HTTP_502"),
        (502, "{\"errors\": [{\"message\": \"Failing\"}]}", "unknown HTTP_502"),
        (401, "", "failed HTTP_401"),
        (401, "{\"errors\": [{\"message\": \"Who are you?\"}]}", "failed HTTP_401"),
        (404, "{}", "failed HTTP_404"),
        (503, "", "unknown HTTP_503"),
    ] {
        assert_eq!(short(&judged(&[1, 1], answer(status, body))), [expected, expected], "{status} {body}");
    }
}

#[test]
fn words_are_kept_without_what_nobody_else_is_to_read() {
    let said_all = json!({ "errors": [{
        "message": "Kari 0 and Kari 1 sent s3cret-token", "extensions": { "code": "INVALID_VALUE" },
    }] });
    let all = said(&[1, 1], &said_all);
    assert_eq!(all[0].errors[1].message, "[value] and [value] sent [credential]");
}

fn any_entry() -> impl Strategy<Value = Value> {
    let codes = prop::sample::select(vec!["INVALID_VALUE", "FORBIDDEN", "RATE_LIMIT", "INTERNAL", "BAD_REQUEST.X"]);
    let arguments = prop::sample::select(vec!["amount", "inputs[0].node.amount", "inputs[3].node", "inputs[99]", ""]);
    let paths = prop::sample::select(vec![json!(["addGLImportItems"]), json!(["addGLImportItems", 2]), json!(7)]);
    (codes, arguments, paths, any::<bool>()).prop_map(|(code, argument, path, bare)| {
        if bare {
            json!({ "message": "no" })
        } else {
            json!({ "message": "no", "path": path, "extensions": { "code": code, "argument": argument } })
        }
    })
}

proptest! {
    #[test]
    fn every_answer_gives_one_answer_per_record(
        lines in prop::collection::vec(1_usize..4, 1..5), entries in prop::collection::vec(any_entry(), 0..4),
        ids in prop::collection::btree_set((0_usize..5, 0_usize..4), 0..12), status in 100_u16..700, ok in any::<bool>(),
    ) {
        let clients: Vec<String> = ids.iter().map(|(record, line)| client_id(*record, *line)).collect();
        let taken = taken(&clients.iter().map(|client| (client.as_str(), 7)).collect::<Vec<_>>());
        let body = json!({ "data": taken, "errors": entries });
        let status = if ok { 200 } else { status };
        let all = judged(&lines, answer(status, &body.to_string()));
        prop_assert_eq!(all.len(), lines.len());
        for (record, one) in all.iter().enumerate() {
            prop_assert!(one.outcome.is_final());
            prop_assert_eq!(one.errors.is_empty(), one.outcome == RecordOutcome::Succeeded);
            prop_assert_eq!(one.certainty, Certainty::of(one.outcome));
            prop_assert!(!one.again || one.outcome == RecordOutcome::NotAttempted);
            prop_assert!(!one.again || lines.len() > 1, "one that leaves again leaves with fewer");
            // What has an id is never called failed or not attempted.
            let has_id = (0..lines[record]).any(|line| ids.contains(&(record, line)));
            prop_assert!(!has_id || one.certainty == Certainty::Open);
        }
    }
}
