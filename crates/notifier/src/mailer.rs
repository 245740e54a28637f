//! Handing mails to an SMTP server, and saying exactly what became of each.
//!
//! lettre's own transport answers with one error type for every stage of the conversation, so that a connection lost
//! while the recipient was named looks like one lost after the whole message was handed over. The first may be tried
//! again, the second may have been delivered. The mailer therefore leads lettre's connection through the stages
//! itself, one connection for each mail: incidents are rare.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::extension::ClientId;

use crate::Language;

mod compose;
mod conversation;
mod server_url;

use server_url::ServerUrl;

/// How long the server may take for everything up to its go-ahead for the message.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);
/// The last answer is waited for this many times as long: giving up there leaves a mail of unknown fate.
const LAST_ANSWER_FACTOR: u32 = 4;

/// A mail as it was fixed before the first try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingMail {
    /// One address.
    pub to: String,
    /// One line; control characters are taken out.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// The same for every try, so that a receiving server can recognise a second copy; with or without `<>`.
    pub message_id: String,
    /// The incident's first mail, unless this is it.
    pub in_reply_to: Option<String>,
    /// The incident's mails so far, oldest first.
    pub references: Vec<String>,
    /// The language of the parts.
    pub language: Language,
}

/// The server took the mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The code and words with which it did, without the recipient's address.
    pub server_answer: String,
}

/// Why a mail was not, or perhaps not, delivered. Details never hold the recipient's address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailFailure {
    /// The server surely does not have it; a later try may succeed: 4xx, no connection, a timeout, and every refusal of
    /// the connection or the sign-in, which is about this server's set-up and not about the mail.
    #[error("not sent for now: {detail}")]
    Transient {
        /// What happened, at which stage.
        detail: String,
    },
    /// The server surely does not have it, and will not take it: 5xx about the sender, the recipient or the message.
    #[error("refused for good ({code}): {detail}")]
    Permanent {
        /// The server's code; 0 where the mail itself was unfit and no server was asked.
        code: u16,
        /// What happened, at which stage.
        detail: String,
    },
    /// The message was handed over and no answer came: it may have been delivered.
    #[error("handed over, but not acknowledged: {detail}")]
    Unknown {
        /// What happened.
        detail: String,
    },
}

/// Why a mailer could not be made from its configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailerConfigError {
    /// Not an address of a mail server.
    #[error("the SMTP URL is not of the form smtp://host:port, smtps://user:password@host or smtp+starttls://…: {0}")]
    Url(&'static str),
    /// A password would travel unencrypted.
    #[error("the SMTP URL has a password but no encryption; use smtps:// or smtp+starttls://")]
    CleartextPassword,
    /// TLS could not be set up for this host name.
    #[error("TLS could not be set up for the mail server: {0}")]
    Tls(String),
    /// Not a sender.
    #[error("the sender is not an address such as Syncwatch <syncwatch@example.org>")]
    From,
}

/// A configured way to one SMTP server.
#[derive(Clone)]
pub struct Mailer {
    server: ServerUrl,
    from: Mailbox,
    hello: ClientId,
    timeout: Duration,
}

impl std::fmt::Debug for Mailer {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailer")
            .field("host", &self.server.host)
            .field("port", &self.server.port)
            .finish_non_exhaustive()
    }
}

impl Mailer {
    /// A mailer for `smtp://host:port`, `smtps://user:password@host` or `smtp+starttls://user:password@host`, with the
    /// sender as `Name <address>` or an address alone. User and password are percent-encoded.
    pub fn new(smtp_url: &str, from: &str) -> Result<Self, MailerConfigError> {
        Ok(Self {
            server: ServerUrl::parse(smtp_url)?,
            from: from.parse().map_err(|_| MailerConfigError::From)?,
            hello: ClientId::default(),
            timeout: DEFAULT_TIMEOUT,
        })
    }

    /// With another limit than [`DEFAULT_TIMEOUT`] for everything before the message.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The longest that [`send`](Self::send) takes: a lease on a mail must be longer.
    pub fn longest_send(&self) -> Duration {
        self.timeout * (1 + LAST_ANSWER_FACTOR)
    }

    /// Hands one mail to the server. Dropping the future in the middle leaves the mail's fate unknown.
    pub async fn send(&self, mail: &OutgoingMail) -> Result<Delivered, MailFailure> {
        let message = compose::compose(mail, &self.from)?;
        conversation::hold(self, &message, &mail.to).await
    }
}

#[cfg(test)]
mod tests;
