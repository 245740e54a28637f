use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::error_shapes::parse_body;
use crate::exchange::Completeness;

/// A documented answer of Dataverse.
fn fixture(name: &str) -> (Answer, Vec<ParsedError>) {
    let path = format!("{}/fixtures/dataverse_{name}.json", env!("CARGO_MANIFEST_DIR"));
    let fixture: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let body = fixture["body"].to_string().into_bytes();
    let complaints = parse_body(&body, fixture["content_type"].as_str());
    (answer(u16::try_from(fixture["status"].as_u64().unwrap()).unwrap(), body), complaints)
}

fn answer(status: u16, body: Vec<u8>) -> Answer {
    Answer { status, content_type: None, location: None, retry_after: None, body, completeness: Completeness::Whole }
}

#[test]
fn every_documented_code_is_known() {
    use Certainty::NotTaken;
    use Meaning::{Denied, Duplicate, Invalid, Missing, Throttled};
    use Permanence::{Permanent, Transient};
    for (name, says, permanence) in [
        ("too_long", Some(Invalid), Permanent),
        ("option", Some(Invalid), Permanent),
        ("undeclared", Some(Invalid), Permanent),
        // `0x0` stands for many things: its status and the field it names decide.
        ("unknown_property", None, Permanent),
        ("without_code", None, Permanent),
        ("duplicate_key", Some(Duplicate), Permanent),
        ("matching_key", Some(Duplicate), Permanent),
        ("duplicate_as_500", Some(Duplicate), Permanent),
        ("not_found_by_id", Some(Missing), Permanent),
        ("not_found_by_key", Some(Missing), Permanent),
        ("privilege", Some(Denied), Permanent),
        ("privilege_of_another", Some(Denied), Permanent),
        ("throttled_by_time", Some(Throttled), Transient),
        ("throttled_by_number", Some(Throttled), Transient),
        ("throttled_by_concurrency", Some(Throttled), Transient),
    ] {
        let (answer, complaints) = fixture(name);
        assert_eq!(meaning(&complaints), says, "{name}");
        let is_duplicate = says == Some(Duplicate);
        let expected = Refusal { certainty: NotTaken, permanence, is_duplicate };
        assert_eq!(refusal(&answer, &complaints), expected, "{name}");
        // Whatever the status: a server that says why has looked at the request.
        if says.is_some() {
            for status in [400, 412, 429, 500, 503] {
                assert_eq!(refusal(&Answer { status, ..answer.clone() }, &complaints), expected, "{name} as {status}");
            }
        }
    }
}

#[test]
fn without_a_code_the_status_decides() {
    let complaints = |code: Option<&str>| {
        vec![ParsedError { code: code.map(ToOwned::to_owned), message: "no".to_owned(), ..ParsedError::default() }]
    };
    for (status, wait, certainty, permanence, is_duplicate) in [
        (400, None, Certainty::NotTaken, Permanence::Permanent, false),
        (401, None, Certainty::NotTaken, Permanence::Permanent, false),
        (412, None, Certainty::NotTaken, Permanence::Permanent, true),
        (429, None, Certainty::NotTaken, Permanence::Transient, false),
        (500, None, Certainty::Open, Permanence::Unknown, false),
        (502, None, Certainty::Open, Permanence::Transient, false),
        (503, None, Certainty::Open, Permanence::Transient, false),
        (503, Some(7), Certainty::NotTaken, Permanence::Transient, false),
    ] {
        for code in [None, Some("0x80048d00")] {
            let answer = Answer { retry_after: wait.map(Duration::from_secs), ..answer(status, Vec::new()) };
            let expected = Refusal { certainty, permanence, is_duplicate };
            assert_eq!(refusal(&answer, &complaints(code)), expected, "{status} {wait:?} {code:?}");
        }
    }
}

#[test]
fn a_duplicates_column_is_in_the_sentence() {
    let (_, complaints) = fixture("duplicate_key");
    assert_eq!(duplicated(&complaints[0].message), Some("Claim Number"));
    assert_eq!(duplicated("A record with matching key values already exists."), None);
    assert_eq!(duplicated("with the same value for "), None);
    assert_eq!(duplicated("with the same value for  already exists"), None);
}
