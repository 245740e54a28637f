//! Reading Xledger's complaints: what each says of the request, and which node and field it means.
//!
//! They come with HTTP 200. Of those that refuse a request, only they count as its whole fate whose code or words say
//! that it was looked at and not taken: a value, a look-up, a scope, a limit. What else went wrong may have gone wrong
//! after something was booked.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::error_shapes::{ParsedError, Segment, from_text, parse_json};
use crate::exchange::MAX_RETRY_AFTER;
use crate::ruling::is_throttling;

/// What a complaint says of the request it came for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A value was refused: nothing was taken.
    Invalid,
    /// Who asks may not: nothing was taken.
    Denied,
    /// It was too much: nothing was taken.
    Throttled,
    /// Nothing certain.
    Unclear,
}

/// One complaint.
#[derive(Clone, Debug)]
pub(super) struct Complaint {
    pub(super) kind: Kind,
    /// Which node of the request.
    pub(super) node: Option<usize>,
    /// Which of its fields, by its whole name.
    pub(super) name: Option<String>,
    /// It is about a part of the answer: what other parts became is not said.
    pub(super) is_partial: bool,
    pub(super) parsed: ParsedError,
    /// How long to wait, where it was too much.
    pub(super) wait: Option<Duration>,
}

/// What the codes of refused requests begin with.
const REFUSED: &str = "BAD_REQUEST";
/// Extension codes that say that a value, or the request's form, was refused.
const INVALID: &[&str] = &[
    "INVALID_VALUE",
    "ARGUMENTS_OF_CORRECT_TYPE",
    "BAD_USER_INPUT",
    "GRAPHQL_PARSE_FAILED",
    "GRAPHQL_VALIDATION_FAILED",
];
const DENIED: &[&str] = &["FORBIDDEN", "UNAUTHENTICATED", "UNAUTHORIZED", "ACCESS_DENIED"];
/// Words of a request that was refused before anything of it was done.
const INVALID_WORDS: &[&str] =
    &["got invalid value", "Cannot query field", "Unknown argument", "Unknown type", "is not defined by type"];
const DENIED_WORDS: &[&str] = &["Bad format for API Token"];

/// Complaints that are read: one for each node there can be.
const MAX_COMPLAINTS: usize = 500;

/// Length of a path to a row of the answer: the mutation, `edges`, the index.
const ROW_OF_ANSWER: usize = 3;

const BURST: Duration = Duration::from_secs(5);
const CONCURRENCY: Duration = Duration::from_secs(1);
/// Where the allowance is used up and nothing says until when.
const CREDITS: Duration = Duration::from_mins(5);

/// Every complaint of an answer. `now` is for those that say until when to wait.
pub(super) fn read(answer: &Value, now: DateTime<Utc>) -> Vec<Complaint> {
    let entries = answer.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut complaints: Vec<Complaint> =
        entries.iter().take(MAX_COMPLAINTS).map(|entry| complaint(entry, now)).collect();
    if entries.len() > MAX_COMPLAINTS
        && let Some(last) = complaints.last_mut()
    {
        // Nobody knows what the others say.
        last.kind = Kind::Unclear;
    }
    complaints
}

fn complaint(entry: &Value, now: DateTime<Utc>) -> Complaint {
    let alone = json!({ "data": null, "errors": [entry] });
    let parsed = parse_json(&alone).into_iter().next().unwrap_or_else(|| ParsedError {
        message: "The system complained without words.".to_owned(),
        ..ParsedError::default()
    });
    let (mut node, mut name) = place(&parsed.path);
    if parsed.message.contains("got invalid value")
        && let Some(at) = between(&parsed.message, " at \"", "\"")
    {
        let (of_value, within) = place(&from_text(at));
        node = node.or(of_value);
        name = match (within, name) {
            // `at "i[0].node.account"; Field "code"` names the field in two parts.
            (Some(object), Some(member)) if object != member => Some(format!("{object}.{member}")),
            (object, member) => object.or(member),
        };
    }
    let path = entry.get("path").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let of_answer = path.iter().find_map(Value::as_u64).and_then(|index| usize::try_from(index).ok());
    let is_partial = path.len() > 1;
    let kind = match kind(entry, &parsed) {
        // Said of a part of the answer, that something may not be read says nothing of what was written; and of a row
        // that was made for the answer, nothing does.
        kind if path.len() > ROW_OF_ANSWER || (is_partial && kind != Kind::Invalid) => Kind::Unclear,
        kind => kind,
    };
    Complaint {
        kind,
        node: node.or(of_answer),
        name,
        is_partial,
        wait: (kind == Kind::Throttled).then(|| wait(entry, &parsed, now)),
        parsed,
    }
}

/// The node and the field's name that a path into the inputs means.
fn place(path: &[Segment]) -> (Option<usize>, Option<String>) {
    let index = path.iter().position(|segment| matches!(segment, Segment::Index(_)));
    let node = index.and_then(|at| match path.get(at) {
        Some(Segment::Index(index)) => Some(*index),
        _ => None,
    });
    let within = index.map_or(path, |at| path.get(at + 1..).unwrap_or_default());
    let names = within.iter().filter_map(|segment| match segment {
        Segment::Key(name) => Some(name.as_str()),
        Segment::Index(_) => None,
    });
    let names: Vec<&str> = names.skip_while(|name| matches!(*name, "inputs" | "input" | "node")).collect();
    (node, (!names.is_empty()).then(|| names.join(".")))
}

fn kind(entry: &Value, parsed: &ParsedError) -> Kind {
    let codes = [entry.get("code"), entry.pointer("/extensions/code")];
    let codes: Vec<&str> = codes.into_iter().flatten().filter_map(Value::as_str).collect();
    let is_any = |known: &[&str]| codes.iter().any(|code| known.iter().any(|word| code.eq_ignore_ascii_case(word)));
    let says_any = |known: &[&str]| known.iter().any(|words| parsed.message.contains(words));
    let throttled =
        |code: &&str| is_throttling(&ParsedError { code: Some((*code).to_owned()), ..ParsedError::default() });
    if codes.iter().any(throttled) {
        Kind::Throttled
    } else if is_any(DENIED) || says_any(DENIED_WORDS) {
        Kind::Denied
    } else if is_any(INVALID)
        || codes.iter().any(|code| code.starts_with(REFUSED) && !code.contains("TIMEOUT"))
        || (codes.is_empty() && says_any(INVALID_WORDS))
    {
        Kind::Invalid
    } else {
        Kind::Unclear
    }
}

fn wait(entry: &Value, parsed: &ParsedError, now: DateTime<Utc>) -> Duration {
    let code = entry.get("code").and_then(Value::as_str).or(parsed.code.as_deref()).unwrap_or_default();
    if code.contains("CONCURRENCY_LIMIT") {
        return CONCURRENCY;
    }
    if !code.contains("CREDITS") {
        return BURST;
    }
    let until = entry.pointer("/extensions/resetAt").and_then(moment);
    let left = until.map(|until| until.signed_duration_since(now).to_std().unwrap_or_default());
    left.unwrap_or(CREDITS).min(MAX_RETRY_AFTER)
}

/// A moment as text, or as seconds or milliseconds since 1970.
fn moment(value: &Value) -> Option<DateTime<Utc>> {
    match value {
        Value::String(text) => DateTime::parse_from_rfc3339(text).ok().map(Into::into),
        Value::Number(number) => {
            let number = number.as_i64()?;
            // Until the year 5138 in seconds.
            if number < 100_000_000_000 {
                DateTime::from_timestamp(number, 0)
            } else {
                DateTime::from_timestamp_millis(number)
            }
        }
        _ => None,
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let start = text.find(before)? + before.len();
    let rest = text.get(start..)?;
    rest.get(..rest.find(after)?)
}

#[cfg(test)]
mod tests;
