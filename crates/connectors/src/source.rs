//! Where an integration's records come from, for integrations that do not have them staged by others.
//!
//! A source is read, and never written: the whole of it at the start of a sync, and record by record before a retry, so that
//! what leaves is what the record says now. Its settings stand in the member `source` of the connector's, which are what
//! they are without it; and it may have credentials of its own, beside those of the target:
//!
//! ```json
//! { "target": { "type": "bearer", "token": "…" }, "source": { "type": "basic", "username": "…", "password": "…" } }
//! ```
//!
//! Credentials in any other form are the target's alone.

mod answer;
mod http;
mod postgresql;
mod record;

use std::borrow::Cow;
use std::time::Instant;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::credentials::{SOURCE, TARGET, two_sets};
use domain::violation::{Rule, Violation};
use rust_decimal::Decimal;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::connector::{BuildError, ConnectionTest};
use crate::guard::{GuardedClients, OutboundPolicy};
use http::HttpSource;
use postgresql::PostgresqlSource;

/// A record as its source has it.
#[derive(Clone, PartialEq)]
pub struct SourceRecord {
    /// Which record.
    pub id: Uuid,
    /// A human label.
    pub label: Option<String>,
    /// Its amount, where it has one in a currency.
    pub amount: Option<Decimal>,
    /// ISO 4217 code of the amount.
    pub currency: Option<String>,
    /// What is to be sent of it: a JSON object.
    pub payload: Value,
}

impl std::fmt::Debug for SourceRecord {
    /// Without what it says: that may be personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceRecord").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a part of a list cannot be used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unusable {
    /// Items whose id is no UUID.
    pub without_id: u64,
    /// Items that hold no JSON object to be sent.
    pub without_payload: u64,
}

/// Where the next part of a list begins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cursor(String);

/// A part of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Its records.
    pub records: Vec<SourceRecord>,
    /// What else stood in it.
    pub unusable: Unusable,
    /// Where the next part begins; none at the end of the list.
    pub next: Option<Cursor>,
}

/// Why a source could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTrouble {
    /// A stable code, as a connector's.
    pub code: String,
    /// Plain words, without credentials.
    pub message: String,
}

impl SourceTrouble {
    /// Whether nobody was there, or nobody had an answer in time: the next record would fare no better.
    pub fn is_silence(&self) -> bool {
        const SILENCE: &[&str] =
            &["CONNECTION_REFUSED", "CONNECT_TIMEOUT", "DNS_FAILURE", "TIMEOUT", "TLS_FAILURE", "UNREACHABLE"];
        SILENCE.contains(&self.code.as_str())
    }

    /// As a test tells of it where the list could not be read.
    fn of_list(self) -> Self {
        Self { message: format!("The list could not be read. {}", self.message), ..self }
    }

    /// As a test tells of it where the list could be read, and a single record could not.
    fn of_record(self) -> Self {
        let message = format!("The list was read, but no single record by its id. {}", self.message);
        Self { code: format!("FETCH_{}", self.code), message }
    }
}

/// What a test that began at a moment found.
fn tested(begun: Instant, found: Result<String, SourceTrouble>) -> ConnectionTest {
    let (ok, code, message) = match found {
        Ok(message) => (true, "OK".to_owned(), message),
        Err(SourceTrouble { code, message }) => (false, code, message),
    };
    ConnectionTest { ok, code, message, http_status_code: None, duration: begun.elapsed() }
}

/// A source answered something that nothing can be made of.
fn unclear(message: &str) -> SourceTrouble {
    SourceTrouble { code: "SOURCE_UNCLEAR".to_owned(), message: message.to_owned() }
}

/// What came of fetching a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Fetched {
    /// The source has it.
    Found(SourceRecord),
    /// The source says that it has no such record any more.
    Gone,
    /// The source did not say.
    Unreadable(SourceTrouble),
}

/// A place that records are read from.
#[async_trait]
pub trait Source: Send + Sync {
    /// The type of its records.
    fn record_type(&self) -> &str;

    /// Requests that may be under way at once.
    fn concurrency(&self) -> usize;

    /// Reads a part of the list: the first one, or what comes after another. A source that can be asked so leaves out what
    /// has not changed `since`.
    async fn list(&self, since: Option<DateTime<Utc>>, after: Option<&Cursor>) -> Result<Page, SourceTrouble>;

    /// Reads one record.
    async fn fetch(&self, id: Uuid) -> Fetched;

    /// Tries to read the list, and a single record.
    async fn test(&self) -> ConnectionTest;
}

/// Whether settings name a source.
pub fn has_source(settings: &Value) -> bool {
    source_of(settings).is_some()
}

fn source_of(settings: &Value) -> Option<&Value> {
    settings.get(SOURCE).filter(|source| !source.is_null())
}

/// Makes the source that settings name, with a client of its own; `None` where they name none.
pub fn build_source(
    settings: &Value,
    credentials: Option<&Value>,
    policy: &OutboundPolicy,
) -> Result<Option<Box<dyn Source>>, BuildError> {
    build_source_with(settings, credentials, &GuardedClients::new(policy))
}

/// Makes the source that settings name, with a client that it shares with others.
pub fn build_source_with(
    settings: &Value,
    credentials: Option<&Value>,
    clients: &GuardedClients,
) -> Result<Option<Box<dyn Source>>, BuildError> {
    let parts = Parts::of(settings, credentials);
    let Some(source) = parts.source else { return Ok(None) };
    let credentials = parts.source_credentials;
    if postgresql::is_meant(source) {
        return Ok(Some(Box::new(PostgresqlSource::build(source, credentials, clients.policy())?)));
    }
    Ok(Some(Box::new(HttpSource::build(source, credentials, clients)?)))
}

/// Credentials of which one set was given anew: the other one stays. What is given in another form replaces everything.
pub fn merged_credentials(kept: Option<&Value>, given: Value) -> Value {
    if two_sets(Some(&given)).is_none() {
        return given;
    }
    let mut merged = match two_sets(kept) {
        Some(sets) => sets.clone(),
        None => kept.into_iter().map(|kept| (TARGET.to_owned(), kept.clone())).collect(),
    };
    if let Value::Object(given) = given {
        // What has no business here is complained of.
        merged.extend(given);
    }
    Value::Object(merged)
}

/// Settings and credentials, taken apart.
pub(crate) struct Parts<'a> {
    /// The connector's own settings.
    pub(crate) target: Cow<'a, Value>,
    /// The connector's own credentials.
    pub(crate) target_credentials: Option<&'a Value>,
    source: Option<&'a Value>,
    source_credentials: Option<&'a Value>,
    two_sets: Option<&'a Map<String, Value>>,
}

impl<'a> Parts<'a> {
    pub(crate) fn of(settings: &'a Value, credentials: Option<&'a Value>) -> Self {
        let two_sets = two_sets(credentials);
        Self {
            target: target_settings(settings),
            target_credentials: two_sets.map_or(credentials, |sets| sets.get(TARGET)),
            source: source_of(settings),
            source_credentials: two_sets.and_then(|sets| sets.get(SOURCE)),
            two_sets,
        }
    }

    /// Every broken rule: of the target, as was found, and of the source.
    pub(crate) fn violations(&self, mut target: Vec<Violation>, policy: &OutboundPolicy) -> Vec<Violation> {
        if self.two_sets.is_some() {
            target = within(TARGET, target);
        }
        if let Some(source) = self.source {
            let found = if postgresql::is_meant(source) {
                postgresql::settings::parse(source, self.source_credentials, policy).err()
            } else {
                http::parse(source, self.source_credentials, policy).err()
            };
            target.extend(within(SOURCE, found.unwrap_or_default()));
        }
        for name in self.two_sets.into_iter().flat_map(Map::keys) {
            if !matches!(name.as_str(), TARGET | SOURCE) {
                let pointer = format!("/credentials/{}", crate::reader::escape(name));
                target.push(Violation::new(Rule::UnknownField, pointer, "target and source have credentials"));
            }
        }
        target
    }
}

/// Violations of credentials that stand one level deeper.
fn within(set: &str, found: Vec<Violation>) -> Vec<Violation> {
    let deeper = |one: Violation| {
        let pointer = one.pointer.strip_prefix("/credentials").map(|rest| format!("/credentials/{set}{rest}"));
        match pointer {
            Some(pointer) => Violation { pointer, ..one },
            None => one,
        }
    };
    found.into_iter().map(deeper).collect()
}

/// The connector's own settings.
pub(crate) fn target_settings(settings: &Value) -> Cow<'_, Value> {
    match settings.as_object() {
        Some(object) if object.contains_key(SOURCE) => {
            let own = object.iter().filter(|(name, _)| *name != SOURCE);
            Cow::Owned(Value::Object(own.map(|(name, value)| (name.clone(), value.clone())).collect()))
        }
        _ => Cow::Borrowed(settings),
    }
}

#[cfg(test)]
mod tests;
