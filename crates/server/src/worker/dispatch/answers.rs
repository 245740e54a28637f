//! Answers that have come and are still to be written: several in one transaction, and none later than a moment after.

use std::time::{Duration, Instant};

use super::super::batching::Answers;
use super::super::outcomes::Telling;

/// How long an answer waits for others.
const TOGETHER: Duration = Duration::from_millis(20);
/// Most that are written in one transaction.
const MOST: usize = 256;
/// How often listeners are told that a sync goes on; its end is told at once.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The answers of an attempt that nobody has written.
pub(super) struct Unwritten {
    answers: Answers,
    /// So many are written without waiting for others.
    enough: usize,
    /// When the first of them came.
    since: Option<Instant>,
    told: Option<Instant>,
    /// Whether something was written that nobody was told of.
    owed: bool,
}

impl Unwritten {
    /// None; so many are enough not to wait for others.
    pub(super) fn none(enough: usize) -> Self {
        Self { answers: Vec::new(), enough: enough.clamp(1, MOST), since: None, told: None, owed: false }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }

    /// Some have come.
    pub(super) fn add(&mut self, answers: Answers, now: Instant) {
        if !answers.is_empty() {
            self.since.get_or_insert(now);
            self.answers.extend(answers);
        }
    }

    /// When they are to be written, or what was written is to be told; `None` if there is nothing to do.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let written = self.since.map(|since| if self.answers.len() >= self.enough { now } else { since + TOGETHER });
        let told = self.told.filter(|_| self.owed).map(|told| told + TELL_EVERY);
        written.into_iter().chain(told).min()
    }

    /// Takes those that are written now, and says whether listeners are told.
    pub(super) fn take(&mut self, now: Instant) -> (Answers, Telling) {
        let some: Answers = self.answers.drain(..self.answers.len().min(MOST)).collect();
        self.since = if self.answers.is_empty() { None } else { Some(now) };
        let tells = self.told.is_none_or(|told| now.saturating_duration_since(told) >= TELL_EVERY);
        self.owed = !tells;
        if !tells {
            return (some, Telling::Later);
        }
        self.told = Some(now);
        (some, Telling::Now)
    }
}

#[cfg(test)]
mod tests {
    use connectors::{OutboundRecord, Permanence, RecordAnswer};
    use domain::doubt::Certainty;
    use domain::record::RecordOutcome;
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;

    fn answers(number: usize) -> Answers {
        let record = OutboundRecord {
            source_record_type: "t".to_owned(),
            source_record_id: Uuid::nil(),
            payload: Value::Null,
            payload_hash: String::new(),
            idempotency_key: String::new(),
            in_doubt: false,
        };
        let answer = RecordAnswer {
            outcome: RecordOutcome::Succeeded,
            certainty: Certainty::NotTaken,
            errors: Vec::new(),
            http_status_code: None,
            external_reference_id: None,
            permanence: Permanence::Transient,
            retry_after: None,
            again: false,
        };
        vec![(record, answer); number]
    }

    #[test]
    fn an_answer_waits_for_others_but_not_for_long() {
        let now = Instant::now();
        let mut unwritten = Unwritten::none(3);
        assert_eq!(unwritten.due(now), None);
        unwritten.add(answers(1), now);
        let later = now + Duration::from_millis(5);
        unwritten.add(answers(1), later);
        assert_eq!(unwritten.due(later), Some(now + TOGETHER));
        unwritten.add(answers(1), later);
        assert_eq!(unwritten.due(later), Some(later), "enough to be written");
    }

    #[test]
    fn no_transaction_holds_too_many() {
        let now = Instant::now();
        let mut unwritten = Unwritten::none(1_000);
        unwritten.add(answers(MOST + 1), now);
        assert_eq!(unwritten.due(now), Some(now));
        assert_eq!(unwritten.take(now).0.len(), MOST);
        assert!(!unwritten.is_empty());
        assert_eq!(unwritten.take(now).0.len(), 1);
        assert!(unwritten.is_empty());
    }

    #[test]
    fn listeners_are_told_once_a_second_and_of_everything() {
        let now = Instant::now();
        let mut unwritten = Unwritten::none(1);
        unwritten.add(answers(1), now);
        assert_eq!(unwritten.take(now).1, Telling::Now);
        assert_eq!(unwritten.due(now), None);
        let soon = now + Duration::from_millis(300);
        unwritten.add(answers(1), soon);
        assert_eq!(unwritten.take(soon).1, Telling::Later);
        // Nothing else comes for long, and still they hear of it.
        assert_eq!(unwritten.due(soon), Some(now + TELL_EVERY));
        let (none, telling) = unwritten.take(now + TELL_EVERY);
        assert_eq!((none.len(), telling), (0, Telling::Now));
        assert_eq!(unwritten.due(now + TELL_EVERY), None);
    }
}
