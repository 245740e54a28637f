//! Syncwatch's server: API, worker and dashboard in one process or in several.
//!
//! A request passes `http::shell` (request id, log line, safety headers), becomes an [`auth::OrgContext`], a checked
//! body, one transaction, an answer. A job is claimed with a lease, decided by the domain, done outside any
//! transaction, and recorded. Nothing but [`clock`] reads the time, and nothing but the store names SQL.

pub mod archive;
pub mod audit;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connection_file;
pub mod embedded;
mod external_systems;
pub mod http;
pub mod ledger;
pub mod reseal;
pub mod serve;
mod source_now;
pub mod state;
pub mod telemetry;
pub mod vault;
pub mod webhook_secrets;
pub mod worker;

pub use clock::Clock;
pub use config::Config;
pub use serve::{Running, spawn};
pub use state::AppState;
