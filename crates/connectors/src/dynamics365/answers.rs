//! From an answer to what became of a record.

use domain::asking::Asked;
use domain::doubt::Certainty;
use domain::record::{RecordError, RecordOutcome};
use domain::redaction::redact;
use serde_json::Value;

use super::batch::Parts;
use super::codes::{self, Refusal};
use super::settings::{Settings, Write};
use crate::connector::{OutboundRecord, Permanence, RecordAnswer};
use crate::credentials::Credentials;
use crate::error_shapes::{MAX_CODE, MAX_NAME, ParsedError, clean, parse_body};
use crate::exchange::{Answer, Completeness, Exchange, Trouble};
use crate::reference::reference_in_location;
use crate::ruling::blank;
use crate::wording::{self, MAX_ERRORS, status_words};

/// Code of a record whose row is there, although nothing says that it came from Syncwatch in this version.
const ALREADY_THERE: &str = "ALREADY_THERE";

/// Judges what came back for one request.
#[derive(Clone, Copy)]
pub(super) struct Judge<'a> {
    pub(super) settings: &'a Settings,
    pub(super) credentials: &'a Credentials,
}

/// What an answer says of a record.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    pub(super) answer: RecordAnswer,
    /// A row is in the way: whether it is the record's own has to be looked up.
    pub(super) to_look_up: bool,
}

impl From<RecordAnswer> for Verdict {
    fn from(answer: RecordAnswer) -> Self {
        Self { answer, to_look_up: false }
    }
}

impl Judge<'_> {
    /// What became of a record that left in a request of its own.
    pub(super) fn single(&self, record: &OutboundRecord, exchange: &Exchange) -> Verdict {
        match exchange {
            Exchange::Answered(answer) => self.answered(record, answer),
            Exchange::NeverLeft(trouble) => self.troubled(RecordOutcome::Failed, trouble).into(),
            Exchange::NoAnswer(trouble) => self.troubled(RecordOutcome::Unknown, trouble).into(),
        }
    }

    /// What became of records that left together, by the parts of the answer if it has some.
    pub(super) fn batch(
        &self,
        records: &[&OutboundRecord],
        exchange: &Exchange,
        parts: Option<&Parts>,
    ) -> Vec<Verdict> {
        match (exchange, parts) {
            (Exchange::Answered(answer), Some(parts)) => self.parted(records, answer, parts),
            (Exchange::Answered(answer), None) => {
                records.iter().map(|record| self.refused_together(record, answer, records.len()).into()).collect()
            }
            (Exchange::NeverLeft(_) | Exchange::NoAnswer(_), _) => {
                records.iter().map(|record| self.single(record, exchange)).collect()
            }
        }
    }

    fn parted(&self, records: &[&OutboundRecord], answer: &Answer, parts: &Parts) -> Vec<Verdict> {
        let end = parts.stopped_at.and_then(|at| parts.answers.get(at)?.as_ref());
        let mut verdicts = Vec::with_capacity(records.len());
        for (place, record) in records.iter().enumerate() {
            let own = parts.answers.get(place).and_then(Option::as_ref);
            verdicts.push(match (own, end) {
                (Some(own), _) => {
                    let mut verdict = self.answered(record, own);
                    verdict.answer.retry_after = verdict.answer.retry_after.or(answer.retry_after);
                    verdict
                }
                (None, Some(end)) => self.not_reached(answer, end).into(),
                (None, None) => {
                    let message = "The answer doesn't hold what became of this record.";
                    self.uniform(answer, RecordOutcome::Unknown, "PARTIAL_ANSWER", message).into()
                }
            });
        }
        verdicts
    }

    /// A record after the one whose failure ended the work on its batch.
    fn not_reached(&self, answer: &Answer, end: &Answer) -> RecordAnswer {
        let complaints = parse_body(&end.body, end.content_type.as_deref());
        let Refusal { permanence, .. } = codes::refusal(end, &complaints);
        let message = "The system stopped at another record of the request and did not get to this one.";
        let apart = self.uniform(answer, RecordOutcome::NotAttempted, "BATCH_STOPPED", message);
        // What was too much, or failed on the system's side, is no better at once.
        let again = permanence == Permanence::Permanent && end.status != 401;
        let retry_after = end.retry_after.or(answer.retry_after);
        RecordAnswer { permanence: Permanence::Transient, again, retry_after, ..apart }
    }

    /// An answer to a batch as a whole.
    fn refused_together(&self, record: &OutboundRecord, answer: &Answer, count: usize) -> RecordAnswer {
        if (200..300).contains(&answer.status) {
            return self.unexpected(answer);
        }
        let Verdict { answer: mut refused, .. } = self.refused(record, answer);
        // What is wrong with one record says nothing of the others, some of which may have been done before.
        let is_about_one = refused.certainty == Certainty::NotTaken && refused.permanence == Permanence::Permanent;
        if count > 1 && is_about_one && answer.status >= 500 && !matches!(answer.status, 501 | 505) {
            refused.outcome = RecordOutcome::Unknown;
            refused.certainty = Certainty::Open;
            refused.permanence = Permanence::Unknown;
        }
        if refused.certainty == Certainty::NotTaken && count > 1 && matches!(answer.status, 400 | 413) {
            // Nobody says because of which record.
            let message = "The system refused the whole request, and didn't say because of which record.";
            refused.errors.insert(0, wording::own(self.credentials, "BATCH_REJECTED", message));
            refused.errors.truncate(MAX_ERRORS);
            refused.outcome = RecordOutcome::NotAttempted;
            refused.permanence = Permanence::Transient;
            refused.again = true;
        }
        refused
    }

    fn answered(&self, record: &OutboundRecord, answer: &Answer) -> Verdict {
        match answer.status {
            201 | 204 => self.succeeded(answer).into(),
            200 if is_row(answer) => self.succeeded(answer).into(),
            200..=299 => self.unexpected(answer).into(),
            _ => self.refused(record, answer),
        }
    }

    fn succeeded(&self, answer: &Answer) -> RecordAnswer {
        let reference = answer.location.as_deref().and_then(reference_in_location);
        let external_reference_id = reference.map(|reference| self.credentials.scrub(&reference));
        RecordAnswer { external_reference_id, ..blank(Some(answer), RecordOutcome::Succeeded) }
    }

    /// A success that Dataverse does not speak of in this way: something else may have answered.
    fn unexpected(&self, answer: &Answer) -> RecordAnswer {
        let (code, message) = match answer.completeness {
            Completeness::Broken => ("NO_ANSWER", "The answer broke off."),
            Completeness::Cut => ("ANSWER_TOO_LARGE", "The answer was too large to be read."),
            Completeness::Whole => (
                "UNEXPECTED_ANSWER",
                "The system answered with something else than what became of the record: a proxy may have answered \
                 in its place.",
            ),
        };
        self.uniform(answer, RecordOutcome::Unknown, code, message)
    }

    fn refused(&self, record: &OutboundRecord, answer: &Answer) -> Verdict {
        let complaints = parse_body(&answer.body, answer.content_type.as_deref());
        let Refusal { certainty, permanence, is_duplicate } = codes::refusal(answer, &complaints);
        let code = format!("HTTP_{}", answer.status);
        let mut errors: Vec<RecordError> =
            complaints.iter().take(MAX_ERRORS).map(|complaint| self.error(record, complaint, &code)).collect();
        if errors.is_empty() {
            errors.push(wording::own(self.credentials, &code, &status_words(answer.status)));
        }
        let refused = RecordAnswer { certainty, errors, permanence, ..blank(Some(answer), certainty.outcome()) };
        Verdict { answer: refused, to_look_up: is_duplicate && self.settings.write == Write::Create }
    }

    fn error(&self, record: &OutboundRecord, complaint: &ParsedError, code: &str) -> RecordError {
        let mapping = &self.settings.mapping;
        let shown = codes::duplicated(&complaint.message);
        let name = complaint.field_name.as_deref().or(shown);
        // `Account Number` is the column `accountnumber`.
        let column = name.map(|name| name.split_whitespace().collect::<String>());
        RecordError {
            code: clean(complaint.code.as_deref().unwrap_or(code), MAX_CODE),
            message: wording::words(self.credentials, &mapping.without_personal(&record.payload, &complaint.message)),
            field: column.and_then(|column| mapping.trace(0, &column)).map(|place| clean(&place, MAX_NAME * 4)),
            field_name: name.map(|name| clean(name, MAX_NAME)),
            hints: complaint.hints.iter().map(|hint| clean(&redact(hint), MAX_NAME)).collect(),
        }
    }

    /// What became of a record that met a row, now that it is known whether that is its own.
    pub(super) fn looked_up(&self, record: &OutboundRecord, refused: RecordAnswer, said: Asked) -> RecordAnswer {
        match said {
            Asked::Found { reference } | Asked::Taken { reference, .. } if record.in_doubt => RecordAnswer {
                outcome: RecordOutcome::Succeeded,
                certainty: Certainty::of(RecordOutcome::Succeeded),
                errors: Vec::new(),
                external_reference_id: reference,
                permanence: Permanence::Unknown,
                ..refused
            },
            Asked::Found { reference } | Asked::Taken { reference, .. } => {
                let named = reference.map(|reference| format!(" ({reference})")).unwrap_or_default();
                let message = format!(
                    "The system has a row with the record's key{named}, which this request did not make and has not \
                     changed. Compare it with the record; if it is the record, mark the record as handled."
                );
                self.with_first(refused, ALREADY_THERE, &message)
            }
            Asked::Unclear(error) if record.in_doubt => {
                let mut doubted = self.with_first(refused, &error.code, &error.message);
                doubted.outcome = RecordOutcome::Unknown;
                doubted.certainty = Certainty::Open;
                // What the look-up did not say today it may say tomorrow.
                doubted.permanence = Permanence::Transient;
                doubted
            }
            // Another row has a value that only one may have.
            Asked::Absent | Asked::Refused(_) | Asked::Unclear(_) => refused,
        }
    }

    fn with_first(&self, mut answer: RecordAnswer, code: &str, message: &str) -> RecordAnswer {
        answer.errors.insert(0, wording::own(self.credentials, code, message));
        answer.errors.truncate(MAX_ERRORS);
        answer
    }

    fn troubled(&self, outcome: RecordOutcome, trouble: &Trouble) -> RecordAnswer {
        let errors = vec![wording::own(self.credentials, trouble.code, &trouble.message)];
        RecordAnswer { errors, permanence: trouble.permanence, ..blank(None, outcome) }
    }

    /// One complaint of the connector's own.
    fn uniform(&self, answer: &Answer, outcome: RecordOutcome, code: &str, message: &str) -> RecordAnswer {
        let errors = vec![wording::own(self.credentials, code, message)];
        RecordAnswer { errors, ..blank(Some(answer), outcome) }
    }
}

/// Whether an answer is a row, as Dataverse returns it.
fn is_row(answer: &Answer) -> bool {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let is_odata = body.as_object().is_some_and(|row| row.keys().any(|name| name.starts_with("@odata.")));
    is_odata && body.get("error").is_none() && answer.completeness == Completeness::Whole
}

#[cfg(test)]
mod tests;
