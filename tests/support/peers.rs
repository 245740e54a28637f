//! Servers of other people that Syncwatch is tested against: real frameworks and a real mail server, each in a process of
//! its own that ends with the test, and a server on a bare socket for answers that no framework gives.

mod books;
mod mail_server;
mod process;
mod scripted;

pub use books::{Behaviour, Booking, Books, BooksLog};
pub use mail_server::{MailServer, Received, free_port, smtp_url};
pub use scripted::{Act, Scripted};

use std::path::{Path, PathBuf};

/// A directory within the checkout's `tests`.
fn checked_out(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A client for asking the peers what they have seen.
fn client() -> reqwest::Client {
    // A second installation of the provider is refused, harmlessly.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
