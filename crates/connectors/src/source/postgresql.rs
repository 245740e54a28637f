//! A source that is a PostgreSQL database: two queries of an organization's own, which may only read.
//!
//! A list is read by the ids of its records, part by part, so that one that changes meanwhile is neither read twice nor
//! passed over, and none goes on for ever: see [`query`].

mod metered;
mod query;
mod session;
pub(super) mod settings;
mod trouble;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rustls::ClientConfig;
use rustls::crypto::ring;
use serde_json::{Map, Value};
use tokio::time::timeout_at;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};
use tokio_postgres_rustls::MakeRustlsConnect;
use uuid::Uuid;

use super::record::{self, NoRecord};
use super::{Cursor, Fetched, Page, Source, SourceRecord, SourceTrouble, Unusable, tested, unclear};
use crate::connector::{BuildError, ConnectionTest};
use crate::guard::OutboundPolicy;
use crate::wording::words;
use session::{Parameter, Question, Session, Unanswered};
use settings::{Login, Settings};
use trouble::{too_slow, trouble};

/// Bytes of a record.
const MAX_ROW: usize = 1024 * 1024;

/// Whether a source's settings are those of a PostgreSQL database.
pub(super) fn is_meant(source: &Value) -> bool {
    source.get("kind").and_then(Value::as_str) == Some("postgresql")
}

/// A source that is a PostgreSQL database.
pub(super) struct PostgresqlSource {
    settings: Settings,
    login: Login,
    tls: Option<MakeRustlsConnect>,
    policy: OutboundPolicy,
    list_sql: String,
    fetch_sql: String,
    /// Sessions that nobody uses now.
    idle: Mutex<Vec<Session>>,
}

/// What is asked.
#[derive(Clone, Copy)]
enum Asked {
    /// Records that have changed since, behind one.
    List { since: SystemTime, after: Option<Uuid> },
    /// One record.
    Record(Uuid),
}

/// A row of an answer.
struct Line {
    id: Option<Uuid>,
    record: Result<SourceRecord, NoRecord>,
}

impl PostgresqlSource {
    pub(super) fn build(
        settings: &Value,
        credentials: Option<&Value>,
        policy: &OutboundPolicy,
    ) -> Result<Self, BuildError> {
        let (mut settings, login) = settings::parse(settings, credentials, policy).map_err(BuildError::Invalid)?;
        let tls = match settings.roots.take() {
            Some(roots) => {
                let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                    .with_safe_default_protocol_versions()
                    .map_err(|error| BuildError::Client(error.to_string()))?;
                let config = config.with_root_certificates(roots).with_no_client_auth();
                Some(MakeRustlsConnect::new(config))
            }
            None => None,
        };
        // One more than a part holds shows whether the list goes on.
        let list_sql = query::of_list(&settings.list_query, settings.page_size + 1);
        let fetch_sql = query::of_record(&settings.fetch_query);
        Ok(Self { settings, login, tls, policy: policy.clone(), list_sql, fetch_sql, idle: Mutex::default() })
    }

    fn question(&self, asked: Asked) -> Question<'_> {
        match asked {
            Asked::List { since, after } => Question {
                name: "list_query",
                sql: &self.list_sql,
                parameters: vec![parameter(since, Type::TIMESTAMPTZ), parameter(after, Type::UUID)],
                most: self.settings.page_size + 1,
            },
            Asked::Record(id) => Question {
                name: "fetch_query",
                sql: &self.fetch_sql,
                parameters: vec![parameter(id, Type::UUID)],
                most: 2,
            },
        }
    }

    /// Asks, by a session that is there or by a new one.
    async fn ask(&self, asked: Asked) -> Result<Vec<Line>, SourceTrouble> {
        let until = tokio::time::Instant::now() + self.settings.timeout;
        let answered = timeout_at(until, async {
            while let Some(session) = self.take_idle() {
                match session.ask(self.question(asked), until, line).await {
                    // It was kept for too long.
                    Err(Unanswered::Lost(_)) => {}
                    answered => return self.done(session, answered),
                }
            }
            let session = Session::open(&self.settings, &self.login, self.tls.as_ref(), &self.policy, until).await?;
            let answered = session.ask(self.question(asked), until, line).await;
            self.done(session, answered)
        });
        let answered = answered.await.unwrap_or_else(|_| Err(too_slow()));
        answered.map_err(|SourceTrouble { code, message }| SourceTrouble {
            code,
            message: words(&self.login.credentials, &message),
        })
    }

    fn take_idle(&self) -> Option<Session> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| idle.pop()).find(|session| !session.is_closed())
    }

    /// A session that has answered may be asked again.
    fn done(&self, session: Session, answered: Result<Vec<Line>, Unanswered>) -> Result<Vec<Line>, SourceTrouble> {
        let lines = answered.map_err(Unanswered::into_trouble)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        Ok(lines)
    }

    /// A part of the list, out of its rows.
    fn page(&self, lines: Vec<Line>, mut last: Option<Uuid>) -> Result<Page, SourceTrouble> {
        let mut page = Page { records: Vec::new(), unusable: Unusable::default(), next: None };
        for (place, line) in lines.into_iter().enumerate() {
            if let (Some(id), Some(before)) = (line.id, last)
                && id <= before
            {
                return Err(unclear(&format!("The list_query has the record {id} more than once.")));
            }
            if place == self.settings.page_size {
                // Behind records come only rows without an id.
                page.next = line.id.and(last).map(|last| Cursor(last.to_string()));
                break;
            }
            last = line.id.or(last);
            match line.record {
                Ok(record) => page.records.push(record),
                Err(NoRecord::Id) => page.unusable.without_id += 1,
                Err(NoRecord::Payload) => page.unusable.without_payload += 1,
            }
        }
        Ok(page)
    }
}

fn parameter(value: impl ToSql + Sync + Send + 'static, kind: Type) -> Parameter {
    let value: Box<dyn ToSql + Sync + Send> = Box::new(value);
    (value, kind)
}

/// Reads a row.
fn line(row: &Row) -> Result<Line, SourceTrouble> {
    let unreadable = |_: Error| unclear("The database answered with something that nothing can be made of.");
    let id: Option<Uuid> = row.try_get(0).map_err(unreadable)?;
    if row.raw_size_bytes() > MAX_ROW {
        let which = id.map(|id| id.to_string()).unwrap_or_default();
        return Err(trouble("ANSWER_TOO_LARGE", format!("The record {which} is longer than 1 MiB.")));
    }
    let text = |place: usize| row.try_get::<_, Option<String>>(place).map_err(unreadable);
    let others: Option<Map<String, Value>> = text(4)?.and_then(|others| serde_json::from_str(&others).ok());
    let payload = others.map(|mut others| match others.remove("payload") {
        Some(payload) => payload,
        None => Value::Object(others),
    });
    let record = match (id, payload.filter(Value::is_object)) {
        (Some(id), Some(payload)) => Ok(record::record(id, text(1)?, text(2)?, text(3)?, payload)),
        (Some(_), None) => Err(NoRecord::Payload),
        (None, _) => Err(NoRecord::Id),
    };
    Ok(Line { id, record })
}

#[async_trait]
impl Source for PostgresqlSource {
    fn record_type(&self) -> &str {
        &self.settings.record_type
    }

    fn concurrency(&self) -> usize {
        self.settings.concurrency
    }

    async fn list(&self, since: Option<DateTime<Utc>>, after: Option<&Cursor>) -> Result<Page, SourceTrouble> {
        let after = match after.map(|Cursor(id)| Uuid::try_parse(id)) {
            None => None,
            Some(Ok(id)) => Some(id),
            Some(Err(_)) => return Err(unclear("Where the list goes on is not known.")),
        };
        let since = SystemTime::from(since.unwrap_or(DateTime::<Utc>::UNIX_EPOCH));
        self.page(self.ask(Asked::List { since, after }).await?, after)
    }

    async fn fetch(&self, id: Uuid) -> Fetched {
        let mut lines = match self.ask(Asked::Record(id)).await {
            Ok(lines) => lines,
            Err(trouble) => return Fetched::Unreadable(trouble),
        };
        let line = lines.pop();
        if !lines.is_empty() {
            return Fetched::Unreadable(unclear("Asked for a record, the fetch_query answers with more than one."));
        }
        match line {
            None => Fetched::Gone,
            Some(Line { record: Ok(record), .. }) if record.id == id => Fetched::Found(record),
            Some(Line { id: Some(_), record: Ok(_) }) => {
                Fetched::Unreadable(unclear("Asked for a record, the fetch_query answers with another one."))
            }
            Some(_) => Fetched::Unreadable(unclear(
                "Asked for a record, the fetch_query answers with nothing that could be sent.",
            )),
        }
    }

    async fn test(&self) -> ConnectionTest {
        let begun = Instant::now();
        let found = match self.list(None, None).await {
            // Nobody has a record of this id: whether it can be asked for shows all the same.
            Ok(page) => match self.fetch(Uuid::nil()).await {
                Fetched::Unreadable(trouble) => Err(trouble.of_record()),
                Fetched::Found(_) | Fetched::Gone => {
                    Ok(format!("The source was read: {} records to begin with.", page.records.len()))
                }
            },
            Err(trouble) => Err(trouble.of_list()),
        };
        tested(begun, found)
    }
}

#[cfg(test)]
mod tests;
