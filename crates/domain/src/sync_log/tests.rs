use proptest::prelude::*;
use uuid::{Builder, Uuid};

use super::*;

#[test]
fn statuses_are_active_or_terminal_and_failures_or_successes() {
    for status in SyncStatus::ALL {
        assert_ne!(status.is_active(), status.is_terminal());
        assert_eq!(status.is_terminal(), status.is_failure() || status.is_success());
        assert!(!(status.is_failure() && status.is_success()));
    }
    assert_eq!(SyncStatus::finished(0, true), SyncStatus::Success);
    assert_eq!(SyncStatus::finished(0, false), SyncStatus::Failed);
    assert_eq!(SyncStatus::finished(10, true), SyncStatus::RetriedSuccess);
    assert_eq!(SyncStatus::finished(1, false), SyncStatus::RetriedFailed);
}

#[test]
fn messages_are_cut_between_characters() {
    assert_eq!(cut("blåbærsyltetøy", 3), "blå");
    assert_eq!(cut("blå", 3), "blå");
    assert_eq!(cut("blå", 4), "blå");
    assert_eq!(cut("blå", 0), "");
    assert_eq!(cut("", 5), "");
    let failure = Failure::new("X", &"æ".repeat(MAX_MESSAGE_CHARS + 1));
    assert_eq!(failure.message.chars().count(), MAX_MESSAGE_CHARS);
    assert_eq!(Failure::new("X", "a\0b").message, "ab");
}

#[test]
fn only_a_version_7_id_tells_the_start() {
    let id: Uuid = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f".parse().unwrap();
    assert_eq!(started_at_of(id).unwrap().to_rfc3339(), "2022-02-22T19:22:22+00:00");
    // The same moment as a version 1 and a version 6 id, and ids without a time.
    for id in [
        "c232ab00-9414-11ec-b3c8-9f6bdeced846",
        "1ec9414c-232a-6b00-b3c8-9f6bdeced846",
        "919108f7-52d1-4320-9bac-f847db4148a8",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
    ] {
        assert_eq!(started_at_of(id.parse().unwrap()), None, "{id}");
    }
}

#[test]
fn a_leap_second_is_the_second_after_it() {
    let leap: DateTime<Utc> = "2026-06-30T23:59:60.250Z".parse().unwrap();
    assert_eq!(whole_millis(leap).to_rfc3339(), "2026-07-01T00:00:00.250+00:00");
    let before: DateTime<Utc> = "1960-12-31T23:59:60.9999Z".parse().unwrap();
    assert_eq!(whole_millis(before).to_rfc3339(), "1961-01-01T00:00:00.999+00:00");
}

proptest! {
    #[test]
    fn an_id_keeps_its_millisecond(millis in 0_u64..253_402_300_800_000, random in any::<[u8; 10]>()) {
        let id = Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
        prop_assert_eq!(started_at_of(id).unwrap().timestamp_millis(), i64::try_from(millis).unwrap());
    }

    #[test]
    fn any_id_is_bearable(bits in any::<u128>()) {
        started_at_of(Uuid::from_u128(bits));
        started_at_of(Uuid::from_u128(bits & !(0xf << 76) | 7 << 76));
    }

    #[test]
    fn a_cut_is_a_beginning(text in "\\PC{0,40}", chars in 0_usize..50) {
        let short = cut(&text, chars);
        prop_assert!(text.starts_with(short));
        prop_assert_eq!(short.chars().count(), chars.min(text.chars().count()));
    }

    #[test]
    fn moments_are_kept_in_whole_milliseconds(seconds in 0_i64..4_000_000_000, nanos in 0_u32..1_000_000_000) {
        let moment = DateTime::from_timestamp(seconds, nanos).unwrap();
        let whole = whole_millis(moment);
        prop_assert_eq!(whole.timestamp_millis(), moment.timestamp_millis());
        prop_assert_eq!(whole_millis(whole), whole);
        prop_assert!(whole <= moment && moment - whole < Duration::milliseconds(1));
    }
}

#[test]
fn a_success_leaves_records_behind_that_failed_or_that_it_remarks_on() {
    let remark = |code: &str| SyncWarning { code: code.to_owned(), message: String::new(), pointer: None };
    for status in SyncStatus::ALL {
        for failed in [None, Some(0), Some(1)] {
            for code in ["AWAITING_POSTING", "RECORDS_NOT_ARRIVED", "RECORD_WARNINGS"] {
                let expected = status.is_success() && (failed == Some(1) || code != "RECORD_WARNINGS");
                let found = left_records_behind(*status, failed, &[remark("zero_records"), remark(code)]);
                assert_eq!(found, expected, "{status} {failed:?} {code}");
            }
        }
        assert_eq!(left_records_behind(*status, Some(2), &[]), status.is_success());
        assert!(!left_records_behind(*status, None, &[]));
    }
}
