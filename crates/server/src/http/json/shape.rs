//! Finds everything wrong with a body's shape, where serde stops at the first thing.
//!
//! After each finding the value is mended at that place (an unknown member goes, a missing or wrong one gets a value
//! that fits) and read again, until nothing more is found.

use std::collections::VecDeque;

use domain::violation::{Rule, Violation};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use serde_path_to_error::{Error, Path, Segment};

/// Findings that are looked for at most.
const MOST_FINDINGS: usize = 20;
/// Longest text, in bytes of JSON, that is read again and again.
const MENDABLE_BYTES: usize = 64 * 1024;

/// Everything wrong with a value's shape, given the first finding.
pub(super) fn violations<T: DeserializeOwned>(mut value: Value, first: &Error<serde_json::Error>) -> Vec<Violation> {
    let mut finding = Finding::of(first);
    let mut found = vec![finding.violation.clone()];
    if value.to_string().len() > MENDABLE_BYTES {
        return found;
    }
    for _ in 0..MOST_FINDINGS {
        match mend::<T>(&value, &finding) {
            Mended::Further(mended, next) => {
                // A mend that could not be tried, because something before it was wrong, may come up again.
                if !found.iter().any(|known| known.pointer == next.violation.pointer) {
                    found.push(next.violation.clone());
                }
                value = mended;
                finding = next;
            }
            Mended::Whole | Mended::Stuck => break,
        }
    }
    found
}

/// One thing wrong, and where to mend it.
struct Finding {
    violation: Violation,
    /// The value to mend, as keys and indexes from the root.
    place: Vec<Step>,
    /// Words that fit, if the message names them.
    words: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    Item(usize),
}

enum Mended {
    Further(Value, Finding),
    Whole,
    Stuck,
}

impl Finding {
    fn of(error: &Error<serde_json::Error>) -> Self {
        let message = without_position(&error.inner().to_string()).to_owned();
        let mut place = steps(error.path());
        let (rule, member) = classify(&message);
        // Serde's path ends at the object for a missing member, at the member itself for an unknown one.
        if let Some(name) = member {
            let step = Step::Member(name);
            if place.last() != Some(&step) {
                place.push(step);
            }
        }
        let words = expected_words(&message);
        let violation = Violation::new(rule, pointer(&place), message);
        Self { violation, place, words }
    }
}

fn classify(message: &str) -> (Rule, Option<String>) {
    let member = named_field(message).map(str::to_owned);
    if message.starts_with("missing field") {
        (Rule::Required, member)
    } else if message.starts_with("unknown field") {
        (Rule::UnknownField, member)
    } else if message.starts_with("duplicate field") {
        (Rule::Duplicate, member)
    } else if message.starts_with("unknown variant") {
        (Rule::UnknownValue, None)
    } else if message.starts_with("invalid value: integer") {
        (Rule::OutOfRange, None)
    } else {
        (Rule::InvalidFormat, None)
    }
}

/// The member that a message of serde names.
pub(super) fn named_field(message: &str) -> Option<&str> {
    let rest = ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .find_map(|start| message.strip_prefix(start))?;
    rest.split_once('`').map(|(name, _)| name)
}

/// The words that serde's message lists after "expected one of".
fn expected_words(message: &str) -> Vec<String> {
    let Some((_, list)) = message.strip_prefix("unknown variant").and_then(|rest| rest.split_once("expected ")) else {
        return Vec::new();
    };
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn mend<T: DeserializeOwned>(value: &Value, finding: &Finding) -> Mended {
    let read = |value: &Value| -> Option<Finding> {
        serde_path_to_error::deserialize::<_, T>(value).err().map(|error| Finding::of(&error))
    };
    let outcome = |mended: Value| match read(&mended) {
        None => Mended::Whole,
        Some(next) if next.violation == finding.violation => Mended::Stuck,
        Some(next) => Mended::Further(mended, next),
    };
    let mut mended = value.clone();
    match finding.violation.rule {
        // The parsed value has it once already.
        Rule::Duplicate => return outcome(mended),
        Rule::UnknownField => {
            return if remove(&mut mended, &finding.place).is_some() { outcome(mended) } else { Mended::Stuck };
        }
        _ => {}
    }
    let mut waiting: VecDeque<Value> = finding.words.iter().map(|word| Value::from(word.as_str())).collect();
    waiting.extend(candidates());
    while let Some(candidate) = waiting.pop_front() {
        if put(&mut mended, &finding.place, candidate).is_none() {
            return Mended::Stuck;
        }
        match read(&mended) {
            None => return Mended::Whole,
            // Still wrong at or below the same place: the candidate does not fit, but may have brought out what does.
            Some(next) if next.place.starts_with(&finding.place) => {
                if finding.words.is_empty()
                    && let Some(word) = next.words.first()
                    && !waiting.iter().any(|known| known == word.as_str())
                    && next.place == finding.place
                {
                    waiting.push_front(Value::from(word.as_str()));
                }
            }
            Some(next) => return Mended::Further(mended, next),
        }
    }
    Mended::Stuck
}

/// Values of every shape the contract uses.
fn candidates() -> impl Iterator<Item = Value> {
    [
        Value::Null,
        json!("1"),
        json!(1),
        json!(false),
        json!([]),
        json!({}),
        json!("00000000-0000-0000-0000-000000000000"),
        json!("2026-01-01T00:00:00Z"),
        json!("2026-01-01"),
    ]
    .into_iter()
}

fn steps(path: &Path) -> Vec<Step> {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(Step::Item(*index)),
            Segment::Map { key } => Some(Step::Member(key.clone())),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

/// JSON Pointer (RFC 6901).
fn pointer(place: &[Step]) -> String {
    let mut text = String::new();
    for step in place {
        text.push('/');
        match step {
            Step::Member(name) => text.push_str(&name.replace('~', "~0").replace('/', "~1")),
            Step::Item(index) => text.push_str(&index.to_string()),
        }
    }
    text
}

/// Where texts or member names with U+0000 stand.
pub(super) fn nul_places(value: &Value) -> Vec<String> {
    fn walk(value: &Value, place: &mut Vec<Step>, found: &mut Vec<String>) {
        match value {
            Value::String(text) if text.contains('\0') => found.push(pointer(place)),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    place.push(Step::Item(index));
                    walk(item, place, found);
                    place.pop();
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    if name.contains('\0') {
                        found.push(pointer(place));
                    }
                    place.push(Step::Member(name.clone()));
                    walk(member, place, found);
                    place.pop();
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(value, &mut Vec::new(), &mut found);
    found
}

fn parent<'a>(value: &'a mut Value, place: &[Step]) -> Option<&'a mut Value> {
    place.iter().try_fold(value, |value, step| match step {
        Step::Member(name) => value.get_mut(name.as_str()),
        Step::Item(index) => value.get_mut(*index),
    })
}

fn put(value: &mut Value, place: &[Step], new: Value) -> Option<()> {
    let Some((last, above)) = place.split_last() else {
        *value = new;
        return Some(());
    };
    match (parent(value, above)?, last) {
        (Value::Object(members), Step::Member(name)) => drop(members.insert(name.clone(), new)),
        (Value::Array(items), Step::Item(index)) => *items.get_mut(*index)? = new,
        _ => return None,
    }
    Some(())
}

fn remove(value: &mut Value, place: &[Step]) -> Option<()> {
    let (Step::Member(name), above) = place.split_last()? else { return None };
    parent(value, above)?.as_object_mut()?.remove(name).map(drop)
}

/// Serde's message without ` at line 1 column 5`.
fn without_position(message: &str) -> &str {
    message.rfind(" at line ").map_or(message, |at| &message[..at])
}

#[cfg(test)]
mod tests;
