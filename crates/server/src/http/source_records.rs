//! Source records: staging their current data, and their way through all syncs.

use actix_web::{HttpResponse, get, put, web};
use api_types::Problem;
use api_types::records::{JourneyStep, RecordJourney};
use api_types::source_records::{StageRecord, StagedRecord};
use domain::payload::payload_hash;
use store::OrgTx;
use store::integrations::SealedBytes;
use store::source_records::{RecordKey, Staging};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::json::{ValidJson, ValidPath};
use super::problem::ApiError;
use super::view;
use crate::archive::read;
use crate::auth::{Access, OrgContext};
use crate::ledger::{stage_violations, staging_context};
use crate::state::AppState;

/// Most steps of a journey that are shown.
const MAX_STEPS: i64 = 500;

/// Registers the operations.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(stage_record).service(get_staged_record).service(get_record_journey);
}

/// Stage the current data of a record.
///
/// Sealed at rest and deleted once delivered. The same data again after delivery has no effect; other data is refused
/// unless the integration has `allow_updates`. While the record is on its way the new data waits.
#[utoipa::path(
    operation_id = "stageRecord",
    tag = "source-records",
    params(
        ("id" = Uuid, Path, description = "The integration"),
        ("source_record_type" = String, Path, description = "The record's type"),
        ("source_record_id" = Uuid, Path, description = "The record"),
    ),
    request_body(content = StageRecord, example = json!({
        "payload": { "claim_number": "1043", "cost_center": "1000", "amount": "1250.00" },
        "label": "Claim 1043", "amount": "1250.00", "currency": "NOK",
    })),
    responses(
        (status = 201, description = "Staged for the first time", body = StagedRecord),
        (status = 200, description = "Known before; where it stands", body = StagedRecord),
        (status = 409, description = "Delivered with other data, or handled by hand", body = Problem,
            content_type = "application/problem+json"),
    ),
    security(("person" = []), ("machine" = ["records:write"])),
)]
#[put("/integrations/{id}/records/{source_record_type}/{source_record_id}")]
pub async fn stage_record(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidPath((id, kind, record)): ValidPath<(Uuid, String, Uuid)>,
    ValidJson(body): ValidJson<StageRecord>,
) -> Result<HttpResponse, ApiError> {
    context.require(Access::StageRecords)?;
    let key = RecordKey { source_record_type: kind, source_record_id: record };
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    store::integrations::find(&mut tx, id).await?.ok_or_else(ApiError::not_found)?;
    let found = stage_violations(&key, body.label.as_deref(), body.amount, body.currency.as_deref(), &body.payload);
    if !found.is_empty() {
        return Err(found.into());
    }
    let plain = serde_json::to_vec(&body.payload).map_err(ApiError::internal)?;
    let sealed = state.vault.seal(&plain, &staging_context(id, &key)).map_err(ApiError::internal)?;
    let staging = Staging {
        key: &key,
        payload: &SealedBytes { key_id: sealed.key_id, bytes: sealed.bytes },
        payload_hash: &payload_hash(&body.payload),
        label: body.label.as_deref(),
        amount: body.amount,
        currency: body.currency.as_deref(),
    };
    let staged = state.ledger(&mut tx, state.clock.now()).stage(id, &staging).await?;
    tx.commit().await?;
    let mut answer = if staged.created { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(answer.json(view::staged(staged.record)))
}

/// Say where a staged record stands; its data is never returned.
#[utoipa::path(
    operation_id = "getStagedRecord",
    tag = "source-records",
    params(
        ("id" = Uuid, Path, description = "The integration"),
        ("source_record_type" = String, Path, description = "The record's type"),
        ("source_record_id" = Uuid, Path, description = "The record"),
    ),
    responses((status = 200, description = "Where it stands", body = StagedRecord)),
    security(("person" = []), ("machine" = ["records:write"])),
)]
#[get("/integrations/{id}/records/{source_record_type}/{source_record_id}")]
pub async fn get_staged_record(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidPath((id, kind, record)): ValidPath<(Uuid, String, Uuid)>,
) -> Result<web::Json<StagedRecord>, ApiError> {
    if context.user_id().is_none() {
        context.require(Access::StageRecords)?;
    }
    let key = RecordKey { source_record_type: kind, source_record_id: record };
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let found = store::source_records::find(&mut tx, id, &key).await?.ok_or_else(ApiError::not_found)?;
    Ok(web::Json(view::staged(found)))
}

/// Follow one source record through all syncs and attempts, newest first.
#[utoipa::path(
    operation_id = "getRecordJourney",
    tag = "source-records",
    params(
        ("source_record_type" = String, Path, description = "The record's type"),
        ("source_record_id" = Uuid, Path, description = "The record"),
    ),
    responses((status = 200, description = "Its steps", body = RecordJourney)),
    security(("person" = []), ("machine" = ["syncs:read"])),
)]
#[get("/source-records/{source_record_type}/{source_record_id}/journey")]
pub async fn get_record_journey(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidPath((kind, record)): ValidPath<(String, Uuid)>,
) -> Result<web::Json<RecordJourney>, ApiError> {
    context.require(Access::ReadSyncs)?;
    let key = RecordKey { source_record_type: kind, source_record_id: record };
    let tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let steps = read::journey(&state, tx, &key, MAX_STEPS).await?;
    if steps.is_empty() {
        return Err(ApiError::not_found());
    }
    Ok(web::Json(RecordJourney {
        label: steps.iter().find_map(|step| step.label.clone()),
        source_record_type: key.source_record_type,
        source_record_id: key.source_record_id,
        items: steps
            .into_iter()
            .map(|step| JourneyStep {
                sync_id: step.sync_id,
                integration_config_id: step.integration_config_id,
                integration_name: step.integration_name,
                attempt: step.attempt,
                outcome: step.outcome,
                errors: view::errors(step.errors, step.http_status_code, step.label.as_deref()),
                http_status_code: step.http_status_code,
                external_reference_id: step.external_reference_id,
                updated_at: step.updated_at,
            })
            .collect(),
    }))
}
