//! Seals: what the ledger said of a sync and one of its attempts, bound into a chain of hashes per organization.
//!
//! Everything is hashed in one canonical form (see [`form`]). A seal binds what never changes of a sync, its whole row
//! where it has ended, and one closed attempt with its outcomes; the chain binds each seal to all before it.

pub mod checkpoint;
pub mod compare;
pub mod form;
pub mod rows;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub use checkpoint::Checkpoint;
pub use compare::{Difference, Newest, SealedTable, Unfit, compare};
use form::Form;
pub use rows::RecordsHasher;

/// A SHA-256.
pub type Hash = [u8; 32];

/// Bytes of a seal's `records` for each outcome: the record's id and the first bytes of its hash.
pub const LOCATOR_BYTES: usize = 24;

/// What a seal says of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptSeal {
    /// Its number.
    pub number: u16,
    /// Hash of its row.
    pub hash: Hash,
    /// Whether its row can change no more: it has ended, and not for lack of a report.
    pub is_final: bool,
    /// Hash of its outcomes.
    pub records_hash: Hash,
    /// Per outcome the record's id and the first bytes of its hash.
    pub records: Vec<u8>,
}

/// One link of an organization's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The organization.
    pub organization_id: Uuid,
    /// Its place in the chain, from 1, without gaps.
    pub seq: i64,
    /// The sync.
    pub sync_id: Uuid,
    /// The sync's start.
    pub sync_started_at: DateTime<Utc>,
    /// Hash of what never changes of the sync.
    pub fixed_hash: Hash,
    /// Hash of the sync's whole row; `None` where a retry was under way.
    pub sync_hash: Option<Hash>,
    /// The attempt it is about, if it is about one.
    pub attempt: Option<AttemptSeal>,
    /// It was in the ledger before there were seals.
    pub backfill: bool,
    /// When it was sealed.
    pub sealed_at: DateTime<Utc>,
}

impl Seal {
    /// The seal of what the ledger says now.
    pub fn of(
        key: &SubjectKey,
        now: &Subject,
        organization_id: Uuid,
        seq: i64,
        backfill: bool,
        at: DateTime<Utc>,
    ) -> Self {
        Self {
            organization_id,
            seq,
            sync_id: key.sync_id,
            sync_started_at: key.sync_started_at,
            fixed_hash: now.sync.as_ref().map_or_else(absent, |sync| sync.fixed),
            sync_hash: now.sync.as_ref().filter(|sync| sync.ended).map(|sync| sync.whole),
            attempt: key.attempt.map(|number| AttemptSeal {
                number,
                hash: now.attempt.as_ref().map_or_else(absent, |attempt| attempt.hash),
                is_final: now.attempt.as_ref().is_some_and(|attempt| attempt.is_final),
                records_hash: now.records.hash,
                records: now.records.locators.clone(),
            }),
            backfill,
            sealed_at: at,
        }
    }

    /// The chain's hash with this seal at its end.
    pub fn chain(&self, previous: &Hash) -> Hash {
        let mut form = Form::new("chain");
        form.bytes(previous)
            .uuid(self.organization_id)
            .number(self.seq)
            .uuid(self.sync_id)
            .moment(self.sync_started_at)
            .bytes(&self.fixed_hash)
            .optional(self.sync_hash.as_ref(), |form, hash| form.bytes(hash))
            .optional(self.attempt.as_ref(), |form, attempt| {
                form.number(i64::from(attempt.number))
                    .bytes(&attempt.hash)
                    .flag(attempt.is_final)
                    .bytes(&attempt.records_hash)
                    .bytes(&attempt.records)
            })
            .flag(self.backfill)
            .moment(self.sealed_at);
        form.hash()
    }
}

/// What a chain begins with.
pub fn genesis(organization_id: Uuid) -> Hash {
    let mut form = Form::new("genesis");
    form.uuid(organization_id);
    form.hash()
}

/// Stands for a row that was not there when it was to be sealed.
pub fn absent() -> Hash {
    Form::new("absent").hash()
}

/// What a seal is about: a sync, and one of its attempts where it names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubjectKey {
    /// The sync.
    pub sync_id: Uuid,
    /// The sync's start.
    pub sync_started_at: DateTime<Utc>,
    /// The attempt.
    pub attempt: Option<u16>,
}

/// A sync's row, hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncDigest {
    /// What never changes.
    pub fixed: Hash,
    /// Every column.
    pub whole: Hash,
    /// Whether it has ended (and no retry is under way).
    pub ended: bool,
}

/// An attempt's row, hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptDigest {
    /// Every column.
    pub hash: Hash,
    /// Whether it can change no more.
    pub is_final: bool,
}

/// An attempt's outcomes, hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordsDigest {
    /// All of them, in order.
    pub hash: Hash,
    /// Per outcome the record's id and the first bytes of its hash.
    pub locators: Vec<u8>,
}

/// What the ledger says of a subject now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The sync's row, if it is there.
    pub sync: Option<SyncDigest>,
    /// The attempt's row, if one was asked for and is there.
    pub attempt: Option<AttemptDigest>,
    /// The attempt's outcomes.
    pub records: RecordsDigest,
}

#[cfg(test)]
mod tests;
