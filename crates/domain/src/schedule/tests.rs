use proptest::prelude::*;

use super::*;

fn schedule(cron: &str, time_zone: &str) -> Schedule {
    Schedule { cron: cron.to_owned(), time_zone: time_zone.to_owned() }
}

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The next `count` moments after `after`.
fn upcoming(cron: &str, after: &str, count: usize) -> Vec<String> {
    let schedule = schedule(cron, "Europe/Oslo");
    let mut moment = utc(after);
    (0..count)
        .map(|_| {
            moment = schedule.next_after(moment).unwrap();
            moment.format("%dT%H:%MZ").to_string()
        })
        .collect()
}

#[test]
fn good_schedules_break_nothing() {
    for cron in ["0 6 * * 1-5", "*/15 * * * *", "0 6 1,15 * *", "30 23 L * *", "0 7 * JAN-MAR MON", "0 0 29 2 *"] {
        assert_eq!(schedule(cron, "Europe/Oslo").violations(), [], "{cron}");
    }
}

#[test]
fn bad_expressions_say_what_is_wrong() {
    for (cron, word) in [
        ("", "five fields are needed (minute, hour, day of month, month, day of week), not 0"),
        ("0 6 * *", "not 4"),
        ("0 0 6 * * 1", "not 6"),
        ("@daily", "not 1"),
        ("0 24 * * *", "hour \"24\""),
        ("60 * * * *", "minute \"60\""),
        ("0 6 0 * *", "day of month \"0\""),
        ("0 6 * 13 *", "month \"13\""),
        ("0 6 * * 8", "day of week \"8\""),
        ("0 6 * * kari", "day of week \"kari\""),
        ("*/0 * * * *", "minute \"*/0\""),
        ("0 0 31 2 *", "never fires"),
    ] {
        let found = schedule(cron, "Europe/Oslo").violations();
        assert_eq!(found.len(), 1, "{cron}: {found:?}");
        assert_eq!((found[0].rule, found[0].pointer.as_str()), (Rule::InvalidFormat, "/schedule/cron"));
        assert!(found[0].detail.contains(word), "{cron}: {}", found[0].detail);
    }
    assert!(schedule(&"1,".repeat(200), "UTC").violations()[0].detail.contains("200 characters"));
}

#[test]
fn unknown_zones_are_named_beside_bad_expressions() {
    let found = schedule("nonsense", "Europe/Trondheim").violations();
    let places: Vec<_> = found.iter().map(|v| (v.rule, v.pointer.as_str())).collect();
    assert_eq!(places, [(Rule::InvalidFormat, "/schedule/cron"), (Rule::UnknownValue, "/schedule/time_zone")]);
    assert_eq!(schedule("nonsense", "UTC").next_after(DateTime::UNIX_EPOCH), None);
    assert_eq!(schedule("0 6 * * *", "Mars/Olympus").next_after(DateTime::UNIX_EPOCH), None);
    for absurd in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        assert_eq!(schedule("0 6 * * *", "Asia/Tokyo").next_after(absurd), None);
    }
}

#[test]
fn the_zone_decides_the_moment() {
    // Summer time, then winter time.
    assert_eq!(upcoming("0 6 * * 1-5", "2026-07-03T12:00:00Z", 2), ["06T04:00Z", "07T04:00Z"]);
    assert_eq!(upcoming("0 6 * * 1-5", "2026-11-20T05:00:00Z", 1), ["23T05:00Z"]);
    assert_eq!(upcoming("0 6 * * 1-5", "2026-11-20T04:59:59.999Z", 1), ["20T05:00Z"]);
}

#[test]
fn a_repeated_hour_fires_once() {
    // 25 October 2026: 03:00 CEST becomes 02:00 CET at 01:00 UTC.
    assert_eq!(upcoming("30 2 * * *", "2026-10-24T12:00:00Z", 2), ["25T00:30Z", "26T01:30Z"]);
    assert_eq!(upcoming("30 2,14 * * *", "2026-10-24T22:00:00Z", 3), ["25T00:30Z", "25T13:30Z", "26T01:30Z"]);
    assert_eq!(upcoming("*/30 2 * * *", "2026-10-25T00:00:00Z", 2), ["25T00:30Z", "26T01:00Z"]);
    // Asked for in the second pass of the hour.
    assert_eq!(upcoming("45 2 * * *", "2026-10-25T01:10:00Z", 1), ["26T01:45Z"]);
}

#[test]
fn a_skipped_hour_is_made_up_for_once() {
    // 29 March 2026: 02:00 CET becomes 03:00 CEST at 01:00 UTC.
    assert_eq!(upcoming("30 2 * * *", "2026-03-28T12:00:00Z", 2), ["29T01:00Z", "30T00:30Z"]);
    assert_eq!(upcoming("30 2,14 * * *", "2026-03-28T23:00:00Z", 2), ["29T01:00Z", "29T12:30Z"]);
    assert_eq!(upcoming("*/20 2-3 * * *", "2026-03-29T00:59:00Z", 3), ["29T01:00Z", "29T01:20Z", "29T01:40Z"]);
}

#[test]
fn every_hour_follows_the_time_that_passes() {
    assert_eq!(upcoming("0 * * * *", "2026-10-24T23:30:00Z", 4), ["25T00:00Z", "25T01:00Z", "25T02:00Z", "25T03:00Z"]);
    assert_eq!(upcoming("30 * * * *", "2026-03-29T00:00:00Z", 3), ["29T00:30Z", "29T01:30Z", "29T02:30Z"]);
}

#[test]
fn a_missed_run_waits_and_stands_for_all_that_were_missed() {
    let daily = schedule("0 6 * * *", "Europe/Oslo");
    let (missed, now, next) = (utc("2026-11-20T05:00:00Z"), utc("2026-11-23T12:00:00Z"), utc("2026-11-24T05:00:00Z"));
    assert_eq!(next_run(Some(&daily), false, Some(missed), now), Some(missed));
    assert_eq!(next_run(Some(&daily), false, Some(missed), missed), Some(missed), "at the very moment");
    assert_eq!(next_run(Some(&daily), false, Some(next), now), Some(next), "not due yet");
    assert_eq!(next_run(Some(&daily), false, None, now), Some(next), "begun");
    // A moment that the schedule doesn't name any more is nobody's.
    for other in [schedule("0 7 * * *", "Europe/Oslo"), schedule("0 6 * * *", "UTC")] {
        assert_eq!(next_run(Some(&other), false, Some(missed), now), Some(utc("2026-11-24T06:00:00Z")), "{other:?}");
    }
    assert_eq!(next_run(None, false, Some(missed), now), None);
}

#[test]
fn a_pause_is_not_made_up_for() {
    let daily = schedule("0 6 * * *", "Europe/Oslo");
    let (missed, now) = (utc("2026-11-20T05:00:00Z"), utc("2026-11-23T12:00:00Z"));
    let paused = next_run(Some(&daily), true, Some(missed), now);
    assert_eq!(paused, None);
    assert_eq!(next_run(Some(&daily), false, paused, now), Some(utc("2026-11-24T05:00:00Z")));
}

#[test]
fn runs_of_the_nights_of_the_change_wait_as_others_do() {
    let nightly = schedule("30 2 * * *", "Europe/Oslo");
    for due in [utc("2026-03-29T01:00:00Z"), utc("2026-10-25T00:30:00Z")] {
        assert_eq!(next_run(Some(&nightly), false, Some(due), due + TimeDelta::hours(5)), Some(due));
    }
    // In autumn, half past two comes a second time, which nobody waits for.
    let second = utc("2026-10-25T01:30:00Z");
    assert_eq!(next_run(Some(&nightly), false, Some(second), second), Some(utc("2026-10-26T01:30:00Z")));
    // Where every hour is named, it is an hour like the others.
    let hourly = schedule("30 * * * *", "Europe/Oslo");
    assert_eq!(next_run(Some(&hourly), false, Some(second), second), Some(second));
}

fn expressions() -> impl Strategy<Value = (u32, Vec<u32>)> {
    (0_u32..60, prop::collection::btree_set(0_u32..24, 1..5).prop_map(|hours| hours.into_iter().collect()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Over both changes of the clock, every named hour of every day fires exactly once, in order.
    #[test]
    fn once_a_day_for_each_named_hour((minute, hours) in expressions(), spring in any::<bool>()) {
        let list = hours.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let schedule = schedule(&format!("{minute} {list} * * *"), "Europe/Oslo");
        // From midnight in Oslo to midnight five days later, the change in the middle.
        let (from, to) = if spring {
            (utc("2026-03-26T23:00:00Z"), utc("2026-03-31T22:00:00Z"))
        } else {
            (utc("2026-10-22T22:00:00Z"), utc("2026-10-27T23:00:00Z"))
        };
        let mut moment = from - TimeDelta::milliseconds(1);
        let mut fired = Vec::new();
        while let Some(next) = schedule.next_after(moment) {
            prop_assert!(next > moment);
            if next >= to {
                break;
            }
            fired.push(next);
            moment = next;
        }
        // Hours 2 and 3 both named at minute 0: the made-up 02:00 and 03:00 are one moment.
        let merged = usize::from(spring && minute == 0 && hours.contains(&2) && hours.contains(&3));
        prop_assert_eq!(fired.len(), hours.len() * 5 - merged);
    }

    /// However seldom somebody looks, over both changes of the clock: one run begins for all that came due since the look
    /// before, and none where nothing did. That settings were changed meanwhile makes no difference.
    #[test]
    fn one_run_makes_up_for_an_outage(
        (minute, hours) in expressions(),
        spring in any::<bool>(),
        gaps in prop::collection::vec((1_i64..200_000, any::<bool>()), 1..30),
    ) {
        let list = hours.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let schedule = schedule(&format!("{minute} {list} * * *"), "Europe/Oslo");
        let mut looked = utc(if spring { "2026-03-26T23:00:00Z" } else { "2026-10-22T22:00:00Z" });
        let mut timer = next_run(Some(&schedule), false, None, looked);
        for (seconds, changed) in gaps {
            let now = looked + TimeDelta::seconds(seconds);
            if changed {
                timer = next_run(Some(&schedule), false, timer, now);
            }
            let begins = timer.is_some_and(|due| due <= now);
            prop_assert_eq!(begins, schedule.next_after(looked).is_some_and(|due| due <= now));
            if begins {
                timer = next_run(Some(&schedule), false, None, now);
            }
            prop_assert!(timer.is_some_and(|due| due > now));
            looked = now;
        }
    }

    /// The answer doesn't depend on where between two runs one asks.
    #[test]
    fn asking_later_gives_the_same_run((minute, hours) in expressions(), start in 0_i64..31_536_000, later in 0.0..1.0_f64) {
        let list = hours.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let schedule = schedule(&format!("{minute} {list} * * 1-5"), "Europe/Oslo");
        let after = utc("2026-01-01T00:00:00Z") + TimeDelta::seconds(start);
        let next = schedule.next_after(after).unwrap();
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a moment in between, roughly")]
        let between = after + TimeDelta::milliseconds(((next - after).num_milliseconds() as f64 * later) as i64);
        prop_assert!(between < next);
        prop_assert_eq!(schedule.next_after(between), Some(next));
    }
}
