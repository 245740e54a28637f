//! The JSON contract of the API: what goes over the wire, and nothing else.
//!
//! Shared by the server and the dashboard. With the feature `openapi` every type describes itself for the OpenAPI
//! document. Times are RFC 3339 in UTC, amounts are decimal strings, durations are milliseconds.

mod amount;
mod macros;

pub mod attempts;
pub mod audit;
pub mod auth;
pub mod events;
pub mod incidents;
pub mod integrations;
pub mod lineage;
pub mod mapping_trials;
pub mod notifications;
pub mod page;
pub mod problem;
pub mod records;
pub mod source_records;
pub mod sync_logs;
pub mod trends;
pub mod webhooks;

pub use page::Page;
pub use problem::{ErrorCode, Problem, ProblemError};
