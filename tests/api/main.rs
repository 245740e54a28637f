//! Every operation of the API over HTTP, against a server of its own.

#![cfg(test)]

mod attempts;
mod audit;
mod auth;
mod bad_input;
mod clocks;
mod connections;
mod credentials;
mod dynamics365;
mod events;
mod exports;
mod group_commit;
mod idempotency;
mod imports;
mod incidents;
mod integrations;
mod lineage;
mod list_filters;
mod list_plans;
mod mapping_trials;
mod me;
mod moments;
mod notifications;
mod paging;
mod preconditions;
mod problems;
mod races;
mod records;
mod retries;
mod rules;
mod runners;
mod scene;
mod schedules;
mod source_records;
mod sync_logs;
mod tokens;
mod trends;
mod webhooks;
mod xledger;
