//! In-app notifications.

use api_types::notifications::NotificationPage;
use uuid::Uuid;

use super::http::{Call, Query};
use super::{ApiError, Client};

impl Client {
    /// One page of notifications, newest first, with the number of unread ones.
    pub async fn notifications(&self, cursor: &str, limit: u16) -> Result<NotificationPage, ApiError> {
        let query = Query::new().with("cursor", cursor).with("limit", limit.to_string());
        self.fetch(query.on("/notifications")).await
    }

    /// Marks one as read.
    pub async fn read_notification(&self, id: Uuid) -> Result<(), ApiError> {
        self.tell(
            Call::post(format!("/notifications/{id}/read"))
                .header("idempotency-key", crate::browser::uuid().to_string()),
        )
        .await
    }

    /// Marks all as read.
    pub async fn read_all_notifications(&self) -> Result<(), ApiError> {
        self.tell(Call::post("/notifications/read-all").header("idempotency-key", crate::browser::uuid().to_string()))
            .await
    }
}
