use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::sync_log::SyncStatus as S;

fn state(status: S, retry_count: u16) -> SyncState {
    let former = match status {
        S::Pending | S::InProgress if retry_count == 0 => None,
        S::Pending => Some(S::RetriedFailed),
        S::InProgress => Some(S::Failed),
        done => Some(done),
    };
    SyncState { status, retry_count, former, retryable_records: true, abandoned: false }
}

const fn finish(attempt: u16, succeeded: bool) -> Transition {
    Transition::Finish { attempt, succeeded }
}

/// The ledger's table, row by row: from, transition, to.
#[test]
fn the_table_of_the_ledger() {
    let retry = SyncState { former: Some(S::Failed), ..state(S::Pending, 0) };
    let abandoned = SyncState { abandoned: true, ..state(S::Failed, 0) };
    for (from, transition, to, retry_count) in [
        (SyncState::started(true), Transition::Claim, S::InProgress, 0),
        (retry, Transition::Claim, S::InProgress, 1),
        (SyncState::started(true), Transition::GiveUp, S::Failed, 0),
        (SyncState::started(false), finish(0, true), S::Success, 0),
        (SyncState::started(false), finish(0, false), S::Failed, 0),
        (state(S::InProgress, 3), finish(3, true), S::RetriedSuccess, 3),
        (state(S::InProgress, 3), finish(3, false), S::RetriedFailed, 3),
        (state(S::Failed, 0), Transition::RequestRetry, S::Pending, 0),
        (state(S::Success, 0), Transition::RequestRetry, S::Pending, 0),
        (state(S::RetriedFailed, 2), Transition::RequestRetry, S::Pending, 2),
        (state(S::RetriedSuccess, 2), Transition::RequestRetry, S::Pending, 2),
        (retry, Transition::RetryNotClaimed, S::Failed, 0),
        (state(S::Pending, 2), Transition::RetryNotClaimed, S::RetriedFailed, 2),
        (abandoned, finish(0, true), S::Success, 0),
        (abandoned, finish(0, false), S::Failed, 0),
        (SyncState { abandoned: true, ..state(S::RetriedFailed, 1) }, finish(1, true), S::RetriedSuccess, 1),
    ] {
        let next = from.apply(transition).unwrap_or_else(|refused| panic!("{from:?} {transition:?}: {refused}"));
        assert_eq!((next.status, next.retry_count), (to, retry_count), "{from:?} {transition:?}");
    }
}

#[test]
fn refusals_say_why() {
    use TransitionRefused as R;
    let healthy = SyncState { retryable_records: false, ..state(S::Success, 0) };
    let asked = SyncState { abandoned: true, former: Some(S::Failed), ..state(S::Pending, 0) };
    for (from, transition, refused) in [
        (state(S::InProgress, 0), Transition::Claim, R::WrongStatus(S::InProgress)),
        (state(S::Success, 0), Transition::Claim, R::WrongStatus(S::Success)),
        (state(S::InProgress, 0), Transition::GiveUp, R::WrongStatus(S::InProgress)),
        (asked, Transition::GiveUp, R::WrongStatus(S::Pending)),
        (SyncState::started(true), Transition::RetryNotClaimed, R::WrongStatus(S::Pending)),
        (state(S::Failed, 0), Transition::RetryNotClaimed, R::WrongStatus(S::Failed)),
        (state(S::Success, 0), finish(0, true), R::WrongStatus(S::Success)),
        (state(S::Failed, 0), finish(0, true), R::WrongStatus(S::Failed)),
        (SyncState::started(true), finish(0, true), R::WrongStatus(S::Pending)),
        (asked, finish(0, true), R::WrongStatus(S::Pending)),
        (state(S::InProgress, 2), finish(1, true), R::Superseded { reported: 1, latest: 2 }),
        (state(S::InProgress, 2), finish(3, true), R::NotBegun(3)),
        (state(S::Pending, 0), Transition::RequestRetry, R::AlreadyActive),
        (state(S::InProgress, 0), Transition::RequestRetry, R::AlreadyActive),
        (state(S::RetriedFailed, MAX_RETRIES), Transition::RequestRetry, R::RetryLimitReached),
        (state(S::Pending, MAX_RETRIES), Transition::Claim, R::RetryLimitReached),
        (healthy, Transition::RequestRetry, R::NothingToRetry),
    ] {
        assert_eq!(from.apply(transition), Err(refused), "{from:?} {transition:?}");
    }
}

#[test]
fn ten_retries_and_no_more() {
    let mut state = SyncState { retryable_records: true, ..SyncState::started(false) };
    state = state.apply(finish(0, false)).unwrap();
    for number in 1..=MAX_RETRIES {
        state = state.apply(Transition::RequestRetry).unwrap();
        assert_eq!(state.retry_count, number - 1, "asking counts nothing");
        state = state.apply(Transition::Claim).unwrap();
        assert_eq!(state.retry_count, number);
        state = state.apply(finish(number, false)).unwrap();
        assert_eq!(state.status, S::RetriedFailed);
    }
    assert_eq!(state.apply(Transition::RequestRetry), Err(TransitionRefused::RetryLimitReached));
}

fn transitions() -> impl Strategy<Value = Transition> {
    prop_oneof![
        Just(Transition::Claim),
        Just(Transition::GiveUp),
        (0_u16..12, any::<bool>()).prop_map(|(attempt, succeeded)| finish(attempt, succeeded)),
        Just(Transition::RequestRetry),
        Just(Transition::RetryNotClaimed),
    ]
}

fn states() -> impl Strategy<Value = SyncState> {
    let former = proptest::option::of(select(vec![S::Success, S::Failed, S::RetriedSuccess, S::RetriedFailed]));
    (select(S::ALL), any::<u16>(), former, any::<bool>(), any::<bool>()).prop_map(
        |(status, retry_count, former, retryable_records, abandoned)| SyncState {
            status,
            retry_count,
            former,
            retryable_records,
            abandoned,
        },
    )
}

/// The ledger's table as pairs of statuses.
fn in_table(from: S, to: S) -> bool {
    match from {
        S::Pending => matches!(to, S::InProgress) || to.is_terminal(),
        S::InProgress => to.is_terminal(),
        S::Failed => matches!(to, S::Pending | S::Success | S::Failed),
        S::RetriedFailed => matches!(to, S::Pending | S::RetriedSuccess | S::RetriedFailed),
        S::Success | S::RetriedSuccess => to == S::Pending,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// From any state, even one that no history leads to, only the table's moves are made.
    #[test]
    fn nothing_but_the_table(from in states(), transition in transitions()) {
        let Ok(to) = from.apply(transition) else { return Ok(()) };
        prop_assert!(in_table(from.status, to.status), "{:?} -> {:?}", from.status, to.status);
        let rises = u16::from(transition == Transition::Claim && from.former.is_some());
        prop_assert_eq!(to.retry_count, from.retry_count + rises);
        if from.status == S::Pending && to.status.is_terminal() {
            match transition {
                Transition::GiveUp => prop_assert_eq!((from.former, to.status), (None, S::Failed)),
                Transition::RetryNotClaimed => prop_assert_eq!(Some(to.status), from.former),
                _ => prop_assert!(false, "{:?} ended a sync that was pending", transition),
            }
        }
        if from.status.is_terminal() && to.status.is_terminal() {
            prop_assert!(from.abandoned && !to.abandoned, "only a late report of an abandoned attempt");
        }
        if transition == Transition::RequestRetry {
            prop_assert!(from.retryable_records && from.retry_count < MAX_RETRIES);
        }
    }

    /// Along any history, the counters and statuses agree.
    #[test]
    fn histories_keep_the_invariants(queued in any::<bool>(), steps in prop::collection::vec((transitions(), any::<bool>(), any::<bool>()), 0..120)) {
        let mut state = SyncState::started(queued);
        let mut claims = 0;
        for (transition, retryable_records, abandoned) in steps {
            // A report names the running attempt more often than chance would have it.
            let transition = match transition {
                Transition::Finish { succeeded, attempt } if attempt % 2 == 0 => finish(state.retry_count, succeeded),
                other => other,
            };
            if let Ok(next) = state.apply(transition) {
                claims += u16::from(transition == Transition::Claim && state.former.is_some());
                state = next;
                state.retryable_records = retryable_records;
                state.abandoned = state.abandoned || (abandoned && state.status.is_failure());
            }
            prop_assert!(state.retry_count <= MAX_RETRIES);
            prop_assert_eq!(state.retry_count, claims);
            prop_assert!(state.status.is_active() != state.status.is_terminal());
            if state.status.is_terminal() {
                prop_assert_eq!(state.former, Some(state.status));
                let retried = matches!(state.status, S::RetriedSuccess | S::RetriedFailed);
                prop_assert_eq!(retried, state.retry_count > 0);
            }
        }
    }
}
