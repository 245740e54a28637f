use super::*;
use crate::record::RecordOutcome as O;

#[test]
fn a_dead_attempt_leaves_nothing_open() {
    assert_eq!(O::Sending.after_abandonment(), O::Unknown);
    assert_eq!(O::Queued.after_abandonment(), O::NotAttempted);
    for outcome in O::ALL {
        let left = outcome.after_abandonment();
        assert!(left.is_final());
        assert_eq!(left == *outcome, outcome.is_final());
    }
}

#[test]
fn counts_add_up() {
    let counts = OutcomeCounts::of(O::ALL.iter().copied().chain([O::Failed, O::Succeeded]));
    let expected =
        OutcomeCounts { open: 2, processed: 3, warning: 1, failed: 2, skipped: 1, unknown: 1, not_attempted: 1 };
    assert_eq!(counts, expected);
    assert_eq!(counts.total(), 10);
    assert_eq!(counts.undelivered(), 4);
}

#[test]
fn words_are_the_same_in_both_directions() {
    for outcome in O::ALL {
        assert_eq!(outcome.as_str().parse::<O>().as_ref(), Ok(outcome));
        assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
    }
    assert_eq!("done".parse::<O>().unwrap_err().to_string(), "\"done\" is not a known RecordOutcome");
}
