//! Live events: ids only, as server-sent events.

use uuid::Uuid;

use crate::macros::wire;

wire! {
    /// What changed. The SSE `event` field names the kind: `sync.changed`, `integration.changed`,
    /// `notification.created`.
    #[derive(Eq)]
    pub struct EventData {
        /// The integration.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub integration_config_id: Option<Uuid>,
        /// The sync.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub sync_id: Option<Uuid>,
        /// The notification.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub notification_id: Option<Uuid>,
    }
}
