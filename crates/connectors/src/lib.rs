//! Sending source records to external systems, and understanding their answers.
//!
//! A connector never errs and never panics: whatever an external system does becomes one answer per record. See
//! [`generic_http`] and [`xledger`] for the tables that say which answer means what.

pub mod connector;
pub mod credentials;
pub mod error_shapes;
mod exchange;
pub mod generic_http;
pub mod guard;
mod reader;
mod reference;
mod ruling;
mod wording;
pub mod xledger;

pub use connector::{
    BuildError, ConnectionTest, Connector, OutboundRecord, Permanence, RecordAnswer, asking, build, check_mapping,
    refuses_updates, validate_settings,
};
pub use guard::{GuardedClient, OutboundPolicy};
