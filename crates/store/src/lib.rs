//! PostgreSQL: the only crate that names sqlx.
//!
//! Invariants: tenant tables are reached through [`OrgTx`] alone, which sets the organization for its transaction;
//! what precedes an organization (sign-in, keys, the job queue, sweeps) reads non-tenant tables that hold ids and
//! moments only. Functions are verbs that take a transaction; they hold SQL and no rules.

pub mod active_syncs;
pub mod admin;
pub mod api_keys;
pub mod archives;
pub mod database;
pub mod error;
pub mod events;
pub mod external_systems;
pub mod health;
pub mod idempotency;
pub mod incidents;
pub mod integrations;
pub mod lineage_jobs;
pub mod memberships;
pub mod migrate;
pub mod notifications;
pub mod outbox;
pub mod record_outcomes;
pub mod refresh_tokens;
pub mod retry_timers;
pub mod sealed;
pub mod seals;
pub mod signing_keys;
pub mod source_records;
pub mod sync_attempts;
pub mod sync_logs;
pub mod timers;
pub mod trends;
pub mod users;
pub mod webhook_secrets;
pub mod webhooks;

mod words;

pub use database::{Database, OrgTx, PlainTx};
pub use error::StoreError;
