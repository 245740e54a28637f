//! Sending source records to external systems, and understanding their answers.
//!
//! A connector never errs and never panics: whatever an external system does becomes one answer per record. See
//! [`generic_http`] for the table that says which answer means what.

pub mod connector;
pub mod error_shapes;
pub mod generic_http;
pub mod guard;

pub use connector::{
    BuildError, ConnectionTest, Connector, OutboundRecord, Permanence, RecordAnswer, build, repeat_safe,
    validate_settings,
};
pub use guard::{GuardedClient, OutboundPolicy};
