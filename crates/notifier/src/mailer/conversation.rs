//! The conversation with the server, stage by stage.

use std::time::Duration;

use domain::redaction::redact;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::DEFAULT_MECHANISMS;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{Extension, MailParameter};
use lettre::transport::smtp::response::{Response, Severity};
use tokio::time::timeout;

use super::compose::Composed;
use super::server_url::Encryption;
use super::{Delivered, LAST_ANSWER_FACTOR, MailFailure, Mailer};

/// A goodbye is a courtesy: the mail's fate is already known.
const QUIT_TIMEOUT: Duration = Duration::from_secs(2);
/// Characters kept of what a server said.
const MAX_DETAIL: usize = 500;

pub(super) async fn hold(mailer: &Mailer, message: &Composed, to: &str) -> Result<Delivered, MailFailure> {
    let words = Words { to };
    let prepared = timeout(mailer.timeout, async {
        let mut connection = open(mailer).await.map_err(|error| words.of_the_connection(&error))?;
        address(&mut connection, message, &words).await?;
        Ok(connection)
    });
    let mut connection = match prepared.await {
        Ok(prepared) => prepared?,
        Err(_) => return Err(words.transient(&format!("no answer within {} ms", mailer.timeout.as_millis()))),
    };

    let last_answer = mailer.timeout * LAST_ANSWER_FACTOR;
    let delivered = match timeout(last_answer, connection.message(&message.bytes)).await {
        Err(_) => Err(words.unknown(&format!("no answer within {} ms", last_answer.as_millis()))),
        Ok(Ok(answer)) if answer.code().severity == Severity::PositiveCompletion => {
            Ok(Delivered { server_answer: words.of_answer(&answer) })
        }
        Ok(Ok(answer)) => Err(words.unknown(&format!("an answer of no meaning here: {}", words.of_answer(&answer)))),
        // A code is the server's word that it did not take the mail. Without one, the last bytes may have reached it.
        Ok(Err(error)) if error.status().is_some() => Err(words.refusal("message", &error)),
        Ok(Err(error)) => Err(words.unknown(&error.to_string())),
    };
    // Dropped without a goodbye the connection is closed all the same, and a server that hangs is not waited for.
    if matches!(delivered, Ok(_) | Err(MailFailure::Transient { .. } | MailFailure::Permanent { .. })) {
        let _ = timeout(QUIT_TIMEOUT, connection.quit()).await;
    }
    delivered
}

/// Connects, encrypts and signs in.
async fn open(mailer: &Mailer) -> Result<AsyncSmtpConnection, Error> {
    let server = &mailer.server;
    let wrapped = match &server.encryption {
        Encryption::Wrapped(tls) => Some(tls.clone()),
        Encryption::None | Encryption::StartTls(_) => None,
    };
    let address = (server.host.as_str(), server.port);
    let mut connection =
        AsyncSmtpConnection::connect_tokio1(address, Some(mailer.timeout), &mailer.hello, wrapped, None).await?;
    if let Encryption::StartTls(tls) = &server.encryption {
        connection.starttls(tls.clone(), &mailer.hello).await?;
    }
    if let Some(credentials) = &server.credentials {
        connection.auth(DEFAULT_MECHANISMS, credentials).await?;
    }
    Ok(connection)
}

/// Names the sender and the recipient and gets the go-ahead for the message.
async fn address(
    connection: &mut AsyncSmtpConnection,
    message: &Composed,
    words: &Words<'_>,
) -> Result<(), MailFailure> {
    let envelope = &message.envelope;
    let mut options = Vec::new();
    let international = envelope.from().into_iter().chain(envelope.to()).any(|address| !address.to_string().is_ascii());
    if international {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            let detail = "the mail server takes no addresses with letters beyond ASCII".to_owned();
            return Err(MailFailure::Permanent { code: 0, detail });
        }
        options.push(MailParameter::SmtpUtfEight);
    }
    let sender = connection.command(Mail::new(envelope.from().cloned(), options)).await;
    sender.map_err(|error| words.refusal("sender", &error))?;
    for recipient in envelope.to() {
        let answer = connection.command(Rcpt::new(recipient.clone(), Vec::new())).await;
        answer.map_err(|error| words.refusal("recipient", &error))?;
    }
    let go_ahead = connection.command(Data).await.map_err(|error| words.refusal("message", &error))?;
    if go_ahead.code().severity == Severity::PositiveIntermediate {
        Ok(())
    } else {
        Err(words.transient(&format!("the server did not ask for the message: {}", words.of_answer(&go_ahead))))
    }
}

/// What is kept of a conversation: bounded, on one line, and without the recipient's address, which servers like to
/// repeat and which has no place in a log.
struct Words<'a> {
    to: &'a str,
}

impl Words<'_> {
    /// A refusal here says nothing of the mail, whatever its code: the next mail would be refused too, and this one
    /// will be taken once the set-up is mended.
    fn of_the_connection(&self, error: &Error) -> MailFailure {
        self.transient(&format!("connecting: {error}"))
    }

    fn refusal(&self, what: &str, error: &Error) -> MailFailure {
        let detail = self.clean(&format!("{what}: {error}"));
        match error.status() {
            Some(code) if error.is_permanent() => MailFailure::Permanent { code: code.into(), detail },
            _ => MailFailure::Transient { detail },
        }
    }

    fn transient(&self, detail: &str) -> MailFailure {
        MailFailure::Transient { detail: self.clean(detail) }
    }

    fn unknown(&self, detail: &str) -> MailFailure {
        MailFailure::Unknown { detail: self.clean(detail) }
    }

    fn of_answer(&self, answer: &Response) -> String {
        let lines: Vec<_> = answer.message().collect();
        self.clean(&format!("{} {}", answer.code(), lines.join(" ")))
    }

    fn clean(&self, text: &str) -> String {
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let line = redact(&line.replace(self.to, "[recipient]"));
        line.chars().take(MAX_DETAIL).collect::<String>().trim().to_owned()
    }
}
