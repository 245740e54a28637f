//! The signed-in person's notifications.

use actix_web::{HttpResponse, get, post, web};
use api_types::notifications::{Notification, NotificationPage};
use serde::{Deserialize, Serialize};
use store::OrgTx;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::json::{ValidPath, ValidQuery};
use super::paging::{FiltersHash, PageRequest};
use super::problem::ApiError;
use crate::auth::OrgContext;
use crate::state::AppState;

/// Registers the operations.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(list_notifications).service(read_all_notifications).service(read_notification);
}

/// Which notifications a list holds.
#[derive(Clone, Debug, Default, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct NotificationsQuery {
    /// Only unread ones.
    unread: Option<bool>,
    /// Where to go on.
    #[serde(skip_serializing_if = "super::paging::is_no_filter")]
    #[param(max_length = 512)]
    cursor: Option<String>,
    /// Items of the page, 1–200; 50 if left out.
    #[serde(skip_serializing_if = "super::paging::is_no_filter")]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// List one's own notifications, newest first, with the number of unread ones.
#[utoipa::path(
    operation_id = "listNotifications",
    tag = "notifications",
    params(NotificationsQuery),
    responses((status = 200, description = "A page of notifications", body = NotificationPage)),
    security(("person" = [])),
)]
#[get("/notifications")]
pub async fn list_notifications(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidQuery(query): ValidQuery<NotificationsQuery>,
) -> Result<web::Json<NotificationPage>, ApiError> {
    let user_id = context.require_person()?;
    let filters = FiltersHash::of("notifications", context.organization_id, &(user_id, &query));
    let request: PageRequest<Uuid> = PageRequest::read(query.cursor.as_deref(), query.limit, filters)?;
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let rows = store::notifications::list(
        &mut tx,
        user_id,
        query.unread.unwrap_or(false),
        request.key().copied(),
        request.is_backwards(),
        request.fetch_limit(),
    )
    .await?;
    let unread = store::notifications::count_unread(&mut tx, user_id).await?;
    let page = request.page(rows, |notification| notification.id);
    Ok(web::Json(NotificationPage {
        items: page.items.into_iter().map(view).collect(),
        next_cursor: page.next_cursor,
        prev_cursor: page.prev_cursor,
        unread,
    }))
}

/// Mark one notification as read.
#[utoipa::path(
    operation_id = "readNotification",
    tag = "notifications",
    params(("id" = Uuid, Path, description = "The notification")),
    responses((status = 204, description = "It is read")),
    security(("person" = [])),
)]
#[post("/notifications/{id}/read")]
pub async fn read_notification(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidPath(id): ValidPath<Uuid>,
) -> Result<HttpResponse, ApiError> {
    let user_id = context.require_person()?;
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    if !store::notifications::mark_read(&mut tx, user_id, id, state.clock.now()).await? {
        return Err(ApiError::not_found());
    }
    tx.commit().await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Mark all of one's own notifications as read.
#[utoipa::path(
    operation_id = "readAllNotifications",
    tag = "notifications",
    responses((status = 204, description = "They are read")),
    security(("person" = [])),
)]
#[post("/notifications/read-all")]
pub async fn read_all_notifications(state: web::Data<AppState>, context: OrgContext) -> Result<HttpResponse, ApiError> {
    let user_id = context.require_person()?;
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    store::notifications::mark_all_read(&mut tx, user_id, state.clock.now()).await?;
    tx.commit().await?;
    Ok(HttpResponse::NoContent().finish())
}

fn view(notification: store::notifications::Notification) -> Notification {
    Notification {
        id: notification.id,
        kind: notification.kind,
        incident_kind: notification.incident_kind,
        incident_id: notification.incident_id,
        integration_config_id: notification.integration_config_id,
        integration_name: notification.integration_name,
        sync_id: notification.sync_id,
        error_message: notification.error_message,
        consecutive_failures: notification.consecutive_failures,
        created_at: notification.created_at,
        read_at: notification.read_at,
    }
}
