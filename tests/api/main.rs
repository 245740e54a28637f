//! Every operation of the API over HTTP, against a server of its own.

#![cfg(test)]

mod attempts;
mod auth;
mod events;
mod idempotency;
mod incidents;
mod integrations;
mod me;
mod notifications;
mod paging;
mod problems;
mod records;
mod retries;
mod rules;
mod scene;
mod source_records;
mod sync_logs;
mod tokens;
mod trends;
