//! From a status to what it says of the request: what needs no look at the records.

use domain::doubt::Certainty;
use domain::record::{RecordError, RecordOutcome};

use crate::connector::{Permanence, RecordAnswer};
use crate::error_shapes::ParsedError;
use crate::exchange::Answer;
use crate::wording::MAX_ERRORS;

/// What is known when a status that isn't success is judged.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts, each named where it is set")]
pub(crate) struct Facts {
    /// An idempotency key went with the request.
    pub(crate) keyed: bool,
    /// The answer names a field or a record.
    pub(crate) names_field: bool,
    /// The answer's code says it was too much at once.
    pub(crate) throttled: bool,
    /// The system itself declined, rather than a gateway that lost it: the answer says when to come back, or explains
    /// itself in a problem document.
    pub(crate) declined: bool,
}

/// The certainty and permanence of a status that isn't 2xx.
///
/// Whether the system would recognise a repetition makes no difference: a corrected version is none.
pub(crate) fn rule(status: u16, facts: Facts) -> (Certainty, Permanence) {
    use Certainty::{NotTaken, Open};
    use Permanence::{Permanent, Transient};
    match status {
        303 => (Open, Permanence::Unknown),
        // Whoever waited too long for somebody else cannot know what that one did.
        408 if !facts.names_field => (Open, Transient),
        425 | 429 => (NotTaken, Transient),
        409 if facts.keyed && !facts.names_field => (Open, Transient),
        400..=499 if facts.throttled => (NotTaken, Transient),
        300..=499 | 501 | 505 => (NotTaken, Permanent),
        500..=599 if facts.names_field => (NotTaken, Permanent),
        503 if facts.declined || facts.throttled => (NotTaken, Transient),
        500..=599 => (Open, if status == 500 { Permanence::Unknown } else { Transient }),
        _ => (Open, Permanence::Unknown),
    }
}

/// What became of a record, before its complaints are known.
pub(crate) fn blank(answer: Option<&Answer>, outcome: RecordOutcome) -> RecordAnswer {
    RecordAnswer {
        outcome,
        certainty: Certainty::of(outcome),
        errors: Vec::new(),
        http_status_code: answer.and_then(|answer| i16::try_from(answer.status).ok()),
        external_reference_id: None,
        permanence: Permanence::Unknown,
        retry_after: answer.and_then(|answer| answer.retry_after),
        again: false,
    }
}

/// The answer for a record that its mapping cannot write: nothing of it leaves.
pub(crate) fn unmapped(mut errors: Vec<RecordError>) -> RecordAnswer {
    errors.truncate(MAX_ERRORS);
    RecordAnswer { errors, permanence: Permanence::Permanent, ..blank(None, RecordOutcome::Failed) }
}

/// Whether a complaint's code says that it was too much at once, whatever the status.
pub(crate) fn is_throttling(complaint: &ParsedError) -> bool {
    complaint.code.as_deref().is_some_and(is_throttling_code)
}

/// The same of a code alone.
pub(crate) fn is_throttling_code(code: &str) -> bool {
    const WORDS: &[&str] =
        &["RATE_LIMIT", "RATELIMIT", "THROTTL", "TOO_MANY_REQUESTS", "CONCURRENCY_LIMIT", "INSUFFICIENT_CREDITS"];
    // Dataverse's service protection limits.
    const NUMBERS: &[&str] = &["0x80072321", "0x80072322", "0x80072326"];
    let upper = code.to_ascii_uppercase();
    WORDS.iter().any(|word| upper.contains(word)) || NUMBERS.iter().any(|number| code.eq_ignore_ascii_case(number))
}

#[cfg(test)]
mod tests {
    use Certainty::{NotTaken, Open};
    use Permanence::{Permanent, Transient};

    use super::*;

    #[test]
    fn every_row_of_the_table() {
        let plain = Facts::default();
        let keyed = Facts { keyed: true, ..plain };
        let named = Facts { names_field: true, ..plain };
        let throttled = Facts { throttled: true, ..plain };
        let declined = Facts { declined: true, ..plain };
        let rows = [
            (301, plain, NotTaken, Permanent),
            (302, plain, NotTaken, Permanent),
            (303, plain, Open, Permanence::Unknown),
            (308, plain, NotTaken, Permanent),
            (400, plain, NotTaken, Permanent),
            (400, throttled, NotTaken, Transient),
            (401, plain, NotTaken, Permanent),
            (404, plain, NotTaken, Permanent),
            (408, plain, Open, Transient),
            (408, keyed, Open, Transient),
            (408, throttled, Open, Transient),
            (408, declined, Open, Transient),
            (408, named, NotTaken, Permanent),
            (409, plain, NotTaken, Permanent),
            (409, keyed, Open, Transient),
            (409, Facts { names_field: true, ..keyed }, NotTaken, Permanent),
            (422, named, NotTaken, Permanent),
            (425, plain, NotTaken, Transient),
            (429, plain, NotTaken, Transient),
            (500, plain, Open, Permanence::Unknown),
            (500, keyed, Open, Permanence::Unknown),
            (500, named, NotTaken, Permanent),
            (501, plain, NotTaken, Permanent),
            (502, plain, Open, Transient),
            (502, keyed, Open, Transient),
            (502, declined, Open, Transient),
            (503, plain, Open, Transient),
            (503, keyed, Open, Transient),
            (503, named, NotTaken, Permanent),
            (503, throttled, NotTaken, Transient),
            (503, declined, NotTaken, Transient),
            (504, plain, Open, Transient),
            (504, keyed, Open, Transient),
            (505, plain, NotTaken, Permanent),
            (520, plain, Open, Transient),
            (600, plain, Open, Permanence::Unknown),
        ];
        for (status, facts, certainty, permanence) in rows {
            assert_eq!(rule(status, facts), (certainty, permanence), "{status} {facts:?}");
        }
    }

    #[test]
    fn throttling_is_known_by_its_code() {
        let coded = |code: &str| ParsedError { code: Some(code.to_owned()), ..ParsedError::default() };
        for code in
            ["BAD_REQUEST.BURST_RATE_LIMIT_REACHED", "BAD_REQUEST.INSUFFICIENT_CREDITS", "throttled", "0x80072322"]
        {
            assert!(is_throttling(&coded(code)), "{code}");
        }
        assert!(!is_throttling(&coded("INVALID_VALUE")));
        assert!(!is_throttling(&ParsedError::default()));
    }
}
