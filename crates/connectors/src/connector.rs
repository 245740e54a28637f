//! What every connector offers, whatever the external system.

use std::time::Duration;

use async_trait::async_trait;
use domain::asking::{Asked, Asking};
use domain::doubt::Certainty;
use domain::integration::ConnectorType;
use domain::mapping::Mapping;
use domain::pacing::Bucket;
use domain::record::{RecordError, RecordOutcome};
use domain::violation::{Rule, Violation};
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use crate::dynamics365::settings::Write;
use crate::dynamics365::{self, Dynamics365};
use crate::generic_http::{self, GenericHttp};
use crate::guard::{GuardedClients, OutboundPolicy};
use crate::source::{Parts, target_settings};
use crate::xledger::{self, Xledger};

/// One version of one source record, ready to leave.
#[derive(Clone, PartialEq)]
pub struct OutboundRecord {
    /// The kind of record.
    pub source_record_type: String,
    /// Which record.
    pub source_record_id: Uuid,
    /// What the external system is to take.
    pub payload: Value,
    /// The payload's hash as it stands in the ledger.
    pub payload_hash: String,
    /// The same for every repetition of the same version of the record: lets the external system recognise it.
    pub idempotency_key: String,
    /// A request with this very version went before, and may have been taken.
    pub in_doubt: bool,
}

impl std::fmt::Debug for OutboundRecord {
    /// Without the payload: it may hold personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutboundRecord")
            .field("source_record_type", &self.source_record_type)
            .field("source_record_id", &self.source_record_id)
            .field("payload_hash", &self.payload_hash)
            .finish_non_exhaustive()
    }
}

/// Whether sending the same thing again may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permanence {
    /// It may pass by itself: worth sending again after a while.
    Transient,
    /// It stays until a person changes the record, the settings or the external system.
    Permanent,
    /// The answer doesn't say.
    Unknown,
}

/// What became of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordAnswer {
    /// `succeeded`, `warning`, `failed`, `unknown` or `not_attempted`.
    pub outcome: RecordOutcome,
    /// Whether this request may have brought the record there all the same. Meaningful on anything but success.
    pub certainty: Certainty,
    /// The external system's complaints; never empty unless the record succeeded.
    pub errors: Vec<RecordError>,
    /// The status of the HTTP answer, or of this record's part of it.
    pub http_status_code: Option<i16>,
    /// The external system's own id of what it made of the record.
    pub external_reference_id: Option<String>,
    /// Meaningful on anything but success.
    pub permanence: Permanence,
    /// How long the external system asks to be left alone, at most an hour.
    pub retry_after: Option<Duration>,
    /// It was certainly not taken, and nothing says that the fault is its own: the request was refused with others in it.
    /// It may leave again at once in another request, one with fewer records.
    pub again: bool,
}

/// What came of looking records up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LookedUp {
    /// Exactly one word per record, in order.
    pub said: Vec<Asked>,
    /// How long the external system asks to be left alone, at most an hour.
    pub retry_after: Option<Duration>,
}

impl LookedUp {
    /// Adds what came of looking up others.
    pub(crate) fn add(&mut self, others: Self) {
        self.said.extend(others.said);
        self.retry_after = self.retry_after.max(others.retry_after);
    }
}

/// What a connection test found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionTest {
    /// The external system was reached and didn't refuse the credentials.
    pub ok: bool,
    /// `OK`, `REACHED`, `CREDENTIALS_REFUSED`, `HTTP_404` and so on, or the code of what kept the connection from coming about.
    pub code: String,
    /// One or two plain English sentences.
    pub message: String,
    /// The status of the answer, if one came.
    pub http_status_code: Option<i16>,
    /// How long it took.
    pub duration: Duration,
}

/// A way to send records to one external system with one set of settings.
#[async_trait]
pub trait Connector: Send + Sync {
    /// Records a request may hold at most.
    fn batch_size(&self) -> usize;

    /// Requests that may be under way at once.
    fn concurrency(&self) -> usize;

    /// How many requests may leave in a time, where the settings say so.
    fn rate(&self) -> Option<Bucket> {
        None
    }

    /// Puts records together that leave in one request, in their order.
    fn batches(&self, records: &[OutboundRecord]) -> Vec<Vec<OutboundRecord>> {
        records.chunks(self.batch_size().max(1)).map(<[OutboundRecord]>::to_vec).collect()
    }

    /// Sends one of the [`batches`](Self::batches) in one request; exactly one answer per record, in order.
    async fn send(&self, records: &[OutboundRecord]) -> Vec<RecordAnswer>;

    /// Records that are looked up together at most.
    fn asks_at_once(&self) -> usize {
        1
    }

    /// Looks up what became of records that may have been taken, at most [`asks_at_once`](Self::asks_at_once); sends
    /// nothing. Only where [`asking`] offers it.
    async fn ask(&self, records: &[OutboundRecord]) -> LookedUp;

    /// Tries the connection without sending a record.
    async fn test(&self) -> ConnectionTest;
}

/// Why there is no connector.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Syncwatch has no connector of its own for this kind of system.
    #[error("there is no managed connector for {0}")]
    NotAvailable(ConnectorType),
    /// The settings break rules.
    #[error("the connector's settings are not valid")]
    Invalid(Vec<Violation>),
    /// The HTTP client could not be made.
    #[error("the HTTP client could not be made: {0}")]
    Client(String),
}

/// Every broken rule of a managed integration's settings and credentials, with pointers as in the API's body: those of its
/// source too, where it has one.
pub fn validate_settings(
    connector_type: ConnectorType,
    settings: &Value,
    credentials: Option<&Value>,
    policy: &OutboundPolicy,
) -> Vec<Violation> {
    let parts = Parts::of(settings, credentials);
    let (settings, credentials) = (&*parts.target, parts.target_credentials);
    let found = match connector_type {
        ConnectorType::GenericHttp => {
            generic_http::settings::parse(settings, credentials, policy).err().unwrap_or_default()
        }
        ConnectorType::Xledger => xledger::settings::parse(settings, credentials, policy).err().unwrap_or_default(),
        ConnectorType::Dynamics365 => {
            dynamics365::settings::parse(settings, credentials, policy).err().unwrap_or_default()
        }
        ConnectorType::Other => vec![Violation::new(
            Rule::UnknownValue,
            "/connector_type",
            "Syncwatch has no connector of its own for other systems; use an external runner",
        )],
    };
    parts.violations(found, policy)
}

/// What of a mapping a connector's system does not take, with pointers into the mapping.
pub fn check_mapping(connector_type: ConnectorType, mapping: &Mapping) -> Vec<Violation> {
    match connector_type {
        ConnectorType::Xledger => xledger::settings::unfit(mapping),
        ConnectorType::Dynamics365 => dynamics365::settings::unfit(mapping),
        ConnectorType::GenericHttp | ConnectorType::Other => Vec::new(),
    }
}

/// Why an integration with these settings cannot send delivered records again with new content, if it cannot.
pub fn refuses_updates(connector_type: ConnectorType, settings: &Value) -> Option<Violation> {
    let settings = target_settings(settings);
    let detail = match connector_type {
        ConnectorType::Xledger if xledger::settings::read_leniently(&settings)?.adds() => {
            "what these settings send is added beside what is there, and replaces nothing"
        }
        ConnectorType::Dynamics365 if dynamics365::settings::read_leniently(&settings)?.write == Write::Create => {
            "what these settings send is only created, and never changed; `write` has to be upsert or update"
        }
        _ => return None,
    };
    Some(Violation::new(Rule::InvalidFormat, "/allow_updates", detail))
}

/// How an external system can be asked, by the settings of its integration, about records that were sent under the same
/// settings. Its target says where requests go; as whom they go there is told by the credentials, which are not looked
/// at here.
pub fn asking(connector_type: ConnectorType, settings: &Value) -> Asking {
    let settings = target_settings(settings);
    match connector_type {
        ConnectorType::GenericHttp => {
            // Where the addresses lead decides nothing here.
            let Ok(anywhere) = OutboundPolicy::parse("0.0.0.0/0,::/0") else { return Asking::default() };
            let parsed = generic_http::settings::parse(&settings, None, &anywhere);
            parsed.map(|(settings, _)| settings.asking()).unwrap_or_default()
        }
        ConnectorType::Xledger => {
            xledger::settings::read_leniently(&settings).map(|settings| settings.asking()).unwrap_or_default()
        }
        ConnectorType::Dynamics365 => {
            dynamics365::settings::read_leniently(&settings).map(|settings| settings.asking()).unwrap_or_default()
        }
        ConnectorType::Other => Asking::default(),
    }
}

/// Where an integration's records go, whatever its credentials: scheme, host and port. `None` where the settings don't say.
pub fn origin(connector_type: ConnectorType, settings: &Value) -> Option<String> {
    let settings = target_settings(settings);
    let url = match connector_type {
        ConnectorType::GenericHttp => Url::parse(settings.get("url")?.as_str()?).ok()?,
        ConnectorType::Xledger => xledger::settings::read_leniently(&settings)?.endpoint,
        ConnectorType::Dynamics365 => dynamics365::settings::read_leniently(&settings)?.root,
        ConnectorType::Other => return None,
    };
    Some(url.origin().ascii_serialization())
}

/// Where an integration's records are looked up, if that is said apart.
pub fn asked_origin(connector_type: ConnectorType, settings: &Value) -> Option<String> {
    match connector_type {
        ConnectorType::GenericHttp => origin(connector_type, settings.get("look_up")?),
        ConnectorType::Xledger | ConnectorType::Dynamics365 | ConnectorType::Other => None,
    }
}

/// Makes the connector for an integration's settings, with a client of its own.
pub fn build(
    connector_type: ConnectorType,
    settings: &Value,
    credentials: Option<&Value>,
    policy: &OutboundPolicy,
) -> Result<Box<dyn Connector>, BuildError> {
    build_with(connector_type, settings, credentials, &GuardedClients::new(policy))
}

/// Makes the connector for an integration's settings, with a client that it shares with others.
pub fn build_with(
    connector_type: ConnectorType,
    settings: &Value,
    credentials: Option<&Value>,
    clients: &GuardedClients,
) -> Result<Box<dyn Connector>, BuildError> {
    let parts = Parts::of(settings, credentials);
    let (settings, credentials, policy) = (&*parts.target, parts.target_credentials, clients.policy());
    let client = |timeout| clients.with_timeout(timeout).map_err(|error| BuildError::Client(error.to_string()));
    match connector_type {
        ConnectorType::GenericHttp => {
            let (settings, credentials) =
                generic_http::settings::parse(settings, credentials, policy).map_err(BuildError::Invalid)?;
            let client = client(settings.timeout)?;
            Ok(Box::new(GenericHttp::new(settings, credentials, client)))
        }
        ConnectorType::Xledger => {
            let (settings, credentials) =
                xledger::settings::parse(settings, credentials, policy).map_err(BuildError::Invalid)?;
            let client = client(settings.timeout)?;
            Ok(Box::new(Xledger::new(settings, credentials, client)))
        }
        ConnectorType::Dynamics365 => {
            let (settings, credentials) =
                dynamics365::settings::parse(settings, credentials, policy).map_err(BuildError::Invalid)?;
            let client = client(settings.timeout)?;
            Ok(Box::new(Dynamics365::new(settings, credentials, client)))
        }
        ConnectorType::Other => Err(BuildError::NotAvailable(connector_type)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn integrations_with_the_same_origin_have_the_same_system() {
        let origin = |url: &str| origin(ConnectorType::GenericHttp, &json!({ "url": url }));
        let books = Some("https://books.example".to_owned());
        assert_eq!(origin("https://books.example/claims/{source_record_id}"), books);
        assert_eq!(origin("https://BOOKS.example:443/members?kind={source_record_type}"), books);
        assert_ne!(origin("https://books.example:8443/"), books);
        assert_eq!(origin("nowhere"), None);
        let asked = |settings: Value| asked_origin(ConnectorType::GenericHttp, &settings);
        assert_eq!(
            asked(json!({ "url": "https://a.example/", "look_up": { "url": "https://books.example/x" } })),
            books
        );
        assert_eq!(asked(json!({ "url": "https://a.example/" })), None);
        assert_eq!(self::origin(ConnectorType::Other, &json!({})), None);
    }

    #[test]
    fn where_records_come_from_does_not_change_where_they_go() {
        let fields = json!({ "text": { "from": "/text", "as": "text" } });
        let xledger = json!({
            "endpoint": "https://books.example/graphql", "mapping": { "entity": "addGLImportItems", "fields": fields },
        });
        let dynamics = json!({
            "environment": "https://books.example", "tenant": "contoso.onmicrosoft.com", "key_attribute": "sw_syncid",
            "mapping": { "entity": "contacts", "fields": fields },
        });
        let generic = json!({ "url": "https://books.example/claims" });
        for (connector_type, settings) in [
            (ConnectorType::GenericHttp, generic),
            (ConnectorType::Xledger, xledger),
            (ConnectorType::Dynamics365, dynamics),
        ] {
            let mut read = settings.clone();
            read["source"] = json!({ "kind": "http" });
            for settings in [settings, read] {
                let found = origin(connector_type, &settings);
                assert_eq!(found.as_deref(), Some("https://books.example"), "{settings}");
                assert_ne!(asking(connector_type, &settings), Asking::default(), "{settings}");
            }
        }
    }
}
