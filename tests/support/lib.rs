//! What tests of a whole server share: a database of their own, a server in the same process, clients, and other
//! people's servers.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "test support: a failure here is a failed test"
)]

pub mod client;
pub mod database;
pub mod events;
pub mod fill;
pub mod organization;
pub mod peers;
pub mod server;
pub mod story;
