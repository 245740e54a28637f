//! The connector for Xledger, by its GraphQL API.
//!
//! A record becomes nodes by the settings' mapping, one or one for each of its lines, and they leave together in one mass
//! mutation with those of other records. A record that the mapping cannot write does not leave. Each node has a
//! `clientId`, by which the answer is correlated, and a line of a voucher an `extIdentifier` of its own.
//!
//! # What an answer means
//!
//! Complaints come with HTTP 200. Xledger recognises no repetition, so nothing is called failed that it may have taken; see
//! [`generic_http`](crate::generic_http) for the words, and for what happens before there is an answer.
//!
//! | answer | outcome of a record |
//! | --- | --- |
//! | an id for each of its nodes | succeeded; warning where it is complained of all the same |
//! | ids for some of its nodes | unknown, `PARTLY_ACCEPTED` |
//! | no id; ids for other records; it is named, with a code that says that it was looked at and refused | failed, permanent |
//! | no id; ids for other records; it is not named, or it is not said why | unknown, `PARTIAL_ANSWER` |
//! | no id for any record, and no complaint | unknown, `RESULTS_MISSING` |
//! | no id for any record; too much (burst, concurrency, credits) | failed, transient; wait 5 s, 1 s, until `resetAt` |
//! | no id for any record; the token is not known, or lacks the scope | failed, permanent |
//! | no id for any record; a value was refused, and the record is named or alone | failed, permanent |
//! | no id for any record; a value of another record was refused, or nobody says of which | not attempted, `BATCH_REJECTED`: it leaves again at once, in a smaller request |
//! | the same, but the complaint is about a part of the answer | unknown, `PARTIAL_ANSWER` |
//! | no id for any record, and anything else went wrong | unknown |
//! | no JSON, too large, broken off | unknown, `NOT_JSON`, `ANSWER_TOO_LARGE`, `NO_ANSWER` |
//! | another status, without complaints | as in `generic_http` |
//!
//! # Accepted is not posted
//!
//! An item of an import can still fail in Xledger afterwards. With `posting`, a record that was accepted stays unknown,
//! `AWAITING_POSTING`, until a retry asks for it: if an error of its posting is there it has failed (as soon as no request
//! with it can be on its way), and if none is there `wait_seconds` (300 unless set) after it was accepted it has arrived.
//! Without `posting`, accepted is arrived.
//!
//! # Asking for a record
//!
//! Lines of vouchers are looked up by their `extIdentifier`, many records at once; rows of other kinds cannot be.
//!
//! | what is there | what it says |
//! | --- | --- |
//! | every line of the record | the system has the record; with `posting`, see above |
//! | no line of it, and an id of it is known | nothing, `NO_LONGER_THERE`: a person has to see what became of it |
//! | no line of it otherwise | the system has no such record; believed `settle_seconds` (60 unless set) and `timeout_ms` after its last request was given up |
//! | some of its lines | nothing, `PARTLY_ACCEPTED`: a person has to complete or to remove them |
//! | anything else, also rows that nobody asked for, and more than come at once | nothing |
//!
//! Xledger recognises no repetition: what it takes later than that, it can still take twice.

mod answers;
mod complaints;
mod look_up;
mod mutation;
mod schema;
pub mod settings;

use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use domain::asking::Asked;
use domain::pacing::Bucket;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};

use crate::connector::{ConnectionTest, Connector, LookedUp, OutboundRecord, RecordAnswer};
use crate::credentials::Credentials;
use crate::exchange::{self, Answer, Exchange};
use crate::guard::GuardedClient;
use crate::ruling::unmapped;
use crate::wording::{self, status_words};
use answers::Judge;
use complaints::Kind;
use look_up::{Failed, LookUp};
use mutation::{Nodes, Sent};
use settings::Settings;

/// A connector that speaks to Xledger.
pub struct Xledger {
    client: GuardedClient,
    settings: Settings,
    credentials: Credentials,
    headers: HeaderMap,
}

impl Xledger {
    /// Makes the connector around its one HTTP client.
    pub fn new(settings: Settings, credentials: Credentials, client: GuardedClient) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self { client, settings, credentials, headers }
    }

    async fn post(&self, body: &Value) -> Exchange {
        match self.client.request(Method::POST, self.settings.endpoint.clone()) {
            Ok(request) => {
                let request = self.credentials.apply(request.headers(self.headers.clone())).body(body.to_string());
                exchange::exchange(request).await
            }
            Err(refused) => refused.into(),
        }
    }

    async fn send_one_request(&self, records: &[OutboundRecord]) -> Vec<RecordAnswer> {
        let mutation = self.settings.mutation;
        let mut answers: Vec<Option<RecordAnswer>> = Vec::with_capacity(records.len());
        let mut sent = Vec::with_capacity(records.len());
        let mut inputs = Vec::new();
        for record in records {
            match self.settings.mapping.apply(&record.payload) {
                Ok(nodes) => {
                    let lines = nodes.len();
                    inputs.extend(mutation::inputs(mutation, record, sent.len(), nodes));
                    sent.push(Sent { record, lines });
                    answers.push(None);
                }
                Err(errors) => answers.push(Some(unmapped(errors))),
            }
        }
        let mut judged = Vec::new();
        if !sent.is_empty() {
            let exchange = self.post(&mutation::body(mutation, &inputs)).await;
            let nodes = Nodes { mapping: &self.settings.mapping, sent: &sent };
            let awaits_posting = self.settings.posting.is_some();
            judged = Judge { mutation, credentials: &self.credentials, nodes, awaits_posting }.answers(&exchange);
        }
        let mut judged = judged.into_iter();
        answers.into_iter().filter_map(|answer| answer.or_else(|| judged.next())).collect()
    }

    /// Asks for records by the identifiers of their lines; and, where they can still fail to be posted, whether they did.
    async fn look_up(&self, records: &[OutboundRecord]) -> LookedUp {
        let mut retry_after = None;
        let said = self.words_about(records, &mut retry_after).await;
        LookedUp { said, retry_after }
    }

    async fn words_about(&self, records: &[OutboundRecord], retry_after: &mut Option<Duration>) -> Vec<Asked> {
        let (mutation, look_up) = (self.settings.mutation, LookUp { credentials: &self.credentials });
        if !mutation.identified {
            let message = "Rows of this kind cannot be looked up by what Syncwatch sends.";
            let unclear = Asked::Unclear(wording::own(&self.credentials, "NO_LOOK_UP", message));
            return vec![unclear; records.len()];
        }
        let wanted: Vec<Vec<String>> = records.iter().map(|record| self.identifiers(record)).collect();
        let exchange = self.post(&look_up::items_query(mutation, &wanted)).await;
        *retry_after = wait_after(&exchange);
        let there = match look_up.items(&exchange, &wanted) {
            Ok(there) => there,
            Err(unclear) => return vec![Asked::Unclear(unclear); records.len()],
        };
        let mut failed = Failed::new();
        let refusable_for = self.settings.refusable_for();
        if let Some(query) = refusable_for.and_then(|_| look_up::errors_query(&there)) {
            let exchange = self.post(&query).await;
            *retry_after = wait_after(&exchange).max(*retry_after);
            failed = match look_up.errors(&exchange, &there) {
                Ok(failed) => failed,
                Err(unclear) => return vec![Asked::Unclear(unclear); records.len()],
            };
        }
        let said = wanted.iter().map(|lines| look_up.said(lines, &there, &failed, refusable_for));
        said.zip(records).map(|(said, record)| self.without_personal(said, record)).collect()
    }

    /// What the lines of a record are found by.
    fn identifiers(&self, record: &OutboundRecord) -> Vec<String> {
        let lines = 0..self.settings.mapping.size_of(&record.payload);
        lines.map(|line| mutation::ext_identifier(record, line)).collect()
    }

    fn without_personal(&self, said: Asked, record: &OutboundRecord) -> Asked {
        match said {
            Asked::Refused(mut errors) => {
                for error in &mut errors {
                    error.message = self.settings.mapping.without_personal(&record.payload, &error.message);
                }
                Asked::Refused(errors)
            }
            other => other,
        }
    }
}

/// For how long the system asks to be left alone: by a header, or by a complaint.
fn wait_after(exchange: &Exchange) -> Option<Duration> {
    let Exchange::Answered(answer) = exchange else { return None };
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let complaints = complaints::read(&body, SystemTime::now().into());
    let said: Option<Duration> = complaints.iter().filter_map(|complaint| complaint.wait).max();
    answer.retry_after.max(said)
}

#[async_trait]
impl Connector for Xledger {
    fn batch_size(&self) -> usize {
        self.settings.batch_size
    }

    fn concurrency(&self) -> usize {
        self.settings.concurrency
    }

    fn rate(&self) -> Option<Bucket> {
        self.settings.rate
    }

    /// As many records as have room with all their nodes; one that has none alone leaves alone.
    fn batches(&self, records: &[OutboundRecord]) -> Vec<Vec<OutboundRecord>> {
        let mut batches: Vec<Vec<OutboundRecord>> = Vec::new();
        let mut room = 0;
        for record in records {
            let size = self.settings.mapping.size_of(&record.payload);
            match batches.last_mut() {
                Some(batch) if size <= room => {
                    batch.push(record.clone());
                    room -= size;
                }
                _ => {
                    batches.push(vec![record.clone()]);
                    room = self.settings.batch_size.saturating_sub(size);
                }
            }
        }
        batches
    }

    async fn send(&self, records: &[OutboundRecord]) -> Vec<RecordAnswer> {
        let mut answers = Vec::with_capacity(records.len());
        // One request as long as the caller keeps to the batches.
        for batch in self.batches(records) {
            answers.extend(self.send_one_request(&batch).await);
        }
        answers
    }

    fn asks_at_once(&self) -> usize {
        self.settings.batch_size
    }

    async fn ask(&self, records: &[OutboundRecord]) -> LookedUp {
        let mut looked_up = LookedUp::default();
        for batch in self.batches(records) {
            looked_up.add(self.look_up(&batch).await);
        }
        looked_up
    }

    async fn test(&self) -> ConnectionTest {
        let begun = Instant::now();
        let query = format!("query {{ {}(first: 1) {{ edges {{ node {{ dbId }} }} }} }}", self.settings.mutation.rows);
        let (ok, code, message, status) = match self.post(&json!({ "query": query })).await {
            Exchange::Answered(answer) => {
                let (ok, code, message) = tested(&answer);
                (ok, code, message, i16::try_from(answer.status).ok())
            }
            Exchange::NeverLeft(trouble) | Exchange::NoAnswer(trouble) => {
                (false, trouble.code.to_owned(), trouble.message, None)
            }
        };
        let message = wording::words(&self.credentials, &message);
        ConnectionTest { ok, code, message, http_status_code: status, duration: begun.elapsed() }
    }
}

/// What the answer to a test says, in plain words.
fn tested(answer: &Answer) -> (bool, String, String) {
    let status = answer.status;
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let complaints = complaints::read(&body, SystemTime::now().into());
    let said = complaints.first().map_or("", |complaint| complaint.parsed.message.as_str());
    match complaints.first().map(|complaint| complaint.kind) {
        Some(Kind::Throttled) => {
            (true, "REACHED".to_owned(), format!("The system was reached, and asks for fewer requests: {said}"))
        }
        Some(Kind::Denied) => {
            (false, "CREDENTIALS_REFUSED".to_owned(), format!("The system was reached, and refused the token: {said}"))
        }
        Some(Kind::Invalid | Kind::Unclear) => {
            (false, "REJECTED".to_owned(), format!("The system was reached, and complained: {said}"))
        }
        None if matches!(status, 401 | 403) => (
            false,
            "CREDENTIALS_REFUSED".to_owned(),
            format!("The system was reached, and refused the token ({status})."),
        ),
        None if !(200..300).contains(&status) => (false, format!("HTTP_{status}"), status_words(status)),
        None if body.get("data").is_some_and(Value::is_object) => {
            (true, "OK".to_owned(), "The system answered, and lets the token read.".to_owned())
        }
        None => (false, "NOT_JSON".to_owned(), "Something else than the system answered at this address.".to_owned()),
    }
}

#[cfg(test)]
mod tests;
