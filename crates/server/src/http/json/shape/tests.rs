//! Every offending member, at once.

use serde::Deserialize;
use uuid::Uuid;

use super::super::parse_json;

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "only its parsing matters")]
#[serde(deny_unknown_fields)]
struct Body {
    id: Uuid,
    kind: Kind,
    count: u32,
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "only its parsing matters")]
struct Item {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    One,
    Two,
}

fn found(body: &str) -> Vec<(String, String)> {
    let problem = parse_json::<Body>(body.as_bytes()).unwrap_err().into_problem();
    let mut found: Vec<_> = problem.errors.into_iter().map(|error| (error.pointer, error.code)).collect();
    found.sort();
    found
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(pointer, code)| ((*pointer).to_owned(), (*code).to_owned())).collect()
}

#[test]
fn every_offending_member_is_named_at_once() {
    let body = r#"{"id": "x", "kind": "three", "count": -1, "items": [{"name": "a"}, {"name": 5}], "extra": 1}"#;
    let expected = [
        ("/count", "out_of_range"),
        ("/extra", "unknown_field"),
        ("/id", "invalid_format"),
        ("/items/1/name", "invalid_format"),
        ("/kind", "unknown_value"),
    ];
    assert_eq!(found(body), pairs(&expected));
}

#[test]
fn missing_members_are_all_named() {
    let expected = [("/count", "required"), ("/id", "required"), ("/kind", "required")];
    assert_eq!(found("{}"), pairs(&expected));
}

#[test]
fn a_member_that_stands_twice_is_named() {
    let body = r#"{"id": "00000000-0000-0000-0000-000000000000", "kind": "one", "count": 1, "count": 2}"#;
    assert_eq!(found(body), pairs(&[("/count", "duplicate")]));
    let _ = (Kind::One, Kind::Two);
}

#[test]
fn a_body_that_is_no_object_is_wrong_at_the_root() {
    assert_eq!(found("[1]").first().map(|(pointer, _)| pointer.clone()), Some(String::new()));
    assert_eq!(found("\"x\""), pairs(&[("", "invalid_format")]));
}

#[test]
fn member_names_are_escaped_in_pointers() {
    let body = r#"{"id": "00000000-0000-0000-0000-000000000000", "kind": "one", "count": 1, "a/b~c": 2}"#;
    assert_eq!(found(body), pairs(&[("/a~1b~0c", "unknown_field")]));
}
