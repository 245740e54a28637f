//! What cannot be a mapping.

use serde_json::json;

use super::*;
use crate::violation::Rule;

fn found(mapping: &Value) -> Vec<(String, Rule)> {
    let mut found: Vec<_> =
        Mapping::parse(mapping).unwrap_err().into_iter().map(|one| (one.pointer, one.rule)).collect();
    found.sort();
    found
}

fn places(expected: &[(&str, Rule)]) -> Vec<(String, Rule)> {
    expected.iter().map(|(pointer, rule)| ((*pointer).to_owned(), *rule)).collect()
}

/// What is wrong with one field, `x`, by pointers into it.
fn found_in(field: &Value) -> Vec<(String, Rule)> {
    found(&json!({ "entity": "things", "fields": { "x": field } }))
        .into_iter()
        .map(|(pointer, rule)| (pointer.strip_prefix("/fields/x").unwrap().to_owned(), rule))
        .collect()
}

#[test]
fn everything_wrong_is_said_at_once() {
    let mapping = json!({
        "lines": "lines", "colour": 1,
        "fields": {
            "a": { "from": "/a" },
            "b": { "as": "text" },
            "c": { "from": "c", "as": "word" },
            "d": { "value": "x", "from": "/d", "required": true },
            "e": { "value": 1.5 },
            "f": { "value": "20.11.2026", "as": "date" },
            "g": { "from": "/g", "as": "money", "map": { "a/b": "much", "c": "1.00" } },
            "h": { "from": "/h", "as": "bind" },
            "i": { "from": "/i", "as": "text", "set": "rows", "per_line": true },
            "j": 1,
            "k": { "from": "/k", "as": "text", "personal": "yes" },
            "k.l": { "value": 1 },
            "m/n": { "value": 1 },
        },
    });
    let expected = [
        ("/colour", Rule::UnknownField),
        ("/entity", Rule::Required),
        ("/fields/a/as", Rule::Required),
        ("/fields/b/from", Rule::Required),
        ("/fields/c/as", Rule::UnknownValue),
        ("/fields/c/from", Rule::InvalidFormat),
        ("/fields/d/from", Rule::UnknownField),
        ("/fields/d/required", Rule::UnknownField),
        ("/fields/e/value", Rule::InvalidFormat),
        ("/fields/f/value", Rule::InvalidFormat),
        ("/fields/g/map/a~1b", Rule::InvalidFormat),
        ("/fields/h/set", Rule::Required),
        ("/fields/i/set", Rule::UnknownField),
        ("/fields/j", Rule::InvalidFormat),
        ("/fields/k.l", Rule::Duplicate),
        ("/fields/k/personal", Rule::InvalidFormat),
        ("/fields/m~1n", Rule::InvalidFormat),
        ("/lines", Rule::InvalidFormat),
    ];
    assert_eq!(found(&mapping), places(&expected));
}

#[test]
fn what_is_no_mapping_at_all_is_wrong_at_its_root() {
    for nothing in [json!(null), json!([]), json!("mapping")] {
        assert_eq!(found(&nothing), places(&[("", Rule::InvalidFormat)]));
    }
    let bare = places(&[("/entity", Rule::Required), ("/fields", Rule::Required)]);
    assert_eq!(found(&json!({})), bare);
    assert_eq!(found(&json!({ "entity": null, "fields": null })), bare);
    let empty = json!({ "entity": "", "fields": {} });
    assert_eq!(found(&empty), places(&[("/entity", Rule::InvalidFormat), ("/fields", Rule::InvalidFormat)]));
    assert_eq!(
        found(&json!({ "entity": "a b", "fields": { "x": { "value": 1 } } })),
        places(&[("/entity", Rule::InvalidFormat)])
    );
}

#[test]
fn lines_and_their_fields_need_each_other() {
    let per_line = json!({ "from": "/x", "as": "text", "per_line": true });
    let found_with =
        |lines: Value, field: &Value| found(&json!({ "entity": "t", "lines": lines, "fields": { "x": field } }));
    let wrong = places(&[("/fields/x/per_line", Rule::InvalidFormat)]);
    assert_eq!(found_with(json!(null), &per_line), wrong);
    // Every line would be booked with the same amount.
    let of_record = json!({ "from": "/x", "as": "text" });
    assert_eq!(found_with(json!("/lines"), &of_record), places(&[("/lines", Rule::InvalidFormat)]));
}

#[test]
fn names_pointers_and_words_have_a_form_and_an_end() {
    let steps = |number: usize, between: &str| vec!["a"; number].join(between);
    for (name, fits) in [
        (steps(8, "."), true),
        (steps(9, "."), false),
        ("a".repeat(200), true),
        ("a".repeat(201), false),
        ("_a1".to_owned(), true),
        (String::new(), false),
        ("1a".to_owned(), false),
        ("a.".to_owned(), false),
        (".a".to_owned(), false),
        ("a-b".to_owned(), false),
        ("å".to_owned(), false),
        ("a@odata.bind".to_owned(), false),
    ] {
        let mapping = json!({ "entity": "things", "fields": { (name.as_str()): { "value": 1 } } });
        assert_eq!(Mapping::parse(&mapping).is_ok(), fits, "{name}");
    }
    for (from, fits) in [
        (format!("/{}", steps(8, "/")), true),
        (format!("/{}", steps(9, "/")), false),
        (format!("/{}", "a".repeat(499)), true),
        ("/a~0~1".to_owned(), true),
        ("/a~2".to_owned(), false),
        ("/a~".to_owned(), false),
        ("a/b".to_owned(), false),
    ] {
        let field = json!({ "from": from, "as": "text" });
        let mapping = json!({ "entity": "things", "fields": { "x": field } });
        assert_eq!(Mapping::parse(&mapping).is_ok(), fits, "{from}");
    }
    let too_long = |member: &str| places(&[(member, Rule::TooLong)]);
    assert_eq!(found_in(&json!({ "from": format!("/{}", "a".repeat(500)), "as": "text" })), too_long("/from"));
    assert_eq!(found_in(&json!({ "value": "ø".repeat(4_001) })), too_long("/value"));
    let words: Node = (0..1_001).map(|number| (number.to_string(), json!(1))).collect();
    assert_eq!(found_in(&json!({ "from": "/x", "map": words })), too_long("/map"));
    let fields: Node = (0..201).map(|number| (format!("a{number}"), json!({ "value": 1 }))).collect();
    assert_eq!(found(&json!({ "entity": "things", "fields": fields })), too_long("/fields"));
}
