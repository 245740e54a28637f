//! Moments by a clock that nobody sets, and that goes on while the machine is suspended: what was promised for a time runs
//! out meanwhile.

use std::ops::Add;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Elsewhere the monotonic clock is the one that goes on.
#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// A moment since the machine has started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(Duration);

impl Moment {
    /// The moment it is.
    pub(super) fn now() -> Self {
        let time = clock_gettime(CLOCK);
        let (seconds, nanoseconds) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
        Self(Duration::new(seconds.unwrap_or_default(), nanoseconds.unwrap_or_default()))
    }

    /// The time since an earlier one; none since a later one.
    pub(super) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_and_never_back() {
        let earlier = Moment::now();
        let later = earlier + Duration::from_secs(3);
        assert_eq!((later.since(earlier), earlier.since(later)), (Duration::from_secs(3), Duration::ZERO));
        assert!(earlier <= Moment::now() && Moment::now() < later);
    }
}
