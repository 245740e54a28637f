//! What Syncwatch sends to external runners.

use chrono::{DateTime, Utc};
use domain::integration::{ConnectorType, SyncType};
use domain::webhook::WebhookType;
use uuid::Uuid;

use crate::macros::wire;

wire! {
    /// A retry was requested; a runner may claim it with `startAttempt`.
    pub struct RetryRequested {
        /// What it tells.
        #[serde(rename = "type")]
        pub kind: WebhookType,
        /// When the retry was requested.
        pub timestamp: DateTime<Utc>,
        /// About what.
        pub data: RetryRequestedData,
    }

    /// What a retry request is about. The records to send are named by the answer to `startAttempt`.
    pub struct RetryRequestedData {
        /// The sync, which is pending.
        pub sync_id: Uuid,
        /// Its integration.
        pub integration_config_id: Uuid,
        /// The external system's kind.
        pub connector_type: ConnectorType,
        /// What is synchronised.
        pub sync_type: SyncType,
        /// The number the claimed attempt will have.
        pub attempt: u16,
        /// Records to send, as far as is known now; 0 if the sync failed before any record was in scope.
        pub records: i64,
    }
}
