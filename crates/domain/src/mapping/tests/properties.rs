//! What holds of every mapping and every record.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// JSON of any shape, with members that mappings and records have.
fn any_json() -> impl Strategy<Value = Value> {
    let words =
        vec!["entity", "lines", "fields", "from", "as", "map", "value", "set", "key", "per_line", "a", "b", "a.b"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "/[ab](/[ab01]){0,2}".prop_map(Value::from),
        "-?[0-9]{1,30}(\\.[0-9]{1,30})?".prop_map(Value::from),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2}))?"
            .prop_map(Value::from),
        prop::sample::select(words.clone()).prop_map(Value::from),
        prop::sample::select(vec!["text", "decimal", "money", "date", "datetime", "id", "bind"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        let member = (prop::sample::select(words.clone()), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(Value::from),
            prop::collection::vec(member, 0..6)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

/// A field that a mapping may have, without lines.
fn any_field() -> impl Strategy<Value = Value> {
    let constant = prop_oneof![any::<i64>().prop_map(Value::from), ".{0,8}".prop_map(Value::from)];
    let kinds = vec!["text", "integer", "decimal", "money", "date", "datetime", "boolean", "id", "bind"];
    let words = prop::collection::btree_map("[a-c/~]{1,3}", constant.clone(), 1..4);
    let flags = any::<(bool, bool)>();
    let taken = ("/[ab](/[ab01]){0,2}", prop::sample::select(kinds), flags, prop::option::of("[a-z_]{1,5}"));
    let taken = taken.prop_map(|(from, kind, (required, personal), key)| {
        let mut field = json!({ "from": from, "as": kind, "required": required, "personal": personal });
        if kind == "bind" {
            field["set"] = json!("rows");
            field["key"] = json!(key);
        }
        field
    });
    prop_oneof![
        constant.prop_map(|value| json!({ "value": value })),
        ("/[ab](/[ab01]){0,2}", words).prop_map(|(from, map)| json!({ "from": from, "map": map })),
        taken,
    ]
}

fn any_mapping() -> impl Strategy<Value = Mapping> {
    prop::collection::btree_map("[a-c]{1,2}(_\\.[a-c]{1,2})?", any_field(), 1..8)
        .prop_map(|fields| parsed(&json!({ "entity": "things", "fields": fields })))
}

/// A mapping of texts and a record that fits it: each value of the record is another one.
fn any_fitting() -> impl Strategy<Value = (Mapping, Value)> {
    let names = prop::collection::btree_set("[a-c]{1,2}(\\.[a-c]{1,2}){0,2}", 1..8);
    (names, 0_usize..4, any::<u8>()).prop_map(|(names, lines, of_lines)| fitting(&names, lines, of_lines))
}

fn fitting(names: &BTreeSet<String>, lines: usize, of_lines: u8) -> (Mapping, Value) {
    let is_above = |above: &str| names.iter().any(|name| name.starts_with(&format!("{above}.")));
    let mut fields = BTreeMap::new();
    let mut record = Node::new();
    let mut items = vec![Node::new(); lines];
    for (number, name) in names.iter().filter(|name| !is_above(name)).enumerate() {
        let per_line = lines > 0 && (number == 0 || of_lines & (1 << number) != 0);
        let member = format!("s/{number}~");
        if per_line {
            for (line, item) in items.iter_mut().enumerate() {
                item.insert(member.clone(), json!(format!("{number} of line {line}")));
            }
        } else {
            record.insert(member, json!(format!("{number} of the record")));
        }
        let from = format!("/s~1{number}~0");
        fields.insert(name.clone(), json!({ "from": from, "as": "text", "required": true, "per_line": per_line }));
    }
    let mut mapping = json!({ "entity": "things", "fields": fields });
    if lines > 0 {
        mapping["lines"] = json!("/i~0tems");
        record.insert("i~tems".to_owned(), json!(items));
    }
    (parsed(&mapping), Value::Object(record))
}

proptest! {
    #[test]
    fn what_was_sent_is_traced_to_where_it_stands((mapping, record) in any_fitting()) {
        let nodes = mapping.apply(&record).unwrap();
        for (number, node) in nodes.into_iter().enumerate() {
            let node = Value::Object(node);
            for name in mapping.names() {
                let place = mapping.trace(number, name).unwrap();
                let sent = node.pointer(&format!("/{}", name.replace('.', "/")));
                prop_assert!(sent.is_some());
                prop_assert_eq!(record.pointer(&place), sent);
            }
        }
    }

    #[test]
    fn what_was_written_is_read_as_it_was(mapping in any_mapping(), (fitting, _) in any_fitting()) {
        for mapping in [mapping, fitting, claims()] {
            let written = serde_json::to_value(&mapping).unwrap();
            prop_assert_eq!(Mapping::parse(&written), Ok(mapping));
        }
    }

    #[test]
    fn nothing_breaks_a_mapping(document in any_json(), mapping in any_mapping(), record in any_json(), words in ".{0,40}") {
        for mapping in [Mapping::parse(&document), Ok(mapping)].into_iter().flatten() {
            match mapping.apply(&record) {
                Ok(nodes) => prop_assert!(!nodes.is_empty()),
                Err(errors) => {
                    prop_assert!(!errors.is_empty());
                    prop_assert!(errors.iter().all(|error| error.code.starts_with("MAPPING_")));
                    let places: Vec<_> = errors.iter().filter_map(|error| error.field.as_deref()).collect();
                    prop_assert!(places.iter().all(|place| place.starts_with('/')));
                }
            }
            for name in mapping.names().chain([words.as_str()]) {
                mapping.trace(0, name);
            }
            mapping.without_personal(&record, &words);
        }
    }
}
