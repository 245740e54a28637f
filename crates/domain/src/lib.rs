//! The rules of Syncwatch, pure: no IO, no async, no ambient clock, no randomness.
//!
//! Everything here also compiles to WebAssembly, so that the dashboard and the server judge alike.

#[macro_use]
mod wire_enum;

pub mod amount;
pub mod asking;
pub mod calendar;
pub mod columns;
pub mod credentials;
pub mod doubt;
pub mod error_group;
pub mod health;
pub mod incident;
pub mod integration;
pub mod language;
pub mod lineage;
pub mod mapping;
pub mod notification;
pub mod pacing;
pub mod payload;
pub mod posting;
pub mod record;
pub mod redaction;
pub mod retention;
pub mod retry;
pub mod schedule;
pub mod seal;
pub mod source;
pub mod sync_log;
pub mod violation;
pub mod webhook;
