//! Whether one schema can stand for another.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Map, Value, json};

use super::resolve;

/// Which way a value goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the client: what was taken must still be taken.
    Request,
    /// To the client: what was there must still be there.
    Response,
}

/// Compares schemas of two documents.
pub(super) struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    direction: Direction,
    /// Pairs of references that are being compared: a schema may hold itself.
    under_way: HashSet<(String, String)>,
    found: Vec<String>,
}

const LOWER_BOUNDS: [&str; 5] = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];
const UPPER_BOUNDS: [&str; 5] = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];

impl<'a> Comparison<'a> {
    pub(super) fn new(old: &'a Value, new: &'a Value, direction: Direction) -> Self {
        Self { old, new, direction, under_way: HashSet::new(), found: Vec::new() }
    }

    /// Every breaking change, each with its place below the schema's own.
    pub(super) fn run(mut self, before: &Value, after: &Value) -> Vec<String> {
        self.compare(before, after, "");
        self.found
    }

    fn compare(&mut self, before: &Value, after: &Value, place: &str) {
        let name = |schema: &Value| schema.get("$ref").and_then(Value::as_str).map(str::to_owned);
        if let (Some(before), Some(after)) = (name(before), name(after))
            && !self.under_way.insert((before, after))
        {
            return;
        }
        let (before, after) = (whole(self.old, before), whole(self.new, after));
        if before.contains_key("oneOf") || after.contains_key("oneOf") {
            self.compare_variants(&before, &after, place);
            return;
        }
        self.compare_types(&before, &after, place);
        self.compare_values(&before, &after, place);
        self.compare_members(&before, &after, place);
        if let (Some(before), Some(after)) = (before.get("items"), after.get("items")) {
            self.compare(before, after, &format!("{place}[]"));
        }
        if let (Some(before @ Value::Object(_)), Some(after @ Value::Object(_))) =
            (before.get("additionalProperties"), after.get("additionalProperties"))
        {
            self.compare(before, after, &format!("{place}/*"));
        }
    }

    /// Of a choice, every variant that could come must find one that stands for it.
    fn compare_variants(&mut self, before: &Map<String, Value>, after: &Map<String, Value>, place: &str) {
        let (before, after) = (variants(before), variants(after));
        let stands_for = |before: &Value, after: &Value| {
            let under_way = self.under_way.clone();
            Comparison { under_way, ..Comparison::new(self.old, self.new, self.direction) }
                .run(before, after)
                .is_empty()
        };
        let lost = match self.direction {
            Direction::Request => before.iter().any(|before| !after.iter().any(|after| stands_for(before, after))),
            Direction::Response => after.iter().any(|after| !before.iter().any(|before| stands_for(before, after))),
        };
        if lost {
            self.tell(place, "the choice of forms is another");
        }
    }

    fn compare_types(&mut self, before: &Map<String, Value>, after: &Map<String, Value>, place: &str) {
        let (was, is) = (types(before), types(after));
        let fits = match self.direction {
            Direction::Request => covers(is.as_ref(), was.as_ref()),
            Direction::Response => covers(was.as_ref(), is.as_ref()),
        };
        if !fits {
            self.tell(place, &format!("the type was {}, and is {}", said(was.as_ref()), said(is.as_ref())));
        }
    }

    fn compare_values(&mut self, before: &Map<String, Value>, after: &Map<String, Value>, place: &str) {
        let changed = |member: &str| before.get(member) != after.get(member);
        let relied_upon = match self.direction {
            Direction::Request => after,
            Direction::Response => before,
        };
        if changed("format") && relied_upon.contains_key("format") {
            self.tell(place, "the format is another");
        }
        if self.direction == Direction::Response {
            return;
        }
        if let Some(now) = words(after) {
            match words(before) {
                None => self.tell(place, "the values have become a closed set"),
                Some(then) => {
                    for gone in then.iter().filter(|value| !now.contains(value)) {
                        self.tell(place, &format!("the value {gone} is gone"));
                    }
                }
            }
        }
        for bound in LOWER_BOUNDS {
            self.compare_bound(before, after, bound, place, |was, is| is > was);
        }
        for bound in UPPER_BOUNDS {
            self.compare_bound(before, after, bound, place, |was, is| is < was);
        }
        for member in ["pattern", "multipleOf"] {
            if changed(member) && after.contains_key(member) {
                self.tell(place, &format!("{member} narrows it"));
            }
        }
        if after.get("uniqueItems") == Some(&json!(true)) && before.get("uniqueItems") != Some(&json!(true)) {
            self.tell(place, "uniqueItems narrows it");
        }
    }

    fn compare_bound(
        &mut self,
        before: &Map<String, Value>,
        after: &Map<String, Value>,
        bound: &str,
        place: &str,
        is_narrower: impl Fn(f64, f64) -> bool,
    ) {
        let number = |schema: &Map<String, Value>| schema.get(bound).and_then(Value::as_f64);
        let Some(is) = number(after) else { return };
        if number(before).is_none_or(|was| is_narrower(was, is)) {
            self.tell(place, &format!("{bound} narrows it to {is}"));
        }
    }

    fn compare_members(&mut self, before: &Map<String, Value>, after: &Map<String, Value>, place: &str) {
        let members = |schema: &Map<String, Value>| {
            schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default()
        };
        let (was, is) = (members(before), members(after));
        let (was_required, is_required) = (required(before), required(after));
        for (name, schema) in &was {
            match is.get(name) {
                None => self.tell(place, &format!("the member {name} is gone")),
                Some(now) => self.compare(schema, now, &format!("{place}/{name}")),
            }
        }
        match self.direction {
            Direction::Request => {
                for name in is_required.difference(&was_required) {
                    self.tell(place, &format!("the member {name} has become required"));
                }
                let closed = |schema: &Map<String, Value>| schema.get("additionalProperties") == Some(&json!(false));
                if closed(after) && !closed(before) {
                    self.tell(place, "other members are no longer taken");
                }
            }
            Direction::Response => {
                for name in was_required.difference(&is_required).filter(|name| is.contains_key(*name)) {
                    self.tell(place, &format!("the member {name} is no longer always there"));
                }
            }
        }
    }

    fn tell(&mut self, place: &str, change: &str) {
        self.found.push(format!("{}{place}: {change}", if place.is_empty() { "" } else { ", " }));
    }
}

/// A schema with its references followed and its parts put together; a choice between something and `null` is that
/// something, or null.
fn whole(document: &Value, schema: &Value) -> Map<String, Value> {
    let Some(schema) = resolve(document, schema).as_object() else { return Map::new() };
    let mut schema = schema.clone();
    if let Some(Value::Array(parts)) = schema.remove("allOf") {
        for part in parts {
            put_together(&mut schema, whole(document, &part));
        }
    }
    if let Some(Value::Array(choices)) = schema.remove("anyOf") {
        schema.insert("oneOf".to_owned(), Value::Array(choices));
    }
    let is_null = |choice: &Value| choice["type"] == "null";
    if let Some(choices) = schema.get("oneOf").and_then(Value::as_array).cloned()
        && let [only] = choices.iter().filter(|choice| !is_null(choice)).collect::<Vec<_>>().as_slice()
        && choices.len() == 2
    {
        let mut inner = whole(document, only);
        let mut kinds: Vec<Value> = match inner.remove("type") {
            Some(Value::Array(kinds)) => kinds,
            Some(kind) => vec![kind],
            None => return inner,
        };
        kinds.push(json!("null"));
        inner.insert("type".to_owned(), Value::Array(kinds));
        return inner;
    }
    schema
}

fn put_together(whole: &mut Map<String, Value>, part: Map<String, Value>) {
    for (name, value) in part {
        match (whole.get_mut(&name), value) {
            (Some(Value::Object(known)), Value::Object(more)) if name == "properties" => known.extend(more),
            (Some(Value::Array(known)), Value::Array(more)) if name == "required" => known.extend(more),
            (Some(_), _) => {}
            (None, value) => drop(whole.insert(name, value)),
        }
    }
}

fn variants(schema: &Map<String, Value>) -> Vec<Value> {
    match schema.get("oneOf") {
        Some(Value::Array(variants)) => variants.clone(),
        _ => vec![Value::Object(schema.clone())],
    }
}

/// The types a schema takes; `None` means every one.
fn types(schema: &Map<String, Value>) -> Option<BTreeSet<String>> {
    match schema.get("type")? {
        Value::Array(kinds) => Some(kinds.iter().filter_map(|kind| kind.as_str().map(str::to_owned)).collect()),
        kind => Some(BTreeSet::from([kind.as_str()?.to_owned()])),
    }
}

fn covers(wide: Option<&BTreeSet<String>>, narrow: Option<&BTreeSet<String>>) -> bool {
    match (wide, narrow) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => {
            narrow.iter().all(|kind| wide.contains(kind) || (kind == "integer" && wide.contains("number")))
        }
    }
}

fn said(types: Option<&BTreeSet<String>>) -> String {
    types.map_or_else(|| "any".to_owned(), |types| types.iter().cloned().collect::<Vec<_>>().join(" or "))
}

/// The closed set of values, if it is one.
fn words(schema: &Map<String, Value>) -> Option<Vec<Value>> {
    match (schema.get("enum"), schema.get("const")) {
        (Some(Value::Array(values)), _) => Some(values.clone()),
        (_, Some(value)) => Some(vec![value.clone()]),
        _ => None,
    }
}

fn required(schema: &Map<String, Value>) -> BTreeSet<String> {
    let names = schema.get("required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}
