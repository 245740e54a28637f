//! Incidents: what people are told about.

use chrono::{DateTime, Utc};
use domain::incident::IncidentKind;
use uuid::Uuid;

use crate::macros::wire;

wire! {
    /// An incident of an integration.
    pub struct Incident {
        /// Its id.
        pub id: Uuid,
        /// The integration.
        pub integration_config_id: Uuid,
        /// Its name.
        pub integration_name: String,
        /// Why it opened.
        pub kind: IncidentKind,
        /// When it opened.
        pub opened_at: DateTime<Utc>,
        /// When it was resolved.
        pub resolved_at: Option<DateTime<Utc>>,
        /// When somebody took notice.
        pub acknowledged_at: Option<DateTime<Utc>>,
        /// Who did.
        pub acknowledged_by: Option<String>,
        /// The sync that opened it.
        pub sync_id: Option<Uuid>,
        /// The external system's words at that time.
        pub error_message: Option<String>,
    }
}
