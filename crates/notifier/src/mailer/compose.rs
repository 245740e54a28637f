//! The message as it travels.

use lettre::Message;
use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};

use super::{MailFailure, OutgoingMail};

/// An envelope and a message in bytes, all ASCII.
#[derive(Debug)]
pub(super) struct Composed {
    pub envelope: Envelope,
    pub bytes: Vec<u8>,
}

/// Fails only where no server could ever take the mail.
pub(super) fn compose(mail: &OutgoingMail, from: &Mailbox) -> Result<Composed, MailFailure> {
    let to: Mailbox = mail.to.parse().map_err(|_| unfit("the recipient is not an e-mail address"))?;
    let mut builder = Message::builder()
        .from(from.clone())
        .to(to)
        .subject(without_controls(&mail.subject))
        .message_id(Some(message_id(&mail.message_id)?))
        .date_now()
        .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Content-Language"),
            mail.language.as_str().to_owned(),
        ));
    if let Some(first) = &mail.in_reply_to {
        builder = builder.in_reply_to(message_id(first)?);
    }
    if !mail.references.is_empty() {
        let ids: Result<Vec<_>, _> = mail.references.iter().map(|id| message_id(id)).collect();
        builder = builder.references(ids?.join(" "));
    }
    let part = |kind, text: &str| SinglePart::builder().header(kind).body(text.to_owned());
    let message = builder
        .multipart(
            MultiPart::alternative()
                .singlepart(part(ContentType::TEXT_PLAIN, &mail.text))
                .singlepart(part(ContentType::TEXT_HTML, &mail.html)),
        )
        .map_err(|_| unfit("the message could not be composed"))?;
    Ok(Composed { envelope: message.envelope().clone(), bytes: message.formatted() })
}

fn unfit(detail: &str) -> MailFailure {
    MailFailure::Permanent { code: 0, detail: detail.to_owned() }
}

/// A line break in a subject would begin another header.
fn without_controls(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c }).collect()
}

/// In angle brackets, and nothing in it that could leave the header.
fn message_id(id: &str) -> Result<String, MailFailure> {
    let bare = id.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or(id);
    let fits = bare.len() <= 250
        && bare.split_once('@').is_some_and(|(left, right)| !left.is_empty() && !right.is_empty())
        && bare.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'(' | b')' | b',' | b';' | b'"'));
    if fits { Ok(format!("<{bare}>")) } else { Err(unfit("a message id is malformed")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Language;

    fn mail() -> OutgoingMail {
        OutgoingMail {
            to: "admin@example.org".to_owned(),
            subject: "Xledger: de 2 siste synkroniseringene feilet – æøå".to_owned(),
            text: "Hei!\n\n.\nÆØÅ\n".to_owned(),
            html: "<p>Hei!</p>\n".to_owned(),
            message_id: "incident-2@syncwatch.example".to_owned(),
            in_reply_to: Some("<incident-1@syncwatch.example>".to_owned()),
            references: vec!["incident-0@syncwatch.example".to_owned(), "incident-1@syncwatch.example".to_owned()],
            language: Language::Nb,
        }
    }

    fn composed(mail: &OutgoingMail) -> String {
        let from = "Syncwatch <syncwatch@example.org>".parse().unwrap();
        String::from_utf8(compose(mail, &from).unwrap().bytes).unwrap()
    }

    fn headers(message: &str) -> &str {
        message.split_once("\r\n\r\n").unwrap().0
    }

    #[test]
    fn headers_thread_the_mail_and_mark_it_as_automatic() {
        let message = composed(&mail());
        assert!(message.is_ascii());
        let headers = headers(&message);
        for line in [
            "Message-ID: <incident-2@syncwatch.example>",
            "In-Reply-To: <incident-1@syncwatch.example>",
            "References: <incident-0@syncwatch.example> <incident-1@syncwatch.example>",
            "Auto-Submitted: auto-generated",
            "Content-Language: nb",
            "To: admin@example.org",
            "MIME-Version: 1.0",
        ] {
            assert!(headers.replace("\r\n ", " ").lines().any(|found| found == line), "{line} is not in {headers}");
        }
        assert_eq!(headers.lines().filter(|line| line.starts_with("Date: ")).count(), 1);
        let (text, html) = (message.find("text/plain").unwrap(), message.find("text/html").unwrap());
        assert!(text < html, "the text part comes first");
    }

    #[test]
    fn no_header_can_be_smuggled_in() {
        let injected = "Failing\r\nBcc: victim@example.org\r\n\r\nbody";
        let subject = composed(&OutgoingMail { subject: injected.to_owned(), ..mail() });
        assert!(!headers(&subject).lines().any(|line| line.to_lowercase().starts_with("bcc")), "{subject}");

        let from: Mailbox = "syncwatch@example.org".parse().unwrap();
        for bad in [
            OutgoingMail { message_id: "a@b>\r\nBcc: victim@example.org".to_owned(), ..mail() },
            OutgoingMail { message_id: String::new(), ..mail() },
            OutgoingMail { in_reply_to: Some("<a@b>\r\nX: y".to_owned()), ..mail() },
            OutgoingMail { references: vec!["a@b c@d".to_owned()], ..mail() },
            OutgoingMail { to: "admin@example.org\r\nBcc: victim@example.org".to_owned(), ..mail() },
            OutgoingMail { to: "a@example.org, b@example.org".to_owned(), ..mail() },
            OutgoingMail { to: "not an address".to_owned(), ..mail() },
        ] {
            assert!(matches!(compose(&bad, &from), Err(MailFailure::Permanent { code: 0, .. })), "{bad:?}");
        }
    }
}
