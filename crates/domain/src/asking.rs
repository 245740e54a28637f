//! Finding out what became of a record that may have been taken, before it is sent again.
//!
//! There are three ways, and which one is open depends on how the request in doubt had left, not on how the next one
//! would: a system that is told a key today did not learn of it yesterday, and another system knows nothing at all.

use chrono::{DateTime, TimeDelta, Utc};

use crate::record::RecordError;

/// A repetition leaves so long before the system may have forgotten the first request: it takes time to arrive, and
/// clocks differ.
pub const REPEAT_MARGIN: TimeDelta = TimeDelta::minutes(5);

/// Why a record's fate is still unknown: its system does not have it, but may still be working on its request.
pub const ASKED_TOO_EARLY: &str = "ASKED_TOO_EARLY";
/// Why a record was not sent again: its fate is unknown, and its system would not recognise the repetition.
pub const FATE_UNKNOWN: &str = "FATE_UNKNOWN";

/// Why a record's fate is still unknown: its system has taken it, and may refuse it after all.
pub const AWAITING_POSTING: &str = "AWAITING_POSTING";

/// Why a record's fate is still unknown: its system had taken it, and does not have it any more.
pub const NO_LONGER_THERE: &str = "NO_LONGER_THERE";

/// What an external system offers to those who ask, by an integration's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asking {
    /// Where requests go, and as whom. What was sent to another target, nobody can be asked about here.
    pub target: String,
    /// What the system recognises a repetition by, so that it takes nothing twice.
    pub recognition: Option<Recognition>,
    /// A record can be looked up there. That it is missing is believed if its last request was given up so long ago.
    pub look_up: Option<TimeDelta>,
    /// For how long what it has taken can be refused after all; `None` if what is taken has arrived.
    pub refusable_for: Option<TimeDelta>,
}

/// What a system recognises a repeated request by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recognition {
    /// The mark, such as the name of the header that carries the key.
    pub by: String,
    /// How long it remembers a request; for good where there is nothing to remember, since a repetition overwrites.
    pub remembers: Option<TimeDelta>,
}

/// The requests in doubt of one record, as the ledger remembers them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Where they went, if that is known.
    pub target: Option<String>,
    /// What the system recognises their repetition by, if it does.
    pub recognised_by: Option<String>,
    /// When the first of them left.
    pub since: DateTime<Utc>,
    /// When the last of them was given up; none leaves after that.
    pub given_up: DateTime<Utc>,
}

/// How the fate of a record is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By the same request again: the system says what became of the first one, or does now what it did not do then.
    Repeat,
    /// By a look-up, which must say that the record is not there before it is sent.
    LookUp,
    /// By a person.
    Person,
}

/// What a look-up found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The system has the record.
    Found {
        /// Its own id of it.
        reference: Option<String>,
    },
    /// The system has taken the record, and may refuse it after all for so long after its last request was given up.
    Taken {
        /// Its own id of it.
        reference: Option<String>,
        /// How long.
        refusable_for: TimeDelta,
    },
    /// The system took the record and has refused it after all: it will never be what was sent.
    Refused(Vec<RecordError>),
    /// The system says that it has no such record.
    Absent,
    /// It did not say, or not clearly.
    Unclear(RecordError),
}

impl Asked {
    /// What is known once nothing more can be said: what could have been refused for long enough, and was not, is there.
    #[must_use]
    pub fn settled(self, doubt: &Doubt, asked_at: DateTime<Utc>) -> Self {
        match self {
            Self::Taken { reference, refusable_for } if asked_at >= doubt.given_up + refusable_for => {
                Self::Found { reference }
            }
            other => other,
        }
    }
}

impl Asking {
    /// The way to find out what became of the requests in doubt.
    pub fn way(&self, doubt: &Doubt, now: DateTime<Utc>) -> Way {
        if !self.is_target_of(doubt) {
            return Way::Person;
        }
        let recognised = self.recognition.as_ref().is_some_and(|recognition| {
            // A clock that was set back makes nothing younger.
            let age = now - doubt.since;
            doubt.recognised_by.as_ref() == Some(&recognition.by)
                && recognition
                    .remembers
                    .is_none_or(|remembers| age >= -REPEAT_MARGIN && age + REPEAT_MARGIN < remembers)
        });
        match self.look_up {
            _ if recognised => Way::Repeat,
            Some(_) => Way::LookUp,
            None => Way::Person,
        }
    }

    /// Whether the system's word that the record is missing, or was refused after all, asked for at a moment, ends the
    /// doubt. Before, a request may still be on its way, or be worked on.
    pub fn believes_absence(&self, doubt: &Doubt, asked_at: DateTime<Utc>) -> bool {
        self.is_target_of(doubt) && self.look_up.is_some_and(|settled| asked_at >= doubt.given_up + settled)
    }

    fn is_target_of(&self, doubt: &Doubt) -> bool {
        doubt.target.as_ref() == Some(&self.target)
    }
}

#[cfg(test)]
mod tests;
