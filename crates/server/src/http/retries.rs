//! Retries: what one would do, and asking for it.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use api_types::Problem;
use api_types::records::RetryPreview;
use api_types::sync_logs::Sync;
use serde_json::Value;
use store::OrgTx;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::idempotency::{RequiredIdempotency, Start};
use super::json::ValidPath;
use super::problem::ApiError;
use super::view;
use crate::archive::read;
use crate::auth::{Access, OrgContext};
use crate::source_now;
use crate::state::AppState;

/// Registers the operations.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(preview_retry).service(request_retry);
}

/// Say what a retry of the failed records would do now.
///
/// Where Syncwatch reads the records from a source by itself, it looks there for a few seconds which of them have changed and
/// which are no more, if the caller may start a retry.
#[utoipa::path(
    operation_id = "previewRetry",
    tag = "sync-logs",
    params(("id" = Uuid, Path, description = "The sync")),
    responses((
        status = 200,
        description = "How many records would be sent, and why others not: for `asked` ones the external system is asked \
            first and those it does not have are sent, `active` ones are under way in another sync",
        body = RetryPreview,
        example = json!({
            "records": 12, "changed": 9, "unchanged": 3, "asked": 2, "unknown": 1, "handled": 0, "delivered_since": 2,
            "active": 1, "gone": 0,
        }),
    ), (
        status = 409,
        description = "It lies in the archive",
        body = Problem,
        content_type = "application/problem+json",
    )),
    security(("person" = []), ("machine" = ["syncs:read"])),
)]
#[get("/sync-logs/{id}/retry-preview")]
pub async fn preview_retry(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidPath(id): ValidPath<Uuid>,
) -> Result<web::Json<RetryPreview>, ApiError> {
    context.require(Access::ReadSyncs)?;
    read::refuse_archived(&state, context.organization_id, id).await?;
    let candidates = {
        let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
        state.ledger(&mut tx, state.clock.now()).retry_candidates(id).await?
    };
    // Whoever may not start anything is no reason to ask the source either.
    if context.require(Access::WriteSyncs).is_err() {
        return Ok(web::Json(candidates.preview()));
    }
    Ok(web::Json(source_now::preview(&state, candidates).await?))
}

/// Ask for a retry of the failed records, and of those alone.
///
/// A record that has arrived by any sync is never sent again, and one that was handled by hand neither. For one that may
/// have arrived the external system is asked first, where its integration says how; one that awaits its posting is only
/// asked about.
#[utoipa::path(
    operation_id = "requestRetry",
    tag = "sync-logs",
    params(
        ("id" = Uuid, Path, description = "The sync"),
        ("Idempotency-Key" = String, Header, description = "Makes a repeated request harmless"),
    ),
    responses(
        (status = 202, description = "The sync, pending", body = Sync),
        (status = 409, description = "It is under way, was retried ten times, lies in the archive, or nothing is left \
            to retry", body = Problem, content_type = "application/problem+json"),
    ),
    security(("person" = []), ("machine" = ["syncs:write"])),
)]
#[post("/sync-logs/{id}/retries")]
pub async fn request_retry(
    state: web::Data<AppState>,
    context: OrgContext,
    RequiredIdempotency(idempotency): RequiredIdempotency,
    ValidPath(id): ValidPath<Uuid>,
) -> Result<HttpResponse, ApiError> {
    context.require(Access::WriteSyncs)?;
    read::refuse_archived(&state, context.organization_id, id).await?;
    let now = state.clock.now();
    let operation = format!("requestRetry/{id}");
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let ticket = match idempotency.begin(&mut tx, &context, &operation, &Value::Null, now).await? {
        Start::Replay(answer) => return Ok(answer),
        Start::New(ticket) => ticket,
    };
    let sync = state.ledger(&mut tx, now).request_retry(id, context.user_id()).await?;
    let location = format!("/api/v1/sync-logs/{id}");
    let answer = ticket.finish(&mut tx, StatusCode::ACCEPTED, Some(location), &view::sync(&sync, false, None)).await?;
    tx.commit().await?;
    state.wake();
    state.webhooks.notify_one();
    Ok(answer)
}
