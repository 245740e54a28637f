use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const ANSWERED: Verdict = Verdict { standing: Standing::Answered, retry_after: None };
const THROTTLED: Verdict = Verdict { standing: Standing::Throttled, retry_after: None };
const OUTAGE: Verdict = Verdict { standing: Standing::Outage, retry_after: None };

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_795_000_000_000).unwrap()
}

fn seconds(number: i64) -> TimeDelta {
    TimeDelta::seconds(number)
}

fn verdicts() -> impl Strategy<Value = Verdict> {
    let standing = select(vec![Standing::Answered, Standing::Throttled, Standing::Outage]);
    let wait = prop::option::weighted(0.3, (0_u64..8_000).prop_map(Duration::from_secs));
    (standing, wait).prop_map(|(standing, retry_after)| Verdict { standing, retry_after })
}

/// Something that happens after so many milliseconds.
#[derive(Clone, Debug)]
enum Step {
    Ask(u32, bool),
    Answer(Verdict, f64),
}

fn steps() -> impl Strategy<Value = Vec<(i64, Step)>> {
    let step = prop_oneof![
        (1_u32..40, any::<bool>()).prop_map(|(wanted, insists)| Step::Ask(wanted, insists)),
        (verdicts(), 0.0..1.0_f64).prop_map(|(verdict, random)| Step::Answer(verdict, random)),
    ];
    let wait = prop_oneof![Just(0_i64), 0_i64..2_000, 0_i64..200_000];
    prop::collection::vec((wait, step), 1..80)
}

/// A state after five outages in a row.
fn open(now: DateTime<Utc>) -> SystemState {
    let mut state = SystemState::default();
    for _ in 0..5 {
        state.take_in(OUTAGE, now, 1.0);
    }
    state
}

#[test]
fn nothing_holds_what_nothing_is_known_against() {
    let mut state = SystemState::default();
    assert_eq!(state.pass(None, 500, false, start()), Passage { granted: 500, held: None });
    for verdict in [ANSWERED; 30] {
        state.take_in(verdict, start(), 0.9);
    }
    assert_eq!(state, SystemState::default(), "nothing to keep while all goes well");
}

#[test]
fn a_bucket_gives_what_it_holds_and_then_its_rate() {
    let bucket = Bucket::new(20, seconds(5)).unwrap();
    let mut state = SystemState::default();
    let mut ask = |wanted, millis| {
        let passage = state.pass(Some(bucket), wanted, false, start() + TimeDelta::milliseconds(millis));
        let held = passage.held.map(|held| (held.by, (held.until - start()).num_milliseconds()));
        (passage.granted, held)
    };
    assert_eq!(ask(15, 0), (15, None));
    assert_eq!(ask(15, 0), (5, Some((HeldBy::Rate, 250))));
    assert_eq!(ask(1, 249), (0, Some((HeldBy::Rate, 250))));
    assert_eq!(ask(1, 250), (1, None));
    assert_eq!(ask(10, 1_500), (5, Some((HeldBy::Rate, 1_750))));
    assert_eq!(ask(40, 60_000), (20, Some((HeldBy::Rate, 60_250))));
}

#[test]
fn a_bucket_has_bounds() {
    for (requests, per) in [(0, seconds(1)), (1, TimeDelta::zero()), (1_000_001, seconds(1)), (1, TimeDelta::days(32))]
    {
        assert_eq!(Bucket::new(requests, per), None, "{requests} per {per}");
    }
    let slow = Bucket::new(3, seconds(1)).unwrap();
    assert_eq!(slow.interval(), TimeDelta::microseconds(333_334), "rounded to the slower side");
}

#[test]
fn a_clock_that_was_set_back_holds_nothing_for_long() {
    let bucket = Bucket::new(2, seconds(10)).unwrap();
    let mut state = open(start());
    state.take_in(Verdict { retry_after: Some(Duration::from_hours(1)), ..THROTTLED }, start(), 0.5);
    let _ = state.pass(Some(bucket), 2, true, start());
    state.spent_until = Some(start() + seconds(10));
    let before = start() - TimeDelta::days(1);
    assert_eq!(state.pass(Some(bucket), 1, false, before).held.map(|held| held.by), Some(HeldBy::Rate));
    assert_eq!(state.pass(Some(bucket), 1, false, before + seconds(5)).granted, 1);
}

#[test]
fn who_asks_too_much_waits_longer_each_time_and_as_long_as_the_system_says() {
    let mut state = SystemState::default();
    let mut now = start();
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
        state.take_in(THROTTLED, now, 1.0);
        // Requests that were under way with it make it no longer.
        state.take_in(THROTTLED, now, 1.0);
        let until = now + seconds(wait);
        assert_eq!(state.pass(None, 1, true, now).held, Some(Held { until, by: HeldBy::Pause }));
        now = until;
        assert_eq!(state.pass(None, 1, false, now).granted, 1);
    }
    state.take_in(Verdict { retry_after: Some(Duration::from_mins(5)), ..THROTTLED }, now, 1.0);
    assert_eq!(state.pause(now), Some(now + seconds(300)));
    state.take_in(Verdict { retry_after: Some(Duration::from_secs(5)), ..ANSWERED }, now, 1.0);
    assert_eq!(state.pause(now), Some(now + seconds(300)), "a shorter wait takes nothing from a longer one");
    now += seconds(300);
    state.take_in(ANSWERED, now, 1.0);
    assert_eq!(state.throttled, 0);
    state.take_in(Verdict { retry_after: Some(Duration::from_hours(24)), ..ANSWERED }, now, 1.0);
    assert_eq!(state.pause(now), Some(now + LONGEST_PAUSE));
}

#[test]
fn five_outages_in_a_row_open_the_breaker_and_one_answer_closes_it() {
    let mut state = SystemState::default();
    for _ in 0..4 {
        state.take_in(OUTAGE, start(), 1.0);
    }
    assert_eq!(state.held(start()), None);
    state.take_in(OUTAGE, start(), 1.0);
    let until = start() + seconds(30);
    assert_eq!(state.pass(None, 3, false, start()).held, Some(Held { until, by: HeldBy::Breaker }));
    state.take_in(OUTAGE, start(), 1.0);
    assert_eq!(state.held(start()).map(|held| held.until), Some(until), "what had left before makes it no longer");
    let passage = state.pass(None, 3, false, until);
    assert_eq!((passage.granted, passage.held.map(|held| held.by)), (1, Some(HeldBy::Probe)));
    assert_eq!(state.pass(None, 3, false, until).granted, 0, "one is out");
    state.take_in(ANSWERED, until, 1.0);
    assert_eq!(state.pass(None, 3, false, until).granted, 3);
    assert_eq!(state.breaker, Breaker::default());
}

#[test]
fn a_probe_that_fails_doubles_the_time_up_to_ten_minutes() {
    let (mut state, mut now) = (open(start()), start());
    for wait in [30, 60, 120, 240, 480, 600, 600] {
        let Some(held) = state.held(now) else { panic!("it is open") };
        assert_eq!(held.until, now + seconds(wait));
        now = held.until;
        assert_eq!(state.pass(None, 9, false, now).granted, 1);
        state.take_in(OUTAGE, now, 1.0);
    }
}

#[test]
fn half_of_twenty_opens_it_too_and_a_lost_probe_is_replaced() {
    let mut state = SystemState::default();
    for number in 0..20 {
        assert_eq!(state.held(start()), None, "after {number}");
        state.take_in(if number % 2 == 0 { OUTAGE } else { ANSWERED }, start(), 1.0);
    }
    let until = state.held(start()).unwrap().until;
    assert_eq!(state.pass(None, 1, false, until).granted, 1);
    let lost = state.pass(None, 1, false, until).held.unwrap().until;
    assert_eq!(lost, until + TimeDelta::minutes(1));
    assert_eq!(state.pass(None, 1, false, lost).granted, 1);
}

#[test]
fn who_says_when_to_come_back_is_waited_for_and_who_is_silent_is_not() {
    let now = start();
    let worth = |by, wait, silence| Held { until: now + seconds(wait), by }.is_worth_waiting(now - seconds(silence));
    for by in [HeldBy::Pause, HeldBy::Probe, HeldBy::Rate] {
        assert!(worth(by, 300, 0) && !worth(by, 301, 0), "{by:?}");
        assert!(worth(by, 1, 299) && !worth(by, 1, 300), "{by:?}");
    }
    assert!(!worth(HeldBy::Breaker, 1, 0));
}

#[test]
fn whoever_insists_finds_out_at_once() {
    let mut state = open(start());
    assert_eq!(state.pass(None, 4, true, start()).granted, 1);
    assert_eq!(state.pass(None, 4, false, start()).granted, 0);
    assert_eq!(state.pass(None, 4, true, start()).granted, 1, "nobody knows what became of the first");
    state.take_in(THROTTLED, start(), 0.0);
    assert_eq!(state.pass(None, 4, false, start()).granted, 4, "a system that says it is too much is there");
}

#[test]
fn what_is_kept_of_recent_requests_is_the_same_when_it_is_read() {
    let mut breaker = Breaker::default();
    for outage in [true, false, true, true, false] {
        breaker = breaker.after(outage, start(), 0.5);
        let Breaker::Closed(recent) = breaker else { panic!("closed") };
        assert_eq!(Recent::new(recent.bits(), recent.length()), recent);
    }
    assert_eq!(Recent::new(u32::MAX, u8::MAX).length(), 20);
    assert_eq!(Recent::new(0, 7), Recent::default());
}

proptest! {
    /// In no time more leaves than the bucket holds and its rate allows, whatever else happens.
    #[test]
    fn no_more_than_the_rate_leaves(
        steps in steps(), requests in 1_u32..60, millis in 1_i64..100_000,
    ) {
        let bucket = Bucket::new(requests, TimeDelta::milliseconds(millis)).unwrap();
        let (mut state, mut now) = (SystemState::default(), start());
        let mut left: Vec<(DateTime<Utc>, u32)> = Vec::new();
        for (wait, step) in steps {
            now += TimeDelta::milliseconds(wait);
            match step {
                Step::Ask(wanted, insists) => {
                    let passage = state.pass(Some(bucket), wanted, insists, now);
                    prop_assert!(passage.granted <= wanted);
                    prop_assert_eq!(passage.held.is_some(), passage.granted < wanted);
                    left.push((now, passage.granted));
                }
                Step::Answer(verdict, random) => state.take_in(verdict, now, random),
            }
        }
        for (first, (from, _)) in left.iter().enumerate() {
            let mut sum = 0;
            for (to, granted) in &left[first..] {
                sum += u64::from(*granted);
                let time = (*to - *from).num_microseconds().unwrap();
                let allowed = i64::from(requests) + time / bucket.interval().num_microseconds().unwrap();
                prop_assert!(sum <= allowed.unsigned_abs(), "{sum} within {time} µs, {allowed} allowed");
            }
        }
    }

    /// Whoever was told to wait is heeded, whatever else happens meanwhile.
    #[test]
    fn a_wait_that_was_asked_for_is_never_undercut(steps in steps()) {
        let (mut state, mut now) = (SystemState::default(), start());
        let mut asked = start();
        for (wait, step) in steps {
            now += TimeDelta::milliseconds(wait);
            match step {
                Step::Ask(wanted, insists) => {
                    let passage = state.pass(None, wanted, insists, now);
                    prop_assert!(passage.granted == 0 || now >= asked);
                }
                Step::Answer(verdict, random) => {
                    state.take_in(verdict, now, random);
                    if let Some(wait) = verdict.retry_after {
                        asked = asked.max(now + TimeDelta::from_std(wait).unwrap().min(LONGEST_PAUSE));
                    }
                }
            }
        }
    }

    /// While the breaker is not closed, one request at a time finds out, until it is answered or lost; and one for whoever
    /// insists.
    #[test]
    fn one_request_at_a_time_finds_out(steps in steps()) {
        let (mut state, mut now) = (SystemState::default(), start());
        let mut probe: Option<DateTime<Utc>> = None;
        for (wait, step) in steps {
            now += TimeDelta::milliseconds(wait);
            match step {
                Step::Ask(wanted, insists) => {
                    let closed = matches!(state.breaker, Breaker::Closed(_));
                    let passage = state.pass(None, wanted, insists, now);
                    if !closed && passage.granted > 0 {
                        prop_assert_eq!(passage.granted, 1);
                        prop_assert!(insists || probe.is_none_or(|left| now >= left + TimeDelta::minutes(1)));
                        probe = Some(now);
                    }
                }
                Step::Answer(verdict, random) => {
                    state.take_in(verdict, now, random);
                    probe = None;
                }
            }
        }
    }

    /// Who comes back when told gets through at last, and is never told a moment that has passed.
    #[test]
    fn nobody_waits_for_ever(steps in steps()) {
        let bucket = Bucket::new(3, seconds(7)).unwrap();
        let (mut state, mut now) = (SystemState::default(), start());
        for (wait, step) in steps {
            now += TimeDelta::milliseconds(wait);
            match step {
                Step::Ask(wanted, insists) => {
                    let _ = state.pass(Some(bucket), wanted, insists, now);
                }
                Step::Answer(verdict, random) => state.take_in(verdict, now, random),
            }
        }
        let mut through = false;
        for _ in 0..4 {
            let passage = state.pass(Some(bucket), 1, false, now);
            through = passage.granted == 1;
            let Some(held) = passage.held else { break };
            prop_assert!(held.until > now && held.until <= now + LONGEST_PAUSE);
            now = held.until;
        }
        prop_assert!(through, "held again and again");
    }
}
