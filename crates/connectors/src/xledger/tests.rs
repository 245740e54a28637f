use domain::record::RecordOutcome;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::connector::Permanence;
use crate::exchange::Completeness;
use crate::guard::OutboundPolicy;

fn connector(batch_size: usize) -> Xledger {
    let settings = json!({
        "endpoint": "production", "batch_size": batch_size,
        "mapping": {
            "entity": "addGLImportItems", "lines": "/lines",
            "fields": {
                "amount": { "from": "/amount", "as": "money", "required": true, "per_line": true },
                "text": { "from": "/text", "as": "text" },
            },
        },
    });
    let token = json!({ "type": "token", "token": "s3cret-token" });
    let policy = OutboundPolicy::public_only();
    let (settings, credentials) = settings::parse(&settings, Some(&token), &policy).unwrap();
    let client = GuardedClient::new(settings.timeout, &policy).unwrap();
    Xledger::new(settings, credentials, client)
}

fn record(number: usize, lines: usize) -> OutboundRecord {
    OutboundRecord {
        source_record_type: "expense_claims".to_owned(),
        source_record_id: Uuid::from_u128(number as u128),
        payload: json!({ "text": "Course", "lines": vec![json!({ "amount": "1.00" }); lines] }),
        payload_hash: "0".repeat(64),
        idempotency_key: format!("key{number}"),
        in_doubt: false,
    }
}

#[test]
fn records_leave_together_with_all_their_nodes() {
    let sizes = |batch_size: usize, lines: &[usize]| -> Vec<Vec<usize>> {
        let records: Vec<OutboundRecord> =
            lines.iter().enumerate().map(|(number, lines)| record(number, *lines)).collect();
        let batches = connector(batch_size).batches(&records);
        let lines_of = |record: &OutboundRecord| record.payload["lines"].as_array().unwrap().len();
        batches.iter().map(|batch| batch.iter().map(lines_of).collect()).collect()
    };
    assert_eq!(sizes(4, &[1, 1, 1, 1, 1]), [vec![1, 1, 1, 1], vec![1]]);
    assert_eq!(sizes(4, &[2, 3, 1, 9, 1]), [vec![2], vec![3, 1], vec![9], vec![1]]);
    // What the mapping cannot write takes the room of one, and is told so when its turn comes.
    assert_eq!(sizes(2, &[0, 1, 1]), [vec![0, 1], vec![1]]);
    assert_eq!(sizes(500, &[]), Vec::<Vec<usize>>::new());
}

#[test]
fn each_line_can_be_correlated_and_found_again() {
    let connector = connector(10);
    let records = [record(0, 1), record(1, 2)];
    let mut inputs = Vec::new();
    for (place, record) in records.iter().enumerate() {
        let nodes = connector.settings.mapping.apply(&record.payload).unwrap();
        inputs.extend(mutation::inputs(connector.settings.mutation, record, place, nodes));
    }
    let body = mutation::body(connector.settings.mutation, &inputs);
    assert_eq!(
        body["query"],
        "mutation($inputs: [AddGLImportItemsInput!]!) { addGLImportItems(inputs: $inputs) { edges { clientId node { dbId } } } }"
    );
    let node = |identifier: &str| json!({ "amount": "1.00", "text": "Course", "extIdentifier": identifier });
    assert_eq!(
        body["variables"]["inputs"],
        json!([
            { "clientId": "0.0", "node": node("key0-0") },
            { "clientId": "1.0", "node": node("key1-0") },
            { "clientId": "1.1", "node": node("key1-1") },
        ])
    );
}

#[tokio::test]
async fn what_the_mapping_cannot_write_does_not_leave() {
    let answers = connector(10).send(&[record(0, 0), record(1, 0)]).await;
    assert_eq!(answers.len(), 2);
    for answer in answers {
        assert_eq!((answer.outcome, answer.permanence), (RecordOutcome::Failed, Permanence::Permanent));
        assert_eq!((answer.errors[0].code.as_str(), answer.http_status_code), ("MAPPING_MISSING_VALUE", None));
    }
}

#[test]
fn a_tests_answer_is_told_in_words() {
    for (status, body, ok, code) in [
        (200, json!({ "data": { "glImportItems": { "edges": null } } }), true, "OK"),
        (
            200,
            json!({ "errors": [{ "message": "no", "extensions": { "code": "FORBIDDEN" } }] }),
            false,
            "CREDENTIALS_REFUSED",
        ),
        (
            200,
            json!({ "errors": [{ "message": "no", "code": "BAD_REQUEST.BURST_RATE_LIMIT_REACHED" }] }),
            true,
            "REACHED",
        ),
        (200, json!({ "errors": [{ "message": "no" }] }), false, "REJECTED"),
        (200, json!([]), false, "NOT_JSON"),
        (401, json!({}), false, "CREDENTIALS_REFUSED"),
        (404, json!({}), false, "HTTP_404"),
    ] {
        let answer = Answer {
            status,
            content_type: None,
            location: None,
            retry_after: None,
            body: body.to_string().into_bytes(),
            completeness: Completeness::Whole,
        };
        let (found_ok, found_code, message) = tested(&answer);
        assert_eq!((found_ok, found_code.as_str()), (ok, code), "{status} {body}");
        assert!(!message.is_empty());
    }
}
