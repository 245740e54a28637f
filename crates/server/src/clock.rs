//! The one source of the present moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Duration, Utc};
use domain::sync_log::whole_millis;

/// Tells the time in whole milliseconds, as the ledger stores it. Clones share their setting.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System { offset_millis: Arc<AtomicI64> },
    Fixed { millis: Arc<AtomicI64> },
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System { offset_millis: Arc::new(AtomicI64::new(0)) })
    }

    /// A clock that stands still until it is set or advanced.
    pub fn fixed(at: DateTime<Utc>) -> Self {
        Self(Source::Fixed { millis: Arc::new(AtomicI64::new(at.timestamp_millis())) })
    }

    /// The present moment in whole milliseconds.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            Source::System { offset_millis } => {
                let now = whole_millis(system_now());
                now.checked_add_signed(Duration::milliseconds(offset_millis.load(Ordering::SeqCst))).unwrap_or(now)
            }
            Source::Fixed { millis } => {
                DateTime::from_timestamp_millis(millis.load(Ordering::SeqCst)).unwrap_or(DateTime::UNIX_EPOCH)
            }
        }
    }

    /// Moves the clock, and every clone of it, by a duration (for tests and rehearsals).
    pub fn advance(&self, by: Duration) {
        let cell = match &self.0 {
            Source::System { offset_millis } => offset_millis,
            Source::Fixed { millis } => millis,
        };
        cell.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
    }

    /// Sets the clock, and every clone of it, to a moment; a system clock goes on running from there.
    pub fn set(&self, to: DateTime<Utc>) {
        match &self.0 {
            Source::System { offset_millis } => {
                offset_millis.store((to - system_now()).num_milliseconds(), Ordering::SeqCst);
            }
            Source::Fixed { millis } => millis.store(to.timestamp_millis(), Ordering::SeqCst),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
fn system_now() -> DateTime<Utc> {
    Utc::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_fixed_clock_move_together() {
        let start = DateTime::from_timestamp_millis(1_795_000_000_123).unwrap();
        let clock = Clock::fixed(start);
        let other = clock.clone();
        clock.advance(Duration::hours(48));
        assert_eq!(other.now(), start + Duration::hours(48));
        other.set(start);
        assert_eq!(clock.now(), start);
    }

    #[test]
    fn the_system_clock_has_whole_milliseconds_and_can_be_shifted() {
        let clock = Clock::system();
        let before = clock.now();
        assert_eq!(before.timestamp_subsec_nanos() % 1_000_000, 0);
        clock.advance(Duration::days(2));
        assert!(clock.now() - before >= Duration::days(2));
    }
}
