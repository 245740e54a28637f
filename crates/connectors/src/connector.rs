//! What every connector offers, whatever the external system.

use std::time::Duration;

use async_trait::async_trait;
use domain::doubt::Certainty;
use domain::integration::ConnectorType;
use domain::record::{RecordError, RecordOutcome};
use domain::violation::{Rule, Violation};
use serde_json::Value;
use uuid::Uuid;

use crate::generic_http::GenericHttp;
use crate::generic_http::settings::parse;
use crate::guard::{GuardedClient, OutboundPolicy};

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

    /// Whether a repeated request with the same idempotency key cannot book twice. It asks what became of the first
    /// request; another version of the record asks nothing, so this makes no answer more certain.
    fn repeat_safe(&self) -> bool;

    /// Sends at most [`batch_size`](Self::batch_size) records in one request; exactly one answer per record, in order.
    async fn send(&self, records: &[OutboundRecord]) -> Vec<RecordAnswer>;

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

/// Every broken rule of a managed integration's settings and credentials, with pointers as in the API's body.
pub fn validate_settings(
    connector_type: ConnectorType,
    settings: &Value,
    credentials: Option<&Value>,
    policy: &OutboundPolicy,
) -> Vec<Violation> {
    if connector_type == ConnectorType::GenericHttp {
        return parse(settings, credentials, policy).err().unwrap_or_default();
    }
    vec![Violation::new(
        Rule::UnknownValue,
        "/connector_type",
        "only generic_http can be run by Syncwatch itself; use an external runner",
    )]
}

/// Whether a repeated request of an integration with these settings cannot book twice; see [`Connector::repeat_safe`].
pub fn repeat_safe(connector_type: ConnectorType, settings: &Value) -> bool {
    // Where the addresses lead decides nothing here.
    let Ok(anywhere) = OutboundPolicy::parse("0.0.0.0/0,::/0") else { return false };
    connector_type == ConnectorType::GenericHttp
        && parse(settings, None, &anywhere).is_ok_and(|(settings, _)| settings.repeat_safe())
}

/// Makes the connector for an integration's settings.
pub fn build(
    connector_type: ConnectorType,
    settings: &Value,
    credentials: Option<&Value>,
    policy: &OutboundPolicy,
) -> Result<Box<dyn Connector>, BuildError> {
    if connector_type != ConnectorType::GenericHttp {
        return Err(BuildError::NotAvailable(connector_type));
    }
    let (settings, credentials) = parse(settings, credentials, policy).map_err(BuildError::Invalid)?;
    let client = GuardedClient::new(settings.timeout, policy).map_err(|error| BuildError::Client(error.to_string()))?;
    Ok(Box::new(GenericHttp::new(settings, credentials, client)))
}
