//! From the answer to a mass mutation to one answer per record.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use domain::asking::AWAITING_POSTING;
use domain::doubt::Certainty;
use domain::record::{RecordError, RecordOutcome};
use domain::redaction::redact;
use serde_json::Value;

use super::complaints::{self, Complaint, Kind};
use super::mutation::{Nodes, client_id};
use super::schema::Mutation;
use crate::connector::{Permanence, RecordAnswer};
use crate::credentials::Credentials;
use crate::error_shapes::{MAX_CODE, MAX_NAME, clean};
use crate::exchange::{Answer, Completeness, Exchange, Trouble};
use crate::reference::reference;
use crate::ruling::{Facts, blank, rule};
use crate::wording::{self, MAX_ERRORS, status_words};

/// What is said of a record of which an answer with complaints says nothing.
const NOT_SAID: &str = "The system complained of other records and didn't say whether it took this one.";
/// Longest list of ids that is kept as a record's reference.
const MAX_REFERENCE: usize = 200;

/// Judges what came back for one request.
pub(super) struct Judge<'a> {
    pub(super) mutation: &'static Mutation,
    pub(super) credentials: &'a Credentials,
    pub(super) nodes: Nodes<'a>,
    /// What is taken can still fail to be posted.
    pub(super) awaits_posting: bool,
}

/// What an answer's body says.
struct Said {
    complaints: Vec<Complaint>,
    /// Xledger's ids of what it took, by the ids that the request gave.
    taken: HashMap<String, String>,
    /// The ids that the request gave, of all rows of the answer: what has one may have been taken.
    answered: HashSet<String>,
}

impl Said {
    /// Whether the answer has a row for a line of a record.
    fn answers(&self, record: usize, lines: usize) -> bool {
        (0..lines).any(|line| self.answered.contains(&client_id(record, line)))
    }
}

/// The complaints by whom they are about.
struct Placed {
    /// Each record's own.
    own: Vec<Vec<Own>>,
    general: Vec<RecordError>,
}

/// A complaint about one line of a record.
#[derive(Clone)]
struct Own {
    kind: Kind,
    line: usize,
    error: RecordError,
}

/// Whether a record's complaints say for sure that nothing of it was taken. Where the request was not refused as a whole,
/// each line has to be complained of: what is not named may have been taken.
fn is_surely_refused(own: &[Own], lines: usize, whole: bool) -> bool {
    let named: HashSet<usize> = own.iter().map(|one| one.line).collect();
    !own.is_empty() && own.iter().all(|one| one.kind != Kind::Unclear) && (whole || named.len() == lines)
}

impl Judge<'_> {
    /// The answers, exactly one per record that left, in order.
    pub(super) fn answers(&self, exchange: &Exchange) -> Vec<RecordAnswer> {
        match exchange {
            Exchange::NeverLeft(trouble) => self.troubled(RecordOutcome::Failed, trouble),
            Exchange::NoAnswer(trouble) => self.troubled(RecordOutcome::Unknown, trouble),
            Exchange::Answered(answer) => self.answered(answer),
        }
    }

    fn all(&self, answer: &RecordAnswer) -> Vec<RecordAnswer> {
        vec![answer.clone(); self.nodes.sent.len()]
    }

    fn troubled(&self, outcome: RecordOutcome, trouble: &Trouble) -> Vec<RecordAnswer> {
        let errors = vec![wording::own(self.credentials, trouble.code, &trouble.message)];
        self.all(&RecordAnswer { errors, permanence: trouble.permanence, ..blank(None, outcome) })
    }

    /// All records alike, with one complaint of the connector's own.
    fn uniform(&self, answer: &Answer, outcome: RecordOutcome, code: &str, message: &str) -> Vec<RecordAnswer> {
        let errors = vec![wording::own(self.credentials, code, message)];
        self.all(&RecordAnswer { errors, ..blank(Some(answer), outcome) })
    }

    fn answered(&self, answer: &Answer) -> Vec<RecordAnswer> {
        let is_success = (200..300).contains(&answer.status);
        let body = serde_json::from_slice::<Value>(&answer.body).ok().filter(Value::is_object);
        let unknown = RecordOutcome::Unknown;
        match (answer.completeness, body) {
            (Completeness::Broken, _) if is_success => {
                self.uniform(answer, unknown, "NO_ANSWER", "The answer broke off.")
            }
            (Completeness::Cut, _) if is_success => {
                self.uniform(answer, unknown, "ANSWER_TOO_LARGE", "The answer was too large to be read.")
            }
            (_, None) if is_success => {
                let message =
                    "The system answered with something that is not JSON: a proxy may have answered in its place.";
                self.uniform(answer, unknown, "NOT_JSON", message)
            }
            (_, None) => self.refused_by_status(answer),
            (_, Some(body)) => self.said(answer, &self.read(&body)),
        }
    }

    fn read(&self, body: &Value) -> Said {
        let edges = body.pointer(&format!("/data/{}/edges", self.mutation.name)).and_then(Value::as_array);
        let (mut taken, mut answered) = (HashMap::new(), HashSet::new());
        for edge in edges.into_iter().flatten() {
            let Some(id) = edge.get("clientId").and_then(Value::as_str) else { continue };
            answered.insert(id.to_owned());
            taken.extend(edge.pointer("/node/dbId").and_then(reference).map(|own| (id.to_owned(), own)));
        }
        Said { complaints: complaints::read(body, SystemTime::now().into()), taken, answered }
    }

    /// A refusal in other words than Xledger's own.
    fn refused_by_status(&self, answer: &Answer) -> Vec<RecordAnswer> {
        let facts = Facts { declined: answer.retry_after.is_some(), ..Facts::default() };
        let (certainty, permanence) = rule(answer.status, facts);
        let code = format!("HTTP_{}", answer.status);
        let mut answers = self.uniform(answer, certainty.outcome(), &code, &status_words(answer.status));
        for one in &mut answers {
            one.permanence = permanence;
        }
        answers
    }

    fn said(&self, answer: &Answer, said: &Said) -> Vec<RecordAnswer> {
        let is_success = (200..300).contains(&answer.status);
        if !is_success && said.complaints.is_empty() && said.taken.is_empty() {
            return self.refused_by_status(answer);
        }
        let placed = self.placed(answer, &said.complaints);
        if said.taken.is_empty() && !said.complaints.is_empty() {
            return self.refused(answer, said, placed);
        }
        let partial = !said.complaints.is_empty();
        let owns = placed.own.into_iter().enumerate();
        owns.map(|(record, own)| self.taken(answer, said, record, own, &placed.general, partial)).collect()
    }

    /// A record of a request of which something was taken, or of which nothing is said.
    fn taken(
        &self,
        answer: &Answer,
        said: &Said,
        record: usize,
        own: Vec<Own>,
        general: &[RecordError],
        partial: bool,
    ) -> RecordAnswer {
        let lines = self.nodes.sent.get(record).map_or(0, |sent| sent.lines);
        let ids: Vec<&str> =
            (0..lines).filter_map(|line| said.taken.get(&client_id(record, line))).map(String::as_str).collect();
        let surely_refused = !said.answers(record, lines) && is_surely_refused(&own, lines, false);
        let mut errors: Vec<RecordError> = own.into_iter().map(|one| one.error).collect();
        if ids.len() == lines && self.awaits_posting {
            errors.insert(0, wording::own(self.credentials, AWAITING_POSTING, "Accepted, and yet to be posted."));
            errors.truncate(MAX_ERRORS);
            let unknown = blank(Some(answer), RecordOutcome::Unknown);
            return RecordAnswer { errors, external_reference_id: joined(&ids), ..unknown };
        }
        if ids.len() == lines {
            let outcome = if errors.is_empty() { RecordOutcome::Succeeded } else { RecordOutcome::Warning };
            errors.truncate(MAX_ERRORS);
            return RecordAnswer { errors, external_reference_id: joined(&ids), ..blank(Some(answer), outcome) };
        }
        if ids.is_empty() && surely_refused {
            errors.truncate(MAX_ERRORS);
            let refused = blank(Some(answer), RecordOutcome::Failed);
            return RecordAnswer { errors, permanence: Permanence::Permanent, ..refused };
        }
        let (code, message) = if ids.is_empty() && partial {
            ("PARTIAL_ANSWER", NOT_SAID.to_owned())
        } else if ids.is_empty() {
            ("RESULTS_MISSING", "The answer doesn't say that the system took this record.".to_owned())
        } else {
            let ids = joined(&ids).unwrap_or_default();
            let message = format!("Of the record's lines the system took some and not the others: {ids}.");
            ("PARTLY_ACCEPTED", message)
        };
        errors.insert(0, wording::own(self.credentials, code, &message));
        errors.extend(general.iter().cloned());
        errors.truncate(MAX_ERRORS);
        RecordAnswer { errors, ..blank(Some(answer), RecordOutcome::Unknown) }
    }

    /// Nothing was taken, as far as the answer says.
    fn refused(&self, answer: &Answer, said: &Said, placed: Placed) -> Vec<RecordAnswer> {
        let complaints = &said.complaints;
        let is = |kind: Kind| complaints.iter().any(|complaint| complaint.kind == kind);
        let wait: Option<Duration> = complaints.iter().filter_map(|complaint| complaint.wait).max();
        // Complaints of parts of the answer leave open what the other parts became.
        let whole =
            !is(Kind::Unclear) && !complaints.iter().any(|complaint| complaint.is_partial) && said.answered.is_empty();
        let (certainty, permanence) = if (200..300).contains(&answer.status) {
            (Certainty::Open, Permanence::Unknown)
        } else {
            let declined = answer.retry_after.is_some();
            rule(answer.status, Facts { throttled: is(Kind::Throttled), declined, ..Facts::default() })
        };
        let Placed { own, general } = placed;
        let some_named = own.iter().any(|own| !own.is_empty());
        let alone = own.len() == 1;
        let mut answers = Vec::with_capacity(own.len());
        for (record, (own, sent)) in own.into_iter().zip(self.nodes.sent).enumerate() {
            let named = !said.answers(record, sent.lines) && is_surely_refused(&own, sent.lines, whole);
            let failed = blank(Some(answer), RecordOutcome::Failed);
            let mut one = if whole && is(Kind::Throttled) {
                RecordAnswer { permanence: Permanence::Transient, retry_after: answer.retry_after.max(wait), ..failed }
            } else if (whole && (is(Kind::Denied) || alone)) || named {
                RecordAnswer { permanence: Permanence::Permanent, ..failed }
            } else if whole {
                // Another record is at fault, or nobody says which.
                let apart = blank(Some(answer), RecordOutcome::NotAttempted);
                RecordAnswer { permanence: Permanence::Transient, again: true, ..apart }
            } else {
                RecordAnswer { permanence, ..blank(Some(answer), certainty.outcome()) }
            };
            one.errors = own.into_iter().map(|own| own.error).chain(general.iter().cloned()).collect();
            if one.errors.is_empty() {
                let (code, message) = match one.outcome {
                    RecordOutcome::Unknown => ("PARTIAL_ANSWER", NOT_SAID),
                    _ => ("BATCH_REJECTED", "The system refused the whole request because of other records in it."),
                };
                one.errors.push(wording::own(self.credentials, code, message));
            } else if one.again && !some_named {
                let message = "The system refused the whole request, and didn't say because of which record.";
                one.errors.insert(0, wording::own(self.credentials, "BATCH_REJECTED", message));
            }
            one.errors.truncate(MAX_ERRORS);
            answers.push(one);
        }
        answers
    }

    fn placed(&self, answer: &Answer, complaints: &[Complaint]) -> Placed {
        let default_code =
            if (200..300).contains(&answer.status) { "REJECTED".to_owned() } else { format!("HTTP_{}", answer.status) };
        let mut placed = Placed { own: vec![Vec::new(); self.nodes.sent.len()], general: Vec::new() };
        for complaint in complaints {
            let place = complaint.node.and_then(|node| self.nodes.place_of(node));
            let alone = self.nodes.sent.len() == 1;
            let record = place.map(|(record, _)| record).or(alone.then_some(0));
            let line = place.map(|(_, line)| line);
            let error = self.error(complaint, record, line, &default_code);
            match place.and_then(|(record, line)| Some((placed.own.get_mut(record)?, line))) {
                Some((own, line)) => own.push(Own { kind: complaint.kind, line, error }),
                None => placed.general.push(error),
            }
        }
        placed
    }

    fn error(&self, complaint: &Complaint, record: Option<usize>, line: Option<usize>, code: &str) -> RecordError {
        let parsed = &complaint.parsed;
        let name = complaint.name.as_deref();
        let field = record.zip(name).and_then(|(record, name)| self.nodes.trace(record, line, name));
        RecordError {
            code: clean(parsed.code.as_deref().unwrap_or(code), MAX_CODE),
            message: wording::words(self.credentials, &self.nodes.without_personal(&parsed.message)),
            field: field.map(|pointer| clean(&pointer, MAX_NAME * 4)),
            field_name: name.map(|name| clean(name, MAX_NAME)),
            hints: parsed.hints.iter().map(|hint| clean(&redact(hint), MAX_NAME)).collect(),
        }
    }
}

/// Ids as one text; of many the first and the last.
pub(super) fn joined(ids: &[&str]) -> Option<String> {
    let all = ids.join(",");
    match ids {
        [] => None,
        [first, .., last] if all.len() > MAX_REFERENCE => Some(format!("{first}…{last} ({})", ids.len())),
        _ => Some(all),
    }
}

#[cfg(test)]
mod tests;
