//! Why a call of the API did not succeed.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// Why a call did not succeed.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// Nobody answers, or not yet: the same call may succeed later.
    Away {
        /// What happened.
        what: String,
        /// When to try again, where the server said so.
        wait: Option<Duration>,
    },
    /// The key is not taken, or may not do this; a person has to see to it.
    Denied(String),
    /// The server will never take this.
    Refused(Refusal),
}

/// A refusal, as far as it can be read.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Refusal {
    /// HTTP status.
    #[serde(skip)]
    pub(super) status: u16,
    /// The problem's stable code.
    #[serde(default)]
    pub(super) code: String,
    /// What happened, in words.
    #[serde(default)]
    pub(super) detail: String,
    /// Every offending member.
    #[serde(default)]
    pub(super) errors: Vec<RefusedMember>,
}

/// One member that the server refuses.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct RefusedMember {
    /// Where it stands.
    #[serde(default)]
    pub(super) pointer: String,
    /// What is wrong with it.
    #[serde(default)]
    pub(super) detail: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away { what, .. } | Self::Denied(what) => f.write_str(what),
            Self::Refused(refusal) => {
                write!(f, "{} {}: {}", refusal.status, refusal.code, refusal.detail)?;
                refusal.errors.iter().take(3).try_for_each(|error| write!(f, "; {} {}", error.pointer, error.detail))
            }
        }
    }
}
