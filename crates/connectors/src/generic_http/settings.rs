//! The settings and credentials of a generic HTTP connector, parsed with every violation at once.

use std::time::Duration;

use chrono::TimeDelta;
use domain::asking::{Asking, Recognition};
use domain::pacing::Bucket;
use domain::violation::{Rule, Violation};
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value};
use url::Url;

use super::look_up::{self, LookUp};
use crate::credentials::{self, Credentials, is_reserved};
use crate::guard::OutboundPolicy;
use crate::pacing;
use crate::reader::{self, Reader, escape};

/// Replaced in the address by the record's type.
pub const TYPE_PLACEHOLDER: &str = "{source_record_type}";
/// Replaced in the address by the record's id.
pub const ID_PLACEHOLDER: &str = "{source_record_id}";

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
    /// Requests in a time.
    pub rate: Option<Bucket>,
    /// From the start of a request to the end of its answer; half of it, at most 10 s, may go into connecting.
    pub timeout: Duration,
    /// The header that carries the idempotency key, where the external system honours one.
    pub idempotency_header: Option<HeaderName>,
    /// How long the system remembers a key, 1–8,760 hours.
    pub idempotency_hours: u32,
    /// How a record is looked up, where that is possible.
    pub look_up: Option<LookUp>,
    /// How long a request may be worked on after it was given up, at most an hour.
    pub settle: Duration,
    /// JSON Pointer into the answer (of a record's own result, if there are such) to the external id.
    pub reference_pointer: Option<String>,
    /// JSON Pointer into a batch's answer to the list of results, one per record in order.
    pub results_pointer: Option<String>,
    /// What a connection test reads.
    pub health_url: Option<Url>,
}

impl Settings {
    /// How the system can be asked about records that were sent with these settings.
    pub fn asking(&self) -> Asking {
        let mut headers: Vec<_> = self.headers.iter().collect();
        // They may tell one client of the system from another.
        headers.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
        // A key may count for one method alone.
        let mut target = vec![format!("{} {}", reqwest::Method::from(self.method), self.url)];
        target.extend(
            headers.iter().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))),
        );
        let target = target.join("\n");
        let look_up = self.look_up.as_ref().map(|_| self.settled());
        Asking { target, recognition: self.recognition(), look_up, refusable_for: None }
    }

    /// Only for single records: a batch's key is made of its records' keys, and a retry puts other records together.
    fn recognition(&self) -> Option<Recognition> {
        if self.batch_size != 1 {
            return None;
        }
        if self.method == Method::Put && self.url.contains(ID_PLACEHOLDER) {
            return Some(Recognition { by: "put".to_owned(), remembers: None });
        }
        let by = self.idempotency_header.as_ref()?.as_str().to_owned();
        Some(Recognition { by, remembers: Some(TimeDelta::hours(self.idempotency_hours.into())) })
    }

    /// A request that was given up may be on its way for as long as it may take.
    fn settled(&self) -> TimeDelta {
        TimeDelta::from_std(self.settle + self.timeout).unwrap_or(TimeDelta::MAX)
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
    let idempotency_hours = reader.number("idempotency_hours", 1..=8_760, 24);
    reader.only_with("idempotency_hours", idempotency_header.is_some(), "only with an idempotency_header");
    let headers = headers(&mut reader, idempotency_header.as_ref());
    let batch_member = reader.text("batch_member", 100);
    if batch_member.is_some() && batch_size == 1 {
        reader.complain(Rule::InvalidFormat, "batch_member", "only for a batch_size above 1");
    }
    let concurrency = reader.number("concurrency", 1..=64, 4) as usize;
    let rate = pacing::rate(&mut reader);
    let timeout = Duration::from_millis(reader.number("timeout_ms", 100..=120_000, 15_000).into());
    let reference_pointer = reader.pointer("reference_pointer");
    let results_pointer = reader.pointer("results_pointer");
    if results_pointer.is_some() && batch_size == 1 {
        reader.complain(Rule::InvalidFormat, "results_pointer", "only for a batch_size above 1");
    }
    let has_look_up = reader.has("look_up");
    let look_up = reader.nested("look_up", "/settings/look_up").map(|reader| look_up::read(reader, policy));
    let settle = Duration::from_secs(reader.number("settle_seconds", 0..=3_600, 60).into());
    reader.only_with("settle_seconds", has_look_up, "only with a look_up");
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
        rate,
        timeout,
        idempotency_header,
        idempotency_hours,
        look_up,
        settle,
        reference_pointer,
        results_pointer,
        health_url,
    }
}

/// Checks an address with its placeholders.
pub(super) fn address(reader: &mut Reader<'_>, name: &'static str, text: &str, policy: &OutboundPolicy) -> Option<Url> {
    let rest = text.replace(TYPE_PLACEHOLDER, "").replace(ID_PLACEHOLDER, "");
    let wrong = match reader::address(text, policy) {
        Err(_) if rest != text => "an http or https address; placeholders in its path or query only",
        Err(wrong) => wrong,
        Ok(_) if rest.contains(['{', '}']) => "only {source_record_type} and {source_record_id} are known",
        Ok(_) if name == "health_url" && rest != text => "no placeholders here",
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
        let steps = format!("headers/{}", escape(name));
        let mut complain = |rule, detail: &str| reader.complain_at(rule, &steps, detail);
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

#[cfg(test)]
mod tests;
