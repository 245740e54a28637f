//! In-app notifications.

use chrono::{DateTime, Utc};
use domain::incident::IncidentKind;
use domain::notification::NoticeKind;
use uuid::Uuid;

use crate::macros::wire;

wire! {
    /// One in-app notification of the signed-in person.
    pub struct Notification {
        /// Its id.
        pub id: Uuid,
        /// What it tells.
        pub kind: NoticeKind,
        /// Why the incident opened, if it is about one.
        pub incident_kind: Option<IncidentKind>,
        /// The incident, if it is about one.
        pub incident_id: Option<Uuid>,
        /// The integration.
        pub integration_config_id: Uuid,
        /// Its name.
        pub integration_name: String,
        /// The sync it is about.
        pub sync_id: Option<Uuid>,
        /// The external system's words.
        pub error_message: Option<String>,
        /// Failed syncs in a row at that time.
        pub consecutive_failures: i32,
        /// When it was made.
        pub created_at: DateTime<Utc>,
        /// When it was read.
        pub read_at: Option<DateTime<Utc>>,
    }

    /// A page of notifications with the number of unread ones.
    pub struct NotificationPage {
        /// Newest first.
        pub items: Vec<Notification>,
        /// Where the list goes on.
        pub next_cursor: Option<String>,
        /// Where the list came from.
        pub prev_cursor: Option<String>,
        /// Unread notifications in all.
        pub unread: i64,
    }
}
