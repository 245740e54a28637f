//! What answers say of the external system itself, and how fast an integration's settings let requests leave.

use std::time::Duration;

use chrono::TimeDelta;
use domain::asking::Asked;
use domain::doubt::Certainty;
use domain::pacing::{Bucket, Standing, Verdict};
use domain::record::RecordOutcome;
use domain::violation::Rule;

use crate::connector::{LookedUp, Permanence, RecordAnswer};
use crate::reader::Reader;
use crate::ruling::is_throttling_code;

/// Codes of look-ups that nobody answered.
const NOBODY: &[&str] = &[
    "CONNECTION_REFUSED",
    "CONNECT_TIMEOUT",
    "DNS_FAILURE",
    "HTTP_502",
    "HTTP_503",
    "HTTP_504",
    "NO_ANSWER",
    "TIMEOUT",
    "TLS_FAILURE",
    "TOKEN_SERVICE_FAILED",
    "TOKEN_TOO_LATE",
    "UNREACHABLE",
    "server_error",
    "temporarily_unavailable",
];

impl RecordAnswer {
    /// Whether the record was turned away only because it was too much at once: nothing speaks against it, and it was
    /// certainly not taken.
    pub fn is_throttled(&self) -> bool {
        standing(self) == Some(Standing::Throttled)
    }
}

/// What the answers to the records of one request say of the system; nothing where it was not asked.
pub fn verdict(answers: &[RecordAnswer]) -> Option<Verdict> {
    let all: Vec<Standing> = answers.iter().filter_map(standing).collect();
    let standing = if all.contains(&Standing::Throttled) {
        Standing::Throttled
    } else if all.contains(&Standing::Answered) {
        Standing::Answered
    } else {
        all.first().copied()?
    };
    let retry_after: Option<Duration> = answers.iter().filter_map(|answer| answer.retry_after).max();
    Some(Verdict { standing, retry_after })
}

/// What a look-up says of the system.
pub fn verdict_of_asking(looked_up: &LookedUp) -> Option<Verdict> {
    let retry_after = looked_up.retry_after;
    let standing = looked_up.said.iter().map(|asked| match asked {
        // Who says when to come back is there.
        Asked::Unclear(error) if error.code == "HTTP_503" && retry_after.is_some() => Standing::Throttled,
        Asked::Unclear(error) if NOBODY.contains(&error.code.as_str()) => Standing::Outage,
        Asked::Unclear(error) if error.code == "HTTP_429" || is_throttling_code(&error.code) => Standing::Throttled,
        _ => Standing::Answered,
    });
    standing.max_by_key(|standing| *standing == Standing::Answered).map(|standing| Verdict { standing, retry_after })
}

fn standing(answer: &RecordAnswer) -> Option<Standing> {
    if answer.outcome.is_delivered() {
        return Some(Standing::Answered);
    }
    match (answer.permanence, answer.certainty, answer.http_status_code) {
        // Nothing was asked of the system.
        (Permanence::Permanent, _, None) => None,
        // The system did not get to it: what came before it in its request was too much.
        (Permanence::Transient, _, Some(_))
            if answer.outcome == RecordOutcome::NotAttempted && !answer.again && answer.retry_after.is_some() =>
        {
            Some(Standing::Throttled)
        }
        // Refused for the sake of others in its request.
        _ if answer.again || answer.outcome == RecordOutcome::NotAttempted => Some(Standing::Answered),
        (Permanence::Transient, Certainty::NotTaken, Some(503)) if answer.retry_after.is_none() => {
            Some(Standing::Outage)
        }
        (Permanence::Transient, Certainty::NotTaken, Some(_)) => Some(Standing::Throttled),
        (Permanence::Transient, _, Some(status)) if (400..500).contains(&status) && status != 408 => {
            Some(Standing::Answered)
        }
        (Permanence::Transient, _, _) => Some(Standing::Outage),
        _ => Some(Standing::Answered),
    }
}

/// The setting `rate`: so many requests in so many seconds.
pub(crate) fn rate(reader: &mut Reader<'_>) -> Option<Bucket> {
    let mut rate = reader.nested("rate", "/settings/rate")?;
    for name in ["requests", "seconds"] {
        if !rate.has(name) {
            rate.complain(Rule::Required, name, &format!("{name} is needed"));
        }
    }
    let requests = rate.number("requests", 1..=1_000_000, 1);
    let seconds = rate.number("seconds", 1..=86_400, 1);
    rate.finish();
    Bucket::new(requests, TimeDelta::seconds(seconds.into()))
}

#[cfg(test)]
mod tests {
    use domain::record::RecordError;

    use super::*;

    fn answer(
        outcome: RecordOutcome,
        certainty: Certainty,
        permanence: Permanence,
        status: Option<i16>,
    ) -> RecordAnswer {
        RecordAnswer {
            outcome,
            certainty,
            errors: Vec::new(),
            http_status_code: status,
            external_reference_id: None,
            permanence,
            retry_after: None,
            again: false,
        }
    }

    #[test]
    fn a_request_says_how_its_system_stands() {
        use Certainty::{NotTaken, Open};
        use Permanence::{Permanent, Transient, Unknown};
        use RecordOutcome::{Failed, NotAttempted, Succeeded};
        for (outcome, certainty, permanence, status, expected) in [
            (Succeeded, Open, Unknown, Some(201), Some(Standing::Answered)),
            (Failed, NotTaken, Permanent, Some(422), Some(Standing::Answered)),
            (Failed, NotTaken, Transient, Some(429), Some(Standing::Throttled)),
            (Failed, NotTaken, Transient, Some(200), Some(Standing::Throttled)),
            (Failed, NotTaken, Transient, Some(503), Some(Standing::Outage)),
            (Failed, NotTaken, Transient, None, Some(Standing::Outage)),
            (Failed, NotTaken, Permanent, None, None),
            (NotAttempted, NotTaken, Transient, Some(422), Some(Standing::Answered)),
            (RecordOutcome::Unknown, Open, Transient, None, Some(Standing::Outage)),
            (RecordOutcome::Unknown, Open, Transient, Some(502), Some(Standing::Outage)),
            (RecordOutcome::Unknown, Open, Transient, Some(408), Some(Standing::Outage)),
            (RecordOutcome::Unknown, Open, Transient, Some(409), Some(Standing::Answered)),
            (RecordOutcome::Unknown, Open, Unknown, Some(500), Some(Standing::Answered)),
        ] {
            let one = answer(outcome, certainty, permanence, status);
            let said = verdict(std::slice::from_ref(&one)).map(|verdict| verdict.standing);
            assert_eq!(said, expected, "{one:?}");
            assert_eq!(one.is_throttled(), expected == Some(Standing::Throttled), "{one:?}");
        }
        assert_eq!(verdict(&[]), None);
    }

    #[test]
    fn who_says_when_to_come_back_is_there_and_the_longest_wait_counts() {
        let busy = answer(RecordOutcome::Failed, Certainty::NotTaken, Permanence::Transient, Some(503));
        let waits =
            [3, 7, 5].map(|seconds| RecordAnswer { retry_after: Some(Duration::from_secs(seconds)), ..busy.clone() });
        let expected = Verdict { standing: Standing::Throttled, retry_after: Some(Duration::from_secs(7)) };
        assert_eq!(verdict(&waits), Some(expected));
        let not_reached = RecordAnswer { outcome: RecordOutcome::NotAttempted, ..waits[0].clone() };
        assert!(not_reached.is_throttled() && !RecordAnswer { again: true, ..not_reached }.is_throttled());
        let delivered = answer(RecordOutcome::Succeeded, Certainty::Open, Permanence::Unknown, Some(207));
        let lost = answer(RecordOutcome::Unknown, Certainty::Open, Permanence::Transient, Some(502));
        assert_eq!(verdict(&[lost, delivered]).map(|verdict| verdict.standing), Some(Standing::Answered));
    }

    #[test]
    fn a_look_up_says_so_too() {
        let unclear = |code: &str| Asked::Unclear(RecordError { code: code.to_owned(), ..RecordError::default() });
        let verdict = |said: &[Asked], seconds: Option<u64>| {
            let retry_after = seconds.map(Duration::from_secs);
            verdict_of_asking(&LookedUp { said: said.to_vec(), retry_after })
        };
        let standing = |said: &[Asked]| verdict(said, None).map(|verdict| verdict.standing);
        assert_eq!(standing(&[unclear("TIMEOUT")]), Some(Standing::Outage));
        for code in ["HTTP_429", "0x80072322", "BAD_REQUEST.BURST_RATE_LIMIT_REACHED"] {
            assert_eq!(standing(&[unclear(code)]), Some(Standing::Throttled), "{code}");
        }
        assert_eq!(standing(&[unclear("NOT_JSON")]), Some(Standing::Answered));
        assert_eq!(standing(&[unclear("TIMEOUT"), Asked::Absent]), Some(Standing::Answered));
        assert_eq!(standing(&[]), None);
        for (said, standing) in [
            (unclear("HTTP_429"), Standing::Throttled),
            (unclear("HTTP_503"), Standing::Throttled),
            (unclear("HTTP_502"), Standing::Outage),
            (Asked::Absent, Standing::Answered),
        ] {
            let expected = Verdict { standing, retry_after: Some(Duration::from_secs(7)) };
            assert_eq!(verdict(&[said], Some(7)), Some(expected));
        }
    }
}
