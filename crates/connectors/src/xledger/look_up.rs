//! Looking up what became of records: which of their lines are there, and which of those have failed to be posted.
//!
//! Both wrong words do harm: a line that is wrongly missing is sent twice, one that is wrongly there is never sent. So only
//! an answer that is whole, without complaints, and about what was asked is believed.

use std::collections::{HashMap, HashSet};

use chrono::TimeDelta;
use domain::asking::Asked;
use domain::record::RecordError;
use serde_json::{Value, json};

use super::answers::joined;
use super::complaints;
use super::schema::{EXT_IDENTIFIER, Mutation};
use crate::credentials::Credentials;
use crate::error_shapes::{MAX_CODE, clean};
use crate::exchange::{Answer, Completeness, Exchange};
use crate::reference::reference;
use crate::wording::{self, MAX_ERRORS};

/// Rows that are asked for at once: there are at most half as many lines in a request.
const MOST_ROWS: u32 = 1_000;
/// Levels of an item that was not posted, by code or name.
const ERROR_LEVELS: &[&str] = &["E", "ERROR"];
/// Code of a record whose posting failed.
const POSTING_FAILED: &str = "POSTING_FAILED";

/// Xledger's ids of the items that are there, by what they are found by.
pub(super) type There = HashMap<String, Vec<String>>;
/// What is said of the posting of items, by Xledger's ids.
pub(super) type Failed = HashMap<String, Vec<Remark>>;

/// What is said of the posting of an item.
#[derive(Debug)]
pub(super) struct Remark {
    /// Said outright: anything milder may be said of an item that was posted.
    is_error: bool,
    words: [RecordError; 2],
}

/// The query for the lines of records.
pub(super) fn items_query(mutation: &Mutation, wanted: &[Vec<String>]) -> Value {
    let rows = mutation.rows;
    let query = format!(
        "query($ids: [String!]!) {{ items: {rows}(first: {MOST_ROWS}, filter: {{ {EXT_IDENTIFIER}_in: $ids }}) \
         {{ edges {{ node {{ dbId {EXT_IDENTIFIER} }} }} pageInfo {{ hasNextPage }} }} }}"
    );
    let ids: Vec<&String> = wanted.iter().flatten().collect();
    json!({ "query": query, "variables": { "ids": ids } })
}

/// The query for the errors of their posting; `None` if nothing is there.
pub(super) fn errors_query(there: &There) -> Option<Value> {
    let query = format!(
        "query($ids: [Int64String!]!) {{ items: glImportItemErrors(first: {MOST_ROWS}, filter: {{ dbId_in: $ids }}) \
         {{ edges {{ node {{ dbId message errorLevel {{ code name }} }} }} pageInfo {{ hasNextPage }} }} }}"
    );
    let mut ids: Vec<&String> = there.values().flatten().collect();
    ids.sort();
    (!ids.is_empty()).then(|| json!({ "query": query, "variables": { "ids": ids } }))
}

/// Reads what was said.
#[derive(Clone, Copy)]
pub(super) struct LookUp<'a> {
    pub(super) credentials: &'a Credentials,
}

impl LookUp<'_> {
    /// The items that are there, or why nobody can say.
    pub(super) fn items(self, exchange: &Exchange, wanted: &[Vec<String>]) -> Result<There, RecordError> {
        let asked_for: HashSet<&str> = wanted.iter().flatten().map(String::as_str).collect();
        let mut there = There::new();
        for node in self.nodes(exchange)? {
            let key = node.get(EXT_IDENTIFIER).and_then(Value::as_str).filter(|key| asked_for.contains(key));
            let id = node.get("dbId").and_then(reference);
            let (Some(key), Some(id)) = (key, id) else { return Err(self.mismatch()) };
            there.entry(key.to_owned()).or_default().push(id);
        }
        Ok(there)
    }

    /// Why items failed to be posted, or why nobody can say.
    pub(super) fn errors(self, exchange: &Exchange, there: &There) -> Result<Failed, RecordError> {
        let asked_for: HashSet<&str> = there.values().flatten().map(String::as_str).collect();
        let mut failed = Failed::new();
        for node in self.nodes(exchange)? {
            let id = node.get("dbId").and_then(reference).filter(|id| asked_for.contains(id.as_str()));
            let Some(id) = id else { return Err(self.mismatch()) };
            failed.entry(id).or_default().push(self.remark(&node));
        }
        Ok(failed)
    }

    /// What is known of a record, by the identifiers of its lines.
    pub(super) fn said(
        self,
        lines: &[String],
        there: &There,
        failed: &Failed,
        refusable_for: Option<TimeDelta>,
    ) -> Asked {
        let items: Vec<&Vec<String>> = lines.iter().filter_map(|line| there.get(line)).collect();
        let ids: Vec<&str> = items.iter().copied().flatten().map(String::as_str).collect();
        if items.is_empty() {
            return Asked::Absent;
        }
        let reference = joined(&ids);
        if items.len() < lines.len() {
            let ids = reference.unwrap_or_default();
            let message = format!(
                "The system has some of the record's lines and not the others: {ids}. Before the record is sent again \
                 they have to be removed there; or the others are booked by hand."
            );
            return self.unclear("PARTLY_ACCEPTED", &message);
        }
        let remarks = || ids.iter().filter_map(|id| failed.get(*id)).flatten();
        if remarks().any(|remark| !remark.is_error) {
            let ids = reference.unwrap_or_default();
            let message = format!(
                "The system has remarks on the posting of the record's items, and does not call them errors: {ids}. A \
                 person has to see there whether it was posted."
            );
            return self.unclear("POSTING_UNCLEAR", &message);
        }
        // A line that is there twice has failed where both have.
        let fails = |ids: &&Vec<String>| ids.iter().all(|id| failed.contains_key(id));
        match (items.iter().filter(|ids| fails(ids)).count(), refusable_for) {
            (0, Some(refusable_for)) => Asked::Taken { reference, refusable_for },
            (0, None) => Asked::Found { reference },
            (number, _) if number == items.len() => {
                let errors = remarks().flat_map(|remark| remark.words.iter().cloned());
                Asked::Refused(errors.take(MAX_ERRORS).collect())
            }
            _ => {
                let ids = reference.unwrap_or_default();
                let message = format!("Of the record's lines some were posted and others were not: {ids}.");
                self.unclear("PARTLY_POSTED", &message)
            }
        }
    }

    /// The nodes of an answer that says everything it was asked for.
    fn nodes(self, exchange: &Exchange) -> Result<Vec<Value>, RecordError> {
        let answer = match exchange {
            Exchange::Answered(answer) => answer,
            Exchange::NeverLeft(trouble) | Exchange::NoAnswer(trouble) => {
                return Err(self.word(trouble.code, &format!("Asked whether it has the record: {}", trouble.message)));
            }
        };
        let body = self.body(answer)?;
        let connection = body.pointer("/data/items").and_then(Value::as_object);
        let Some(connection) = connection else { return Err(self.not_said()) };
        let edges = match connection.get("edges") {
            // An empty result.
            Some(Value::Null) => return Ok(Vec::new()),
            Some(Value::Array(edges)) => edges,
            _ => return Err(self.not_said()),
        };
        let more = connection.get("pageInfo").and_then(|page| page.get("hasNextPage")).and_then(Value::as_bool);
        if more != Some(false) {
            return Err(
                self.word("LOOK_UP_INCOMPLETE", "Asked whether it has the record, the system said not everything.")
            );
        }
        let nodes: Vec<Value> = edges.iter().filter_map(|edge| edge.get("node")).cloned().collect();
        if nodes.len() == edges.len() { Ok(nodes) } else { Err(self.not_said()) }
    }

    fn body(self, answer: &Answer) -> Result<Value, RecordError> {
        let status = answer.status;
        if !(200..300).contains(&status) {
            let message = format!("Asked whether it has the record, the system answered {status}.");
            return Err(self.word(&format!("HTTP_{status}"), &message));
        }
        let body = serde_json::from_slice::<Value>(&answer.body).ok();
        let Some(body) = body.filter(|_| answer.completeness == Completeness::Whole) else {
            return Err(self.not_said());
        };
        // No limit in them has to be told apart here: asking again is always harmless.
        let complaints = complaints::read(&body, chrono::DateTime::UNIX_EPOCH);
        match complaints.first() {
            None => Ok(body),
            Some(complaint) => {
                let code = complaint.parsed.code.as_deref().unwrap_or("REJECTED");
                let words =
                    format!("Asked whether it has the record, the system complained: {}", complaint.parsed.message);
                Err(self.word(&clean(code, MAX_CODE), &words))
            }
        }
    }

    /// The system's own words, and what is to be done about them there.
    fn remark(self, node: &Value) -> Remark {
        let text = |pointer: &str| node.pointer(pointer).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
        let levels = [text("/errorLevel/code"), text("/errorLevel/name")];
        let is_error = levels.into_iter().flatten().any(|level| ERROR_LEVELS.contains(&level.to_uppercase().as_str()));
        let level = text("/errorLevel/name").map(|level| format!(" ({level})")).unwrap_or_default();
        let advice = format!(
            "The system did not post the record{level}. Its items are to be removed there before it is sent again."
        );
        let said = text("/message").unwrap_or("The system did not post the record, and does not say why.");
        Remark { is_error, words: [self.word(POSTING_FAILED, said), self.word(POSTING_FAILED, &advice)] }
    }

    fn mismatch(self) -> RecordError {
        let message = "Asked whether it has the record, the system answered about something else.";
        self.word("LOOK_UP_MISMATCH", message)
    }

    fn not_said(self) -> RecordError {
        let message = "Asked whether it has the record, the system's answer does not say.";
        self.word("LOOK_UP_UNCLEAR", message)
    }

    fn unclear(self, code: &str, message: &str) -> Asked {
        Asked::Unclear(self.word(code, message))
    }

    fn word(self, code: &str, message: &str) -> RecordError {
        wording::own(self.credentials, code, message)
    }
}

#[cfg(test)]
mod tests;
