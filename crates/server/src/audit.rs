//! Tamper evidence: checkpoints of the chains of seals, and the comparison of seals with the ledger.

mod checkpoint;
mod subjects;
mod verify;

pub use checkpoint::{Signer, make_checkpoint, public_keys, read_checkpoint, shown};
pub use subjects::AuditError;
pub use verify::{Progress, Scope, Verification, verify};
