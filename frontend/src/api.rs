//! The typed client of the API. [`Anonymous`] can only sign in; [`Client`] is what a signed-in session holds.

mod anonymous;
mod client;
mod error;
mod events;
mod http;
mod integrations;
mod notifications;
mod records;
mod syncs;

pub use anonymous::Anonymous;
pub use client::{Client, Versioned};
pub use error::ApiError;
pub use events::LiveEvent;
pub use http::Query;
pub use integrations::stamp;
pub use syncs::SyncFilter;
