//! The list of syncs.

use actix_web::{get, web};
use api_types::Page;
use api_types::sync_logs::Sync;
use chrono::{DateTime, Utc};
use domain::sync_log::SyncStatus;
use serde::{Deserialize, Serialize};
use store::sync_logs::{Direction, SyncFilter};
use utoipa::IntoParams;
use uuid::Uuid;

use super::input;
use crate::archive::read;
use crate::auth::{Access, OrgContext, Scope};
use crate::http::json::ValidQuery;
use crate::http::paging::{FiltersHash, PageRequest};
use crate::http::problem::ApiError;
use crate::http::view;
use crate::state::AppState;

/// Which syncs a list holds.
#[derive(Clone, Debug, Default, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Of one integration.
    pub(super) integration_config_id: Option<Uuid>,
    /// In one of these states, separated by commas.
    #[param(
        example = "failed,retried_failed",
        pattern = "^(pending|in_progress|success|failed|retried_success|retried_failed)(,(pending|in_progress|success|failed|retried_success|retried_failed))*$"
    )]
    pub(super) status: Option<String>,
    /// Of one connector.
    #[param(value_type = Option<domain::integration::ConnectorType>)]
    pub(super) connector_type: Option<String>,
    /// Of one kind.
    #[param(value_type = Option<domain::integration::SyncType>)]
    pub(super) sync_type: Option<String>,
    /// Initiated in one way.
    #[param(value_type = Option<domain::sync_log::TriggeredBy>)]
    pub(super) triggered_by: Option<String>,
    /// Of one type of source record.
    pub(super) source_record_type: Option<String>,
    /// Of one source record.
    pub(super) source_record_id: Option<Uuid>,
    /// Started at or after (RFC 3339).
    pub(super) from: Option<DateTime<Utc>>,
    /// Started before (RFC 3339).
    pub(super) to: Option<DateTime<Utc>>,
    /// Only those a retry can (or cannot) be asked for.
    pub(super) retryable: Option<bool>,
    /// Where to go on.
    #[serde(skip_serializing_if = "crate::http::paging::is_no_filter")]
    #[param(max_length = 512)]
    pub(super) cursor: Option<String>,
    /// Items of the page, 1–200; 50 if left out.
    #[serde(skip_serializing_if = "crate::http::paging::is_no_filter")]
    #[param(minimum = 1, maximum = 200)]
    pub(super) limit: Option<i64>,
}

/// List syncs, newest first, those in the archive too.
///
/// With `status=pending` this is how a runner polls for work: what waits to be claimed with `startAttempt`, retries among
/// it. For that the scope `retries:claim` is enough.
#[utoipa::path(
    operation_id = "listSyncs",
    tag = "sync-logs",
    params(ListQuery),
    responses((status = 200, description = "A page of syncs", body = Page<Sync>)),
    security(("person" = []), ("machine" = ["syncs:read"]), ("machine" = ["retries:claim"])),
)]
#[get("/sync-logs")]
pub async fn list_syncs(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidQuery(query): ValidQuery<ListQuery>,
) -> Result<web::Json<Page<Sync>>, ApiError> {
    let polls = query.status.as_deref() == Some(SyncStatus::Pending.as_str());
    context.require(if polls { Access::PollRetries } else { Access::ReadSyncs })?;
    let filters = FiltersHash::of("syncs", context.organization_id, &query);
    let request: PageRequest = PageRequest::read(query.cursor.as_deref(), query.limit, filters)?;
    let filter: SyncFilter = input::filter(query)?;
    let direction = if request.is_backwards() { Direction::Newer } else { Direction::Older };
    let (cursor, limit) = (request.key().copied(), request.fetch_limit());
    let rows = read::page(&state, context.organization_id, &filter, cursor, direction, limit).await?;
    let debug = context.has(Scope::Debug);
    let page = request.page(rows, |found| (found.sync.started_at, found.sync.id));
    Ok(web::Json(Page {
        items: page.items.iter().map(|found| view::found(found, debug)).collect(),
        next_cursor: page.next_cursor,
        prev_cursor: page.prev_cursor,
    }))
}
