//! A circuit breaker: a system that does not answer is left alone for a while, and then asked by one request whether it
//! does again.

use chrono::{DateTime, TimeDelta, Utc};

use super::SKEW;
use crate::retry::backoff_millis;

/// Outages in a row that open it.
const IN_A_ROW: u32 = 5;
/// Requests that are looked at together, since the first outage among them.
const WINDOW: u8 = 20;
/// Outages among those that open it.
const OF_WINDOW: u32 = 10;
/// The first ceiling of how long it stays open, in milliseconds.
const OPEN_BASE: u64 = 30_000;
/// The last one.
const OPEN_CAP: u64 = 600_000;
/// The shortest time it stays open: without it, the jitter would now and then spare a dead system nothing.
const OPEN_LEAST: u64 = 1_000;
/// How long one request may be out to find out whether the system answers, before another may: whoever sent it may have
/// been killed.
const PROBE: TimeDelta = TimeDelta::minutes(1);

/// What the latest requests met, since something went wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    /// A bit for each, the latest the lowest; set for an outage.
    bits: u32,
    length: u8,
}

impl Recent {
    /// As it was kept.
    pub fn new(bits: u32, length: u8) -> Self {
        let length = length.min(WINDOW);
        let bits = bits & mask(length);
        // Where nothing went wrong there is nothing to remember.
        if bits == 0 { Self::default() } else { Self { bits, length } }
    }

    /// The bits, the latest the lowest.
    pub const fn bits(self) -> u32 {
        self.bits
    }

    /// How many requests they stand for.
    pub const fn length(self) -> u8 {
        self.length
    }

    fn with(self, outage: bool) -> Self {
        Self::new((self.bits << 1) | u32::from(outage), self.length.saturating_add(1))
    }

    const fn is_too_much(self) -> bool {
        self.bits.trailing_ones() >= IN_A_ROW || (self.length == WINDOW && self.bits.count_ones() >= OF_WINDOW)
    }
}

const fn mask(length: u8) -> u32 {
    (1_u32 << length) - 1
}

/// Whether a system is asked at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// It is.
    Closed(Recent),
    /// It is not, until a moment.
    Open {
        /// The moment.
        until: DateTime<Utc>,
        /// How often in a row it was found not to answer.
        openings: u16,
    },
    /// One request is out to find out.
    HalfOpen {
        /// When that counts as lost.
        until: DateTime<Utc>,
        /// How often in a row it was found not to answer.
        openings: u16,
    },
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed(Recent::default())
    }
}

/// What a breaker lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// Everything.
    All,
    /// One request, to find out.
    Probe,
    /// Nothing until then.
    None(DateTime<Utc>),
}

impl Breaker {
    /// What it lets through now; one request at once for whoever insists.
    pub fn permits(self, now: DateTime<Utc>, insists: bool) -> Permit {
        match self {
            Self::Closed(_) => Permit::All,
            Self::Open { until, .. } | Self::HalfOpen { until, .. } if !insists && is_ahead(until, now) => {
                Permit::None(until)
            }
            Self::Open { .. } | Self::HalfOpen { .. } => Permit::Probe,
        }
    }

    /// One request has left to find out whether the system answers.
    pub(super) fn probing(self, now: DateTime<Utc>) -> Self {
        match self {
            Self::Closed(_) => self,
            Self::Open { openings, .. } | Self::HalfOpen { openings, .. } => {
                Self::HalfOpen { until: now + PROBE, openings }
            }
        }
    }

    /// After another answer, or the want of one.
    pub(super) fn after(self, outage: bool, now: DateTime<Utc>, random: f64) -> Self {
        match self {
            Self::Closed(recent) => {
                let recent = recent.with(outage);
                if recent.is_too_much() { Self::opened(1, now, random) } else { Self::Closed(recent) }
            }
            Self::Open { .. } | Self::HalfOpen { .. } if !outage => Self::default(),
            // Of a request that had left before.
            Self::Open { .. } => self,
            Self::HalfOpen { openings, .. } => Self::opened(openings.saturating_add(1), now, random),
        }
    }

    fn opened(openings: u16, now: DateTime<Utc>, random: f64) -> Self {
        let wait = backoff_millis(openings.into(), OPEN_BASE, OPEN_CAP, random).max(OPEN_LEAST);
        Self::Open { until: now + TimeDelta::milliseconds(wait.cast_signed()), openings }
    }
}

/// Whether a moment is still to come. What lies further ahead than it can was written before a clock was set back.
fn is_ahead(until: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    let longest = TimeDelta::milliseconds(OPEN_CAP.cast_signed()) + SKEW;
    until > now && until <= now + longest
}
