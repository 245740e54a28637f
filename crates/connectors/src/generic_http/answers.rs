//! From an exchange to one answer per record.

use domain::doubt::Certainty;
use domain::record::{RecordError, RecordOutcome};
use domain::redaction::redact;
use reqwest::Url;
use serde_json::Value;

use super::results::{is_failure, is_partial, results};
use super::settings::Settings;
use crate::connector::{Permanence, RecordAnswer};
use crate::credentials::Credentials;
use crate::error_shapes::{
    Located, MAX_CODE, MAX_NAME, ParsedError, SentBody, clean, is_html, locate, parse_body, parse_json, parse_warnings,
};
use crate::exchange::{Answer, Completeness, Exchange, Trouble};
use crate::reference::{reference, reference_in_location};
use crate::ruling::{Facts, is_throttling, rule};
use crate::wording::{self, MAX_ERRORS, status_words};

/// Judges what came back for one request.
pub(super) struct Judge<'a> {
    pub(super) settings: &'a Settings,
    pub(super) credentials: &'a Credentials,
    pub(super) sent: &'a SentBody<'a>,
}

/// A complaint and where it belongs.
struct Placed {
    record: Option<usize>,
    error: RecordError,
}

impl Judge<'_> {
    /// The answers, exactly one per record, in order.
    pub(super) fn answers(&self, exchange: &Exchange) -> Vec<RecordAnswer> {
        match exchange {
            Exchange::NeverLeft(trouble) => self.all(&self.troubled(RecordOutcome::Failed, trouble)),
            Exchange::NoAnswer(trouble) => self.all(&self.troubled(RecordOutcome::Unknown, trouble)),
            Exchange::Answered(answer) if (200..300).contains(&answer.status) => self.accepted(answer),
            Exchange::Answered(answer) => self.refused(answer),
        }
    }

    /// The answers when nothing was even tried.
    pub(super) fn not_attempted(&self, trouble: &Trouble) -> Vec<RecordAnswer> {
        self.all(&self.troubled(RecordOutcome::NotAttempted, trouble))
    }

    fn all(&self, answer: &RecordAnswer) -> Vec<RecordAnswer> {
        vec![answer.clone(); self.sent.payloads.len()]
    }

    fn troubled(&self, outcome: RecordOutcome, trouble: &Trouble) -> RecordAnswer {
        let errors = vec![self.own(trouble.code, &trouble.message)];
        RecordAnswer {
            outcome,
            certainty: Certainty::of(outcome),
            errors,
            http_status_code: None,
            external_reference_id: None,
            permanence: trouble.permanence,
            retry_after: None,
            again: false,
        }
    }

    /// A complaint of the connector's own.
    fn own(&self, code: &str, message: &str) -> RecordError {
        wording::own(self.credentials, code, message)
    }

    fn blank(answer: &Answer, outcome: RecordOutcome, permanence: Permanence) -> RecordAnswer {
        RecordAnswer {
            outcome,
            certainty: Certainty::of(outcome),
            errors: Vec::new(),
            http_status_code: i16::try_from(answer.status).ok(),
            external_reference_id: None,
            permanence,
            retry_after: answer.retry_after,
            again: false,
        }
    }

    /// All records alike, with one complaint of the connector's own.
    fn uniform(&self, answer: &Answer, outcome: RecordOutcome, code: &str, message: &str) -> Vec<RecordAnswer> {
        let mut one = Self::blank(answer, outcome, Permanence::Unknown);
        one.errors.push(self.own(code, message));
        self.all(&one)
    }

    fn refused(&self, answer: &Answer) -> Vec<RecordAnswer> {
        let complaints = parse_body(&answer.body, answer.content_type.as_deref());
        let facts = Facts {
            keyed: self.settings.idempotency_header.is_some(),
            names_field: complaints.iter().any(|complaint| !complaint.path.is_empty()),
            throttled: complaints.iter().any(is_throttling),
            declined: answer.retry_after.is_some() || is_problem(answer.content_type.as_deref()),
        };
        let (certainty, permanence) = rule(answer.status, facts);
        let mut placed = self.placed(&complaints, &format!("HTTP_{}", answer.status));
        if (300..400).contains(&answer.status) {
            placed = vec![Placed { record: None, error: self.redirected(answer) }];
        }
        // A system that broke at one record may have taken those before it.
        let others = if answer.status < 500 { RecordOutcome::NotAttempted } else { RecordOutcome::Unknown };
        self.distributed(answer, certainty.outcome(), permanence, placed, others)
    }

    fn redirected(&self, answer: &Answer) -> RecordError {
        // Without the query, which may carry a session or a token.
        let target = answer.location.as_deref().map(|location| match Url::parse(location) {
            Ok(url) => format!("{}{}", url.origin().ascii_serialization(), url.path()),
            Err(_) => location.split(['?', '#']).next().unwrap_or_default().to_owned(),
        });
        let status = answer.status;
        let message = match target {
            Some(target) => {
                format!("The system sent the request on to {target} ({status}); redirects are not followed.")
            }
            None => format!("The system sent the request elsewhere ({status}); redirects are not followed."),
        };
        self.own(&format!("HTTP_{status}"), &message)
    }

    fn accepted(&self, answer: &Answer) -> Vec<RecordAnswer> {
        // 200 says only that somebody answered; 201, 202 and 204 say what was done.
        let says_little = matches!(answer.status, 200 | 203 | 206 | 207);
        let wants_results = self.settings.results_pointer.is_some() || answer.status == 207;
        match answer.completeness {
            Completeness::Broken => {
                return self.uniform(answer, RecordOutcome::Unknown, "NO_ANSWER", "The answer broke off.");
            }
            Completeness::Cut => {
                let unknown = says_little || wants_results;
                let outcome = if unknown { RecordOutcome::Unknown } else { RecordOutcome::Warning };
                let message = "The answer was too large to be read.";
                return self.with_reference(self.uniform(answer, outcome, "ANSWER_TOO_LARGE", message), answer, None);
            }
            Completeness::Whole => {}
        }
        let Ok(value) = serde_json::from_slice::<Value>(&answer.body) else {
            return self.accepted_without_json(answer, says_little, wants_results);
        };
        if let Some(list) = results(&value, self.settings.results_pointer.as_deref(), answer.status)
            && list.len() == self.sent.payloads.len()
        {
            return list.iter().enumerate().map(|(index, result)| self.result(answer, index, result)).collect();
        }
        if is_failure(&value) {
            return self.complained(answer, &value, says_little);
        }
        if wants_results {
            return self.results_missing(answer);
        }
        let warnings = value.get("warnings").map(parse_warnings).unwrap_or_default();
        let outcome = if warnings.is_empty() { RecordOutcome::Succeeded } else { RecordOutcome::Warning };
        let placed = self.placed(&warnings, "WARNING");
        let answers = self.distributed(answer, outcome, Permanence::Unknown, placed, RecordOutcome::Succeeded);
        self.with_reference(answers, answer, Some(&value))
    }

    fn accepted_without_json(&self, answer: &Answer, says_little: bool, wants_results: bool) -> Vec<RecordAnswer> {
        let empty = answer.body.iter().all(u8::is_ascii_whitespace);
        let content_type = answer.content_type.as_deref();
        let claims_json = content_type.is_some_and(|name| name.to_ascii_lowercase().contains("json"));
        if !empty && says_little && (claims_json || is_html(&answer.body, content_type)) {
            let message = "The system answered 200 with something that is not JSON: a sign-in page or a proxy may have answered in its place.";
            return self.uniform(answer, RecordOutcome::Unknown, "NOT_JSON", message);
        }
        if wants_results {
            return self.results_missing(answer);
        }
        let answers = self.all(&Self::blank(answer, RecordOutcome::Succeeded, Permanence::Unknown));
        self.with_reference(answers, answer, None)
    }

    fn results_missing(&self, answer: &Answer) -> Vec<RecordAnswer> {
        let message = "The answer doesn't hold one result per record.";
        self.uniform(answer, RecordOutcome::Unknown, "RESULTS_MISSING", message)
    }

    /// A 2xx whose body complains.
    fn complained(&self, answer: &Answer, value: &Value, says_little: bool) -> Vec<RecordAnswer> {
        let complaints = parse_json(value);
        let placed = self.placed(&complaints, "REJECTED");
        if is_partial(value) && self.sent.payloads.len() > 1 && placed.iter().any(|one| one.record.is_some()) {
            return self.distributed(
                answer,
                RecordOutcome::Failed,
                Permanence::Permanent,
                placed,
                RecordOutcome::Unknown,
            );
        }
        if is_partial(value) || !says_little {
            let answers =
                self.distributed(answer, RecordOutcome::Warning, Permanence::Unknown, placed, RecordOutcome::Succeeded);
            return self.with_reference(answers, answer, Some(value));
        }
        let throttled = complaints.iter().any(is_throttling);
        let permanence = if throttled { Permanence::Transient } else { Permanence::Permanent };
        self.distributed(answer, RecordOutcome::Failed, permanence, placed, RecordOutcome::NotAttempted)
    }

    /// The answer for one record that has a result of its own.
    fn result(&self, answer: &Answer, index: usize, result: &Value) -> RecordAnswer {
        let own_status = super::results::status(result);
        let status = own_status.unwrap_or(answer.status);
        let mut one = Self::blank(answer, RecordOutcome::Succeeded, Permanence::Unknown);
        one.http_status_code = i16::try_from(status).ok();
        let alone = SentBody { payloads: self.sent.payloads.get(index).copied().into_iter().collect(), batch: None };
        let judge = Judge { sent: &alone, ..*self };
        if result.is_null() {
            one.outcome = RecordOutcome::Unknown;
            one.errors.push(self.own("RESULTS_MISSING", "The answer holds no result for this record."));
            return one;
        }
        let body = ["body", "response"].iter().find_map(|name| result.get(name)).filter(|body| body.is_object());
        if (200..300).contains(&status) && !is_failure(result) {
            let warnings = result.get("warnings").map(parse_warnings).unwrap_or_default();
            if !warnings.is_empty() {
                one.outcome = RecordOutcome::Warning;
                one.errors = judge.placed(&warnings, "WARNING").into_iter().map(|placed| placed.error).collect();
            }
            one.external_reference_id = match &self.settings.reference_pointer {
                Some(pointer) => result.pointer(pointer).and_then(reference),
                None => result.get("id").or_else(|| body.and_then(|body| body.get("id"))).and_then(reference),
            };
            return one;
        }
        let mut complaints = body.map(parse_json).unwrap_or_default();
        if complaints.is_empty() {
            complaints = parse_json(result);
        }
        let throttled = complaints.iter().any(is_throttling);
        let facts = Facts {
            keyed: false,
            names_field: complaints.iter().any(|complaint| !complaint.path.is_empty()),
            throttled,
            // No gateway writes a result.
            declined: true,
        };
        let refused = if throttled { Permanence::Transient } else { Permanence::Permanent };
        (one.certainty, one.permanence) =
            if status < 300 { (Certainty::NotTaken, refused) } else { rule(status, facts) };
        one.outcome = one.certainty.outcome();
        let code = if status < 300 { "REJECTED".to_owned() } else { format!("HTTP_{status}") };
        one.errors = judge.placed(&complaints, &code).into_iter().map(|placed| placed.error).collect();
        one.errors.truncate(MAX_ERRORS);
        if one.errors.is_empty() {
            one.errors.push(self.own(&code, &status_words(status)));
        }
        one
    }

    fn placed(&self, complaints: &[ParsedError], default_code: &str) -> Vec<Placed> {
        let place = |complaint: &ParsedError| {
            let Located { record, pointer } = locate(&complaint.path, self.sent);
            // A complaint that names nothing is about the whole request, however it was sent.
            let record = record.filter(|_| !complaint.path.is_empty());
            let error = RecordError {
                code: clean(complaint.code.as_deref().unwrap_or(default_code), MAX_CODE),
                message: wording::words(self.credentials, &complaint.message),
                field: pointer.map(|pointer| clean(&pointer, MAX_NAME * 4)),
                field_name: complaint.field_name.as_deref().map(|name| clean(name, MAX_NAME)),
                hints: complaint.hints.iter().map(|hint| clean(&redact(hint), MAX_NAME)).collect(),
            };
            Placed { record, error }
        };
        complaints.iter().map(place).collect()
    }

    /// Gives every record the complaints that are about it; the ones that none is about get `others`.
    fn distributed(
        &self,
        answer: &Answer,
        outcome: RecordOutcome,
        permanence: Permanence,
        placed: Vec<Placed>,
        others: RecordOutcome,
    ) -> Vec<RecordAnswer> {
        let count = self.sent.payloads.len();
        let mut own: Vec<Vec<RecordError>> = vec![Vec::new(); count];
        let mut general = Vec::new();
        for Placed { record, error } in placed {
            match record.and_then(|record| own.get_mut(record)) {
                Some(errors) => errors.push(error),
                None => general.push(error),
            }
        }
        general.truncate(MAX_ERRORS);
        let some_named = count > 1 && own.iter().any(|errors| !errors.is_empty());
        // Naming tells who failed; where it is unknown whether anything happened it tells nothing.
        let split = some_named && outcome != RecordOutcome::Unknown;
        let fallback = self.own(&format!("HTTP_{}", answer.status), &status_words(answer.status));
        let mut answers = Vec::with_capacity(count);
        for mut errors in own {
            let named = !errors.is_empty();
            let mut one = Self::blank(answer, if split && !named { others } else { outcome }, permanence);
            errors.extend(general.iter().cloned());
            if errors.is_empty() && one.outcome != RecordOutcome::Succeeded {
                errors.push(match one.outcome {
                    RecordOutcome::NotAttempted => self
                        .own("BATCH_REJECTED", "The system refused the whole request because of other records in it."),
                    RecordOutcome::Unknown if split => self.own(
                        "PARTIAL_ANSWER",
                        "The system complained of other records and didn't say whether it took this one.",
                    ),
                    _ => fallback.clone(),
                });
            }
            if one.outcome == RecordOutcome::NotAttempted {
                // Nothing speaks against this record.
                one.permanence = Permanence::Transient;
            } else if split && one.outcome == RecordOutcome::Unknown {
                one.permanence = Permanence::Unknown;
            }
            errors.truncate(MAX_ERRORS);
            one.errors = if one.outcome == RecordOutcome::Succeeded { Vec::new() } else { errors };
            answers.push(one);
        }
        answers
    }

    /// Adds the external id to the delivered ones: from the body where the settings say so, else from the headers.
    fn with_reference(
        &self,
        mut answers: Vec<RecordAnswer>,
        answer: &Answer,
        body: Option<&Value>,
    ) -> Vec<RecordAnswer> {
        let pointed = self.settings.reference_pointer.as_deref().and_then(|pointer| body?.pointer(pointer));
        let found = pointed.and_then(reference).or_else(|| answer.location.as_deref().and_then(reference_in_location));
        for one in answers.iter_mut().filter(|one| one.outcome.is_delivered()) {
            one.external_reference_id.clone_from(&found);
        }
        answers
    }
}

/// Whether a body is a problem document (RFC 9457), which a system writes about itself.
fn is_problem(content_type: Option<&str>) -> bool {
    content_type.is_some_and(|name| name.to_ascii_lowercase().contains("problem+json"))
}

#[cfg(test)]
mod tests;
