use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::record::{RecordOutcome as O, RecordState as S};
use crate::retry::{RetryCandidate, RetryDecision, decide};

#[test]
fn states_follow_answers() {
    for (before, outcome, state) in [
        (S::Staged, O::Queued, S::Staged),
        (S::Staged, O::Sending, S::Sending),
        (S::Sending, O::Succeeded, S::Delivered),
        (S::Sending, O::Warning, S::Delivered),
        (S::Sending, O::Failed, S::Failed),
        (S::Sending, O::Unknown, S::Unknown),
        (S::Staged, O::NotAttempted, S::Staged),
        (S::Sending, O::NotAttempted, S::Staged),
        (S::Failed, O::NotAttempted, S::Failed),
        (S::Unknown, O::NotAttempted, S::Unknown),
        (S::Failed, O::Skipped, S::Failed),
        (S::Unknown, O::Succeeded, S::Delivered),
        // A late answer of the very request that was in doubt.
        (S::Unknown, O::Failed, S::Failed),
        (S::Failed, O::Sending, S::Sending),
        (S::Delivered, O::Failed, S::Delivered),
        (S::Delivered, O::NotAttempted, S::Delivered),
        (S::Handled, O::Failed, S::Handled),
        (S::Handled, O::Sending, S::Handled),
    ] {
        assert_eq!(after(before, false, outcome, Certainty::of(outcome)), state, "{before} and {outcome}");
    }
}

#[test]
fn what_a_repetition_meets_ends_no_doubt_unless_it_arrives() {
    for before in [S::Sending, S::Unknown] {
        for (outcome, state) in [
            (O::Succeeded, S::Delivered),
            (O::Warning, S::Delivered),
            (O::Failed, S::Unknown),
            (O::NotAttempted, S::Unknown),
            (O::Unknown, S::Unknown),
            (O::Skipped, before),
        ] {
            assert_eq!(after(before, true, outcome, Certainty::of(outcome)), state, "{before} and {outcome}");
        }
    }
}

#[test]
fn whatever_it_is_called_what_may_have_been_taken_is_in_doubt() {
    for outcome in [O::Failed, O::NotAttempted, O::Unknown] {
        assert_eq!(after(S::Sending, false, outcome, Certainty::Open), S::Unknown, "{outcome}");
    }
    for certainty in [Certainty::NotTaken, Certainty::Open] {
        assert_eq!(Certainty::of(certainty.outcome()), certainty);
    }
}

/// A request that left with a version of the record.
#[derive(Debug)]
struct Request {
    attempt: usize,
    version: u32,
    /// The peer may still work on it.
    pending: bool,
    /// The peer booked the record because of it.
    booked: bool,
    answered: bool,
}

/// One record, kept as the store keeps it, and a peer that recognises a version by its key. It may book a request at any
/// time, before its answer or long after its answer was given up.
#[derive(Debug)]
struct World {
    state: RecordState,
    doubted: bool,
    /// The version that leaves next.
    version: u32,
    /// A newer one that waits.
    next: Option<u32>,
    versions: u32,
    attempts: usize,
    requests: Vec<Request>,
    /// The versions that the peer has booked.
    books: Vec<u32>,
}

#[derive(Clone, Debug)]
enum Step {
    /// The record is corrected at its source.
    Correct,
    /// A sync or a retry sends the record, if it may.
    Send,
    /// The attempt that has it under way dies.
    Die,
    /// The peer works on a request.
    Work(Index),
    /// A request is answered.
    Answer(Index, RecordOutcome),
    /// A person has looked into the books, and nothing is there or to come.
    SendAgain,
}

fn steps() -> impl Strategy<Value = Step> {
    let outcomes = vec![O::Succeeded, O::Failed, O::NotAttempted, O::Unknown];
    prop_oneof![
        Just(Step::Correct),
        Just(Step::Send),
        Just(Step::Die),
        any::<Index>().prop_map(Step::Work),
        (any::<Index>(), prop::sample::select(outcomes)).prop_map(|(of, outcome)| Step::Answer(of, outcome)),
        Just(Step::SendAgain),
    ]
}

impl World {
    fn new() -> Self {
        Self {
            state: S::Staged,
            doubted: false,
            version: 0,
            next: None,
            versions: 1,
            attempts: 0,
            requests: Vec::new(),
            books: Vec::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Correct => self.correct(),
            Step::Send => self.send(),
            Step::Die if self.state == S::Sending => self.state = S::Unknown,
            Step::Work(of) if !self.requests.is_empty() => self.work(of.index(self.requests.len())),
            Step::Answer(of, outcome) if !self.requests.is_empty() => {
                self.answer(of.index(self.requests.len()), *outcome);
            }
            Step::SendAgain if self.state == S::Unknown && self.books.is_empty() => {
                for request in &mut self.requests {
                    request.pending = false;
                }
                self.settle(S::Failed);
            }
            _ => {}
        }
    }

    fn correct(&mut self) {
        match self.state {
            S::Sending | S::Unknown => self.next = Some(self.versions),
            S::Staged | S::Failed => self.version = self.versions,
            S::Delivered | S::Handled => return,
        }
        self.versions += 1;
    }

    fn send(&mut self) {
        let candidate = RetryCandidate {
            outcome: O::Failed,
            state: self.state,
            changed: false,
            repeat_safe: true,
            claimed_elsewhere: false,
        };
        if decide(&candidate) != RetryDecision::Send {
            return;
        }
        self.doubted |= self.state == S::Unknown;
        self.state = S::Sending;
        self.attempts += 1;
        self.requests.push(Request {
            attempt: self.attempts,
            version: self.version,
            pending: true,
            booked: false,
            answered: false,
        });
    }

    fn work(&mut self, of: usize) {
        let request = &mut self.requests[of];
        if request.pending && !self.books.contains(&request.version) {
            self.books.push(request.version);
            request.booked = true;
        }
    }

    /// The peer says nothing untrue: it refuses no request that it booked, and confirms none that it cannot book.
    fn answer(&mut self, of: usize, outcome: RecordOutcome) {
        if outcome.is_delivered() {
            self.work(of);
        }
        let request = &mut self.requests[of];
        let lie = match outcome {
            O::Succeeded => !self.books.contains(&request.version),
            O::Failed | O::NotAttempted => request.booked,
            _ => false,
        };
        if request.answered || lie {
            return;
        }
        request.answered = true;
        request.pending &= outcome == O::Unknown;
        let own = request.attempt == self.attempts && matches!(self.state, S::Sending | S::Unknown);
        if own || outcome.is_delivered() {
            self.settle(after(self.state, self.doubted, outcome, Certainty::of(outcome)));
        }
    }

    fn settle(&mut self, state: RecordState) {
        self.state = state;
        if state != S::Unknown {
            self.doubted = false;
            self.version = self.next.take().unwrap_or(self.version);
        }
    }
}

proptest! {
    #[test]
    fn what_is_booked_is_never_free_to_leave_as_something_else(steps in prop::collection::vec(steps(), 0..60)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
            prop_assert!(world.books.len() <= 1, "booked twice: {world:?}");
            if let Some(booked) = world.books.first() {
                prop_assert!(!matches!(world.state, S::Staged | S::Failed), "free: {world:?}");
                prop_assert!(world.state == S::Delivered || world.version == *booked, "another leaves: {world:?}");
            }
        }
    }
}
