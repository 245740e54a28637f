//! A signed statement of how long a chain is and which hash it ends with.

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

use super::Hash;
use super::form::VERSION;

/// A checkpoint, to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The organization.
    pub organization_id: Uuid,
    /// Seals in the chain.
    pub seq: i64,
    /// The chain's hash at its end.
    pub chain_hash: Hash,
    /// When it was made.
    pub made_at: DateTime<Utc>,
}

impl Checkpoint {
    /// The text whose bytes are signed: five lines, each ended by a line feed.
    pub fn signed_text(&self) -> String {
        use std::fmt::Write as _;
        let mut text = format!("{VERSION}checkpoint\n{}\n{}\n", self.organization_id, self.seq);
        for byte in self.chain_hash {
            let _ = write!(text, "{byte:02x}");
        }
        let _ = writeln!(text, "\n{}", self.made_at.to_rfc3339_opts(SecondsFormat::Millis, true));
        text
    }
}
