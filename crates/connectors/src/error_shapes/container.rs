//! Finding the complaints in a document: which members hold lists of them, and which map fields to them.

use serde_json::{Map, Value};

use super::item::{Place, is_complaint, member, read, without_echo};
use super::{MAX_COMPLAINTS, MAX_DEPTH, MAX_MESSAGE, MAX_NAME, MAX_SEGMENTS, ParsedError, Segment, clean, path};

/// Members that hold complaints one level further down.
const HOLDERS: &[&str] = &[
    "errors",
    "validationmessages",
    "validation",
    "invalid-params",
    "invalid_params",
    "invalidparams",
    "violations",
    "fieldviolations",
    "fielderrors",
    "modelstate",
    "issues",
    "details",
    "detail",
    "error",
    "extensions",
];
/// Those of them whose objects map fields to complaints.
const FIELD_MAPS: &[&str] = &["errors", "validation", "fielderrors", "modelstate", "violations", "details"];

/// Everything a document complains of.
pub(super) fn collect(value: &Value) -> Vec<ParsedError> {
    let mut walk = Walk { found: Vec::new(), graphql: is_graphql(value) };
    walk.value(value, &[], 0, true);
    walk.found
}

/// Everything a list, or a map from fields, complains of.
pub(super) fn collect_list(value: &Value) -> Vec<ParsedError> {
    let mut walk = Walk { found: Vec::new(), graphql: false };
    match value {
        Value::Object(object) if !is_complaint(object) => walk.field_map(object, &[], 0),
        other => walk.value(other, &[], 0, false),
    }
    walk.found
}

/// An answer with `data` beside `errors`, or with errors that have locations in a query.
fn is_graphql(value: &Value) -> bool {
    let Some(object) = value.as_object() else { return false };
    let entries = object.get("errors").and_then(Value::as_array);
    let located = |entry: &Value| entry.get("locations").is_some() || entry.get("extensions").is_some();
    entries.is_some_and(|entries| object.contains_key("data") || entries.iter().any(located))
}

struct Walk {
    found: Vec<ParsedError>,
    graphql: bool,
}

impl Walk {
    fn push(&mut self, base: &[Segment], mut error: ParsedError) {
        if self.found.len() >= MAX_COMPLAINTS || error.message.is_empty() {
            return;
        }
        if !base.is_empty() {
            error.path.splice(0..0, base.iter().cloned());
            error.path.truncate(MAX_SEGMENTS);
            error.field_name = Some(clean(&path::to_text(&error.path), MAX_NAME));
        }
        self.found.push(error);
    }

    fn words(&mut self, base: &[Segment], message: &str) {
        self.push(base, ParsedError { message: clean(&without_echo(message), MAX_MESSAGE), ..ParsedError::default() });
    }

    fn value(&mut self, value: &Value, base: &[Segment], depth: usize, head: bool) {
        if depth > MAX_DEPTH || self.found.len() >= MAX_COMPLAINTS {
            return;
        }
        match value {
            Value::String(text) => self.words(base, text),
            Value::Array(entries) => {
                for (index, entry) in entries.iter().enumerate() {
                    match entry {
                        Value::Object(object) if !is_complaint(object) && looks_like_field_map(object) => {
                            let base = joined(base, Segment::Index(index));
                            self.field_map(object, &base, depth + 1);
                        }
                        other => self.value(other, base, depth + 1, false),
                    }
                }
            }
            Value::Object(object) => self.object(object, base, depth, head),
            _ => {}
        }
    }

    fn object(&mut self, object: &Map<String, Value>, base: &[Segment], depth: usize, head: bool) {
        let before = self.found.len();
        for name in HOLDERS {
            match member(object, name) {
                Some(list @ Value::Array(_)) => self.value(list, base, depth + 1, false),
                Some(Value::Object(inner)) if *name == "extensions" => self.extensions(inner, base, depth + 1),
                Some(Value::Object(inner)) => {
                    if FIELD_MAPS.contains(name) && !is_complaint(inner) {
                        self.field_map(inner, base, depth + 1);
                    } else {
                        self.object(inner, base, depth + 1, false);
                    }
                }
                _ => {}
            }
        }
        let place = match (head, self.graphql) {
            (true, _) => Place::Head,
            (false, true) => Place::GraphqlEntry,
            (false, false) => Place::Entry,
        };
        // "Validation failed" above a list says nothing the list doesn't; a field named only above it does.
        let inner = &self.found[before..];
        if let Some(own) = read(object, place)
            && (inner.is_empty() || (!own.path.is_empty() && inner.iter().all(|error| error.path != own.path)))
        {
            self.push(base, own);
        }
        if self.found.len() == before && looks_like_field_map(object) {
            self.field_map(object, base, depth + 1);
        }
    }

    /// Some GraphQL servers put the validator's own map of fields here.
    fn extensions(&mut self, inner: &Map<String, Value>, base: &[Segment], depth: usize) {
        for name in ["validation", "errors", "fieldErrors"] {
            if let Some(Value::Object(map)) = member(inner, name) {
                self.field_map(map, base, depth);
            }
        }
    }

    fn field_map(&mut self, map: &Map<String, Value>, base: &[Segment], depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        for (key, value) in map {
            let mut base = base.to_vec();
            base.extend(path::from_text(key));
            base.truncate(MAX_SEGMENTS);
            match value {
                Value::String(text) => self.named(&base, key, text),
                Value::Array(entries) => {
                    for (index, entry) in entries.iter().enumerate() {
                        match entry {
                            Value::String(text) => self.named(&base, key, text),
                            Value::Object(inner) if is_complaint(inner) => self.object(inner, &base, depth + 1, false),
                            Value::Object(inner) => {
                                self.field_map(inner, &joined(&base, Segment::Index(index)), depth + 1);
                            }
                            _ => {}
                        }
                    }
                }
                Value::Object(inner) if is_complaint(inner) => self.object(inner, &base, depth + 1, false),
                Value::Object(inner) => self.field_map(inner, &base, depth + 1),
                _ => {}
            }
        }
    }

    /// A complaint under a member of a map: at the top its name is kept exactly as it was written.
    fn named(&mut self, base: &[Segment], key: &str, message: &str) {
        let before = self.found.len();
        self.words(base, message);
        if base.len() == path::from_text(key).len()
            && !base.is_empty()
            && let Some(pushed) = self.found.get_mut(before)
        {
            pushed.field_name = Some(clean(key, MAX_NAME));
        }
    }
}

fn joined(base: &[Segment], step: Segment) -> Vec<Segment> {
    let mut path = base.to_vec();
    path.push(step);
    path
}

/// Whether every member holds complaints, so that the members' names are those of fields.
fn looks_like_field_map(object: &Map<String, Value>) -> bool {
    let holds_complaints = |value: &Value| match value {
        Value::Array(entries) => entries.iter().all(|entry| entry.is_string() || entry.is_object()),
        Value::Object(_) => true,
        _ => false,
    };
    object.len() <= 500 && object.values().all(holds_complaints)
}
