//! One request and what came back, or what kept it from coming.

use std::error::Error;
use std::io::ErrorKind;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER};
use reqwest::{RequestBuilder, Response};

use crate::connector::Permanence;
use crate::guard::DestinationRefused;

/// Bytes of an answer that are read, unless more are wanted.
const MAX_BODY: usize = 1024 * 1024;
/// The longest wait that an external system can ask for.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// A status and headers came, perhaps more.
    Answered(Answer),
    /// Nothing was sent.
    NeverLeft(Trouble),
    /// It was, or may have been, sent, and no status came.
    NoAnswer(Trouble),
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) permanence: Permanence,
}

/// How much of an answer's body was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Completeness {
    Whole,
    /// There was more than is read.
    Cut,
    /// It broke off, or took too long.
    Broken,
}

/// A status and what came with it.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: Option<String>,
    /// Where the system says the thing it made, or the thing asked for, is.
    pub(crate) location: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Vec<u8>,
    pub(crate) completeness: Completeness,
}

/// Sends a request and reads its answer as far as it comes and as far as it is wanted.
pub(crate) async fn exchange(request: RequestBuilder) -> Exchange {
    exchange_up_to(request, MAX_BODY).await
}

/// The same, where an answer may be longer than usual.
pub(crate) async fn exchange_up_to(request: RequestBuilder, max_body: usize) -> Exchange {
    match request.send().await {
        Ok(response) => Exchange::Answered(read(response, max_body).await),
        Err(error) if error.is_builder() => unwritten(),
        Err(error) if error.is_connect() || error.is_dns() => Exchange::NeverLeft(connect_trouble(&error)),
        Err(error) if error.is_timeout() => Exchange::NoAnswer(trouble("TIMEOUT", "No answer came in time.")),
        Err(_) => Exchange::NoAnswer(trouble("NO_ANSWER", "The connection was lost before an answer came.")),
    }
}

/// There is no such request.
pub(crate) fn unwritten() -> Exchange {
    Exchange::NeverLeft(Trouble {
        code: "INVALID_REQUEST",
        message: "The request could not be written.".to_owned(),
        permanence: Permanence::Permanent,
    })
}

impl Exchange {
    /// How long the system asks to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answered(answer) => answer.retry_after,
            Self::NeverLeft(_) | Self::NoAnswer(_) => None,
        }
    }
}

impl From<DestinationRefused> for Exchange {
    fn from(_: DestinationRefused) -> Self {
        Self::NeverLeft(refused())
    }
}

fn refused() -> Trouble {
    Trouble {
        code: "DESTINATION_REFUSED",
        message: "The address leads to where requests may not go.".to_owned(),
        permanence: Permanence::Permanent,
    }
}

fn trouble(code: &'static str, message: &str) -> Trouble {
    Trouble { code, message: message.to_owned(), permanence: Permanence::Transient }
}

fn connect_trouble(error: &reqwest::Error) -> Trouble {
    let secure = error.url().is_some_and(|url| url.scheme() == "https");
    let mut kind = None;
    let mut tls = None;
    let mut next: Option<&(dyn Error + 'static)> = error.source();
    while let Some(cause) = next {
        if cause.is::<DestinationRefused>() {
            return refused();
        }
        if let Some(refused) = cause.downcast_ref::<rustls::Error>() {
            tls = Some(refused.to_string());
        }
        let io = cause.downcast_ref::<std::io::Error>();
        kind = io.map(std::io::Error::kind).filter(|kind| *kind != ErrorKind::Other).or(kind);
        // An IO error names its content's source as its own: the content itself would be passed over.
        next = match io.and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    if let Some(why) = tls {
        return trouble("TLS_FAILURE", &format!("No secure connection came about: {why}."));
    }
    if error.is_dns() {
        return trouble("DNS_FAILURE", "The system's name could not be resolved.");
    }
    match kind {
        Some(ErrorKind::ConnectionRefused) => trouble("CONNECTION_REFUSED", "The system refused the connection."),
        _ if error.is_timeout() => trouble("CONNECT_TIMEOUT", "The system didn't accept the connection in time."),
        Some(ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::ConnectionReset) if secure => {
            trouble("TLS_FAILURE", "No secure connection came about: the system broke it off.")
        }
        _ => trouble("UNREACHABLE", "The system could not be reached."),
    }
}

impl Answer {
    /// A status and what its headers say, without a body.
    pub(crate) fn begun(status: u16, headers: &HeaderMap) -> Self {
        let header = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
        let entity_id = HeaderName::from_static("odata-entityid");
        Self {
            status,
            content_type: header(CONTENT_TYPE),
            location: header(entity_id).or_else(|| header(LOCATION)),
            retry_after: retry_after(headers),
            body: Vec::new(),
            completeness: Completeness::Whole,
        }
    }
}

async fn read(mut response: Response, max_body: usize) -> Answer {
    let mut answer = Answer::begun(response.status().as_u16(), response.headers());
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                let room = max_body - answer.body.len();
                answer.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
                if chunk.len() > room {
                    answer.completeness = Completeness::Cut;
                    return answer;
                }
            }
            Ok(None) => return answer,
            Err(_) => {
                answer.completeness = Completeness::Broken;
                return answer;
            }
        }
    }
}

/// Seconds, or the time until a date by the system's own clock where it shows one.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        let seconds = text.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
    }
    let until = DateTime::parse_from_rfc2822(text).ok()?;
    let shown = headers.get(DATE).and_then(|date| DateTime::parse_from_rfc2822(date.to_str().ok()?).ok());
    let now: DateTime<Utc> = shown.map_or_else(|| SystemTime::now().into(), Into::into);
    let wait = until.signed_duration_since(now).to_std().unwrap_or_default();
    Some(wait.min(MAX_RETRY_AFTER))
}

/// How long an answer with these headers asks to be left alone, whatever is in them.
#[cfg(feature = "fuzz")]
pub fn any_retry_after(retry_after: &[u8], date: Option<&[u8]>) -> Option<Duration> {
    use reqwest::header::HeaderValue;

    let mut headers = HeaderMap::new();
    headers.insert(RETRY_AFTER, HeaderValue::from_bytes(retry_after).ok()?);
    if let Some(date) = date {
        headers.insert(DATE, HeaderValue::from_bytes(date).ok()?);
    }
    self::retry_after(&headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waited(retry: &str, date: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, retry.parse().unwrap());
        if let Some(date) = date {
            headers.insert(DATE, date.parse().unwrap());
        }
        retry_after(&headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn both_forms_of_retry_after_are_read_and_clamped() {
        let date = Some("Wed, 21 Oct 2026 07:28:00 GMT");
        assert_eq!(waited("30", None), Some(30));
        assert_eq!(waited("86400", None), Some(3_600));
        assert_eq!(waited("99999999999999999999999", None), Some(3_600));
        assert_eq!(waited("Wed, 21 Oct 2026 07:30:00 GMT", date), Some(120));
        assert_eq!(waited("Wed, 21 Oct 2026 07:00:00 GMT", date), Some(0));
        assert_eq!(waited("Mon, 01 Jan 1990 00:00:00 GMT", None), Some(0));
        assert_eq!(waited("Sat, 01 Jan 2101 00:00:00 GMT", None), Some(3_600));
        for unreadable in ["", "soon", "-5", "1.5"] {
            assert_eq!(waited(unreadable, date), None, "{unreadable}");
        }
    }
}
