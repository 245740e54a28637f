//! Syncs: reporting them, and reading them.

pub(in crate::http) mod input;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, patch, post, web};
use api_types::sync_logs::{
    FailSync, FinishedSync, ImportItem, ImportRequest, ImportResponse, ReportProgress, StartSync, SucceedSync, Sync,
};
use api_types::{Page, Problem};
use serde::{Deserialize, Serialize};
use store::OrgTx;
use store::sync_logs::{Direction, SyncFilter};
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::idempotency::{Idempotency, RequiredIdempotency, Start};
use super::json::{IMPORT_LIMIT, ValidJson, ValidPath, ValidQuery};
use super::paging::{FiltersHash, PageRequest};
use super::problem::ApiError;
use super::view;
use crate::auth::{Access, OrgContext, Scope};
use crate::ledger::Report;
use crate::state::AppState;

/// Most syncs in one import.
const MAX_IMPORT: usize = 1_000;

/// Registers the operations.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(start_sync)
        .service(record_finished_sync)
        .service(import_syncs)
        .service(list_syncs)
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
    let started = state.ledger(&mut tx, now).start(&input::start(body), context.reporter()).await?;
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
    let now = state.clock.now();
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let ticket = match idempotency.begin(&mut tx, &context, "recordFinishedSync", &body, now).await? {
        Start::Replay(answer) => return Ok(answer),
        Start::New(ticket) => ticket,
    };
    let finished = input::finished(body)?;
    let recorded = state.ledger(&mut tx, now).record_finished(&finished, context.reporter()).await?;
    let (status, location) = created(recorded.created, recorded.sync.id);
    let answer = ticket.finish(&mut tx, status, location, &view::sync(&recorded.sync, false, None)).await?;
    tx.commit().await?;
    state.wake();
    Ok(answer)
}

/// Import many syncs that have already ended; each has its own result.
#[utoipa::path(
    operation_id = "importSyncs",
    tag = "sync-logs",
    params(("Idempotency-Key" = String, Header, description = "Makes a repeated request harmless")),
    request_body(content = ImportRequest, example = json!({ "items": [{
        "integration_config_id": "0198c0de-0000-7000-8000-000000000001", "connector_type": "xledger",
        "sync_type": "accounting_push", "triggered_by": "automatic", "started_at": "2026-10-01T05:00:00Z",
        "completed_at": "2026-10-01T05:00:05Z", "status": "success", "records_total": 31, "records_processed": 31,
        "records_failed": 0, "client_run_id": "nightly-2026-10-01",
    }] })),
    responses((status = 200, description = "One result per item, in order", body = ImportResponse)),
    security(("person" = []), ("machine" = ["syncs:write"])),
)]
#[post("/sync-logs/import")]
pub async fn import_syncs(
    state: web::Data<AppState>,
    context: OrgContext,
    RequiredIdempotency(idempotency): RequiredIdempotency,
    ValidJson(body): ValidJson<ImportRequest, IMPORT_LIMIT>,
) -> Result<HttpResponse, ApiError> {
    context.require(Access::WriteSyncs)?;
    input::check_number(body.items.len(), MAX_IMPORT, "/items")?;
    let now = state.clock.now();
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let ticket = match idempotency.begin(&mut tx, &context, "importSyncs", &body, now).await? {
        Start::Replay(answer) => return Ok(answer),
        Start::New(ticket) => ticket,
    };
    let mut results = Vec::with_capacity(body.items.len());
    let mut accepted = Vec::new();
    for (index, item) in body.items.into_iter().enumerate() {
        match input::finished(item) {
            Ok(finished) => accepted.push((index, finished)),
            Err(error) => results.push(refused(index, error)),
        }
    }
    let (places, inputs): (Vec<usize>, Vec<_>) = accepted.into_iter().unzip();
    let outcomes = state.ledger(&mut tx, now).import(&inputs, context.reporter()).await?;
    for (index, outcome) in places.into_iter().zip(outcomes) {
        results.push(match outcome {
            Ok(started) => {
                let status = if started.created { 201 } else { 200 };
                ImportItem { index, status, id: Some(started.sync.id), problem: None }
            }
            Err(error) => refused(index, error.into()),
        });
    }
    results.sort_by_key(|item| item.index);
    let answer = ticket.finish(&mut tx, StatusCode::OK, None, &ImportResponse { items: results }).await?;
    tx.commit().await?;
    state.wake();
    Ok(answer)
}

/// Which syncs a list holds.
#[derive(Clone, Debug, Default, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Of one integration.
    integration_config_id: Option<Uuid>,
    /// In one of these states, separated by commas.
    #[param(example = "failed,retried_failed")]
    status: Option<String>,
    /// Of one connector.
    connector_type: Option<String>,
    /// Of one kind.
    sync_type: Option<String>,
    /// Initiated in one way.
    triggered_by: Option<String>,
    /// Of one type of source record.
    source_record_type: Option<String>,
    /// Of one source record.
    source_record_id: Option<Uuid>,
    /// Started at or after (RFC 3339).
    from: Option<chrono::DateTime<chrono::Utc>>,
    /// Started before (RFC 3339).
    to: Option<chrono::DateTime<chrono::Utc>>,
    /// Only those a retry can (or cannot) be asked for.
    retryable: Option<bool>,
    /// Where to go on.
    #[serde(skip_serializing)]
    cursor: Option<String>,
    /// Items of the page, 1–200; 50 if left out.
    #[serde(skip_serializing)]
    limit: Option<i64>,
}

/// List syncs, newest first.
#[utoipa::path(
    operation_id = "listSyncs",
    tag = "sync-logs",
    params(ListQuery),
    responses((status = 200, description = "A page of syncs", body = Page<Sync>)),
    security(("person" = []), ("machine" = ["syncs:read"])),
)]
#[get("/sync-logs")]
pub async fn list_syncs(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidQuery(query): ValidQuery<ListQuery>,
) -> Result<web::Json<Page<Sync>>, ApiError> {
    context.require(Access::ReadSyncs)?;
    let filters = FiltersHash::of("syncs", context.organization_id, &query);
    let request: PageRequest = PageRequest::read(query.cursor.as_deref(), query.limit, filters)?;
    let filter: SyncFilter = input::filter(query)?;
    let direction = if request.is_backwards() { Direction::Newer } else { Direction::Older };
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let rows =
        store::sync_logs::list(&mut tx, &filter, request.key().copied(), direction, request.fetch_limit()).await?;
    let debug = context.has(Scope::Debug);
    let page = request.page(rows, |sync| (sync.started_at, sync.id));
    Ok(web::Json(Page {
        items: page.items.iter().map(|sync| view::sync(sync, debug, None)).collect(),
        next_cursor: page.next_cursor,
        prev_cursor: page.prev_cursor,
    }))
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
    let sync = store::sync_logs::find(&mut tx, id).await?.ok_or_else(ApiError::not_found)?;
    let running = if sync.status == domain::sync_log::SyncStatus::InProgress {
        store::sync_attempts::find(&mut tx, sync.key(), sync.retry_count).await?
    } else {
        None
    };
    Ok(web::Json(view::sync(&sync, context.has(Scope::Debug), running.as_ref())))
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

fn created(new: bool, id: Uuid) -> (StatusCode, Option<String>) {
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    (status, Some(format!("/api/v1/sync-logs/{id}")))
}

fn refused(index: usize, error: ApiError) -> ImportItem {
    let problem = error.into_problem();
    ImportItem { index, status: problem.status, id: None, problem: Some(problem) }
}
