//! Several operations in one request, as multipart/mixed: writing them, and reading which part of the answer is whose.
//!
//! A part that is taken for another record's would be the worst of errors. So the parts are taken in the order of the
//! operations, as OData has it, or by the ids that they were given; where the two contradict one another, or there are
//! more than there were operations, nothing is believed. Nor is the order where parts are missing although nothing was
//! cut off and nobody stopped: nobody knows which.

use std::fmt::Write as _;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::request::Outgoing;
use crate::exchange::{Answer, Completeness};

/// Bytes of an answer to a batch that are read.
pub(super) const MAX_ANSWER: usize = 8 * 1024 * 1024;
/// Longest boundary that is looked for: RFC 2046 allows 70 characters.
const MAX_BOUNDARY: usize = 200;
/// Headers of a part that are read.
const MAX_HEADERS: usize = 100;

/// The body of a batch. A part's id is its place, counted from 1.
pub(super) fn write(boundary: &str, parts: &[Outgoing]) -> String {
    let mut body = String::new();
    for (place, part) in parts.iter().enumerate() {
        let _ = write!(
            body,
            "--{boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\
             Content-ID: {}\r\n\r\n{} {}",
            place + 1,
            part.method,
            part.url.path()
        );
        if let Some(query) = part.url.query() {
            let _ = write!(body, "?{query}");
        }
        body.push_str(" HTTP/1.1\r\n");
        for (name, value) in &part.headers {
            // Every one of them was made from a text.
            let _ = write!(body, "{name}: {}\r\n", value.to_str().unwrap_or_default());
        }
        body.push_str("\r\n");
        if let Some(content) = &part.body {
            body.push_str(content);
        }
        body.push_str("\r\n");
    }
    let _ = write!(body, "--{boundary}--\r\n");
    body
}

/// What the answer to a batch holds.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// The answer to each operation, in their order, as far as it is there and can be read.
    pub(super) answers: Vec<Option<Answer>>,
    /// The operation whose failure ended the work on the batch, so that nothing after it was attempted.
    pub(super) stopped_at: Option<usize>,
}

/// Reads the answer to a batch of so many operations; `None` if it is none.
pub(super) fn read(answer: &Answer, operations: usize) -> Option<Parts> {
    let boundary = boundary(answer.content_type.as_deref()?)?;
    let (raw, is_closed) = split(&answer.body, &boundary);
    let nothing = || Parts { answers: vec![None; operations], stopped_at: None };
    let mut answers = vec![None; operations];
    let mut taken = vec![false; operations];
    let mut by_order = false;
    for (order, raw) in raw.iter().enumerate() {
        let part = part(raw);
        by_order |= part.id.is_none();
        let place = match &part.id {
            Some(id) => id.parse::<usize>().ok().and_then(|id| id.checked_sub(1)),
            None => Some(order),
        };
        let Some(place) = place.filter(|place| taken.get(*place) == Some(&false)) else {
            // Nobody can say whose the parts are.
            return Some(nothing());
        };
        taken[place] = true;
        answers[place] = part.answer;
    }
    let is_whole = is_closed && answer.completeness == Completeness::Whole;
    let stopped_at = is_whole.then(|| stopped_at(&answers, raw.len())).flatten();
    if is_whole && by_order && raw.len() < operations && stopped_at.is_none() {
        return Some(nothing());
    }
    Some(Parts { answers, stopped_at })
}

/// A server that stops at a failure answers up to it. One that has gone on after an earlier failure does not stop.
fn stopped_at(answers: &[Option<Answer>], parts: usize) -> Option<usize> {
    let last = parts.checked_sub(1)?;
    let answered: Vec<&Answer> = answers.get(..parts)?.iter().flatten().collect();
    let (end, before) = answered.split_last()?;
    let is_stop = answered.len() == parts
        && parts < answers.len()
        && end.status >= 400
        && before.iter().all(|answer| answer.status < 400);
    is_stop.then_some(last)
}

/// What stands between the parts.
fn boundary(content_type: &str) -> Option<String> {
    let mut parameters = content_type.split(';');
    let kind = parameters.next()?.trim();
    if !kind.eq_ignore_ascii_case("multipart/mixed") {
        return None;
    }
    let named = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"').to_owned())
    })?;
    (!named.is_empty() && named.len() <= MAX_BOUNDARY).then_some(named)
}

/// The parts that are there from beginning to end, and whether the last was said to be the last.
fn split<'a>(body: &'a [u8], boundary: &str) -> (Vec<&'a [u8]>, bool) {
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut begun: Option<usize> = None;
    let mut at = 0;
    while let Some(line) = next_line(body, at) {
        let text = line.text.strip_prefix(delimiter.as_bytes());
        let is_last = text.is_some_and(|rest| rest.trim_ascii_end() == b"--");
        if is_last || text.is_some_and(|rest| rest.trim_ascii_end().is_empty()) {
            if let Some(part) = begun.and_then(|begun| body.get(begun..at)) {
                parts.push(part);
            }
            if is_last {
                return (parts, true);
            }
            begun = Some(line.end);
        }
        at = line.end;
    }
    (parts, false)
}

/// A line, without its end, and where the next one begins.
struct Line<'a> {
    text: &'a [u8],
    end: usize,
}

fn next_line(body: &[u8], at: usize) -> Option<Line<'_>> {
    let rest = body.get(at..).filter(|rest| !rest.is_empty())?;
    let length = rest.iter().position(|byte| *byte == b'\n');
    let text = length.map_or(rest, |length| &rest[..length]);
    let end = at + length.map_or(rest.len(), |length| length + 1);
    Some(Line { text: text.strip_suffix(b"\r").unwrap_or(text), end })
}

/// One part of an answer.
struct Part {
    id: Option<String>,
    answer: Option<Answer>,
}

fn part(raw: &[u8]) -> Part {
    let (headers, begins) = headers(raw, 0);
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let id = text("content-id").map(|id| id.trim_matches(['<', '>']).to_owned());
    let is_http = text("content-type").is_some_and(|kind| kind.to_ascii_lowercase().starts_with("application/http"));
    let answer = is_http.then(|| http_answer(raw.get(begins..).unwrap_or_default())).flatten();
    Part { id, answer }
}

/// An HTTP answer within a part.
fn http_answer(raw: &[u8]) -> Option<Answer> {
    let line = next_line(raw, 0)?;
    let mut words = std::str::from_utf8(line.text).ok()?.split(' ');
    let status = match (words.next()?.starts_with("HTTP/"), words.next()?.parse::<u16>()) {
        (true, Ok(status)) if (100..600).contains(&status) => status,
        _ => return None,
    };
    let (headers, begins) = headers(raw, line.end);
    let mut answer = Answer::begun(status, &headers);
    answer.body = raw.get(begins..).unwrap_or_default().trim_ascii_end().to_vec();
    Some(answer)
}

/// Headers up to an empty line, and where what follows it begins.
fn headers(raw: &[u8], mut at: usize) -> (HeaderMap, usize) {
    let mut headers = HeaderMap::new();
    while let Some(line) = next_line(raw, at) {
        at = line.end;
        if line.text.is_empty() {
            break;
        }
        let Some(colon) = line.text.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(line.text[..colon].trim_ascii());
        let value = HeaderValue::from_bytes(line.text[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value)
            && headers.len() < MAX_HEADERS
        {
            headers.append(name, value);
        }
    }
    (headers, at)
}

/// The statuses in whatever may be the answer to a batch, by operation, and the operation whose failure ended the work.
#[cfg(feature = "fuzz")]
pub fn read_any_batch(
    content_type: &str,
    body: &[u8],
    operations: usize,
    whole: bool,
) -> Option<(Vec<Option<u16>>, Option<usize>)> {
    let answer = Answer {
        status: 200,
        content_type: Some(content_type.to_owned()),
        location: None,
        retry_after: None,
        body: body.to_vec(),
        completeness: if whole { Completeness::Whole } else { Completeness::Broken },
    };
    let parts = read(&answer, operations)?;
    Some((parts.answers.iter().map(|answer| answer.as_ref().map(|answer| answer.status)).collect(), parts.stopped_at))
}

#[cfg(test)]
mod tests;
