//! Sending source records to external systems, and understanding their answers.
//!
//! A connector never errs and never panics: whatever an external system does becomes one answer per record. See
//! [`generic_http`], [`xledger`] and [`dynamics365`] for the tables that say which answer means what.

pub mod connector;
pub mod credentials;
pub mod dynamics365;
pub mod error_shapes;
mod exchange;
pub mod generic_http;
pub mod guard;
mod pacing;
mod reader;
mod reference;
mod ruling;
mod source;
mod wording;
pub mod xledger;

pub use connector::{
    BuildError, ConnectionTest, Connector, LookedUp, OutboundRecord, Permanence, RecordAnswer, asked_origin, asking,
    build, build_with, check_mapping, origin, refuses_updates, validate_settings,
};
pub use guard::{GuardedClient, GuardedClients, OutboundPolicy};
pub use pacing::{verdict, verdict_of_asking};
pub use source::{
    Cursor, Fetched, Page, Source, SourceRecord, SourceTrouble, Unusable, build_source, build_source_with, has_source,
    merged_credentials,
};

/// What reads external systems' answers and is nobody else's business, for the fuzz targets.
#[cfg(feature = "fuzz")]
pub mod fuzz {
    pub use crate::dynamics365::read_any_batch;
    pub use crate::exchange::any_retry_after;
}
