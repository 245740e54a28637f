//! The connector for any system that takes JSON over HTTP.
//!
//! # What an answer means
//!
//! The rule behind the table: `failed` and `not attempted` are said only where it is certain that this request did not
//! bring the record there ([`NotTaken`](domain::doubt::Certainty::NotTaken)), since such a record may be corrected and
//! sent as something new; where it may have, the outcome is `unknown` ([`Open`](domain::doubt::Certainty::Open)), also
//! where the system would recognise a repetition.
//!
//! | what happened | outcome | permanence | code where the system gives none |
//! | --- | --- | --- | --- |
//! | connection refused, host unreachable, name unknown, TLS or connecting too slow: nothing left | failed | transient | `CONNECTION_REFUSED`, `UNREACHABLE`, `DNS_FAILURE`, `TLS_FAILURE`, `CONNECT_TIMEOUT` |
//! | the address, or every address of its name, is not allowed | failed | permanent | `DESTINATION_REFUSED` |
//! | the record's type doesn't fit into the address | not attempted | permanent | `INVALID_RECORD_TYPE` |
//! | the HTTP client cannot write the request | failed | permanent | `INVALID_REQUEST` |
//! | no answer within the timeout | unknown | transient | `TIMEOUT` |
//! | the connection is lost before the answer is whole | unknown | transient | `NO_ANSWER` |
//! | 2xx, empty or with JSON or plain text that doesn't complain | succeeded | | |
//! | 2xx with `warnings`; 201–299 with `errors`; GraphQL `data` beside `errors` | warning | | `WARNING` |
//! | 200 with `errors`, `error`, `success: false` or `status: "error"` | failed | permanent; transient if its code says it was too much at once | `REJECTED` |
//! | 200 with a page, or with something that claims to be JSON and isn't: a sign-in page or a proxy may have answered | unknown | unknown | `NOT_JSON` |
//! | 200 with an answer over 1 MiB | unknown | unknown | `ANSWER_TOO_LARGE` |
//! | 201–299 with either: the status says what was done | succeeded; warning if too large | | `ANSWER_TOO_LARGE` |
//! | 303: what was sent may have been taken | unknown | unknown | `HTTP_303` |
//! | any other 3xx (redirects are never followed) | failed | permanent | `HTTP_301` … |
//! | 408 that names no field: a gateway may have waited for its server in vain | unknown | transient | `HTTP_408` |
//! | 425, 429 | failed | transient | `HTTP_429` … |
//! | 409 that names no field, where an idempotency key was sent: the first request may still be under way | unknown | transient | `HTTP_409` |
//! | any other 4xx, even when its body breaks off | failed | permanent; transient as above | `HTTP_422` … |
//! | 5xx that names a field: the system judged the record | failed | permanent | `HTTP_500` … |
//! | 501, 505 | failed | permanent | `HTTP_501` … |
//! | 503 with `Retry-After`, with a problem document (RFC 9457) or with a code that says it was too much at once: the system itself refused, before it worked on the request | failed | transient | `HTTP_503` |
//! | any other 5xx: a gateway that lost its server cannot know what that server did | unknown | transient (500: unknown) | `HTTP_500` … |
//!
//! `Retry-After`, seconds or date, is passed on from any answer, at most an hour.
//!
//! # Asking for a record
//!
//! What is `unknown` can be asked for in two ways, and only of the very target that it was sent to (address, further
//! headers, credentials). A repetition of a single record is recognised by `idempotency_header`, for
//! `idempotency_hours` (24 unless set) from the first request in doubt, if that request carried the header; or by a PUT
//! to an address with the record's id, for good. Otherwise `look_up` says how a record is looked up:
//!
//! | what the look-up's answer is | what it says |
//! | --- | --- |
//! | 2xx with something at `found_pointer`, or any filled JSON where none is set | the system has the record |
//! | the same, but `record_pointer` is set and does not lead to the record's id | nothing |
//! | 2xx with nothing at `found_pointer`, said outright: null, false, 0, something empty, or the first place of an empty list | the system has no such record |
//! | a status of `absent_status` (204, 404 and 410 can be listed), unless it comes with a page | the system has no such record |
//! | anything else, also that a member on the way is not there at all, and none | nothing |
//!
//! That a record is missing is believed only if its last request was given up `settle_seconds` (60 unless set) and
//! `timeout_ms` ago; until then it may still be on its way. A system that takes a request later than that, and does not
//! recognise what it has, can still take it twice.
//!
//! # Batches
//!
//! | answer | outcome of each record |
//! | --- | --- |
//! | 2xx with a result per record (207, or where `results_pointer` leads) | its own, by the table above applied to its own status |
//! | 2xx, and the results that were promised are not there or not as many as the records | unknown, `RESULTS_MISSING` |
//! | refused, and some records are named by their index | those failed with their own complaints; the others not attempted, `BATCH_REJECTED`; at 5xx unknown, `PARTIAL_ANSWER` |
//! | GraphQL `data` beside `errors`, and some records are named | those failed; the others unknown, `PARTIAL_ANSWER` |
//! | refused, and no record is named | all the same, with the whole message |
//! | anything else | all the same |

mod answers;
pub mod look_up;
mod results;
pub mod settings;

use std::time::Instant;

use async_trait::async_trait;
use domain::pacing::Bucket;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{RequestBuilder, Url};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::connector::{ConnectionTest, Connector, LookedUp, OutboundRecord, Permanence, RecordAnswer};
use crate::credentials::Credentials;
use crate::error_shapes::SentBody;
use crate::exchange::{self, Exchange, Trouble};
use crate::guard::GuardedClient;
use answers::Judge;
use settings::{ID_PLACEHOLDER, Settings, TYPE_PLACEHOLDER};

/// A connector that sends JSON over HTTP.
pub struct GenericHttp {
    client: GuardedClient,
    settings: Settings,
    credentials: Credentials,
    headers: HeaderMap,
}

impl GenericHttp {
    /// Makes the connector around its one HTTP client.
    pub fn new(settings: Settings, credentials: Credentials, client: GuardedClient) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, application/problem+json;q=0.9, */*;q=0.1"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in &settings.headers {
            headers.insert(name.clone(), value.clone());
        }
        Self { client, settings, credentials, headers }
    }

    async fn send_one_request(&self, records: &[OutboundRecord]) -> Vec<RecordAnswer> {
        let batch = (self.settings.batch_size > 1).then_some(self.settings.batch_member.as_deref());
        let sent = SentBody { payloads: records.iter().map(|record| &record.payload).collect(), batch };
        let judge = Judge { settings: &self.settings, credentials: &self.credentials, sent: &sent };
        let Some(url) = self.url(records) else {
            return judge.not_attempted(&Trouble {
                code: "INVALID_RECORD_TYPE",
                message: "The record's type cannot stand in the address.".to_owned(),
                permanence: Permanence::Permanent,
            });
        };
        let body = match batch {
            None => records.first().map_or(Value::Null, |record| record.payload.clone()),
            Some(None) => Value::Array(sent.payloads.iter().copied().cloned().collect()),
            Some(Some(member)) => json!({ member: sent.payloads }),
        };
        let request = match self.client.request(self.settings.method.into(), url) {
            Ok(request) => request.headers(self.headers.clone()),
            Err(refused) => return judge.answers(&refused.into()),
        };
        let request = match &self.settings.idempotency_header {
            Some(name) => with_key(request, name, &request_key(records, batch.is_some())),
            None => request,
        };
        let request = self.credentials.apply(request).body(body.to_string());
        judge.answers(&exchange::exchange(request).await)
    }

    /// The address for these records; `None` if their type would lead elsewhere.
    fn url(&self, records: &[OutboundRecord]) -> Option<Url> {
        let template = &self.settings.url;
        let Some(record) = records.first() else { return Url::parse(template).ok() };
        filled(template, record)
    }

    /// A request without a body, as who sends the records.
    async fn read(&self, method: reqwest::Method, url: Option<Url>) -> Exchange {
        let mut headers = self.headers.clone();
        headers.remove(CONTENT_TYPE);
        match url.map(|url| self.client.request(method, url)) {
            Some(Ok(request)) => exchange::exchange(self.credentials.apply(request.headers(headers))).await,
            Some(Err(refused)) => refused.into(),
            None => exchange::unwritten(),
        }
    }
}

/// An address with a record's type and id in their places; `None` if the type would lead elsewhere.
fn filled(template: &str, record: &OutboundRecord) -> Option<Url> {
    let mut address = template.replace(ID_PLACEHOLDER, &record.source_record_id.to_string());
    if template.contains(TYPE_PLACEHOLDER) {
        let kind = &record.source_record_type;
        let plain = kind.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        // Dots alone would climb out of the path.
        if !plain || kind.bytes().all(|b| b == b'.') {
            return None;
        }
        address = address.replace(TYPE_PLACEHOLDER, kind);
    }
    Url::parse(&address).ok()
}

fn with_key(request: RequestBuilder, name: &HeaderName, key: &str) -> RequestBuilder {
    match HeaderValue::from_str(key) {
        Ok(value) => request.header(name, value),
        Err(_) => request.header(name, hex::encode(Sha256::digest(key))),
    }
}

/// A single record's own key; for a batch a hash over its records' keys.
fn request_key(records: &[OutboundRecord], batch: bool) -> String {
    match records {
        [only] if !batch => only.idempotency_key.clone(),
        many => {
            let mut hash = Sha256::new();
            for record in many {
                hash.update(record.idempotency_key.as_bytes());
                hash.update(b"\n");
            }
            hex::encode(hash.finalize())
        }
    }
}

#[async_trait]
impl Connector for GenericHttp {
    fn batch_size(&self) -> usize {
        self.settings.batch_size
    }

    fn concurrency(&self) -> usize {
        self.settings.concurrency
    }

    fn rate(&self) -> Option<Bucket> {
        self.settings.rate
    }

    async fn send(&self, records: &[OutboundRecord]) -> Vec<RecordAnswer> {
        let mut answers = Vec::with_capacity(records.len());
        // One request as long as the caller keeps to the batch size.
        for chunk in records.chunks(self.settings.batch_size.max(1)) {
            answers.extend(self.send_one_request(chunk).await);
        }
        answers
    }

    async fn ask(&self, records: &[OutboundRecord]) -> LookedUp {
        let mut looked_up = LookedUp::default();
        for record in records {
            looked_up.said.push(match &self.settings.look_up {
                Some(look_up) => {
                    let exchange = self.read(reqwest::Method::GET, filled(&look_up.url, record)).await;
                    looked_up.retry_after = looked_up.retry_after.max(exchange.retry_after());
                    look_up::judge(look_up, record.source_record_id, &exchange, &self.credentials)
                }
                None => look_up::not_offered(),
            });
        }
        looked_up
    }

    async fn test(&self) -> ConnectionTest {
        let begun = Instant::now();
        let reads_health = self.settings.health_url.is_some();
        let (method, url) = if let Some(url) = &self.settings.health_url {
            (reqwest::Method::GET, Some(url.clone()))
        } else {
            let address = self.settings.url.replace(TYPE_PLACEHOLDER, "test").replace(ID_PLACEHOLDER, "test");
            (reqwest::Method::OPTIONS, Url::parse(&address).ok())
        };
        let outcome = self.read(method, url).await;
        let (ok, code, message, status) = match outcome {
            Exchange::Answered(answer) => tested(answer.status, reads_health),
            Exchange::NeverLeft(trouble) | Exchange::NoAnswer(trouble) => {
                (false, trouble.code.to_owned(), trouble.message, None)
            }
        };
        ConnectionTest {
            ok,
            code,
            message: self.credentials.scrub(&message),
            http_status_code: status.and_then(|status| i16::try_from(status).ok()),
            duration: begun.elapsed(),
        }
    }
}

/// What a test's status says, in plain words.
fn tested(status: u16, reads_health: bool) -> (bool, String, String, Option<u16>) {
    let (ok, code, message) = match status {
        401 | 403 => (
            false,
            "CREDENTIALS_REFUSED".to_owned(),
            format!("The system was reached, and refused the credentials ({status})."),
        ),
        200..=299 if reads_health => {
            (true, "OK".to_owned(), format!("The system answered the health check ({status})."))
        }
        300..=399 => (
            false,
            format!("HTTP_{status}"),
            format!(
                "The system sends requests elsewhere ({status}). Redirects are not followed: enter the final address."
            ),
        ),
        404 | 410 => (
            false,
            format!("HTTP_{status}"),
            format!("The system was reached, but has nothing at this address ({status})."),
        ),
        429 => (true, "REACHED".to_owned(), "The system was reached, and asks for fewer requests (429).".to_owned()),
        400..=499 if !reads_health => (
            true,
            "REACHED".to_owned(),
            format!("The system was reached ({status}). Whether it takes records shows only when one is sent."),
        ),
        200..=299 => (
            true,
            "REACHED".to_owned(),
            format!(
                "The system was reached and let the credentials pass ({status}). Whether it takes records shows only when one is sent."
            ),
        ),
        _ => {
            (false, format!("HTTP_{status}"), format!("The system was reached, and answered with an error ({status})."))
        }
    };
    (ok, code, message, Some(status))
}

#[cfg(test)]
mod tests;
