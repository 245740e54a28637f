//! The demonstration: a stand-in accounting service, the "source app", and what fills an organization with syncs.
//!
//! It talks to Syncwatch through the documented API alone, in plain JSON, and shares no type with the server: what
//! works here works for a stranger. Every name in it is invented.

pub mod accounting;
mod client;
mod clock;
mod html;
pub mod seed;
mod service;
pub mod source_app;
