//! One record, kept as the store keeps it, and the systems that it is sent to: whatever they do, and whatever is changed
//! in the settings meanwhile, it is booked once at most.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::asking::{Asking, Doubt, REPEAT_MARGIN, Recognition, Way};
use crate::retry::{RetryCandidate, RetryDecision, decide};

/// How long a system remembers a key.
const REMEMBERS: TimeDelta = TimeDelta::hours(1);
/// How long after it was given up a system may still work on a request.
const SETTLED: TimeDelta = TimeDelta::minutes(2);

/// A request that left with a version of the record.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "what has happened to it, each by itself")]
struct Request {
    attempt: usize,
    version: u32,
    system: u8,
    keyed: bool,
    left_at: DateTime<Utc>,
    given_up: Option<DateTime<Utc>>,
    /// The system may still work on it.
    pending: bool,
    /// The system booked the record because of it.
    booked: bool,
    answered: bool,
}

/// The record in a system's books.
#[derive(Debug)]
struct Booking {
    system: u8,
    version: u32,
    keyed: bool,
    at: DateTime<Utc>,
}

/// What the integration's settings are now.
#[derive(Clone, Copy, Debug)]
struct Settings {
    system: u8,
    keyed: bool,
    looks_up: bool,
}

/// A system recognises a version by its key, as long as it remembers it. It may book a request at any time before its
/// answer, and for a while after its answer was given up.
#[derive(Debug)]
struct World {
    now: DateTime<Utc>,
    settings: Settings,
    state: RecordState,
    /// When the last request left, where to, and under which mark.
    sent_at: DateTime<Utc>,
    sent_target: Option<String>,
    sent_recognised_by: Option<String>,
    /// When the first request in doubt left, of a record that was sent again in doubt.
    in_doubt_since: Option<DateTime<Utc>>,
    given_up: DateTime<Utc>,
    /// The version that leaves next.
    version: u32,
    /// A newer one that waits.
    next: Option<u32>,
    versions: u32,
    attempts: usize,
    requests: Vec<Request>,
    books: Vec<Booking>,
}

#[derive(Clone, Debug)]
enum Step {
    /// Seconds pass.
    Pass(i64),
    /// Somebody changes the settings.
    Change(Settings),
    /// The record is corrected at its source.
    Correct,
    /// A sync or a retry sends the record, or asks for it, if it may.
    Send,
    /// The attempt that has it under way dies.
    Die,
    /// A system works on a request.
    Work(Index),
    /// A request is answered.
    Answer(Index, RecordOutcome),
    /// A person has looked into the books, and nothing is there or to come.
    SendAgain,
}

fn settings() -> impl Strategy<Value = Settings> {
    // Most often nothing but the look-up changes, so that doubts outlive it.
    let systems = prop_oneof![4 => Just(0_u8), 1 => Just(1_u8)];
    (systems, any::<bool>(), any::<bool>()).prop_map(|(system, keyed, looks_up)| Settings { system, keyed, looks_up })
}

fn steps() -> impl Strategy<Value = Step> {
    let outcomes = vec![O::Succeeded, O::Failed, O::NotAttempted, O::Unknown];
    prop_oneof![
        2 => select(vec![1_i64, 60, 200, 3_400]).prop_map(Step::Pass),
        1 => settings().prop_map(Step::Change),
        1 => Just(Step::Correct),
        3 => Just(Step::Send),
        1 => Just(Step::Die),
        2 => any::<Index>().prop_map(Step::Work),
        3 => (any::<Index>(), select(outcomes)).prop_map(|(of, outcome)| Step::Answer(of, outcome)),
        1 => Just(Step::SendAgain),
    ]
}

impl World {
    fn new(settings: Settings) -> Self {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        Self {
            now,
            settings,
            state: S::Staged,
            sent_at: now,
            sent_target: None,
            sent_recognised_by: None,
            in_doubt_since: None,
            given_up: now,
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
            Step::Pass(seconds) => self.now += TimeDelta::seconds(*seconds),
            Step::Change(settings) => self.settings = *settings,
            Step::Correct => self.correct(),
            Step::Send => self.send(),
            Step::Die if self.state == S::Sending => self.settle(S::Unknown),
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

    fn asking(&self) -> Asking {
        let recognition = Recognition { by: "key".to_owned(), remembers: Some(REMEMBERS) };
        Asking {
            target: self.settings.system.to_string(),
            recognition: self.settings.keyed.then_some(recognition),
            look_up: self.settings.looks_up.then_some(SETTLED),
            refusable_for: None,
        }
    }

    fn doubt(&self) -> Doubt {
        Doubt {
            target: self.sent_target.clone(),
            recognised_by: self.sent_recognised_by.clone(),
            since: self.in_doubt_since.unwrap_or(self.sent_at),
            given_up: self.given_up,
        }
    }

    fn send(&mut self) {
        let way = if self.state == S::Unknown { self.asking().way(&self.doubt(), self.now) } else { Way::Person };
        let (outcome, state) = (O::Failed, self.state);
        let candidate = RetryCandidate {
            outcome,
            state,
            changed: false,
            refused_for_good: false,
            way,
            claimed_elsewhere: false,
            accepted: false,
            refusable_until: None,
        };
        match decide(&candidate) {
            RetryDecision::Send => self.leave(),
            RetryDecision::Ask => self.ask(),
            _ => {}
        }
    }

    fn leave(&mut self) {
        if self.state == S::Unknown {
            self.in_doubt_since = self.in_doubt_since.or(Some(self.sent_at));
        }
        let asking = self.asking();
        self.state = S::Sending;
        self.sent_at = self.now;
        self.sent_target = Some(asking.target);
        self.sent_recognised_by = asking.recognition.map(|recognition| recognition.by);
        self.attempts += 1;
        self.requests.push(Request {
            attempt: self.attempts,
            version: self.version,
            system: self.settings.system,
            keyed: self.settings.keyed,
            left_at: self.now,
            given_up: None,
            pending: true,
            booked: false,
            answered: false,
        });
    }

    /// The system answers by its books.
    fn ask(&mut self) {
        if self.books.iter().any(|booking| booking.system == self.settings.system) {
            self.settle(S::Delivered);
        } else if self.asking().believes_absence(&self.doubt(), self.now) {
            self.settle(S::Failed);
        }
    }

    fn work(&mut self, of: usize) {
        let now = self.now;
        let request = &mut self.requests[of];
        // What takes longer to arrive is lost.
        let arrives = now <= request.left_at + REPEAT_MARGIN;
        if !request.pending || !arrives || request.given_up.is_some_and(|given_up| now >= given_up + SETTLED) {
            return;
        }
        request.pending = false;
        let recognised = self.books.iter().any(|booking| {
            request.keyed
                && booking.keyed
                && (booking.system, booking.version) == (request.system, request.version)
                && now < booking.at + REMEMBERS
        });
        if !recognised {
            request.booked = true;
            let (system, version, keyed) = (request.system, request.version, request.keyed);
            self.books.push(Booking { system, version, keyed, at: now });
        }
    }

    /// A system says nothing untrue: it refuses no request that it booked, and confirms none that it has not.
    fn answer(&mut self, of: usize, outcome: RecordOutcome) {
        if outcome.is_delivered() {
            self.work(of);
        }
        let now = self.now;
        let request = &mut self.requests[of];
        let in_books =
            self.books.iter().any(|booking| (booking.system, booking.version) == (request.system, request.version));
        let lie = match outcome {
            O::Succeeded => !in_books,
            O::Failed | O::NotAttempted => request.booked,
            _ => false,
        };
        if request.answered || lie {
            return;
        }
        request.answered = true;
        request.pending &= outcome == O::Unknown;
        request.given_up = request.given_up.or(Some(now));
        let own = request.attempt == self.attempts && matches!(self.state, S::Sending | S::Unknown);
        if own || outcome.is_delivered() {
            let doubted = self.in_doubt_since.is_some();
            self.settle(after(self.state, doubted, outcome, Certainty::of(outcome)));
        }
    }

    fn settle(&mut self, state: RecordState) {
        self.state = state;
        if state == S::Unknown {
            self.given_up = self.now;
            for request in &mut self.requests {
                request.given_up = request.given_up.or(Some(self.now));
            }
        } else {
            self.in_doubt_since = None;
            self.version = self.next.take().unwrap_or(self.version);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_024))]

    #[test]
    fn what_is_booked_is_never_free_to_leave_as_something_else(
        settings in settings(),
        steps in prop::collection::vec(steps(), 0..60),
    ) {
        let mut world = World::new(settings);
        for step in &steps {
            world.take(step);
            prop_assert!(world.books.len() <= 1, "booked twice: {world:?}");
            if let Some(booked) = world.books.first() {
                prop_assert!(!matches!(world.state, S::Staged | S::Failed), "free: {world:?}");
                let same = world.state == S::Delivered || world.version == booked.version;
                prop_assert!(same, "another leaves: {world:?}");
            }
        }
    }
}
