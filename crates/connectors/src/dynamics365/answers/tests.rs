use domain::record::RecordOutcome::{Failed, NotAttempted, Succeeded, Unknown};
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::credentials::ClientCredentials;
use crate::dynamics365::settings::parse;
use crate::guard::OutboundPolicy;

fn settings(write: &str) -> (Settings, ClientCredentials) {
    let settings = json!({
        "environment": "https://contoso.crm4.dynamics.com", "tenant": "contoso", "key_attribute": "sw_syncid",
        "write": write,
        "mapping": {
            "entity": "sw_claims",
            "fields": {
                "sw_amount": { "from": "/amount", "as": "decimal" },
                "sw_costcenter": { "from": "/cost_center", "as": "text" },
                "claimnumber": { "from": "/claim_number", "as": "text" },
                "sw_member": { "from": "/member", "as": "text", "personal": true },
                "sw_Owner": { "from": "/owner", "as": "bind", "set": "contacts", "key": "sw_number" },
            },
        },
    });
    let credentials = json!({ "type": "client_credentials", "client_id": "sync", "client_secret": "s3cret-text" });
    parse(&settings, Some(&credentials), &OutboundPolicy::public_only()).unwrap()
}

fn record(number: u128, in_doubt: bool) -> OutboundRecord {
    OutboundRecord {
        source_record_type: "expense_claims".to_owned(),
        source_record_id: Uuid::from_u128(number),
        payload: json!({ "amount": "1.00", "cost_center": "9999", "claim_number": "C-1", "member": "Kari N" }),
        payload_hash: "0".repeat(64),
        idempotency_key: format!("{number:032x}"),
        in_doubt,
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

fn coded(status: u16, code: &str, message: &str) -> Answer {
    answer(status, &json!({ "error": { "code": code, "message": message } }).to_string())
}

/// What is said of one record, and whether its row is to be looked up.
fn judged(write: &str, answer: Answer) -> (RecordAnswer, bool) {
    let (settings, credentials) = settings(write);
    let credentials = credentials.granted("t0ken-text");
    let judge = Judge { settings: &settings, credentials: &credentials };
    let Verdict { answer, to_look_up } = judge.single(&record(7, false), &Exchange::Answered(answer));
    (answer, to_look_up)
}

/// Outcome and first code, in short.
fn short(answer: &RecordAnswer) -> String {
    let code = answer.errors.first().map_or("", |error| error.code.as_str());
    let again = if answer.again { " again" } else { "" };
    format!("{} {code}{again}", answer.outcome).trim().to_owned()
}

#[test]
fn what_dataverse_says_was_done_is_done() {
    let location = "https://contoso.crm4.dynamics.com/api/data/v9.2/sw_claims(11111111-2222-3333-4444-555555555555)";
    for status in [201, 204] {
        let (made, _) = judged("create", Answer { location: Some(location.to_owned()), ..answer(status, "") });
        assert_eq!((short(&made).as_str(), made.http_status_code), ("succeeded", Some(i16::try_from(status).unwrap())));
        assert_eq!(made.external_reference_id.as_deref(), Some("11111111-2222-3333-4444-555555555555"));
    }
    let row = json!({ "@odata.context": "…", "sw_amount": 1 }).to_string();
    assert_eq!(short(&judged("upsert", answer(200, &row)).0), "succeeded");
    for (status, body) in [(200, "<html>"), (200, "{}"), (200, ""), (202, &*row), (206, &*row)] {
        let (unexpected, _) = judged("create", answer(status, body));
        assert_eq!((short(&unexpected).as_str(), unexpected.certainty), ("unknown UNEXPECTED_ANSWER", Certainty::Open));
    }
    for (completeness, code) in [(Completeness::Broken, "NO_ANSWER"), (Completeness::Cut, "ANSWER_TOO_LARGE")] {
        let (unread, _) = judged("create", Answer { completeness, ..answer(200, &row) });
        assert_eq!(short(&unread), format!("unknown {code}"));
        let (made, _) = judged("create", Answer { completeness, ..answer(201, "") });
        assert_eq!(made.outcome, Succeeded, "the status says so");
    }
}

#[test]
fn a_refused_value_names_its_place_in_the_record() {
    for (code, message, field, name) in [
        (
            "0x80044331",
            "A validation error occurred. The length of the 'sw_costcenter' attribute of the 'sw_claim' entity exceeded \
             the maximum allowed length of '3'.",
            Some("/cost_center"),
            Some("sw_costcenter"),
        ),
        (
            "0x8004431A",
            "A validation error occurred. The value 9 of 'sw_amount' on record of type 'sw_claim' is outside the valid \
             range. Accepted Values: 1,2",
            Some("/amount"),
            Some("sw_amount"),
        ),
        (
            "0x80048d19",
            "Invalid JSON: undeclared property 'sw_Owner' which only has property annotations",
            Some("/owner"),
            Some("sw_Owner"),
        ),
        (
            "0x0",
            "Could not find a property named 'colour' on type 'Microsoft.Dynamics.CRM.sw_claim'.",
            None,
            Some("colour"),
        ),
        (
            "0x80060892",
            "Entity Key K violated. A record with the same value for Claim Number already exists.",
            Some("/claim_number"),
            Some("Claim Number"),
        ),
        ("", "Something is wrong.", None, None),
    ] {
        let (refused, _) = judged("create", coded(400, code, message));
        assert_eq!((refused.outcome, refused.permanence), (Failed, Permanence::Permanent), "{code}");
        let error = &refused.errors[0];
        assert_eq!((error.field.as_deref(), error.field_name.as_deref()), (field, name), "{code}");
        assert_eq!(error.code, if code.is_empty() { "HTTP_400" } else { code });
        assert_eq!(error.message, message);
    }
}

#[test]
fn words_are_kept_without_what_nobody_else_is_to_read() {
    let (refused, _) = judged("create", coded(400, "0x0", "Kari N sent t0ken-text for s3cret-text."));
    assert_eq!(refused.errors[0].message, "[value] sent [credential] for [credential].");
}

#[test]
fn a_row_in_the_way_is_looked_up_where_rows_are_only_created() {
    for (status, code) in [(412, "0x80040237"), (412, "0x80060892"), (500, "0x80040333"), (412, "")] {
        let (refused, to_look_up) = judged("create", coded(status, code, "exists"));
        assert_eq!((refused.outcome, refused.certainty, to_look_up), (Failed, Certainty::NotTaken, true), "{code}");
        assert!(!judged("upsert", coded(status, code, "exists")).1);
        assert!(!judged("update", coded(status, code, "exists")).1);
    }
    assert!(!judged("create", coded(400, "0x80044331", "too long")).1);
}

#[test]
fn whose_row_it_is_decides() {
    let (settings, credentials) = settings("create");
    let credentials = credentials.ungranted();
    let judge = Judge { settings: &settings, credentials: &credentials };
    let found = || Asked::Found { reference: Some("row-7".to_owned()) };
    let unclear = || Asked::Unclear(RecordError { code: "HTTP_503".to_owned(), ..RecordError::default() });
    for (in_doubt, said, expected, certainty, reference) in [
        (true, found(), "succeeded", Certainty::Open, Some("row-7")),
        (false, found(), "failed ALREADY_THERE", Certainty::NotTaken, None),
        (true, Asked::Absent, "failed 0x80060892", Certainty::NotTaken, None),
        (false, Asked::Absent, "failed 0x80060892", Certainty::NotTaken, None),
        (true, unclear(), "unknown HTTP_503", Certainty::Open, None),
        (false, unclear(), "failed 0x80060892", Certainty::NotTaken, None),
    ] {
        let record = record(7, in_doubt);
        let exchange = Exchange::Answered(coded(412, "0x80060892", "exists"));
        let settled = judge.looked_up(&record, judge.single(&record, &exchange).answer, said.clone());
        assert_eq!(short(&settled), expected, "{in_doubt} {said:?}");
        assert_eq!(settled.permanence == Permanence::Permanent, settled.outcome == Failed, "a doubt is not for good");
        assert_eq!((settled.certainty, settled.external_reference_id.as_deref()), (certainty, reference));
        assert_eq!(settled.errors.is_empty(), settled.outcome == Succeeded);
    }
}

#[test]
fn too_much_at_once_says_when_to_come_back() {
    for code in ["0x80072321", "0x80072322", "0x80072326"] {
        let throttled = Answer { retry_after: Some(std::time::Duration::from_secs(7)), ..coded(429, code, "slower") };
        let (refused, _) = judged("create", throttled);
        assert_eq!(
            (refused.outcome, refused.permanence, refused.certainty),
            (Failed, Permanence::Transient, Certainty::NotTaken)
        );
        assert_eq!((refused.errors[0].code.as_str(), refused.retry_after.map(|wait| wait.as_secs())), (code, Some(7)));
    }
}

/// What is said of a batch of so many.
fn batched(count: u128, answer: Answer, parts: Option<&Parts>) -> Vec<RecordAnswer> {
    let (settings, credentials) = settings("create");
    let credentials = credentials.granted("t0ken-text");
    let records: Vec<OutboundRecord> = (0..count).map(|number| record(number, false)).collect();
    let records: Vec<&OutboundRecord> = records.iter().collect();
    let judge = Judge { settings: &settings, credentials: &credentials };
    let verdicts = judge.batch(&records, &Exchange::Answered(answer), parts);
    verdicts.into_iter().map(|verdict| verdict.answer).collect()
}

#[test]
fn each_record_has_its_own_part() {
    let parts = |answers: Vec<Option<Answer>>, stopped_at| Parts { answers, stopped_at };
    let refused = || coded(400, "0x80044331", "too long");
    let shorts = |answers: &[RecordAnswer]| answers.iter().map(short).collect::<Vec<_>>();
    let all = parts(vec![Some(answer(204, "")), Some(refused()), Some(answer(204, ""))], None);
    assert_eq!(shorts(&batched(3, answer(200, ""), Some(&all))), ["succeeded", "failed 0x80044331", "succeeded"]);
    let some = parts(vec![Some(answer(204, "")), Some(refused()), None], None);
    assert_eq!(
        shorts(&batched(3, answer(200, ""), Some(&some))),
        ["succeeded", "failed 0x80044331", "unknown PARTIAL_ANSWER"]
    );
    let stopped = parts(vec![Some(answer(204, "")), Some(refused()), None], Some(1));
    let answers = batched(3, answer(400, ""), Some(&stopped));
    assert_eq!(shorts(&answers), ["succeeded", "failed 0x80044331", "not_attempted BATCH_STOPPED again"]);
    assert_eq!((answers[2].certainty, answers[2].permanence), (Certainty::NotTaken, Permanence::Transient));
    // What stopped for being too much, or for a fault of the system's own, is left alone for now.
    for end in [coded(429, "0x80072322", "slower"), answer(500, ""), answer(401, "")] {
        let stopped = parts(vec![Some(end), None], Some(0));
        assert_eq!(shorts(&batched(2, answer(200, ""), Some(&stopped)))[1], "not_attempted BATCH_STOPPED");
    }
}

#[test]
fn a_batch_that_is_refused_as_a_whole_leaves_again_in_smaller_ones() {
    let shorts = |answer: Answer, count| batched(count, answer, None).iter().map(short).collect::<Vec<_>>();
    for status in [400, 413] {
        assert_eq!(shorts(answer(status, ""), 3), vec!["not_attempted BATCH_REJECTED again"; 3]);
    }
    assert_eq!(shorts(answer(401, ""), 2), ["failed HTTP_401", "failed HTTP_401"]);
    assert_eq!(shorts(coded(429, "0x80072322", "slower"), 2), ["failed 0x80072322", "failed 0x80072322"]);
    assert_eq!(shorts(answer(502, "<html>"), 2), ["unknown HTTP_502", "unknown HTTP_502"]);
    // One of them may be a duplicate; what became of the other before that, nobody says.
    assert_eq!(shorts(coded(500, "0x80040333", "exists"), 2), ["unknown 0x80040333", "unknown 0x80040333"]);
    assert_eq!(shorts(coded(500, "0x80040333", "exists"), 1), ["failed 0x80040333"]);
    assert_eq!(shorts(coded(503, "0x80072326", "slower"), 2), ["failed 0x80072326", "failed 0x80072326"]);
    assert_eq!(shorts(answer(200, "<html>"), 2), ["unknown UNEXPECTED_ANSWER", "unknown UNEXPECTED_ANSWER"]);
    // Two records of a batch that was answered without parts have surely not both been refused for the same row.
    assert_eq!(shorts(answer(412, ""), 2), ["failed HTTP_412", "failed HTTP_412"]);
}

#[test]
fn what_never_left_or_was_lost_is_told_apart() {
    let (settings, credentials) = settings("create");
    let credentials = credentials.ungranted();
    let judge = Judge { settings: &settings, credentials: &credentials };
    let trouble = |code| Trouble { code, message: "no".to_owned(), permanence: Permanence::Transient };
    let (one, two) = (record(1, false), record(2, false));
    for (exchange, expected) in [
        (Exchange::NeverLeft(trouble("invalid_client")), "failed invalid_client"),
        (Exchange::NoAnswer(trouble("TIMEOUT")), "unknown TIMEOUT"),
    ] {
        let verdicts = judge.batch(&[&one, &two], &exchange, None);
        assert_eq!(verdicts.iter().map(|verdict| short(&verdict.answer)).collect::<Vec<_>>(), [expected, expected]);
    }
}

proptest! {
    #[test]
    fn every_answer_says_one_thing_of_each_record(
        statuses in prop::collection::vec(prop::option::of(100_u16..600), 1..6), whole in 100_u16..600, stops in any::<bool>(),
    ) {
        let answers: Vec<Option<Answer>> =
            statuses.iter().map(|status| status.map(|status| answer(status, "{}"))).collect();
        let stopped_at = stops.then(|| answers.iter().rposition(Option::is_some)).flatten();
        let parts = Parts { answers, stopped_at };
        let count = u128::try_from(statuses.len()).unwrap();
        for parts in [Some(&parts), None] {
            let all = batched(count, answer(whole, "{}"), parts);
            prop_assert_eq!(all.len(), statuses.len());
            for one in &all {
                prop_assert!(one.outcome.is_final());
                prop_assert_eq!(one.errors.is_empty(), one.outcome == Succeeded);
                prop_assert_eq!(one.certainty, Certainty::of(one.outcome));
                prop_assert!(!one.again || one.outcome == NotAttempted);
                prop_assert!(one.outcome != Unknown || one.certainty == Certainty::Open);
            }
        }
    }
}
