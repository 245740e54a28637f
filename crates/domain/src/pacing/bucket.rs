//! A token bucket, kept as one moment.

use chrono::{DateTime, TimeDelta, Utc};

/// The most requests of a bucket.
const MOST_REQUESTS: u32 = 1_000_000;
/// The longest time that they are for.
const LONGEST: TimeDelta = TimeDelta::days(31);

/// So many requests at once at most, and as many again in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    requests: u32,
    /// The time that one request is for.
    interval: TimeDelta,
}

impl Bucket {
    /// A bucket of 1 to 1,000,000 requests in a millisecond to 31 days.
    pub fn new(requests: u32, per: TimeDelta) -> Option<Self> {
        if !(1..=MOST_REQUESTS).contains(&requests) || !(TimeDelta::milliseconds(1)..=LONGEST).contains(&per) {
            return None;
        }
        // Rounded up: rather a little slower than asked for than faster.
        let interval = per.num_microseconds()?.unsigned_abs().div_ceil(requests.into());
        Some(Self { requests, interval: TimeDelta::microseconds(interval.cast_signed()) })
    }

    /// The time that one request is for.
    pub const fn interval(self) -> TimeDelta {
        self.interval
    }

    /// Takes as many of the wanted requests as there are, and says when there is another. `spent_until` is the moment
    /// until which all is spoken for: each request moves it on by its time, and it is never further ahead than the whole
    /// bucket is for.
    pub(super) fn take(
        self,
        spent_until: &mut Option<DateTime<Utc>>,
        wanted: u32,
        now: DateTime<Utc>,
    ) -> (u32, DateTime<Utc>) {
        let full = now + self.time_of(self.requests);
        // Further ahead it is only where a clock was set back, or another bucket was in its place.
        let spent = spent_until.unwrap_or(now).clamp(now, full);
        let left =
            (full - spent).num_microseconds().unwrap_or(0) / self.interval.num_microseconds().unwrap_or(1).max(1);
        let granted = u32::try_from(left).unwrap_or(0).min(wanted);
        let spent = spent + self.time_of(granted);
        *spent_until = Some(spent);
        (granted, (spent + self.interval - self.time_of(self.requests)).max(now))
    }

    fn time_of(self, requests: u32) -> TimeDelta {
        // At most a second more than the longest time, by the rounding.
        self.interval.checked_mul(i32::try_from(requests).unwrap_or(i32::MAX)).unwrap_or(LONGEST)
    }
}
