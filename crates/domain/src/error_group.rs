//! Failed records grouped by what went wrong.

mod class;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

pub use class::{ErrorClass, classify};

use crate::payload;
use crate::record::RecordError;

/// Code of the group of failed records for which the external system gave no reason.
pub const UNSPECIFIED: &str = "UNSPECIFIED";

/// A failed record as [`group`] takes it in.
#[derive(Clone, Debug)]
pub struct FailedRecord<'a, T> {
    /// What stands for the record as a group's sample.
    pub record: T,
    /// The record's own names (id, label, external reference): where a message quotes one, it doesn't tell groups apart.
    pub identifiers: Vec<&'a str>,
    /// What the external system complained of.
    pub errors: &'a [RecordError],
}

/// Records that failed for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorGroup<T> {
    /// Machine-readable code.
    pub code: String,
    /// JSON Pointer into the record that was sent, with `*` for array indexes.
    pub field: Option<String>,
    /// The external system's words about the sample.
    pub message: String,
    /// How many records; a record counts once in each group.
    pub count: u64,
    /// The first of the records.
    pub sample: T,
    /// What tells the group from others, as [`fingerprints`] gives it for each of its records.
    pub fingerprint: String,
}

/// Groups failed records by what went wrong: largest group first, then by code, field and message.
///
/// A record with several errors stands in several groups; one without any in the group [`UNSPECIFIED`], so that no
/// failure is missing from the picture.
pub fn group<'a, T: Clone>(records: impl IntoIterator<Item = FailedRecord<'a, T>>) -> Vec<ErrorGroup<T>> {
    let unspecified = [unspecified()];
    let mut groups: HashMap<String, ErrorGroup<T>> = HashMap::new();
    for failed in records {
        let errors = if failed.errors.is_empty() { &unspecified[..] } else { failed.errors };
        let mut counted = HashSet::new();
        for error in errors {
            let key = fingerprint_among(error, &failed.identifiers);
            let group = groups.entry(key.clone()).or_insert_with(|| ErrorGroup {
                code: error.code.clone(),
                field: error.field.as_deref().map(general_field),
                message: error.message.clone(),
                count: 0,
                sample: failed.record.clone(),
                fingerprint: key.clone(),
            });
            group.count += u64::from(counted.insert(key));
        }
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by(|a, b| {
        b.count.cmp(&a.count).then_with(|| (&a.code, &a.field, &a.message).cmp(&(&b.code, &b.field, &b.message)))
    });
    groups
}

/// The fingerprints of the groups that a failed record stands in.
pub fn fingerprints(errors: &[RecordError], identifiers: &[&str]) -> Vec<String> {
    if errors.is_empty() {
        return vec![fingerprint(&unspecified())];
    }
    errors.iter().map(|error| fingerprint_among(error, identifiers)).collect()
}

/// What stands for the reason that was not given.
fn unspecified() -> RecordError {
    RecordError {
        code: UNSPECIFIED.to_owned(),
        message: "The external system gave no reason.".to_owned(),
        ..RecordError::default()
    }
}

/// Key by which errors fall into one group: code, field with its array indexes taken out, and the message with its
/// variable parts (uuids, times, numbers of six digits and more) taken out. Short values stay, since they are what the
/// reader must mend. 64 hexadecimal characters, stable across runs.
pub fn fingerprint(error: &RecordError) -> String {
    fingerprint_among(error, &[])
}

/// As [`fingerprint`], with the record's own names taken out too where the message quotes them.
pub fn fingerprint_among(error: &RecordError, identifiers: &[&str]) -> String {
    let field = error.field.as_deref().map(general_field).unwrap_or_default();
    let message = general_message(&error.message, identifiers);
    payload::sha256_hex(format!("{}\u{1f}{field}\u{1f}{message}", error.code).as_bytes())
}

/// A JSON Pointer with `*` for array indexes; the record's own field, which comes first, stays as it is.
pub fn general_field(pointer: &str) -> String {
    let is_index = |segment: &str| !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit());
    // What stands before the first slash is empty, so the record's own field is the second segment.
    let segments = pointer.split('/').enumerate();
    let general = segments.map(|(place, segment)| if place > 1 && is_index(segment) { "*" } else { segment });
    general.collect::<Vec<_>>().join("/")
}

/// What varies between messages that mean the same, longest form first.
static VARIABLE: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        (r"(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "<uuid>"),
        (r"(?i)\b[0-9a-f]{32,128}\b", "<hex>"),
        (r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?:[Zz]|\s?[+-][0-9]{2}:?[0-9]{2})?", "<time>"),
        (r"(?i)\b[0-9]{1,2}[./][0-9]{1,2}[./][0-9]{4},? (?:kl\.? ?)?[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?(?: ?[ap]m)?", "<time>"),
        (r"(?i)\b(?:mon|tue|wed|thu|fri|sat|sun), [0-9]{1,2} [a-z]{3} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2}(?: (?:gmt|utc|[+-][0-9]{4}))?", "<time>"),
        (r"\b[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?", "<time>"),
        (r"[0-9]{6,}", "<number>"),
        (r"\s+", " "),
    ]
    .into_iter()
    .filter_map(|(pattern, word)| Some((Regex::new(pattern).ok()?, word)))
    .collect()
});

fn general_message(message: &str, identifiers: &[&str]) -> String {
    let mut general = Cow::Borrowed(message.trim());
    for identifier in identifiers.iter().filter(|identifier| !identifier.is_empty()) {
        for (open, close) in [('\'', '\''), ('"', '"'), ('`', '`'), ('«', '»'), ('“', '”'), ('‘', '’')] {
            let quoted = format!("{open}{identifier}{close}");
            if general.contains(&quoted) {
                general = Cow::Owned(general.replace(&quoted, "<own>"));
            }
        }
    }
    for (pattern, word) in VARIABLE.iter() {
        if let Cow::Owned(replaced) = pattern.replace_all(&general, *word) {
            general = Cow::Owned(replaced);
        }
    }
    general.into_owned()
}

#[cfg(test)]
mod tests;
