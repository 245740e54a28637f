//! Many syncs that have already ended, in one call.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, post, web};
use api_types::sync_logs::{ImportItem, ImportRequest, ImportResponse};
use store::OrgTx;

use super::input;
use crate::auth::{Access, OrgContext};
use crate::http::idempotency::{RequiredIdempotency, Start};
use crate::http::json::{IMPORT_LIMIT, ValidJson};
use crate::http::problem::ApiError;
use crate::ledger::Recorded;
use crate::state::AppState;

/// Most syncs in one import.
const MAX_IMPORT: usize = 1_000;

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
        match input::finished(item, context.reporter()) {
            Ok(finished) => accepted.push((index, finished)),
            Err(error) => results.push(refused(index, error)),
        }
    }
    let (places, inputs): (Vec<usize>, Vec<_>) = accepted.into_iter().unzip();
    let outcomes = state.ledger(&mut tx, now).import(&inputs).await?;
    for (index, outcome) in places.into_iter().zip(outcomes) {
        results.push(match outcome {
            Ok(Recorded::Created(id)) => ImportItem { index, status: 201, id: Some(id), problem: None },
            Ok(Recorded::Known(id)) => ImportItem { index, status: 200, id: Some(id), problem: None },
            Err(error) => refused(index, error.into()),
        });
    }
    results.sort_by_key(|item| item.index);
    let answer = ticket.finish(&mut tx, StatusCode::OK, None, &ImportResponse { items: results }).await?;
    tx.commit().await?;
    state.wake();
    Ok(answer)
}

fn refused(index: usize, error: ApiError) -> ImportItem {
    let problem = error.into_problem();
    ImportItem { index, status: problem.status, id: None, problem: Some(problem) }
}
