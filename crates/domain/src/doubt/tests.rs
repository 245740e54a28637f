use super::*;
use crate::record::{RecordOutcome as O, RecordState as S};

mod world;

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
