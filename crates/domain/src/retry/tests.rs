use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::doubt::{Certainty, after};

fn candidates() -> impl Strategy<Value = RetryCandidate> {
    let ways = select(vec![Way::Repeat, Way::LookUp, Way::Person]);
    let known = (any::<bool>(), any::<bool>());
    (select(RecordOutcome::ALL), select(RecordState::ALL), known, ways, any::<bool>()).prop_map(
        |(outcome, state, (changed, refused_for_good), way, claimed_elsewhere)| RetryCandidate {
            outcome,
            state,
            changed,
            refused_for_good,
            way,
            claimed_elsewhere,
            accepted: false,
            refusable_until: None,
        },
    )
}

fn answers() -> impl Strategy<Value = (bool, RecordOutcome, Certainty)> {
    (any::<bool>(), select(RecordOutcome::ALL), select(vec![Certainty::NotTaken, Certainty::Open]))
}

#[test]
fn each_record_by_where_it_stands() {
    let failed = RetryCandidate {
        outcome: RecordOutcome::Failed,
        state: RecordState::Failed,
        changed: false,
        refused_for_good: false,
        way: Way::Person,
        claimed_elsewhere: false,
        accepted: false,
        refusable_until: None,
    };
    for (candidate, decision) in [
        (failed.clone(), RetryDecision::Send),
        (RetryCandidate { state: RecordState::Staged, ..failed.clone() }, RetryDecision::Send),
        (
            RetryCandidate { outcome: RecordOutcome::NotAttempted, state: RecordState::Staged, ..failed.clone() },
            RetryDecision::Send,
        ),
        (RetryCandidate { state: RecordState::Delivered, ..failed.clone() }, RetryDecision::DeliveredSince),
        (RetryCandidate { state: RecordState::Handled, ..failed.clone() }, RetryDecision::Handled),
        (RetryCandidate { state: RecordState::Sending, ..failed.clone() }, RetryDecision::Active),
        (RetryCandidate { claimed_elsewhere: true, ..failed.clone() }, RetryDecision::Active),
        (RetryCandidate { outcome: RecordOutcome::Succeeded, ..failed.clone() }, RetryDecision::NotFailed),
        (RetryCandidate { outcome: RecordOutcome::Skipped, ..failed.clone() }, RetryDecision::NotFailed),
        (
            RetryCandidate { outcome: RecordOutcome::Unknown, state: RecordState::Unknown, ..failed.clone() },
            RetryDecision::Unknown,
        ),
        (
            RetryCandidate {
                outcome: RecordOutcome::Unknown,
                state: RecordState::Unknown,
                way: Way::Repeat,
                ..failed.clone()
            },
            RetryDecision::Send,
        ),
        (
            RetryCandidate {
                outcome: RecordOutcome::Unknown,
                state: RecordState::Unknown,
                way: Way::LookUp,
                ..failed.clone()
            },
            RetryDecision::Ask,
        ),
        // A new version staged over an unknown outcome: the old one may have been booked.
        (
            RetryCandidate { outcome: RecordOutcome::Unknown, state: RecordState::Unknown, changed: true, ..failed },
            RetryDecision::Unknown,
        ),
    ] {
        assert_eq!(decide(&candidate), decision, "{candidate:?}");
    }
}

proptest! {
    #[test]
    fn what_arrived_or_was_handled_is_never_sent(candidate in candidates()) {
        let decision = decide(&candidate);
        if decision == RetryDecision::Send {
            prop_assert!(!matches!(candidate.state, RecordState::Delivered | RecordState::Handled | RecordState::Sending));
            prop_assert!(!candidate.outcome.is_delivered() && candidate.outcome.is_final());
            prop_assert!(!candidate.claimed_elsewhere);
            prop_assert!(candidate.state != RecordState::Unknown || candidate.way == Way::Repeat);
        }
        if decision == RetryDecision::Ask {
            prop_assert_eq!((candidate.state, candidate.way), (RecordState::Unknown, Way::LookUp));
            prop_assert!(!candidate.outcome.is_delivered() && candidate.outcome.is_final());
            prop_assert!(!candidate.claimed_elsewhere);
        }
    }

    /// Once delivered or handled, no sequence of answers makes a record one that is sent.
    #[test]
    fn no_answer_brings_a_record_back(
        settled in select(vec![RecordState::Delivered, RecordState::Handled]),
        answers in prop::collection::vec(answers(), 0..20),
        candidate in candidates(),
    ) {
        let state = answers
            .into_iter()
            .fold(settled, |state, (doubted, outcome, certainty)| after(state, doubted, outcome, certainty));
        let decision = decide(&RetryCandidate { state, ..candidate });
        prop_assert!(!matches!(decision, RetryDecision::Send | RetryDecision::Ask));
    }

    #[test]
    fn the_preview_sums_to_the_candidates(candidates in prop::collection::vec(candidates(), 0..200)) {
        let preview = RetryPreview::of(&candidates);
        let left = candidates.iter().filter(|candidate| decide(candidate) != RetryDecision::NotFailed).count();
        let RetryPreview { records, changed, unchanged, asked, unknown, handled, delivered_since, active, gone } = preview;
        prop_assert_eq!(gone, 0, "only a source can say that");
        prop_assert_eq!(changed + unchanged, records);
        prop_assert_eq!(records + asked, preview.in_scope());
        prop_assert_eq!(usize::try_from(records + asked + unknown + handled + delivered_since + active).unwrap(), left);
    }

    /// Nothing leaves by itself that would not leave where a person asks for it; nor what was refused and is the same.
    #[test]
    fn what_passes_by_itself_could_be_asked_for(candidate in candidates()) {
        if may_pass_by_itself(&candidate) {
            prop_assert!(matches!(decide(&candidate), RetryDecision::Send | RetryDecision::Ask));
            let same = !candidate.changed || candidate.state == RecordState::Unknown;
            prop_assert!(decide(&candidate) == RetryDecision::Ask || !(candidate.refused_for_good && same));
        }
    }

    #[test]
    fn the_last_retries_are_left_to_a_person(count in 0_u16..20, allowed in 0_u16..20, random in 0.0..1.0_f64) {
        let wait = automatic_wait(count, allowed, random);
        prop_assert_eq!(wait.is_some(), count < allowed && count < MOST_AUTOMATIC);
        if let Some(wait) = wait {
            prop_assert!(wait >= TimeDelta::seconds(1) && wait <= TimeDelta::hours(1));
        }
    }

    #[test]
    fn waits_stay_within_their_bounds(
        number in any::<u32>(), base in 0_u64..100_000, cap in 0_u64..10_000_000, random in -1.0..2.0_f64,
    ) {
        let waited = backoff_millis(number, base, cap, random);
        prop_assert!(waited <= cap);
        let doubled = base.saturating_mul(2_u64.saturating_pow(number.saturating_sub(1)));
        prop_assert!(waited <= doubled);
    }
}

#[test]
fn waits_double_up_to_the_cap() {
    let longest = |number| backoff_millis(number, 1_000, 60_000, 1.0);
    assert_eq!(
        [0, 1, 2, 3, 6, 7, 64, 65, u32::MAX].map(longest),
        [1_000, 1_000, 2_000, 4_000, 32_000, 60_000, 60_000, 60_000, 60_000]
    );
    assert_eq!(backoff_millis(3, 1_000, 60_000, 0.5), 2_000);
    assert_eq!(backoff_millis(3, 1_000, 60_000, 0.0), 0);
    assert_eq!(backoff_millis(3, 1_000, 60_000, f64::NAN), 0);
}

#[test]
fn retries_by_themselves_come_slower_and_slower() {
    let minutes = |count| automatic_wait(count, MOST_AUTOMATIC, 1.0).map(|wait| wait.num_minutes());
    assert_eq!([0, 1, 2, 3, 4, 5, 6].map(minutes), [Some(1), Some(2), Some(4), Some(8), Some(16), Some(32), None]);
    assert_eq!(automatic_wait(3, MOST_AUTOMATIC, 0.0), Some(TimeDelta::seconds(1)));
    assert_eq!(automatic_wait(0, 0, 0.5), None, "turned off");
}
