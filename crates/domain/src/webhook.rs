//! Webhooks to external runners: what they tell, and what an answer to one means.

use std::time::Duration;

use crate::retry::backoff_millis;

wire_enum! {
    /// What a webhook tells.
    WebhookType {
        /// A retry was requested and waits to be claimed.
        RetryRequested = "retry.requested",
    }
}

/// First pause after a try that was not taken.
const FIRST_PAUSE_MS: u64 = 5_000;
/// Longest pause that is made unasked.
const LONGEST_PAUSE_MS: u64 = 60 * 60 * 1_000;
/// Shortest pause for a receiver that has too much to do.
const SLOW_PAUSE_MS: u64 = 60_000;
/// Longest pause that a receiver can ask for: a retry waits for a day.
const LONGEST_ASKED_MS: u64 = 6 * 60 * 60 * 1_000;

/// What an answer means for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookFate {
    /// The receiver has it.
    Delivered,
    /// Nobody is there any more, and nothing more is to be sent to the address.
    Gone,
    /// It is sent again after a pause.
    Again(Duration),
}

/// Decides by a try's answer (none, if there was no answer). Only 2xx is success, a redirect is none; 410 disables the
/// address; 429, 502, 504 and a `Retry-After` slow down.
///
/// `tries` counts this one; `random` is a number in `[0, 1)` chosen by the caller. Pauses keep at least half of their
/// length, so that a receiver that is away is not hammered.
pub fn fate(status: Option<u16>, retry_after: Option<Duration>, tries: u32, random: f64) -> WebhookFate {
    match status {
        Some(200..=299) => return WebhookFate::Delivered,
        Some(410) => return WebhookFate::Gone,
        _ => {}
    }
    let jitter = 0.5 + random.clamp(0.0, 1.0) / 2.0;
    let unasked = backoff_millis(tries, FIRST_PAUSE_MS, LONGEST_PAUSE_MS, jitter);
    let slow = if matches!(status, Some(429 | 502 | 504)) { SLOW_PAUSE_MS } else { 0 };
    let asked = retry_after.map_or(0, |asked| u64::try_from(asked.as_millis()).unwrap_or(u64::MAX));
    WebhookFate::Again(Duration::from_millis(unasked.max(slow).max(asked.min(LONGEST_ASKED_MS))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pause(status: Option<u16>, retry_after: Option<u64>, tries: u32, random: f64) -> Duration {
        match fate(status, retry_after.map(Duration::from_secs), tries, random) {
            WebhookFate::Again(pause) => pause,
            other => panic!("{status:?} is {other:?}"),
        }
    }

    #[test]
    fn only_2xx_is_success_and_only_410_ends_an_address() {
        for status in 100..=999 {
            let expected = match status {
                200..=299 => "delivered",
                410 => "gone",
                _ => "again",
            };
            let found = match fate(Some(status), None, 1, 0.5) {
                WebhookFate::Delivered => "delivered",
                WebhookFate::Gone => "gone",
                WebhookFate::Again(_) => "again",
            };
            assert_eq!(found, expected, "{status}");
        }
        assert!(matches!(fate(None, None, 1, 0.5), WebhookFate::Again(_)));
    }

    #[test]
    fn a_busy_receiver_is_left_alone_for_longer() {
        assert!(pause(Some(500), None, 1, 0.999) <= Duration::from_secs(5));
        for status in [429, 502, 504] {
            assert_eq!(pause(Some(status), None, 1, 0.0), Duration::from_mins(1), "{status}");
        }
        assert_eq!(pause(Some(503), Some(120), 1, 0.0), Duration::from_mins(2));
        assert_eq!(
            pause(Some(429), Some(u64::MAX), 1, 0.0),
            Duration::from_hours(6),
            "nobody is asked to wait for ever"
        );
    }

    proptest! {
        #[test]
        fn pauses_are_bounded_and_never_hammer(
            status in proptest::option::of(100_u16..1000),
            asked in proptest::option::of(any::<u64>()),
            tries in any::<u32>(),
            random in 0.0..1.0_f64,
        ) {
            if let WebhookFate::Again(pause) = fate(status, asked.map(Duration::from_secs), tries, random) {
                prop_assert!(pause >= Duration::from_millis(2_500));
                prop_assert!(pause <= Duration::from_hours(6));
                if let Some(asked) = asked {
                    prop_assert!(pause >= Duration::from_secs(asked.min(6 * 60 * 60)));
                }
            }
        }
    }
}
