//! Attempts of a sync: every execution, and claiming the one that waits.

use actix_web::http::header;
use actix_web::{HttpResponse, get, post, web};
use api_types::attempts::{Attempt, StartAttempt, StartedAttempt};
use api_types::{Page, Problem};
use store::OrgTx;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::json::{OptionalJson, ValidPath};
use super::problem::ApiError;
use super::view;
use crate::archive::read;
use crate::auth::{Access, OrgContext};
use crate::state::AppState;

/// Registers the operations.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(list_attempts).service(start_attempt);
}

/// List the attempts of a sync, the first one first (eleven at most).
#[utoipa::path(
    operation_id = "listAttempts",
    tag = "sync-logs",
    params(("id" = Uuid, Path, description = "The sync")),
    responses((status = 200, description = "Every attempt", body = Page<Attempt>)),
    security(("person" = []), ("machine" = ["syncs:read"])),
)]
#[get("/sync-logs/{id}/attempts")]
pub async fn list_attempts(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidPath(id): ValidPath<Uuid>,
) -> Result<web::Json<Page<Attempt>>, ApiError> {
    context.require(Access::ReadSyncs)?;
    let tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let attempts = read::attempts(&state, tx, id).await?;
    let items = attempts.iter().map(view::attempt).collect();
    Ok(web::Json(Page { items, next_cursor: None, prev_cursor: None }))
}

/// Claim the attempt of a sync that waits.
///
/// Of many who ask, one gets it; an `Idempotency-Key` is not taken, since an answer that is given again would let two
/// processes send. For a retry the answer names all the records to send, ordered by type and id; each takes a claim, so no
/// other sync sends them meanwhile, and stays `queued` until it is reported (`appendRecordOutcomes`, at most 1,000 a call).
/// An attempt that is silent for longer than its lease is closed as abandoned.
#[utoipa::path(
    operation_id = "startAttempt",
    tag = "sync-logs",
    params(("id" = Uuid, Path, description = "The sync")),
    request_body(content = Option<StartAttempt>, example = json!({ "lease_seconds": 300 })),
    responses(
        (status = 201, description = "The attempt and its records", body = StartedAttempt),
        (status = 409, description = "No attempt waits, or somebody else claimed it", body = Problem,
            content_type = "application/problem+json"),
    ),
    security(("person" = []), ("machine" = ["retries:claim"])),
)]
#[post("/sync-logs/{id}/attempts")]
pub async fn start_attempt(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidPath(id): ValidPath<Uuid>,
    OptionalJson(body): OptionalJson<StartAttempt>,
) -> Result<HttpResponse, ApiError> {
    context.require(Access::ClaimRetries)?;
    read::refuse_archived(&state, context.organization_id, id).await?;
    let now = state.clock.now();
    let lease = body.unwrap_or_default().lease_seconds;
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let claimed = state.ledger(&mut tx, now).claim_attempt(id, None, lease).await?;
    tx.commit().await?;
    state.hub.nudge();
    let body = StartedAttempt {
        attempt: claimed.attempt,
        whole: claimed.whole,
        records: claimed.records.into_iter().map(view::record_key).collect(),
    };
    let location = format!("/api/v1/sync-logs/{id}/attempts");
    Ok(HttpResponse::Created().insert_header((header::LOCATION, location)).json(body))
}
