use super::*;

const HOUR: TimeDelta = TimeDelta::hours(1);

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn keyed(remembers: Option<TimeDelta>) -> Asking {
    let recognition = Some(Recognition { by: "idempotency-key".to_owned(), remembers });
    Asking { target: "books".to_owned(), recognition, ..Asking::default() }
}

fn doubt(recognised_by: Option<&str>) -> Doubt {
    Doubt {
        target: Some("books".to_owned()),
        recognised_by: recognised_by.map(str::to_owned),
        since: at(0),
        given_up: at(60),
    }
}

#[test]
fn a_repetition_is_trusted_as_long_as_the_first_request_is_remembered() {
    let under_key = doubt(Some("idempotency-key"));
    let last = HOUR - REPEAT_MARGIN;
    for (asking, now, way) in [
        (keyed(Some(HOUR)), at(0), Way::Repeat),
        // Clocks differ a little; one that was set back is not believed.
        (keyed(Some(HOUR)), at(-REPEAT_MARGIN.num_seconds()), Way::Repeat),
        (keyed(Some(HOUR)), at(-REPEAT_MARGIN.num_seconds() - 1), Way::Person),
        (keyed(Some(HOUR)), at(last.num_seconds() - 1), Way::Repeat),
        (keyed(Some(HOUR)), at(last.num_seconds()), Way::Person),
        (Asking { look_up: Some(HOUR), ..keyed(Some(HOUR)) }, at(last.num_seconds() - 1), Way::Repeat),
        (Asking { look_up: Some(HOUR), ..keyed(Some(HOUR)) }, at(last.num_seconds()), Way::LookUp),
        (keyed(None), at(100_000_000), Way::Repeat),
    ] {
        assert_eq!(asking.way(&under_key, now), way, "{asking:?} at {now}");
    }
}

#[test]
fn what_was_sent_without_a_mark_is_not_recognised_by_it_afterwards() {
    for sent in [None, Some("x-request-id"), Some("put")] {
        assert_eq!(keyed(None).way(&doubt(sent), at(0)), Way::Person, "{sent:?}");
        let with_look_up = Asking { look_up: Some(HOUR), ..keyed(None) };
        assert_eq!(with_look_up.way(&doubt(sent), at(0)), Way::LookUp, "{sent:?}");
    }
}

#[test]
fn another_system_is_not_asked() {
    let asking = Asking { look_up: Some(TimeDelta::zero()), ..keyed(None) };
    for target in [None, Some("other books".to_owned())] {
        let elsewhere = Doubt { target, ..doubt(Some("idempotency-key")) };
        assert_eq!(asking.way(&elsewhere, at(0)), Way::Person);
        assert!(!asking.believes_absence(&elsewhere, at(100_000)));
    }
    // Nobody runs it here, so nobody knows where it went.
    let unknown = Doubt { target: None, ..doubt(None) };
    assert_eq!(Asking::default().way(&unknown, at(0)), Way::Person);
}

#[test]
fn absence_is_believed_once_nothing_is_on_its_way_any_more() {
    let look_up = Some(TimeDelta::seconds(75));
    let asking = Asking { target: "books".to_owned(), look_up, ..Asking::default() };
    let given_up = doubt(None);
    for (asked_at, believed) in [(0, false), (60, false), (134, false), (135, true), (1_000, true)] {
        assert_eq!(asking.believes_absence(&given_up, at(asked_at)), believed, "after {asked_at} s");
    }
    assert!(!Asking { look_up: None, ..asking }.believes_absence(&given_up, at(1_000)));
}

#[test]
fn what_can_still_be_refused_is_not_there_for_certain() {
    let doubt = doubt(None);
    let reference = Some("V-1".to_owned());
    let taken = Asked::Taken { reference: reference.clone(), refusable_for: HOUR };
    assert_eq!(taken.clone().settled(&doubt, at(60 + 3_599)), taken);
    assert_eq!(taken.settled(&doubt, at(60 + 3_600)), Asked::Found { reference });
    for word in [Asked::Absent, Asked::Refused(vec![RecordError::default()]), Asked::Unclear(RecordError::default())] {
        assert_eq!(word.clone().settled(&doubt, at(1_000_000)), word);
    }
}
