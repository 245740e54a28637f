//! From a status to an outcome: the rows of the table that need no look at the records.

use domain::record::RecordOutcome;

use crate::connector::Permanence;
use crate::error_shapes::ParsedError;

/// What is known when a status that isn't success is judged.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts, each named where it is set")]
pub(super) struct Facts {
    /// A repeated request cannot book twice.
    pub(super) repeat_safe: bool,
    /// An idempotency key went with the request.
    pub(super) keyed: bool,
    /// The answer names a field or a record.
    pub(super) names_field: bool,
    /// The answer's code says it was too much at once.
    pub(super) throttled: bool,
}

/// The outcome and permanence of a status that isn't 2xx.
pub(super) fn rule(status: u16, facts: Facts) -> (RecordOutcome, Permanence) {
    use Permanence::{Permanent, Transient};
    use RecordOutcome::{Failed, Unknown};
    match status {
        303 => (Unknown, Permanence::Unknown),
        408 | 425 | 429 => (Failed, Transient),
        409 if facts.keyed && !facts.names_field => (Unknown, Transient),
        400..=499 if facts.throttled => (Failed, Transient),
        300..=499 | 501 | 505 => (Failed, Permanent),
        500..=599 if facts.names_field => (Failed, Permanent),
        503 => (Failed, Transient),
        500..=599 => {
            let outcome = if facts.repeat_safe { Failed } else { Unknown };
            (outcome, if status == 500 { Permanence::Unknown } else { Transient })
        }
        _ => (Unknown, Permanence::Unknown),
    }
}

/// Whether a complaint's code says that it was too much at once, whatever the status.
pub(super) fn is_throttling(complaint: &ParsedError) -> bool {
    const WORDS: &[&str] =
        &["RATE_LIMIT", "RATELIMIT", "THROTTL", "TOO_MANY_REQUESTS", "CONCURRENCY_LIMIT", "INSUFFICIENT_CREDITS"];
    // Dataverse's service protection limits.
    const NUMBERS: &[&str] = &["0x80072321", "0x80072322", "0x80072326"];
    complaint.code.as_deref().is_some_and(|code| {
        let upper = code.to_ascii_uppercase();
        WORDS.iter().any(|word| upper.contains(word)) || NUMBERS.iter().any(|number| code.eq_ignore_ascii_case(number))
    })
}

#[cfg(test)]
mod tests {
    use Permanence::{Permanent, Transient};
    use RecordOutcome::{Failed, Unknown};

    use super::*;

    #[test]
    fn every_row_of_the_table() {
        let plain = Facts::default();
        let safe = Facts { repeat_safe: true, keyed: true, ..plain };
        let named = Facts { names_field: true, ..plain };
        let throttled = Facts { throttled: true, ..plain };
        let rows = [
            (301, plain, Failed, Permanent),
            (302, plain, Failed, Permanent),
            (303, plain, Unknown, Permanence::Unknown),
            (308, plain, Failed, Permanent),
            (400, plain, Failed, Permanent),
            (400, throttled, Failed, Transient),
            (401, plain, Failed, Permanent),
            (404, plain, Failed, Permanent),
            (408, plain, Failed, Transient),
            (409, plain, Failed, Permanent),
            (409, safe, Unknown, Transient),
            (409, Facts { names_field: true, ..safe }, Failed, Permanent),
            (422, named, Failed, Permanent),
            (425, plain, Failed, Transient),
            (429, plain, Failed, Transient),
            (500, plain, Unknown, Permanence::Unknown),
            (500, safe, Failed, Permanence::Unknown),
            (500, named, Failed, Permanent),
            (501, plain, Failed, Permanent),
            (502, plain, Unknown, Transient),
            (502, safe, Failed, Transient),
            (503, plain, Failed, Transient),
            (504, plain, Unknown, Transient),
            (504, safe, Failed, Transient),
            (505, plain, Failed, Permanent),
            (520, plain, Unknown, Transient),
            (600, plain, Unknown, Permanence::Unknown),
        ];
        for (status, facts, outcome, permanence) in rows {
            assert_eq!(rule(status, facts), (outcome, permanence), "{status} {facts:?}");
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
