//! A source that is read over HTTP: a list, part by part, and single records by their ids.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use domain::violation::{Rule, Violation};
use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{Method, Url};
use serde_json::Value;
use url::form_urlencoded::byte_serialize;
use uuid::Uuid;

use super::answer::{Said, judge};
use super::record::{self, NoRecord, Pointers};
use super::{Cursor, Fetched, Page, Source, SourceTrouble, Unusable, tested, unclear};
use crate::connector::{BuildError, ConnectionTest};
use crate::credentials::{self, Credentials};
use crate::exchange;
use crate::guard::{GuardedClient, GuardedClients, OutboundPolicy};
use crate::reader::{self, Reader};

/// Replaced in the list's address by the moment since which changes are wanted.
const SINCE: &str = "{since}";
/// Replaced in the list's address by what the part before it named; by nothing, for the first part.
const CURSOR: &str = "{cursor}";
/// Replaced in a record's address by its id.
const ID: &str = "{source_record_id}";

/// What a source over HTTP needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// The list; may hold `{since}` and `{cursor}`.
    list_url: String,
    /// JSON Pointer to the items of a part; without it, the part is the list.
    items_pointer: Option<String>,
    /// JSON Pointer to where a part says where the next one is: by an address, or where the list's holds `{cursor}`, by that.
    next_pointer: Option<String>,
    /// A record; holds `{source_record_id}`.
    fetch_url: String,
    /// JSON Pointer to the record in what comes from there; without it, that is the record.
    record_pointer: Option<String>,
    /// The type of its records.
    record_type: String,
    pointers: Pointers,
    concurrency: usize,
    timeout: Duration,
}

/// Parses both documents, or says everything that is wrong with them.
pub(super) fn parse(
    settings: &Value,
    credentials: Option<&Value>,
    policy: &OutboundPolicy,
) -> Result<(Settings, Credentials), Vec<Violation>> {
    let mut found = Vec::new();
    let parsed = if let Some(object) = settings.as_object() {
        Some(read(Reader::new(object, "/settings/source", &mut found), policy))
    } else {
        found.push(Violation::new(Rule::InvalidFormat, "/settings/source", "an object with the source's settings"));
        None
    };
    let credentials = credentials::parse(credentials, &mut found);
    match (parsed, credentials) {
        (Some(parsed), Some(credentials)) if found.is_empty() => Ok((parsed, credentials)),
        _ => Err(found),
    }
}

fn read(mut reader: Reader<'_>, policy: &OutboundPolicy) -> Settings {
    let kind = reader.needed("kind", 20);
    if !matches!(kind.as_str(), "" | "http") {
        reader.complain(Rule::UnknownValue, "kind", "http or postgresql");
    }
    let list_url = address(&mut reader, "list_url", &[SINCE, CURSOR], policy);
    let fetch_url = address(&mut reader, "fetch_url", &[ID], policy);
    if !fetch_url.is_empty() && !fetch_url.contains(ID) {
        reader.complain(Rule::InvalidFormat, "fetch_url", "an address with {source_record_id} in it");
    }
    let record_type = record::record_type(&mut reader);
    let items_pointer = reader.pointer("items_pointer");
    let next_pointer = reader.pointer("next_pointer");
    if list_url.contains(CURSOR) && !reader.has("next_pointer") {
        reader.complain(Rule::Required, "next_pointer", "where a part of the list names the next one's {cursor}");
    }
    let record_pointer = reader.pointer("record_pointer");
    if !reader.has("id_pointer") {
        reader.complain(Rule::Required, "id_pointer", "id_pointer is needed");
    }
    let id = reader.pointer("id_pointer").unwrap_or_default();
    let pointers = Pointers {
        id,
        label: reader.pointer("label_pointer"),
        amount: reader.pointer("amount_pointer"),
        currency: reader.pointer("currency_pointer"),
        payload: reader.pointer("payload_pointer"),
    };
    let concurrency = reader.number("concurrency", 1..=16, 4) as usize;
    let timeout = Duration::from_millis(reader.number("timeout_ms", 100..=120_000, 15_000).into());
    reader.finish();
    Settings {
        list_url,
        items_pointer,
        next_pointer,
        fetch_url,
        record_pointer,
        record_type,
        pointers,
        concurrency,
        timeout,
    }
}

/// An address that may hold placeholders.
fn address(reader: &mut Reader<'_>, name: &'static str, known: &[&str], policy: &OutboundPolicy) -> String {
    let text = reader.needed(name, 2_000);
    if text.is_empty() {
        return text;
    }
    let rest = known.iter().fold(text.clone(), |rest, placeholder| rest.replace(placeholder, ""));
    let wrong = match reader::address(&text, policy) {
        Err(_) if rest != text => Some("an http or https address; placeholders in its path or query only".to_owned()),
        Err(wrong) => Some(wrong.to_owned()),
        Ok(_) if rest.contains(['{', '}']) => Some(format!("no other placeholders than {}", known.join(" and "))),
        Ok(_) => None,
    };
    if let Some(wrong) = wrong {
        reader.complain(Rule::InvalidFormat, name, &wrong);
    }
    text
}

/// A source that is read over HTTP.
pub(super) struct HttpSource {
    client: GuardedClient,
    settings: Settings,
    credentials: Credentials,
}

impl HttpSource {
    pub(super) fn build(
        settings: &Value,
        credentials: Option<&Value>,
        clients: &GuardedClients,
    ) -> Result<Self, BuildError> {
        let (settings, credentials) = parse(settings, credentials, clients.policy()).map_err(BuildError::Invalid)?;
        let client = clients.with_timeout(settings.timeout).map_err(|error| BuildError::Client(error.to_string()))?;
        Ok(Self { client, settings, credentials })
    }

    async fn get(&self, url: Option<Url>) -> Result<Said, SourceTrouble> {
        let exchange = match url.map(|url| self.client.request(Method::GET, url)) {
            Some(Ok(request)) => {
                let request = request.header(ACCEPT, HeaderValue::from_static("application/json"));
                exchange::exchange(self.credentials.apply(request)).await
            }
            Some(Err(refused)) => refused.into(),
            None => exchange::unwritten(),
        };
        judge(&exchange, &self.credentials)
    }

    /// The address of a part of the list.
    fn part(&self, since: Option<DateTime<Utc>>, cursor: &str) -> Option<Url> {
        let since = since.unwrap_or(DateTime::<Utc>::UNIX_EPOCH).to_rfc3339_opts(SecondsFormat::Millis, true);
        let cursor: String = byte_serialize(cursor.as_bytes()).collect();
        Url::parse(&self.settings.list_url.replace(SINCE, &since).replace(CURSOR, &cursor)).ok()
    }

    /// Where the list goes on, by what the part from `here` says. It is asked with the credentials of the source, so it has
    /// to be there.
    fn next(&self, part: &Value, here: &Url, since: Option<DateTime<Utc>>) -> Result<Option<Cursor>, SourceTrouble> {
        let said = self.settings.next_pointer.as_deref().and_then(|pointer| part.pointer(pointer));
        let said = match said {
            None | Some(Value::Null | Value::Bool(false)) => return Ok(None),
            Some(Value::String(text)) if text.is_empty() => return Ok(None),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(_) => return Err(unclear("What the source says of where its list goes on cannot be read.")),
        };
        let cursors = self.settings.list_url.contains(CURSOR);
        let next = if cursors { self.part(since, &said) } else { here.join(&said).ok() };
        match next {
            Some(next) if next.origin() != here.origin() => {
                Err(unclear("The source says that its list goes on elsewhere, which is not followed."))
            }
            Some(next) if next == *here => Err(unclear("The source says that its list goes on where it was.")),
            Some(next) => Ok(Some(Cursor(next.into()))),
            None => Err(unclear("The source says where its list goes on by something that is no address.")),
        }
    }

    fn page(&self, part: &Value, here: &Url, since: Option<DateTime<Utc>>) -> Result<Page, SourceTrouble> {
        let items = match &self.settings.items_pointer {
            Some(pointer) => part.pointer(pointer),
            None => Some(part),
        };
        let Some(items) = items.and_then(Value::as_array) else {
            return Err(unclear("There is no list in the source's answer, or not where the settings say."));
        };
        let (mut records, mut unusable) = (Vec::with_capacity(items.len()), Unusable::default());
        for item in items {
            match self.settings.pointers.record(item) {
                Ok(record) => records.push(record),
                Err(NoRecord::Id) => unusable.without_id += 1,
                Err(NoRecord::Payload) => unusable.without_payload += 1,
            }
        }
        Ok(Page { records, unusable, next: self.next(part, here, since)? })
    }
}

#[async_trait]
impl Source for HttpSource {
    fn record_type(&self) -> &str {
        &self.settings.record_type
    }

    fn concurrency(&self) -> usize {
        self.settings.concurrency
    }

    async fn list(&self, since: Option<DateTime<Utc>>, after: Option<&Cursor>) -> Result<Page, SourceTrouble> {
        let here = match after {
            Some(Cursor(next)) => Url::parse(next).ok(),
            None => self.part(since, ""),
        };
        match (self.get(here.clone()).await?, here) {
            (Said::Json(part), Some(here)) => self.page(&part, &here, since),
            (Said::Absent, _) => Err(SourceTrouble {
                code: "HTTP_404".to_owned(),
                message: "The source was reached, but has no list at this address.".to_owned(),
            }),
            // Nothing answers where nobody was asked.
            (Said::Json(_), None) => Err(unclear("The list's address could not be written.")),
        }
    }

    async fn fetch(&self, id: Uuid) -> Fetched {
        let url = Url::parse(&self.settings.fetch_url.replace(ID, &id.to_string())).ok();
        let answer = match self.get(url).await {
            Ok(Said::Json(answer)) => answer,
            Ok(Said::Absent) => return Fetched::Gone,
            Err(trouble) => return Fetched::Unreadable(trouble),
        };
        let record = match &self.settings.record_pointer {
            Some(pointer) => answer.pointer(pointer),
            None => Some(&answer),
        };
        match record.map(|record| self.settings.pointers.record(record)) {
            Some(Ok(record)) if record.id == id => Fetched::Found(record),
            Some(Ok(_)) => Fetched::Unreadable(unclear("Asked for a record, the source answered with another one.")),
            Some(Err(NoRecord::Id)) => {
                Fetched::Unreadable(unclear("Asked for a record, the source's answer does not say which one it holds."))
            }
            Some(Err(NoRecord::Payload)) | None => Fetched::Unreadable(unclear(
                "Asked for a record, the source's answer holds nothing that could be sent.",
            )),
        }
    }

    async fn test(&self) -> ConnectionTest {
        let begun = Instant::now();
        let page = match self.list(None, None).await {
            Ok(page) => page,
            Err(trouble) => return tested(begun, Err(trouble.of_list())),
        };
        let listed = format!("The list was read: {} records to begin with.", page.records.len());
        let Some(record) = page.records.first() else {
            return tested(begun, Ok(format!("{listed} Whether a single one can be read shows once it has one.")));
        };
        let found = match self.fetch(record.id).await {
            Fetched::Found(_) => Ok(format!("{listed} One of them was read by its id as well.")),
            Fetched::Gone => Err(SourceTrouble {
                code: "HTTP_404".to_owned(),
                message: "Asked for a record of its list, the source says that there is none.".to_owned(),
            }),
            Fetched::Unreadable(trouble) => Err(trouble),
        };
        tested(begun, found.map_err(SourceTrouble::of_record))
    }
}
