//! Syncs: reporting them, and reading them.

mod export;
mod import;
pub(in crate::http) mod input;
mod list;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, get, patch, post, web};
use api_types::Problem;
use api_types::sync_logs::{FailSync, FinishedSync, ReportProgress, StartSync, SucceedSync, Sync};
use domain::sync_log::SyncStatus;
use serde::Serialize;
use store::OrgTx;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::idempotency::{Idempotency, Start};
use super::json::{ValidJson, ValidPath};
use super::problem::ApiError;
use super::view;
use crate::archive::read;
use crate::auth::{Access, OrgContext, Scope};
use crate::ledger::{LedgerError, Report};
use crate::state::AppState;

/// Registers the operations.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(start_sync)
        .service(record_finished_sync)
        .service(import::import_syncs)
        .service(list::list_syncs)
        // Before `/sync-logs/{id}`, which would take its word for an id.
        .service(export::export_syncs)
        .service(export::export_record_outcomes)
        .service(get_sync)
        .service(report_progress)
        .service(succeed_sync)
        .service(fail_sync);
}

/// Start a sync that the caller executes.
#[utoipa::path(
    operation_id = "startSync",
    tag = "sync-logs",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless")),
    request_body(content = StartSync, example = json!({
        "integration_config_id": "0198c0de-0000-7000-8000-000000000001", "connector_type": "xledger",
        "sync_type": "accounting_push", "triggered_by": "automatic", "records_total": 40,
        "client_run_id": "nightly-2026-11-20",
    })),
    responses(
        (status = 201, description = "The sync", body = Sync),
        (status = 200, description = "The sync that this `client_run_id` started before", body = Sync),
        (status = 409, description = "The source record is under way in another sync", body = Problem,
            content_type = "application/problem+json"),
    ),
    security(("person" = []), ("machine" = ["syncs:write"])),
)]
#[post("/sync-logs")]
pub async fn start_sync(
    state: web::Data<AppState>,
    context: OrgContext,
    idempotency: Idempotency,
    ValidJson(body): ValidJson<StartSync>,
) -> Result<HttpResponse, ApiError> {
    context.require(Access::WriteSyncs)?;
    let now = state.clock.now();
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let ticket = match idempotency.begin(&mut tx, &context, "startSync", &body, now).await? {
        Start::Replay(answer) => return Ok(answer),
        Start::New(ticket) => ticket,
    };
    let started = state.ledger(&mut tx, now).start(&input::start(body), context.reporter()).await;
    let started = match started {
        Err(LedgerError::ArchivedRun(id)) => return archived_run(&state, tx, id).await,
        other => other?,
    };
    let (status, location) = created(started.created, started.sync.id);
    let answer = ticket.finish(&mut tx, status, location, &view::sync(&started.sync, false, None)).await?;
    tx.commit().await?;
    state.wake();
    Ok(answer)
}

/// Record a sync that has already ended.
#[utoipa::path(
    operation_id = "recordFinishedSync",
    tag = "sync-logs",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless")),
    request_body(content = FinishedSync, example = json!({
        "integration_config_id": "0198c0de-0000-7000-8000-000000000001", "connector_type": "xledger",
        "sync_type": "accounting_push", "triggered_by": "automatic", "records_total": 40,
        "started_at": "2026-11-20T05:00:00Z", "completed_at": "2026-11-20T05:00:07Z", "status": "failed",
        "records_processed": 28, "records_failed": 12, "error_code": "PARTIAL_FAILURE",
        "error_message": "12 of 40 vouchers were rejected",
    })),
    responses(
        (status = 201, description = "The sync", body = Sync),
        (status = 200, description = "The sync that this `client_run_id` stands for", body = Sync),
    ),
    security(("person" = []), ("machine" = ["syncs:write"])),
)]
#[post("/sync-logs/finished")]
pub async fn record_finished_sync(
    state: web::Data<AppState>,
    context: OrgContext,
    idempotency: Idempotency,
    ValidJson(body): ValidJson<FinishedSync>,
) -> Result<HttpResponse, ApiError> {
    context.require(Access::WriteSyncs)?;
    if idempotency.0.is_none() {
        return record_with_others(&state, &context, body).await;
    }
    let now = state.clock.now();
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let ticket = match idempotency.begin(&mut tx, &context, "recordFinishedSync", &body, now).await? {
        Start::Replay(answer) => return Ok(answer),
        Start::New(ticket) => ticket,
    };
    let finished = input::finished(body, context.reporter())?;
    let recorded = state.ledger(&mut tx, now).record_finished(&finished).await;
    let recorded = match recorded {
        Err(LedgerError::ArchivedRun(id)) => return archived_run(&state, tx, id).await,
        other => other?,
    };
    let (status, location) = created(recorded.created, recorded.sync.id);
    let answer = ticket.finish(&mut tx, status, location, &view::sync(&recorded.sync, false, None)).await?;
    tx.commit().await?;
    state.wake();
    Ok(answer)
}

/// Records a sync whose answer need not be stored with it: others may share its transaction.
async fn record_with_others(
    state: &web::Data<AppState>,
    context: &OrgContext,
    body: FinishedSync,
) -> Result<HttpResponse, ApiError> {
    let finished = input::finished(body, context.reporter())?;
    let recorded = state.group_commit.record_finished(state, context.organization_id, finished).await;
    let recorded = match recorded {
        Err(LedgerError::ArchivedRun(id)) => {
            let tx = OrgTx::begin(&state.db, context.organization_id).await?;
            return archived_run(state, tx, id).await;
        }
        other => other?,
    };
    let (status, location) = created(recorded.created, recorded.sync.id);
    let mut answer = HttpResponse::build(status);
    if let Some(location) = location {
        answer.insert_header((header::LOCATION, location));
    }
    Ok(answer.json(view::sync(&recorded.sync, false, None)))
}

/// Read one sync, with the progress of its running attempt.
#[utoipa::path(
    operation_id = "getSync",
    tag = "sync-logs",
    params(("id" = Uuid, Path, description = "The sync")),
    responses((status = 200, description = "The sync", body = Sync)),
    security(("person" = []), ("machine" = ["syncs:read"])),
)]
#[get("/sync-logs/{id}")]
pub async fn get_sync(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidPath(id): ValidPath<Uuid>,
) -> Result<web::Json<Sync>, ApiError> {
    context.require(Access::ReadSyncs)?;
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let Some(sync) = store::sync_logs::find(&mut tx, id).await? else {
        let sync = read::archived_sync(&state, tx, id).await?;
        return Ok(web::Json(view::archived(&sync, context.has(Scope::Debug))));
    };
    let running = if sync.status == SyncStatus::InProgress {
        store::sync_attempts::find(&mut tx, sync.key(), sync.retry_count).await?
    } else {
        None
    };
    let next_retry_at =
        if sync.status.is_terminal() { store::retry_timers::find(&mut tx, sync.id).await? } else { None };
    Ok(web::Json(Sync { next_retry_at, ..view::sync(&sync, context.has(Scope::Debug), running.as_ref()) }))
}

/// Say how far a running attempt is; also extends its lease.
#[utoipa::path(
    operation_id = "reportProgress",
    tag = "sync-logs",
    params(("id" = Uuid, Path, description = "The sync")),
    request_body(content = ReportProgress, example = json!({ "attempt": 0, "records_total": 40, "records_done": 12 })),
    responses(
        (status = 200, description = "The sync", body = Sync),
        (status = 409, description = "The attempt does not run, or has a successor", body = Problem,
            content_type = "application/problem+json"),
    ),
    security(("person" = []), ("machine" = ["syncs:write"])),
)]
#[patch("/sync-logs/{id}")]
pub async fn report_progress(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidPath(id): ValidPath<Uuid>,
    ValidJson(body): ValidJson<ReportProgress>,
) -> Result<web::Json<Sync>, ApiError> {
    context.require(Access::WriteSyncs)?;
    read::refuse_archived(&state, context.organization_id, id).await?;
    let now = state.clock.now();
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let sync =
        state.ledger(&mut tx, now).report_progress(id, body.attempt, body.records_total, body.records_done).await?;
    let running = store::sync_attempts::find(&mut tx, sync.key(), body.attempt).await?;
    tx.commit().await?;
    state.hub.nudge();
    Ok(web::Json(view::sync(&sync, false, running.as_ref())))
}

/// End an attempt with success.
#[utoipa::path(
    operation_id = "succeedSync",
    tag = "sync-logs",
    params(
        ("id" = Uuid, Path, description = "The sync"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless"),
    ),
    request_body(content = SucceedSync, example = json!({ "attempt": 0, "records_processed": 40, "records_failed": 0 })),
    responses(
        (status = 200, description = "The sync", body = Sync),
        (status = 409, description = "The attempt has ended otherwise, or has a successor", body = Problem,
            content_type = "application/problem+json"),
    ),
    security(("person" = []), ("machine" = ["syncs:write"])),
)]
#[post("/sync-logs/{id}/succeed")]
pub async fn succeed_sync(
    state: web::Data<AppState>,
    context: OrgContext,
    idempotency: Idempotency,
    ValidPath(id): ValidPath<Uuid>,
    ValidJson(body): ValidJson<SucceedSync>,
) -> Result<HttpResponse, ApiError> {
    let operation = format!("succeedSync/{id}");
    let report = input::succeeded(&body);
    finish(&state, &context, &idempotency, id, &operation, &body, &report).await
}

/// End an attempt with failure.
#[utoipa::path(
    operation_id = "failSync",
    tag = "sync-logs",
    params(
        ("id" = Uuid, Path, description = "The sync"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless"),
    ),
    request_body(content = FailSync, example = json!({
        "attempt": 0, "error_code": "PARTIAL_FAILURE", "error_message": "12 of 40 vouchers were rejected",
        "http_status_code": 422, "records_processed": 28, "records_failed": 12,
    })),
    responses(
        (status = 200, description = "The sync", body = Sync),
        (status = 409, description = "The attempt has ended otherwise, or has a successor", body = Problem,
            content_type = "application/problem+json"),
    ),
    security(("person" = []), ("machine" = ["syncs:write"])),
)]
#[post("/sync-logs/{id}/fail")]
pub async fn fail_sync(
    state: web::Data<AppState>,
    context: OrgContext,
    idempotency: Idempotency,
    ValidPath(id): ValidPath<Uuid>,
    ValidJson(body): ValidJson<FailSync>,
) -> Result<HttpResponse, ApiError> {
    let operation = format!("failSync/{id}");
    let report = input::failed(&body);
    finish(&state, &context, &idempotency, id, &operation, &body, &report).await
}

async fn finish(
    state: &AppState,
    context: &OrgContext,
    idempotency: &Idempotency,
    id: Uuid,
    operation: &str,
    body: &impl Serialize,
    report: &Report,
) -> Result<HttpResponse, ApiError> {
    context.require(Access::WriteSyncs)?;
    read::refuse_archived(state, context.organization_id, id).await?;
    let now = state.clock.now();
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let ticket = match idempotency.begin(&mut tx, context, operation, body, now).await? {
        Start::Replay(answer) => return Ok(answer),
        Start::New(ticket) => ticket,
    };
    let sync = state.ledger(&mut tx, now).finish(id, report).await?;
    let answer = ticket.finish(&mut tx, StatusCode::OK, None, &view::sync(&sync, false, None)).await?;
    tx.commit().await?;
    state.wake();
    Ok(answer)
}

/// The answer for a run that is known by its runner's own name and lies in the archive.
async fn archived_run(state: &AppState, tx: OrgTx, id: Uuid) -> Result<HttpResponse, ApiError> {
    let sync = read::archived_sync(state, tx, id).await?;
    let location = format!("/api/v1/sync-logs/{id}");
    Ok(HttpResponse::Ok().insert_header((header::LOCATION, location)).json(view::archived(&sync, false)))
}

fn created(new: bool, id: Uuid) -> (StatusCode, Option<String>) {
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    (status, Some(format!("/api/v1/sync-logs/{id}")))
}
