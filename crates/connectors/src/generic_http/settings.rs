//! The settings and credentials of a generic HTTP connector, parsed with every violation at once.

use std::time::Duration;

use domain::violation::{Rule, Violation};
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value};
use url::Url;

use super::credentials::{self, Credentials};
use crate::guard::OutboundPolicy;

/// Replaced in the address by the record's type.
pub const TYPE_PLACEHOLDER: &str = "{source_record_type}";
/// Replaced in the address by the record's id.
pub const ID_PLACEHOLDER: &str = "{source_record_id}";

/// Headers that belong to the connection, to the credentials or to the connector itself.
const RESERVED_HEADERS: &[&str] = &[
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// How records are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// POST, the default.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
}

impl From<Method> for reqwest::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Post => Self::POST,
            Method::Put => Self::PUT,
            Method::Patch => Self::PATCH,
        }
    }
}

/// What a generic HTTP connector needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where records go, http or https; may hold placeholders when a request holds one record.
    pub url: String,
    /// How.
    pub method: Method,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Records in a request, 1–1,000. With 1 the body is the record itself, with more it is a list.
    pub batch_size: usize,
    /// The member that holds the list; without it the body is the bare list.
    pub batch_member: Option<String>,
    /// Requests at once, 1–64.
    pub concurrency: usize,
    /// From the start of a request to the end of its answer; half of it, at most 10 s, may go into connecting.
    pub timeout: Duration,
    /// The header that carries the idempotency key, where the external system honours one.
    pub idempotency_header: Option<HeaderName>,
    /// JSON Pointer into the answer (of a record's own result, if there are such) to the external id.
    pub reference_pointer: Option<String>,
    /// JSON Pointer into a batch's answer to the list of results, one per record in order.
    pub results_pointer: Option<String>,
    /// What a connection test reads.
    pub health_url: Option<Url>,
}

impl Settings {
    /// Whether a repeated request cannot book twice.
    ///
    /// Only for single records: a batch's key is made of its records' keys, and a retry puts other records together.
    pub fn repeat_safe(&self) -> bool {
        self.batch_size == 1
            && (self.idempotency_header.is_some() || (self.method == Method::Put && self.url.contains(ID_PLACEHOLDER)))
    }
}

/// Collects violations while members are taken out of an object.
pub(super) struct Reader<'a> {
    object: &'a Map<String, Value>,
    at: &'static str,
    known: Vec<&'static str>,
    found: &'a mut Vec<Violation>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(object: &'a Map<String, Value>, at: &'static str, found: &'a mut Vec<Violation>) -> Self {
        Self { object, at, known: Vec::new(), found }
    }

    pub(super) fn complain(&mut self, rule: Rule, name: &str, detail: &str) {
        self.found.push(Violation::new(rule, format!("{}/{}", self.at, escape(name)), detail));
    }

    /// A member that is there and not null.
    fn take(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.object.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, name: &'static str, longest: usize) -> Option<String> {
        match self.take(name)? {
            Value::String(text) if text.chars().count() > longest => {
                self.complain(Rule::TooLong, name, &format!("at most {longest} characters"));
                None
            }
            Value::String(text) if text.is_empty() => {
                self.complain(Rule::InvalidFormat, name, "an empty text; leave it out instead");
                None
            }
            Value::String(text) => Some(text.clone()),
            _ => {
                self.complain(Rule::InvalidFormat, name, "a text");
                None
            }
        }
    }

    /// A text that must be there.
    pub(super) fn needed(&mut self, name: &'static str, longest: usize) -> String {
        if self.object.get(name).is_none_or(Value::is_null) {
            self.complain(Rule::Required, name, &format!("{name} is needed"));
        }
        self.text(name, longest).unwrap_or_default()
    }

    fn number(&mut self, name: &'static str, range: std::ops::RangeInclusive<u32>, default: u32) -> u32 {
        let Some(value) = self.take(name) else { return default };
        let Some(number) = value.as_i64() else {
            self.complain(Rule::InvalidFormat, name, "a whole number");
            return default;
        };
        match u32::try_from(number) {
            Ok(number) if range.contains(&number) => number,
            _ => {
                self.complain(Rule::OutOfRange, name, &format!("between {} and {}", range.start(), range.end()));
                default
            }
        }
    }

    /// Complains of every member that was not asked for.
    pub(super) fn finish(mut self) {
        let unknown: Vec<&String> = self.object.keys().filter(|name| !self.known.contains(&name.as_str())).collect();
        for name in unknown {
            self.complain(Rule::UnknownField, name, "there is no such setting");
        }
    }
}

/// Parses both documents, or says everything that is wrong with them.
pub fn parse(
    settings: &Value,
    credentials: Option<&Value>,
    policy: &OutboundPolicy,
) -> Result<(Settings, Credentials), Vec<Violation>> {
    let mut found = Vec::new();
    let empty = Map::new();
    let object = settings.as_object().unwrap_or_else(|| {
        found.push(Violation::new(Rule::InvalidFormat, "/settings", "an object with the connector's settings"));
        &empty
    });
    let parsed = settings.is_object().then(|| read(Reader::new(object, "/settings", &mut found), policy));
    let credentials = credentials::parse(credentials, &mut found);
    match (parsed, credentials) {
        (Some(parsed), Some(credentials)) if found.is_empty() => Ok((parsed, credentials)),
        _ => Err(found),
    }
}

fn read(mut reader: Reader<'_>, policy: &OutboundPolicy) -> Settings {
    let batch_size = reader.number("batch_size", 1..=1_000, 1) as usize;
    let url = reader.needed("url", 2_000);
    let templated = url.contains(TYPE_PLACEHOLDER) || url.contains(ID_PLACEHOLDER);
    if !url.is_empty() {
        let _ = address(&mut reader, "url", &url, policy);
    }
    if templated && batch_size != 1 {
        reader.complain(Rule::InvalidFormat, "url", "placeholders need a batch_size of 1");
    }
    let method = match reader.text("method", 10).as_deref() {
        None | Some("POST") => Method::Post,
        Some("PUT") => Method::Put,
        Some("PATCH") => Method::Patch,
        Some(_) => {
            reader.complain(Rule::UnknownValue, "method", "POST, PUT or PATCH");
            Method::Post
        }
    };
    let idempotency_header = reader.text("idempotency_header", 100).and_then(|name| header_name(&mut reader, &name));
    let headers = headers(&mut reader, idempotency_header.as_ref());
    let batch_member = reader.text("batch_member", 100);
    if batch_member.is_some() && batch_size == 1 {
        reader.complain(Rule::InvalidFormat, "batch_member", "only for a batch_size above 1");
    }
    let concurrency = reader.number("concurrency", 1..=64, 4) as usize;
    let timeout = Duration::from_millis(reader.number("timeout_ms", 100..=120_000, 15_000).into());
    let reference_pointer = pointer(&mut reader, "reference_pointer");
    let results_pointer = pointer(&mut reader, "results_pointer");
    if results_pointer.is_some() && batch_size == 1 {
        reader.complain(Rule::InvalidFormat, "results_pointer", "only for a batch_size above 1");
    }
    let health_url =
        reader.text("health_url", 2_000).and_then(|text| address(&mut reader, "health_url", &text, policy));
    reader.finish();
    Settings {
        url,
        method,
        headers,
        batch_size,
        batch_member,
        concurrency,
        timeout,
        idempotency_header,
        reference_pointer,
        results_pointer,
        health_url,
    }
}

/// Checks an address as far as that goes without asking for its name.
fn address(reader: &mut Reader<'_>, name: &'static str, text: &str, policy: &OutboundPolicy) -> Option<Url> {
    let rest = text.replace(TYPE_PLACEHOLDER, "").replace(ID_PLACEHOLDER, "");
    let wrong = match Url::parse(text) {
        _ if text.chars().any(|c| c.is_whitespace() || c.is_control()) => "an address without spaces",
        Err(_) => "an http or https address; placeholders in its path or query only",
        Ok(url) if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) => {
            "an http or https address"
        }
        Ok(url) if url.host_str().is_some_and(|host| host.contains(['{', '}', '%'])) => {
            "placeholders in the path or query only"
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "user names and passwords belong into the credentials"
        }
        Ok(url) if url.fragment().is_some() => "an address without a fragment",
        Ok(_) if rest.contains(['{', '}']) => "only {source_record_type} and {source_record_id} are known",
        Ok(_) if name == "health_url" && rest != text => "no placeholders here",
        Ok(url) if policy.refuses_literal(&url) => "requests may not go to this address",
        Ok(url) => return Some(url),
    };
    reader.complain(Rule::InvalidFormat, name, wrong);
    None
}

fn header_name(reader: &mut Reader<'_>, name: &str) -> Option<HeaderName> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).ok();
    match parsed {
        Some(parsed) if !is_reserved(&parsed) && parsed != reqwest::header::CONTENT_TYPE => Some(parsed),
        _ => {
            reader.complain(Rule::InvalidFormat, "idempotency_header", "the name of a header that may be set");
            None
        }
    }
}

/// Whether a header is not for the settings to set.
pub(super) fn is_reserved(name: &HeaderName) -> bool {
    RESERVED_HEADERS.contains(&name.as_str())
}

fn headers(reader: &mut Reader<'_>, idempotency: Option<&HeaderName>) -> Vec<(HeaderName, HeaderValue)> {
    let Some(value) = reader.take("headers") else { return Vec::new() };
    let Some(object) = value.as_object() else {
        reader.complain(Rule::InvalidFormat, "headers", "an object of names and values");
        return Vec::new();
    };
    if object.len() > 50 {
        reader.complain(Rule::TooLong, "headers", "at most 50 headers");
        return Vec::new();
    }
    let mut kept: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (name, value) in object {
        let at = format!("{}/headers/{}", reader.at, escape(name));
        let mut complain = |rule, detail: &str| reader.found.push(Violation::new(rule, at.clone(), detail));
        let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
            complain(Rule::InvalidFormat, "not the name of a header");
            continue;
        };
        if is_reserved(&parsed) {
            complain(Rule::InvalidFormat, "this header may not be set here; secrets belong into the credentials");
            continue;
        }
        if kept.iter().any(|(other, _)| *other == parsed) || idempotency == Some(&parsed) {
            complain(Rule::Duplicate, "this header is set twice");
            continue;
        }
        match value.as_str().filter(|text| text.len() <= 2_000).map(HeaderValue::from_str) {
            Some(Ok(value)) => kept.push((parsed, value)),
            _ => complain(Rule::InvalidFormat, "a text without line breaks, at most 2,000 bytes"),
        }
    }
    kept
}

fn pointer(reader: &mut Reader<'_>, name: &'static str) -> Option<String> {
    let text = reader.text(name, 500)?;
    let escapes_are_whole = text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
    if text.starts_with('/') && escapes_are_whole {
        return Some(text);
    }
    reader.complain(Rule::InvalidFormat, name, "a JSON Pointer such as /data/id");
    None
}

/// A name as a step of a JSON Pointer.
pub(super) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests;
