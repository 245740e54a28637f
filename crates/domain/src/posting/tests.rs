use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::retry::{RetryDecision, decide};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

/// A record that was accepted, and can be refused until then.
fn accepted(until: i64) -> RetryCandidate {
    RetryCandidate {
        outcome: RecordOutcome::Unknown,
        state: RecordState::Unknown,
        changed: false,
        refused_for_good: false,
        way: Way::LookUp,
        claimed_elsewhere: false,
        accepted: true,
        refusable_until: Some(at(until)),
    }
}

/// One that was turned away, and may get through.
fn turned_away() -> RetryCandidate {
    RetryCandidate {
        outcome: RecordOutcome::Failed,
        state: RecordState::Failed,
        way: Way::Person,
        accepted: false,
        refusable_until: None,
        ..accepted(0)
    }
}

const ASKED: Awaiting = Awaiting { records: 2, asked_again: true, lost: 0 };
const NOT_ASKED: Awaiting = Awaiting { asked_again: false, ..ASKED };
const LOST: Awaiting = Awaiting { records: 0, lost: 2, ..ASKED };

#[test]
fn only_what_can_be_asked_for_awaits() {
    use RecordState::{Delivered, Failed, Handled, Sending, Staged, Unknown};
    for (state, way, expected) in [
        (Unknown, Way::LookUp, true),
        (Sending, Way::LookUp, true),
        // What a person has to decide about, and what would be sent again.
        (Unknown, Way::Person, false),
        (Unknown, Way::Repeat, false),
        (Delivered, Way::Person, true),
        (Handled, Way::Person, true),
        // Found refused by another sync, or free to be sent again.
        (Failed, Way::LookUp, false),
        (Staged, Way::LookUp, false),
    ] {
        let candidate = RetryCandidate { state, way, ..accepted(0) };
        assert_eq!(awaits(&candidate), expected, "{candidate:?}");
        let lost = way == Way::Person && state == Unknown;
        assert_eq!(is_lost(&candidate), lost, "{candidate:?}");
        // Asked, its system said something else, or nothing.
        let unclear = RetryCandidate { refusable_until: None, ..candidate.clone() };
        let lost = matches!(state, Unknown | Sending) && way != Way::Repeat;
        assert_eq!((awaits(&unclear), is_lost(&unclear)), (false, lost), "{unclear:?}");
        for other in [
            RetryCandidate { accepted: false, ..unclear },
            RetryCandidate { outcome: RecordOutcome::Failed, ..candidate },
        ] {
            assert!(!awaits(&other) && !is_lost(&other), "{other:?}");
        }
    }
}

#[test]
fn what_awaits_has_got_through_as_long_as_somebody_asks() {
    use PartialFailure::{Error, Warning};
    let failure = |code, undelivered| Verdict::Failure { code, undelivered };
    for (policy, processed, undelivered, awaiting, expected) in [
        (Error, 40, 0, Awaiting::default(), Verdict::Success),
        (Error, 0, 0, Awaiting::default(), Verdict::Success),
        (Error, 28, 12, Awaiting::default(), failure(PARTIAL_FAILURE, 12)),
        (Error, 0, 12, Awaiting::default(), failure(ALL_RECORDS_FAILED, 12)),
        (Warning, 28, 12, Awaiting::default(), Verdict::Success),
        (Error, 0, 2, ASKED, Verdict::Awaiting),
        (Error, 38, 2, ASKED, Verdict::Awaiting),
        // Others have failed beside them.
        (Error, 0, 5, ASKED, failure(PARTIAL_FAILURE, 3)),
        (Warning, 0, 5, ASKED, Verdict::Awaiting),
        // Nobody would ever ask.
        (Error, 38, 2, NOT_ASKED, failure(AWAITING_POSTING, 2)),
        (Warning, 38, 2, NOT_ASKED, failure(AWAITING_POSTING, 2)),
        (Error, 0, 5, NOT_ASKED, failure(ALL_RECORDS_FAILED, 5)),
        (Warning, 35, 5, NOT_ASKED, failure(PARTIAL_FAILURE, 5)),
        // Nobody could, whoever is asked in their place.
        (Warning, 38, 2, LOST, failure(PARTIAL_FAILURE, 2)),
        (Warning, 0, 2, LOST, failure(ALL_RECORDS_FAILED, 2)),
        (Warning, 36, 4, Awaiting { lost: 2, ..ASKED }, failure(PARTIAL_FAILURE, 4)),
        (Warning, 36, 4, Awaiting { lost: 2, ..NOT_ASKED }, failure(PARTIAL_FAILURE, 4)),
        // That an automatic retry would come is no merit where there is nothing to ask for.
        (Error, 0, 2, Awaiting { records: 0, ..ASKED }, failure(ALL_RECORDS_FAILED, 2)),
    ] {
        let found = verdict(policy, processed, undelivered, awaiting);
        assert_eq!(found, expected, "{policy} {processed} {undelivered} {awaiting:?}");
    }
}

#[test]
fn a_sync_is_known_by_its_remark_and_its_success() {
    let remark = |code: &str| SyncWarning { code: code.to_owned(), message: String::new(), pointer: None };
    let warnings = [remark("RECORD_WARNINGS"), remark(AWAITING_POSTING)];
    for status in SyncStatus::ALL {
        assert_eq!(is_awaiting(*status, &warnings), status.is_success(), "{status}");
        assert!(!is_awaiting(*status, &warnings[..1]));
    }
}

#[test]
fn it_is_asked_when_the_system_can_say() {
    let wait = |left: &[RetryCandidate], count, allowed, random| next_wait(left, count, allowed, random, at(0));
    let seconds = |seconds| Some(TimeDelta::seconds(seconds));
    let day = [accepted(3_600), accepted(86_400)];
    assert_eq!(wait(&day, 0, 6, 0.0), seconds(14_400));
    assert_eq!(wait(&day, 4, 6, 0.0), seconds(43_200));
    assert_eq!(wait(&day, 5, 6, 0.0), seconds(86_400), "the last is not too early");
    assert_eq!(wait(&day, 0, 1, 0.0), seconds(86_400));
    assert_eq!(wait(&day, 6, 6, 0.0), None);
    assert_eq!(wait(&day, 0, 0, 0.0), None);
    // A short time is over soon: nobody waits longer than for it, and what is over is asked for at once.
    assert_eq!(wait(&[accepted(30)], 0, 6, 1.0), seconds(30));
    assert_eq!(wait(&[accepted(-30)], 3, 6, 1.0), seconds(1));
    // Where another record may get through, it need not wait for them.
    assert_eq!(wait(&[accepted(86_400), turned_away()], 0, 6, 1.0), seconds(60));
    let for_good = RetryCandidate { refused_for_good: true, ..turned_away() };
    assert_eq!(wait(&[accepted(86_400), for_good], 0, 6, 0.0), seconds(14_400), "it is left out");
    assert_eq!(wait(&[], 0, 6, 1.0), seconds(60));
    // What is settled by now is no reason to wait, nor to hurry for what is not.
    let settled = RetryCandidate { state: RecordState::Delivered, ..accepted(86_400) };
    assert_eq!(wait(std::slice::from_ref(&settled), 0, 6, 1.0), seconds(60));
    assert_eq!(wait(&[settled, accepted(3_600)], 0, 6, 0.0), seconds(600));
}

fn some() -> impl Strategy<Value = Awaiting> {
    let lost = prop_oneof![Just(0), 1..5_i32];
    let all = (0..50_i32, any::<bool>(), lost);
    all.prop_map(|(records, asked_again, lost)| Awaiting { records, asked_again, lost })
}

proptest! {
    /// Whatever the chance and the number that is allowed, the last retry comes when the system can say, and none comes
    /// later.
    #[test]
    fn the_retries_cover_the_time_and_are_not_late(
        window in 1..=86_400_i64,
        passed in 0..60_i64,
        allowed in 1..=10_u16,
        chances in prop::collection::vec(0.0..1.0_f64, 7),
    ) {
        let left = [accepted(window)];
        let mut now = at(passed.min(window));
        let mut asked = 0_u16;
        while let Some(wait) = next_wait(&left, asked, allowed, chances[usize::from(asked)], now) {
            prop_assert!(wait >= LEAST);
            now += wait;
            asked += 1;
            prop_assert!(now <= at(window) + LEAST * i32::from(asked));
        }
        prop_assert_eq!(asked, allowed.min(MOST_AUTOMATIC));
        prop_assert!(now >= at(window));
    }

    /// What awaits is asked for: no retry sends it.
    #[test]
    fn what_awaits_is_never_sent(
        outcome in select(RecordOutcome::ALL),
        state in select(RecordState::ALL),
        way in select(vec![Way::Repeat, Way::LookUp, Way::Person]),
        claimed_elsewhere in any::<bool>(),
    ) {
        let candidate = RetryCandidate { outcome, state, way, claimed_elsewhere, ..accepted(0) };
        if awaits(&candidate) {
            prop_assert_ne!(decide(&candidate), RetryDecision::Send);
        }
    }

    /// Nobody is told of a success of which nobody would hear any more, and without such records nothing is otherwise.
    #[test]
    fn a_quiet_success_has_nothing_to_await(
        policy in select(PartialFailure::ALL),
        processed in 0..1_000_i32,
        others in 0..50_i32,
        awaiting in some(),
    ) {
        let found = verdict(policy, processed, others + awaiting.records + awaiting.lost, awaiting);
        if found == Verdict::Success {
            prop_assert_eq!(awaiting.records, 0);
        }
        if awaiting.lost > 0 {
            prop_assert!(matches!(found, Verdict::Failure { .. }), "{:?}", found);
        }
        if found == Verdict::Awaiting {
            prop_assert!(awaiting.records > 0 && awaiting.asked_again);
        }
        if awaiting.records + awaiting.lost == 0 {
            prop_assert_eq!(found == Verdict::Success, tolerates(policy, processed, others));
        }
        if policy == PartialFailure::Error && others > 0 {
            prop_assert!(matches!(found, Verdict::Failure { .. }), "{:?}", found);
        }
    }
}
