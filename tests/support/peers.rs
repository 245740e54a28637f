//! Servers of other people that Syncwatch is tested against: real frameworks and a real mail server, each in a process of
//! its own that ends with the test, and servers on a bare socket for answers, and orders of answers, that no framework
//! gives.

mod books;
mod held;
mod mail_server;
mod port;
mod process;
mod scripted;
mod webhooks;
mod xledger;

pub use books::{Behaviour, Booking, Books, BooksLog};
pub use held::{Held, HeldRequest};
pub use mail_server::{MailServer, Received, smtp_url};
pub use port::Port;
pub use scripted::{Act, Scripted};
pub use webhooks::{ReceivedWebhook, WebhookAnswers, WebhookReceiver, python};
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
