//! Whatever an external system answers: its complaints are read without a panic, within their bounds, and lead into what
//! was sent or nowhere.
#![no_main]

use connectors::error_shapes::{clean, is_html, locate, parse_body, parse_json, parse_warnings, SentBody};
use libfuzzer_sys::fuzz_target;
use serde_json::{json, Value};

/// What bodies are said to be.
const CONTENT_TYPES: [Option<&str>; 3] = [None, Some("text/html"), Some("application/problem+json")];
/// Most complaints of a body, and most characters of one's message and of its shorter texts, as they are promised.
const MOST_COMPLAINTS: usize = 1_000;
const LONGEST_MESSAGE: usize = 4_000;
const LONGEST_NAME: usize = 200;

fuzz_target!(|body: &[u8]| {
    let first = json!({
        "claim_number": "C-1", "costCenter": "9999", "amount": "-1", "posted_date": null,
        "lines": [{ "account": "1", "amount": "-1" }, { "account": "2" }],
    });
    // A document may be about itself: its own names are those that lead furthest into the parser.
    let second = serde_json::from_slice::<Value>(body).unwrap_or(Value::Null);
    for content_type in CONTENT_TYPES {
        let found = parse_body(body, content_type);
        assert!(found.len() <= MOST_COMPLAINTS, "{} complaints", found.len());
        for error in &found {
            let texts = error.code.iter().chain(&error.field_name).chain(&error.hints);
            assert!(texts.clone().all(|text| text.chars().count() <= LONGEST_NAME), "a text is too long");
            assert!(error.message.chars().count() <= LONGEST_MESSAGE, "a message is too long");
            assert!(texts.chain([&error.message]).all(|text| !text.contains('\0')), "no database takes this");
            for batch in [None, Some(None), Some(Some("items"))] {
                let payloads = vec![&first, &second];
                let number = payloads.len();
                let place = locate(&error.path, &SentBody { payloads, batch });
                assert!(place.record.is_none_or(|record| record < number), "a record that was not sent");
                assert!(place.pointer.is_none_or(|pointer| pointer.starts_with('/')), "no pointer");
            }
        }
        let _ = is_html(body, content_type);
    }
    assert!(parse_json(&second).len() <= MOST_COMPLAINTS && parse_warnings(&second).len() <= MOST_COMPLAINTS);
    let _ = clean(&String::from_utf8_lossy(body), LONGEST_MESSAGE);
});
