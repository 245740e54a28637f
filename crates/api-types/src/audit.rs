//! Tamper evidence: checkpoints of an organization's chain of seals, and what its verification found.

use chrono::{DateTime, Utc};
use domain::seal::{SealedTable, Unfit};
use uuid::Uuid;

use crate::macros::wire;

wire! {
    /// A signed statement of how long an organization's chain of seals is and which hash it ends with. Keep one outside
    /// to be able to show later that nothing before it was rewritten.
    #[serde(deny_unknown_fields)]
    pub struct SealCheckpoint {
        /// The organization.
        pub organization_id: Uuid,
        /// Seals in the chain.
        #[cfg_attr(feature = "openapi", schema(example = 1043))]
        pub seq: i64,
        /// The chain's hash at its end: SHA-256, 64 lower-case hexadecimal characters.
        #[cfg_attr(feature = "openapi", schema(
            example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
        ))]
        pub chain_hash: String,
        /// When it was made.
        pub made_at: DateTime<Utc>,
        /// The key that signed it, by its id in `/.well-known/jwks.json`.
        pub kid: String,
        /// Ed25519 over the five lines `syncwatch/seal/1/checkpoint`, organization, seq, chain hash and moment (RFC 3339
        /// in UTC with milliseconds), each ended by a line feed; base64url without padding.
        pub signature: String,
    }

    /// What a verification found.
    pub struct AuditVerification {
        /// Whether everything that was looked at fits.
        pub fits: bool,
        /// Seals that were looked at.
        pub checked: i64,
        /// Rows of `sync_logs` that were looked at for seals.
        pub syncs_checked: i64,
        /// Whether every sync that started within the time of these seals was looked at; only so many are.
        pub all_syncs_checked: bool,
        /// Changes that wait to be sealed, and are compared once they are.
        pub waiting: i64,
        /// Seals in the chain.
        pub head_seq: i64,
        /// Where to go on: the last seal that was looked at; `null` at the end of the chain.
        pub next_after: Option<i64>,
        /// The first thing that does not fit.
        pub first_mismatch: Option<AuditMismatch>,
    }

    /// Something that does not fit.
    pub struct AuditMismatch {
        /// The table.
        pub table: SealedTable,
        /// What is wrong with it.
        pub reason: Unfit,
        /// The seal, where one is concerned.
        pub seq: Option<i64>,
        /// The sync, where one is concerned.
        pub sync_id: Option<Uuid>,
        /// The attempt's number, where one is concerned.
        pub attempt: Option<u16>,
        /// The record's type, where an outcome that is there is concerned.
        pub source_record_type: Option<String>,
        /// The record, where an outcome is concerned.
        pub source_record_id: Option<Uuid>,
        /// The same in one English sentence.
        pub detail: String,
    }
}
