//! When a request may leave for an external system, by what is known of the system.
//!
//! Three things hold requests back: the system has asked to be left alone, it does not answer, or its rate is used up.
//! What is known is shared by everybody who sends to the system, so that a second sync is no way around it.

mod breaker;
mod bucket;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::retry::backoff_millis;

pub use breaker::{Breaker, Permit, Recent};
pub use bucket::Bucket;

/// The longest that a system can ask to be left alone.
pub const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);
/// How far clocks may differ. What would hold longer than anything can hold, and this, was written before a clock was set
/// back, and holds nothing.
const SKEW: TimeDelta = TimeDelta::minutes(5);
/// The first ceiling of the wait where a system that is asked too much does not say for how long, in milliseconds.
const THROTTLED_BASE: u64 = 1_000;
/// The last one.
const THROTTLED_CAP: u64 = 60_000;

/// How long an attempt waits that gets nothing through.
const PATIENCE: TimeDelta = TimeDelta::minutes(5);

/// Error code of records that were not sent since their system had asked to be left alone.
pub const SYSTEM_BUSY: &str = "SYSTEM_BUSY";
/// Error code of records that were not sent since their system had not answered others.
pub const SYSTEM_UNAVAILABLE: &str = "SYSTEM_UNAVAILABLE";

/// What an external system's answer to a request says of the system, whatever it says of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How it stands.
    pub standing: Standing,
    /// For how long it asked to be left alone.
    pub retry_after: Option<Duration>,
}

/// How an external system stands, by one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is there and has looked at the request; that it refused it is no trouble of its own.
    Answered,
    /// It is there, and it was too much at once.
    Throttled,
    /// It did not answer, or somebody on the way to it did not get through.
    Outage,
}

/// What is known of an external system by those who send to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemState {
    /// Until when its rate is spoken for.
    pub spent_until: Option<DateTime<Utc>>,
    /// Until when it has asked to be left alone.
    pub paused_until: Option<DateTime<Utc>>,
    /// How often in a row it was asked too much.
    pub throttled: u32,
    /// Whether it answers.
    pub breaker: Breaker,
}

/// How many requests may leave now, and what holds the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// Requests that may leave.
    pub granted: u32,
    /// Why not all that were asked for.
    pub held: Option<Held>,
}

/// What holds requests back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// When it is worth asking again, and not before.
    pub until: DateTime<Utc>,
    /// Why.
    pub by: HeldBy,
}

impl Held {
    /// Whether those who have got nothing through since a moment wait for it, or leave the rest for another attempt: a
    /// system that says when to come back is waited for, one that does not answer is not.
    pub fn is_worth_waiting(self, since: DateTime<Utc>) -> bool {
        match self.by {
            HeldBy::Breaker => false,
            HeldBy::Pause | HeldBy::Probe | HeldBy::Rate => self.until <= since + PATIENCE,
        }
    }

    /// The error code of records that are not sent for it.
    pub const fn code(self) -> &'static str {
        match self.by {
            HeldBy::Breaker | HeldBy::Probe => SYSTEM_UNAVAILABLE,
            HeldBy::Pause | HeldBy::Rate => SYSTEM_BUSY,
        }
    }
}

/// Why requests are held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldBy {
    /// The system has asked to be left alone.
    Pause,
    /// It does not answer.
    Breaker,
    /// One request is out that is to find out whether it answers again.
    Probe,
    /// Its rate is used up.
    Rate,
}

impl SystemState {
    /// Asks for a number of requests to leave now. Whoever `insists`, since a person has just asked for it, finds out at
    /// once whether a system answers again; to a system that wants to be left alone nobody gets through.
    pub fn pass(&mut self, bucket: Option<Bucket>, wanted: u32, insists: bool, now: DateTime<Utc>) -> Passage {
        if wanted == 0 {
            return Passage { granted: 0, held: None };
        }
        if let Some(until) = self.pause(now) {
            return Passage { granted: 0, held: Some(Held { until, by: HeldBy::Pause }) };
        }
        let (most, probes) = match self.breaker.permits(now, insists) {
            Permit::All => (wanted, false),
            Permit::Probe => (1, true),
            Permit::None(until) => {
                return Passage { granted: 0, held: Some(Held { until, by: self.kept_out_by() }) };
            }
        };
        let (granted, next_at) = match bucket {
            Some(bucket) => bucket.take(&mut self.spent_until, most, now),
            None => (most, now),
        };
        if probes && granted > 0 {
            self.breaker = self.breaker.probing(now);
            let until = match self.breaker.permits(now, false) {
                Permit::None(until) => until,
                Permit::All | Permit::Probe => now,
            };
            let held = (granted < wanted).then_some(Held { until, by: HeldBy::Probe });
            return Passage { granted, held };
        }
        Passage { granted, held: (granted < wanted).then_some(Held { until: next_at, by: HeldBy::Rate }) }
    }

    /// Until when the system has asked to be left alone, if it has.
    pub fn pause(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.paused_until.filter(|until| *until > now && *until <= now + LONGEST_PAUSE + SKEW)
    }

    /// Until when nothing leaves for the system, whatever its rate is.
    pub fn held(&self, now: DateTime<Utc>) -> Option<Held> {
        if let Some(until) = self.pause(now) {
            return Some(Held { until, by: HeldBy::Pause });
        }
        match self.breaker.permits(now, false) {
            Permit::None(until) => Some(Held { until, by: self.kept_out_by() }),
            Permit::All | Permit::Probe => None,
        }
    }

    const fn kept_out_by(&self) -> HeldBy {
        if matches!(self.breaker, Breaker::HalfOpen { .. }) { HeldBy::Probe } else { HeldBy::Breaker }
    }

    /// Takes in what an answer says. `random` is a number in `[0, 1)` chosen by the caller.
    pub fn take_in(&mut self, verdict: Verdict, now: DateTime<Utc>, random: f64) {
        let asked = verdict.retry_after.map(|wait| TimeDelta::from_std(wait).unwrap_or(LONGEST_PAUSE));
        // Answers that come during a pause are to requests that had left before it; they say nothing of what comes after.
        if self.pause(now).is_none() {
            self.throttled = match verdict.standing {
                Standing::Throttled => self.throttled.saturating_add(1),
                Standing::Answered => 0,
                Standing::Outage => self.throttled,
            };
            // Its own word is better than any guess.
            if verdict.standing == Standing::Throttled && verdict.retry_after.is_none_or(|wait| wait.is_zero()) {
                let wait = backoff_millis(self.throttled, THROTTLED_BASE, THROTTLED_CAP, random);
                self.leave_alone(now, TimeDelta::milliseconds(wait.cast_signed()));
            }
        }
        if let Some(asked) = asked {
            self.leave_alone(now, asked.min(LONGEST_PAUSE));
        }
        self.breaker = self.breaker.after(verdict.standing == Standing::Outage, now, random);
    }

    fn leave_alone(&mut self, now: DateTime<Utc>, wait: TimeDelta) {
        let until = now + wait;
        // A shorter wait takes nothing from a longer one.
        if until > now && self.pause(now).is_none_or(|known| known < until) {
            self.paused_until = Some(until);
        }
    }
}

#[cfg(test)]
mod tests;
