use serde_json::json;

use super::*;
use crate::connector::Permanence;
use crate::credentials::ClientCredentials;
use crate::dynamics365::settings::parse;
use crate::exchange::Trouble;
use crate::guard::OutboundPolicy;

const ID: Uuid = Uuid::from_u128(7);
const ROW: &str = "11111111-2222-3333-4444-555555555555";

fn settings() -> (Settings, ClientCredentials) {
    let settings = json!({
        "environment": "https://contoso.crm4.dynamics.com", "tenant": "contoso", "key_attribute": "sw_syncid",
        "mapping": { "entity": "sw_claims", "fields": { "sw_amount": { "from": "/amount", "as": "decimal" } } },
    });
    let credentials = json!({ "type": "client_credentials", "client_id": "sync", "client_secret": "s3cret-text" });
    parse(&settings, Some(&credentials), &OutboundPolicy::public_only()).unwrap()
}

fn answer(status: u16, body: &str) -> Exchange {
    Exchange::Answered(Answer {
        status,
        content_type: Some("application/json".to_owned()),
        location: None,
        retry_after: None,
        body: body.as_bytes().to_vec(),
        completeness: Completeness::Whole,
    })
}

fn coded(status: u16, code: &str) -> Exchange {
    answer(status, &json!({ "error": { "code": code, "message": "no such row s3cret-text" } }).to_string())
}

/// In short: what was said, with the reference or the code.
fn said(exchange: &Exchange) -> String {
    let (settings, credentials) = settings();
    let credentials = credentials.ungranted();
    match (LookUp { settings: &settings, credentials: &credentials }).said(ID, exchange) {
        Asked::Found { reference } => format!("found {}", reference.unwrap_or_default()),
        Asked::Absent => "absent".to_owned(),
        Asked::Unclear(error) => {
            assert!(!error.message.contains("s3cret"));
            error.code
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn a_row_of_the_key_is_the_record() {
    let row = json!({
        "@odata.context": "https://contoso/$metadata#sw_claims(sw_syncid)/$entity", "@odata.etag": "W/\"7\"",
        "sw_syncid": ID, "sw_claimid": ROW,
    });
    assert_eq!(said(&answer(200, &row.to_string())), format!("found {ROW}"));
    // Which of two is the row's own id, nobody can say.
    let mut row = row;
    row["ownerid"] = json!(ROW);
    assert_eq!(said(&answer(200, &row.to_string())), "found ");
    row["sw_syncid"] = json!(Uuid::from_u128(8));
    assert_eq!(said(&answer(200, &row.to_string())), "LOOK_UP_MISMATCH");
}

#[test]
fn only_dataverses_own_word_says_that_a_row_is_missing() {
    for code in ["0x80060891", "0x80040217"] {
        assert_eq!(said(&coded(404, code)), "absent");
        assert_eq!(said(&coded(400, code)), code);
    }
    // A set that is not there; a page; nothing.
    assert_eq!(said(&coded(404, "0x8006088a")), "0x8006088a");
    assert_eq!(said(&answer(404, "<html><h1>404</h1></html>")), "HTTP_404");
    assert_eq!(said(&answer(404, "")), "HTTP_404");
}

#[test]
fn anything_else_says_nothing() {
    assert_eq!(said(&coded(403, "0x80040220")), "0x80040220");
    assert_eq!(said(&coded(429, "0x80072322")), "0x80072322");
    assert_eq!(said(&answer(200, "<html>")), "LOOK_UP_UNCLEAR");
    assert_eq!(said(&answer(200, "{\"value\": []}")), "LOOK_UP_UNCLEAR");
    assert_eq!(said(&answer(204, "")), "LOOK_UP_UNCLEAR");
    let trouble = Trouble { code: "TIMEOUT", message: "No answer came.".to_owned(), permanence: Permanence::Transient };
    assert_eq!(said(&Exchange::NoAnswer(trouble.clone())), "TIMEOUT");
    assert_eq!(said(&Exchange::NeverLeft(trouble)), "TIMEOUT");
    let Exchange::Answered(whole) = coded(404, "0x80060891") else { panic!("an answer") };
    assert_eq!(said(&Exchange::Answered(Answer { completeness: Completeness::Cut, ..whole })), "LOOK_UP_INCOMPLETE");
}

#[test]
fn what_is_said_of_a_batch_is_said_of_none_of_its_records() {
    let (settings, credentials) = settings();
    let credentials = credentials.ungranted();
    let look_up = LookUp { settings: &settings, credentials: &credentials };
    for (exchange, code) in [(coded(404, "0x80060891"), "LOOK_UP_INCOMPLETE"), (coded(401, "0x80040220"), "0x80040220")]
    {
        let Asked::Unclear(error) = look_up.said_of_all(&exchange) else { panic!("{exchange:?}") };
        assert_eq!(error.code, code);
    }
}
