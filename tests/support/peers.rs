//! Servers of other people that Syncwatch is tested against: real frameworks and a real mail server, each in a process of
//! its own that ends with the test, and servers on a bare socket for answers, and orders of answers, that no framework
//! gives.

mod books;
mod claims_database;
mod dataverse;
mod held;
mod mail_server;
mod port;
mod process;
mod scripted;
mod source_app;
mod tokens;
mod webhooks;
mod wiremock;
mod xledger;

pub use books::{Behaviour, Booking, Books, BooksLog};
pub use claims_database::{ClaimsDatabase, READER_PASSWORD};
pub use dataverse::DataverseBehaviour;
pub use held::{Held, HeldRequest};
pub use mail_server::{MailServer, Received, smtp_url};
pub use port::Port;
pub use scripted::{Act, Scripted};
pub use source_app::{READING_TOKEN, SourceApp};
pub use tokens::{TOKEN_CLIENT, TOKEN_SECRET, Tokens};
pub use webhooks::{ReceivedWebhook, WebhookAnswers, WebhookReceiver, python};
pub use wiremock::WireMock;
pub use xledger::{Throttle, XLEDGER_TOKEN, XLEDGER_TOKEN_TO_READ, XledgerBehaviour};

use std::path::{Path, PathBuf};

/// A directory within the checkout's `tests`.
fn checked_out(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A client for asking the peers what they have seen.
#[expect(clippy::disallowed_methods, reason = "the tests' own addresses")]
fn client() -> reqwest::Client {
    // A second installation of the provider is refused, harmlessly.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A peer closes connections that rest for a few seconds; a request must not meet one that is just being closed.
    reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap()
}
