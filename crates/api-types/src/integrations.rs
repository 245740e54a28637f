//! Integrations: what is connected, and how it fares.

use chrono::{DateTime, Utc};
use domain::health::{Health, RecentSync, Undelivered};
use domain::integration::{ConnectorType, PartialFailure, Runner, SyncType};
use domain::lineage::LineageJob;
use domain::schedule::Schedule;
use domain::sync_log::SyncStatus;
use serde_json::Value;
use uuid::Uuid;

use crate::macros::wire;

wire! {
    /// A new integration.
    #[serde(deny_unknown_fields)]
    pub struct NewIntegration {
        /// Display name.
        #[cfg_attr(feature = "openapi", schema(max_length = 120, pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"))]
        pub name: String,
        /// The external system's kind.
        pub connector_type: ConnectorType,
        /// What is synchronised.
        pub sync_type: SyncType,
        /// Who executes its syncs.
        pub runner: Runner,
        /// The connector's own settings.
        #[serde(default)]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
        pub settings: Value,
        /// The external system's credentials; write-only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
        pub credentials: Option<Value>,
        /// When managed syncs run, or when an external runner's are expected.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub schedule: Option<Schedule>,
        /// Hours without a completed sync before the light turns red; 48 if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 8_784))]
        pub freshness_hours: Option<u32>,
        /// Whether the freshness window counts Norwegian working days only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub business_days_only: Option<bool>,
        /// Consecutive failed syncs that open an incident; 2 if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 30))]
        pub failure_threshold: Option<u32>,
        /// How a sync ends in which some records failed; `error` if left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub partial_failure: Option<PartialFailure>,
        /// Whether a delivered record may be sent again with new content.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub allow_updates: Option<bool>,
        /// Address of a record in the organization's own app, with `{id}` and `{type}`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(max_length = 2000, pattern = r"^https?://[A-Za-z0-9\[][^\s\x00-\x1f\x7f-\x9f]*\{id\}[^\s\x00-\x1f\x7f-\x9f]*$"))]
        pub record_url_template: Option<String>,
        /// Where an external runner is told about retries.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(max_length = 2000, pattern = r"^https?://[A-Za-z0-9\[][^\s\x00-\x1f\x7f-\x9f]*$"))]
        pub retry_webhook_url: Option<String>,
        /// The `OpenLineage` job whose runs are this integration's syncs; of external runners only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub lineage_job: Option<LineageJob>,
    }

    /// Changes of an integration; members left out stay, `null` clears.
    #[serde(deny_unknown_fields)]
    pub struct IntegrationPatch {
        /// Display name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(max_length = 120, pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"))]
        pub name: Option<String>,
        /// The connector's own settings, as a whole.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
        pub settings: Option<Value>,
        /// The external system's credentials; write-only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
        pub credentials: Option<Value>,
        /// When managed syncs run.
        #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Schedule>))]
        pub schedule: Option<Option<Schedule>>,
        /// Whether it is paused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub paused: Option<bool>,
        /// Hours without a completed sync before the light turns red.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 8_784))]
        pub freshness_hours: Option<u32>,
        /// Whether the freshness window counts Norwegian working days only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub business_days_only: Option<bool>,
        /// Consecutive failed syncs that open an incident.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 30))]
        pub failure_threshold: Option<u32>,
        /// How a sync ends in which some records failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub partial_failure: Option<PartialFailure>,
        /// Whether a delivered record may be sent again with new content.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub allow_updates: Option<bool>,
        /// Address of a record in the organization's own app.
        #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 2000, pattern = r"^https?://[A-Za-z0-9\[][^\s\x00-\x1f\x7f-\x9f]*\{id\}[^\s\x00-\x1f\x7f-\x9f]*$"))]
        pub record_url_template: Option<Option<String>>,
        /// Where an external runner is told about retries.
        #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 2000, pattern = r"^https?://[A-Za-z0-9\[][^\s\x00-\x1f\x7f-\x9f]*$"))]
        pub retry_webhook_url: Option<Option<String>>,
        /// The `OpenLineage` job whose runs are this integration's syncs.
        #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<LineageJob>))]
        pub lineage_job: Option<Option<LineageJob>>,
    }

    /// An integration in the list.
    pub struct IntegrationSummary {
        /// Its id.
        pub id: Uuid,
        /// Display name.
        pub name: String,
        /// The external system's kind.
        pub connector_type: ConnectorType,
        /// What is synchronised.
        pub sync_type: SyncType,
        /// Who executes its syncs.
        pub runner: Runner,
        /// Whether it is paused.
        pub paused: bool,
        /// The light, and why.
        pub health: Health,
        /// The latest-started sync that has a finished attempt and is no backfill.
        pub last_sync: Option<LastSync>,
        /// Failed syncs in a row, up to now.
        pub consecutive_failures: i32,
        /// What has not arrived, with sums by currency.
        pub undelivered: Undelivered,
        /// The last 30 syncs, newest first.
        pub recent: Vec<RecentSync>,
        /// A sync that is pending or in progress at the moment.
        pub active_sync_id: Option<Uuid>,
    }

    /// An integration with its settings.
    pub struct Integration {
        /// What the list shows.
        #[serde(flatten)]
        pub summary: IntegrationSummary,
        /// The connector's own settings.
        pub settings: Value,
        /// Whether credentials are kept (they are never returned).
        pub has_credentials: bool,
        /// When managed syncs run.
        pub schedule: Option<Schedule>,
        /// Hours without a completed sync before the light turns red.
        pub freshness_hours: u32,
        /// Whether the freshness window counts Norwegian working days only.
        pub business_days_only: bool,
        /// Consecutive failed syncs that open an incident.
        pub failure_threshold: u32,
        /// How a sync ends in which some records failed.
        pub partial_failure: PartialFailure,
        /// Whether a delivered record may be sent again with new content.
        pub allow_updates: bool,
        /// Address of a record in the organization's own app.
        pub record_url_template: Option<String>,
        /// Where an external runner is told about retries.
        pub retry_webhook_url: Option<String>,
        /// The `OpenLineage` job whose runs are this integration's syncs.
        pub lineage_job: Option<LineageJob>,
        /// Since when nothing is sent there, because the receiver answered that it is gone (410); setting the address
        /// again clears it.
        #[serde(default)]
        pub retry_webhook_disabled_at: Option<DateTime<Utc>>,
        /// What verifies the webhooks (Standard Webhooks, `whsec_…`): only in the answer to the request that set the first
        /// address, and never again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub retry_webhook_secret: Option<String>,
        /// When it was created.
        pub created_at: DateTime<Utc>,
        /// When its settings last changed.
        pub updated_at: DateTime<Utc>,
        /// The open incident, if there is one.
        pub open_incident_id: Option<Uuid>,
    }

    /// A new secret for an integration's webhooks.
    pub struct RotatedWebhookSecret {
        /// What verifies the webhooks from now on (Standard Webhooks, `whsec_…`); shown this once. A repeated request with
        /// the same `Idempotency-Key` is answered without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub secret: Option<String>,
        /// Until when webhooks carry the former secret's signature too; none if there was no former one.
        pub former_valid_until: Option<DateTime<Utc>>,
    }

    /// The last sync of an integration, in short.
    pub struct LastSync {
        /// Its id.
        pub id: Uuid,
        /// Status of its latest finished attempt.
        pub status: SyncStatus,
        /// When it began.
        pub started_at: DateTime<Utc>,
        /// When its latest finished attempt ended.
        pub completed_at: DateTime<Utc>,
        /// Records in scope.
        pub records_total: Option<i32>,
        /// Delivered.
        pub records_processed: Option<i32>,
        /// Failed.
        pub records_failed: Option<i32>,
        /// Wall-clock milliseconds.
        pub duration_ms: i64,
    }

    /// What to try a connection with.
    #[serde(deny_unknown_fields)]
    pub struct TestIntegration {
        /// Credentials to try in the place of those that are kept; they are not kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
        pub credentials: Option<Value>,
    }

    /// What a connection test found.
    pub struct ConnectionTest {
        /// Whether the external system answered as it should.
        pub ok: bool,
        /// The same as a stable word: `OK`, `REACHED`, `CREDENTIALS_REFUSED`, `HTTP_404` and the like, or what kept an answer
        /// from coming, such as `DNS_FAILURE`, `TLS_FAILURE` or `TIMEOUT`.
        pub code: String,
        /// What was found, in plain English.
        pub message: String,
        /// The answer's HTTP status, if there was one.
        pub http_status_code: Option<i16>,
        /// Milliseconds until the answer.
        pub duration_ms: i64,
        /// What reading the source found, where the integration has one. It has a word of its own: `ok` above is about the
        /// external system alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub source: Option<SourceTest>,
    }

    /// What reading a source found.
    pub struct SourceTest {
        /// Whether it could be read.
        pub ok: bool,
        /// The same as a stable word, as for the external system; it begins with `FETCH_` where the list could be read, and
        /// a single record could not.
        pub code: String,
        /// What was found, in plain English.
        pub message: String,
        /// Milliseconds that it took.
        pub duration_ms: i64,
    }
}

/// Tells a member that is left out from one that is `null`.
mod double_option {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(
        clippy::option_option,
        clippy::ref_option,
        reason = "left out, null and a value are three things; serde's form"
    )]
    pub(super) fn serialize<T: Serialize, S: Serializer>(
        value: &Option<Option<T>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().and_then(Option::as_ref).serialize(serializer)
    }

    #[expect(clippy::option_option, reason = "left out, null and a value are three things")]
    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Option<T>>, D::Error> {
        Option::<T>::deserialize(deserializer).map(Some)
    }
}
