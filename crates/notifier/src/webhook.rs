//! Webhooks as Standard Webhooks 1.0 has them: `webhook-id`, `webhook-timestamp`, `webhook-signature`.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::RequestBuilder;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use sha2::Sha256;

const SECRET_PREFIX: &str = "whsec_";
/// Characters of an error that are kept.
const MAX_WORDS: usize = 300;

/// What a receiver verifies webhooks with.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Vec<u8>);

impl fmt::Debug for WebhookSecret {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

impl WebhookSecret {
    /// A secret of these random bytes, 24 to 64 of them.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The text that a receiver is given, once.
    pub fn expose(&self) -> String {
        format!("{SECRET_PREFIX}{}", STANDARD.encode(&self.0))
    }
}

/// One try of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhookMessage<'a> {
    /// The same in every try.
    pub id: &'a str,
    /// The moment of this try.
    pub at: DateTime<Utc>,
    /// JSON, the same bytes in every try.
    pub body: &'a str,
}

/// The `webhook-signature` of a message: one signature per secret, so that a receiver may change over from one to the
/// next.
pub fn sign(message: &WebhookMessage<'_>, secrets: &[WebhookSecret]) -> String {
    let signed = format!("{}.{}.{}", message.id, message.at.timestamp(), message.body);
    let signatures: Vec<String> = secrets
        .iter()
        // Any length of key is taken.
        .filter_map(|secret| Hmac::<Sha256>::new_from_slice(&secret.0).ok())
        .map(|keyed| format!("v1,{}", STANDARD.encode(keyed.chain_update(&signed).finalize().into_bytes())))
        .collect();
    signatures.join(" ")
}

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookAnswer {
    /// The HTTP status; none if no answer came.
    pub status: Option<u16>,
    /// How long the receiver asks to be left alone.
    pub retry_after: Option<Duration>,
    /// What happened, for the operator; nothing of the answer's body.
    pub words: String,
}

/// Makes one try with a request that has its method and address, of a client that follows no redirects, knows where it
/// may go and how long to wait. Only the answer's status and headers are read.
pub async fn send_webhook(
    request: RequestBuilder,
    message: &WebhookMessage<'_>,
    secrets: &[WebhookSecret],
) -> WebhookAnswer {
    let request = request
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", message.id)
        .header("webhook-timestamp", message.at.timestamp().to_string())
        .header("webhook-signature", sign(message, secrets))
        .body(message.body.to_owned());
    match request.send().await {
        Ok(answer) => {
            let status = answer.status();
            WebhookAnswer {
                status: Some(status.as_u16()),
                retry_after: retry_after(answer.headers(), message.at),
                words: format!("HTTP {}", status.as_u16()),
            }
        }
        Err(error) => WebhookAnswer { status: None, retry_after: None, words: words(&error) },
    }
}

/// What kept an answer from coming: the innermost cause, since the outer ones repeat the address.
fn words(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "no answer came in time"
    } else if error.is_connect() {
        "no connection came about"
    } else {
        "no answer came"
    };
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(inner) = cause.and_then(Error::source) {
        cause = Some(inner);
    }
    let text = cause.map_or_else(|| what.to_owned(), |cause| format!("{what}: {cause}"));
    text.chars().filter(|c| *c != '\0').take(MAX_WORDS).collect()
}

/// Reads `Retry-After`: seconds, or a moment.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let moment = DateTime::parse_from_rfc2822(text).ok()?;
    moment.signed_duration_since(now).to_std().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The specification's own example.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// What a receiver does with the text that it was given.
    fn parse(text: &str) -> Option<WebhookSecret> {
        Some(WebhookSecret(STANDARD.decode(text.strip_prefix(SECRET_PREFIX)?).ok()?))
    }

    fn message() -> WebhookMessage<'static> {
        WebhookMessage {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
            at: DateTime::from_timestamp(1_614_265_330, 0).unwrap(),
            body: r#"{"test": 2432232314}"#,
        }
    }

    #[test]
    fn the_signature_is_the_specifications() {
        let secret = parse(SECRET).unwrap();
        assert_eq!(sign(&message(), &[secret]), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_secret_signs_and_each_part_is_signed() {
        let (one, other) = (parse(SECRET).unwrap(), WebhookSecret::new(vec![7; 32]));
        let both = sign(&message(), &[other.clone(), one.clone()]);
        let alone = [sign(&message(), &[other]), sign(&message(), std::slice::from_ref(&one))];
        assert_eq!(both, alone.join(" "));
        let later = message().at + chrono::Duration::seconds(1);
        for changed in [
            WebhookMessage { id: "msg_x", ..message() },
            WebhookMessage { at: later, ..message() },
            WebhookMessage { body: "{}", ..message() },
        ] {
            assert_ne!(sign(&changed, std::slice::from_ref(&one)), alone[1]);
        }
        assert_eq!(sign(&message(), &[]), "");
    }

    #[test]
    fn a_secret_is_read_as_it_was_shown_and_not_told_by_debug() {
        let secret = WebhookSecret::new((0..32).collect());
        assert_eq!(parse(&secret.expose()), Some(secret.clone()));
        assert!(secret.expose().starts_with("whsec_"));
        assert_eq!(format!("{secret:?}"), "WebhookSecret(…)");
    }

    #[test]
    fn both_forms_of_retry_after_are_read() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers, message().at).map(|wait| wait.as_secs())
        };
        assert_eq!(read("120"), Some(120));
        assert_eq!(read("Thu, 25 Feb 2021 15:03:10 GMT"), Some(60));
        assert_eq!(read("Thu, 25 Feb 2021 15:02:09 GMT"), None, "that has passed");
        assert_eq!(read("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), message().at), None);
    }
}
