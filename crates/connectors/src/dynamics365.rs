//! The connector for Dynamics 365, by the Dataverse Web API (OData 4).
//!
//! A record becomes one row by the settings' mapping. A column of its own, `key_attribute`, which has to be an
//! alternate key of the table, holds the record's id: by it the row is written and found again, and Dataverse itself
//! keeps a second row of the same record from being made. What is written is said by `write`: `create` makes rows and
//! changes none, `upsert` makes or changes them, `update` changes those that are there. A record that the mapping
//! cannot write does not leave.
//!
//! Requests carry a token, which the token service gives for the client's secret. It is asked for once and kept until a
//! minute before it runs out; where it is refused (401) another is asked for, and the request leaves once more.
//!
//! # What an answer means
//!
//! A code of Dataverse counts more than the status it comes with. See [`generic_http`](crate::generic_http) for the
//! words, and for what happens before there is an answer.
//!
//! | answer | outcome of a record |
//! | --- | --- |
//! | the token service refuses (`invalid_client` and so on), or is away: nothing left | failed, permanent or transient |
//! | 201, 204; 200 with a row | succeeded |
//! | any other 2xx | unknown, `UNEXPECTED_ANSWER` |
//! | a code of a refused value, a missing row or a missing privilege | failed, permanent |
//! | a code of too many requests | failed, transient |
//! | a code of a duplicate, or 412, and rows are only created | the row is looked up, see below |
//! | the same otherwise | failed, permanent |
//! | anything else | by its status, as in `generic_http` |
//!
//! | the look-up after a duplicate | outcome of a record |
//! | --- | --- |
//! | the record's own row is there, and the record was in doubt | succeeded: the earlier request had made it |
//! | the record's own row is there, and it was not | failed, `ALREADY_THERE`: a person compares the two |
//! | it is not there: another row has a value that only one may have | failed |
//! | nobody knows, and the record was in doubt | unknown |
//! | nobody knows otherwise | failed: this request has made no row |
//!
//! # Batches
//!
//! With a `batch_size` above 1, records leave together in a `$batch`, without change sets: each becomes a row or
//! doesn't by itself. Dataverse is asked to go on after a failure.
//!
//! | part of the answer | outcome of a record |
//! | --- | --- |
//! | its own | by the tables above |
//! | none, and the answer ends with the first failure: the server stops there | not attempted, `BATCH_STOPPED`: it leaves again at once, unless that failure was transient |
//! | none otherwise, or parts that cannot be told apart | unknown, `PARTIAL_ANSWER` |
//! | no parts: 400 or 413 | not attempted, `BATCH_REJECTED`: it leaves again at once, in a smaller request |
//! | no parts: 5xx with a code that is about one record | unknown: nobody says what became of the others |
//! | no parts otherwise | by the tables above, all alike |
//!
//! # Asking for a record
//!
//! Where rows are created, what is unknown can be asked for in two ways. Soon after its request, by the same request
//! again: a row that is there is not made a second time. Later, `settle_seconds` (60 unless set) and twice `timeout_ms`
//! after the request, by looking the row up by its key:
//!
//! | answer | what it says |
//! | --- | --- |
//! | 200 with a row of that key | the system has the record |
//! | 404 with Dataverse's code for a row that is not there | the system has no such record |
//! | anything else | nothing |
//!
//! Where rows are changed, the same request is sent again: it changes nothing more.

mod answers;
mod batch;
mod codes;
mod look_up;
mod looking;
mod request;
#[cfg(test)]
mod served;
pub mod settings;
mod token;
mod trial;

use std::time::Instant;

use async_trait::async_trait;
use domain::pacing::Bucket;

use crate::connector::{ConnectionTest, Connector, LookedUp, OutboundRecord, Permanence, RecordAnswer};
use crate::credentials::{ClientCredentials, Credentials};
use crate::exchange::{self, Exchange, Trouble};
use crate::guard::GuardedClient;
use crate::ruling::unmapped;
use crate::wording;
use answers::{Judge, Verdict};
#[cfg(feature = "fuzz")]
pub use batch::read_any_batch;
use batch::{MAX_ANSWER, Parts};
use request::Outgoing;
use settings::Settings;
use token::Tokens;

/// Bytes of records that leave together at most, as they are staged; a larger one leaves alone.
const MAX_TOGETHER: usize = 8 * 1024 * 1024;

/// A connector that speaks to Dataverse.
pub struct Dynamics365 {
    client: GuardedClient,
    settings: Settings,
    tokens: Tokens,
}

impl Dynamics365 {
    /// Makes the connector around its one HTTP client.
    pub fn new(settings: Settings, credentials: ClientCredentials, client: GuardedClient) -> Self {
        let (url, scope) = (settings.token_url.clone(), settings.scope.clone());
        let tokens = Tokens::new(client.clone(), url, scope, credentials);
        Self { client, settings, tokens }
    }

    /// Sends a request with a token; with another one, once more, if the first is refused. Also says what was shown.
    async fn exchange(&self, outgoing: Option<Outgoing>) -> (Exchange, Credentials) {
        let begun = Instant::now();
        let client = self.tokens.credentials();
        let Some(outgoing) = outgoing else { return (exchange::unwritten(), client.ungranted()) };
        let token = match self.tokens.get().await {
            Ok(token) => token,
            Err(trouble) => return (Exchange::NeverLeft(trouble), client.ungranted()),
        };
        // Who waits for the last request to settle counts from when this began.
        if begun.elapsed() > self.settings.timeout {
            return (Exchange::NeverLeft(too_late()), client.ungranted());
        }
        let first = self.exchange_with(&token, &outgoing).await;
        if !is_unauthorized(&first) {
            return (first, client.granted(&token));
        }
        match self.tokens.renewed(&token).await {
            Some(Ok(renewed)) if begun.elapsed() <= self.settings.timeout => {
                (self.exchange_with(&renewed, &outgoing).await, client.granted(&renewed))
            }
            // Nothing was done without a token that holds.
            Some(Err(trouble)) => (Exchange::NeverLeft(trouble), client.granted(&token)),
            Some(Ok(_)) | None => (first, client.granted(&token)),
        }
    }

    async fn exchange_with(&self, token: &str, outgoing: &Outgoing) -> Exchange {
        let request = match self.client.request(outgoing.method.clone(), outgoing.url.clone()) {
            Ok(request) => request.headers(outgoing.headers.clone()),
            Err(refused) => return refused.into(),
        };
        let request = self.tokens.credentials().granted(token).apply(request);
        let request = match &outgoing.body {
            Some(body) => request.body(body.clone()),
            None => request,
        };
        let exchange = exchange::exchange_up_to(request, MAX_ANSWER).await;
        if matches!(&exchange, Exchange::Answered(answer) if answer.status != 401) {
            self.tokens.let_in(token).await;
        }
        exchange
    }

    async fn send_together(&self, records: &[OutboundRecord]) -> Vec<RecordAnswer> {
        let mut answers: Vec<Option<RecordAnswer>> = Vec::with_capacity(records.len());
        let (mut sent, mut requests) = (Vec::with_capacity(records.len()), Vec::with_capacity(records.len()));
        for record in records {
            match self.settings.mapping.apply(&record.payload) {
                Ok(rows) => {
                    requests.push(rows.first().and_then(|row| request::write(&self.settings, record, row)));
                    sent.push(record);
                    answers.push(None);
                }
                Err(errors) => answers.push(Some(unmapped(errors))),
            }
        }
        let verdicts = self.write(&sent, requests).await;
        let mut settled = self.settle(&sent, verdicts).await.into_iter();
        answers.into_iter().filter_map(|answer| answer.or_else(|| settled.next())).collect()
    }

    /// Sends the requests of records, in one if there are several.
    async fn write(&self, sent: &[&OutboundRecord], mut requests: Vec<Option<Outgoing>>) -> Vec<Verdict> {
        if let [record] = sent {
            let (exchange, credentials) = self.exchange(requests.pop().flatten()).await;
            return vec![self.judge(&credentials).single(record, &exchange)];
        }
        if sent.is_empty() {
            return Vec::new();
        }
        let parts: Option<Vec<Outgoing>> = requests.into_iter().collect();
        let together = parts.and_then(|parts| request::together(&self.settings, &parts));
        let (exchange, credentials) = self.exchange(together).await;
        let parts = parts_of(&exchange, sent.len());
        self.judge(&credentials).batch(sent, &exchange, parts.as_ref())
    }

    fn judge<'a>(&'a self, credentials: &'a Credentials) -> Judge<'a> {
        Judge { settings: &self.settings, credentials }
    }
}

fn is_unauthorized(exchange: &Exchange) -> bool {
    matches!(exchange, Exchange::Answered(answer) if answer.status == 401)
}

fn parts_of(exchange: &Exchange, operations: usize) -> Option<Parts> {
    match exchange {
        Exchange::Answered(answer) => batch::read(answer, operations),
        Exchange::NeverLeft(_) | Exchange::NoAnswer(_) => None,
    }
}

fn too_late() -> Trouble {
    Trouble {
        code: "TOKEN_TOO_LATE",
        message: "The token came so late that the request was not sent any more.".to_owned(),
        permanence: Permanence::Transient,
    }
}

#[async_trait]
impl Connector for Dynamics365 {
    fn batch_size(&self) -> usize {
        self.settings.batch_size
    }

    fn concurrency(&self) -> usize {
        self.settings.concurrency
    }

    fn rate(&self) -> Option<Bucket> {
        self.settings.rate
    }

    /// As many records as may leave together, and not too much of them.
    fn batches(&self, records: &[OutboundRecord]) -> Vec<Vec<OutboundRecord>> {
        let mut batches: Vec<Vec<OutboundRecord>> = Vec::new();
        let mut room = 0;
        for record in records {
            let size = record.payload.to_string().len();
            match batches.last_mut() {
                Some(batch) if size <= room && batch.len() < self.settings.batch_size => {
                    batch.push(record.clone());
                    room -= size;
                }
                _ => {
                    batches.push(vec![record.clone()]);
                    room = MAX_TOGETHER.saturating_sub(size);
                }
            }
        }
        batches
    }

    async fn send(&self, records: &[OutboundRecord]) -> Vec<RecordAnswer> {
        let mut answers = Vec::with_capacity(records.len());
        // One request as long as the caller keeps to the batches.
        for batch in self.batches(records) {
            answers.extend(self.send_together(&batch).await);
        }
        answers
    }

    fn asks_at_once(&self) -> usize {
        self.settings.batch_size
    }

    async fn ask(&self, records: &[OutboundRecord]) -> LookedUp {
        let mut looked_up = LookedUp::default();
        let mut rest = records;
        while !rest.is_empty() {
            let (some, others) = rest.split_at(self.asks_at_once().clamp(1, rest.len()));
            let some: Vec<&OutboundRecord> = some.iter().collect();
            looked_up.add(self.look_up(&some).await);
            rest = others;
        }
        looked_up
    }

    async fn test(&self) -> ConnectionTest {
        let begun = Instant::now();
        let (exchange, credentials) = self.exchange(request::who_am_i(&self.settings)).await;
        let mut found = trial::who_am_i(&exchange);
        let mut shown = credentials;
        if found.ok {
            let (exchange, credentials) = self.exchange(request::any_row(&self.settings)).await;
            found = trial::any_row(&exchange, &self.settings);
            shown = credentials;
        }
        ConnectionTest {
            ok: found.ok,
            code: found.code,
            message: wording::words(&shown, &found.message),
            http_status_code: found.status,
            duration: begun.elapsed(),
        }
    }
}

#[cfg(test)]
mod tests;
