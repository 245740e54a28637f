//! Record outcomes of a sync: reading, reporting, grouping, deciding.

use actix_web::{HttpResponse, get, post, web};
use api_types::records::{AppendRecords, AppendedRecords, ErrorGroup, ErrorGroups, RecordOutcomeItem, ResolveRecord};
use api_types::{ErrorCode, Page, Problem};
use domain::error_group::{FailedRecord, classify, fingerprints, group};
use domain::payload::is_payload_hash;
use domain::record::{RecordError, RecordOutcome};
use serde::{Deserialize, Serialize};
use store::OrgTx;
use store::record_outcomes::{OutcomeFilter, OutcomeRow};
use store::source_records::{NewResolution, RecordKey};
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::json::{ValidJson, ValidPath, ValidQuery};
use super::paging::{FiltersHash, PageRequest};
use super::problem::ApiError;
use super::sync_logs::input;
use super::view;
use crate::archive::read;
use crate::auth::{Access, OrgContext};
use crate::state::AppState;

/// Most failed records that are grouped.
const GROUPED: i64 = 10_000;

/// Registers the operations.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(list_record_outcomes)
        .service(append_record_outcomes)
        .service(list_error_groups)
        .service(resolve_record);
}

/// Which outcomes a list holds.
#[derive(Clone, Debug, Default, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct RecordsQuery {
    /// With one of these outcomes, separated by commas.
    #[param(
        example = "failed,unknown",
        pattern = "^(queued|sending|succeeded|warning|failed|skipped|unknown|not_attempted)(,(queued|sending|succeeded|warning|failed|skipped|unknown|not_attempted))*$"
    )]
    outcome: Option<String>,
    /// With an error of this code among its errors.
    error_code: Option<String>,
    /// With an error of this fingerprint among its errors: the records of an error group. Only failed ones are looked at unless
    /// `outcome` says otherwise.
    #[param(pattern = "^[0-9a-f]{64}$")]
    error_fingerprint: Option<String>,
    /// Of one type of source record.
    source_record_type: Option<String>,
    /// Of one source record; needs its type.
    source_record_id: Option<Uuid>,
    /// Where to go on.
    #[serde(skip_serializing_if = "super::paging::is_no_filter")]
    #[param(max_length = 512)]
    cursor: Option<String>,
    /// Items of the page, 1–200; 50 if left out.
    #[serde(skip_serializing_if = "super::paging::is_no_filter")]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// List the records of a sync by their latest outcome, ordered by type and id.
#[utoipa::path(
    operation_id = "listRecordOutcomes",
    tag = "sync-logs",
    params(("id" = Uuid, Path, description = "The sync"), RecordsQuery),
    responses((status = 200, description = "A page of records", body = Page<RecordOutcomeItem>)),
    security(("person" = []), ("machine" = ["syncs:read"])),
)]
#[get("/sync-logs/{id}/records")]
pub async fn list_record_outcomes(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidPath(id): ValidPath<Uuid>,
    ValidQuery(query): ValidQuery<RecordsQuery>,
) -> Result<web::Json<Page<RecordOutcomeItem>>, ApiError> {
    context.require(Access::ReadSyncs)?;
    let filters = FiltersHash::of("records", context.organization_id, &(id, &query));
    let request: PageRequest<(String, Uuid)> = PageRequest::read(query.cursor.as_deref(), query.limit, filters)?;
    let record = match (query.source_record_type, query.source_record_id) {
        (Some(kind), Some(id)) => Some(RecordKey::from((kind, id))),
        (None, None) => None,
        _ => {
            let detail = "a source record is named by its type and its id";
            return Err(ApiError::invalid_parameter("source_record_id", detail));
        }
    };
    if query.error_fingerprint.as_deref().is_some_and(|fingerprint| !is_payload_hash(fingerprint)) {
        let detail = "a fingerprint has 64 hexadecimal characters";
        return Err(ApiError::invalid_parameter("error_fingerprint", detail));
    }
    let beyond = request.key().cloned().map(RecordKey::from);
    let backwards = request.is_backwards();
    let filter = OutcomeFilter {
        outcomes: input::words(query.outcome.as_deref(), "outcome")?,
        error_code: query.error_code,
        record,
        after: beyond.clone().filter(|_| !backwards),
        before: beyond.filter(|_| backwards),
    };
    let (organization_id, limit) = (context.organization_id, request.fetch_limit());
    let records = if let Some(fingerprint) = &query.error_fingerprint {
        of_group(&state, organization_id, id, filter, fingerprint, limit).await?
    } else {
        let tx = OrgTx::begin(&state.db, organization_id).await?;
        read::records(&state, tx, id, &filter, limit).await?
    };
    let template = records.url_template;
    let page = request.page(records.rows, |row| (row.key.source_record_type.clone(), row.key.source_record_id));
    Ok(web::Json(Page {
        items: page.items.into_iter().map(|row| view::outcome(row, template.as_deref())).collect(),
        next_cursor: page.next_cursor,
        prev_cursor: page.prev_cursor,
    }))
}

/// Records with an error of one fingerprint. What errors have in common stands in no column, so the records are looked
/// through in their order until there are enough.
async fn of_group(
    state: &AppState,
    organization_id: Uuid,
    id: Uuid,
    mut filter: OutcomeFilter,
    fingerprint: &str,
    limit: i64,
) -> Result<read::Records, ApiError> {
    if filter.outcomes.is_empty() {
        filter.outcomes.push(RecordOutcome::Failed);
    }
    let limit = usize::try_from(limit).unwrap_or(0);
    let mut found: Vec<OutcomeRow> = Vec::new();
    loop {
        let tx = OrgTx::begin(&state.db, organization_id).await?;
        let part = read::records(state, tx, id, &filter, GROUPED).await?;
        let last = part.rows.last().map(|row| row.key.clone());
        let whole = i64::try_from(part.rows.len()).is_ok_and(|rows| rows < GROUPED);
        found.extend(part.rows.into_iter().filter(|row| {
            let own: Vec<&str> = row.label.as_deref().into_iter().collect();
            fingerprints(&row.errors, &own).iter().any(|known| known == fingerprint)
        }));
        if whole || found.len() >= limit {
            found.truncate(limit);
            return Ok(read::Records { rows: found, found: part.found, url_template: part.url_template });
        }
        if filter.before.is_some() {
            filter.before = last;
        } else {
            filter.after = last;
        }
    }
}

/// Report what happened to records, at most 1,000 a call; also extends the lease.
///
/// Reports that come twice, late or out of order are harmless: an outcome that says no more than what is known changes
/// nothing. Records reported as `queued` or `sending` take a claim; those under way in another sync are recorded as
/// `skipped` and returned in `already_active`: they must not be sent. So are those that are reported as `queued` or
/// `sending` for an attempt that has ended, which can claim nothing. Outcomes of an attempt that has a successor are kept,
/// and answered with 409 `attempt_superseded`.
#[utoipa::path(
    operation_id = "appendRecordOutcomes",
    tag = "sync-logs",
    params(("id" = Uuid, Path, description = "The sync")),
    request_body(content = AppendRecords, example = json!({ "attempt": 0, "records": [{
        "source_record_type": "reimbursement_approvals", "source_record_id": "0198c0de-0000-7000-8000-000000000002",
        "label": "Claim 1043", "amount": "1250.00", "currency": "NOK", "outcome": "failed", "http_status_code": 422,
        "errors": [{ "code": "INVALID_VALUE", "message": "Invalid cost center code: 9999", "field": "/cost_center",
            "field_name": "costCenter" }],
    }] })),
    responses(
        (status = 200, description = "What was taken", body = AppendedRecords),
        (status = 409, description = "The attempt has not begun, or has a successor", body = Problem,
            content_type = "application/problem+json"),
    ),
    security(("person" = []), ("machine" = ["syncs:write"])),
)]
#[post("/sync-logs/{id}/records")]
pub async fn append_record_outcomes(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidPath(id): ValidPath<Uuid>,
    ValidJson(body): ValidJson<AppendRecords>,
) -> Result<web::Json<AppendedRecords>, ApiError> {
    context.require(Access::WriteSyncs)?;
    read::refuse_archived(&state, context.organization_id, id).await?;
    let now = state.clock.now();
    let outcomes = input::outcomes(body.records)?;
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let appended = state.ledger(&mut tx, now).append_outcomes(id, body.attempt, outcomes).await?;
    tx.commit().await?;
    state.hub.nudge();
    if let Some(latest) = appended.superseded_by {
        let detail = format!("the outcomes are kept, but attempt {} was superseded by {latest}", body.attempt);
        return Err(ApiError::new(ErrorCode::AttemptSuperseded, detail));
    }
    Ok(web::Json(AppendedRecords {
        accepted: appended.accepted,
        unchanged: appended.unchanged,
        already_active: appended.already_active.into_iter().map(view::record_key).collect(),
    }))
}

/// Group the failed records of a sync by what went wrong, largest group first.
#[utoipa::path(
    operation_id = "listErrorGroups",
    tag = "sync-logs",
    params(("id" = Uuid, Path, description = "The sync")),
    responses((status = 200, description = "The groups", body = ErrorGroups)),
    security(("person" = []), ("machine" = ["syncs:read"])),
)]
#[get("/sync-logs/{id}/error-groups")]
pub async fn list_error_groups(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidPath(id): ValidPath<Uuid>,
) -> Result<web::Json<ErrorGroups>, ApiError> {
    context.require(Access::ReadSyncs)?;
    let filter = OutcomeFilter { outcomes: vec![RecordOutcome::Failed], ..OutcomeFilter::default() };
    let tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let failed = read::records(&state, tx, id, &filter, GROUPED).await?;
    Ok(web::Json(ErrorGroups { items: groups(&failed.rows, failed.url_template.as_deref()) }))
}

fn groups(failed: &[OutcomeRow], template: Option<&str>) -> Vec<ErrorGroup> {
    let records = failed.iter().map(|row| FailedRecord {
        record: row,
        identifiers: row.label.as_deref().into_iter().collect(),
        errors: &row.errors,
    });
    group(records)
        .into_iter()
        .map(|group| {
            let matching = group.sample.errors.iter().find(|error| error.message == group.message);
            let error = RecordError {
                code: group.code.clone(),
                message: group.message.clone(),
                field: group.field.clone(),
                ..RecordError::default()
            };
            ErrorGroup {
                class: classify(&error, group.sample.http_status_code),
                fingerprint: group.fingerprint,
                field_name: matching.and_then(|error| error.field_name.clone()),
                code: group.code,
                field: group.field,
                message: group.message,
                count: i64::try_from(group.count).unwrap_or(i64::MAX),
                sample: view::outcome(group.sample.clone(), template),
            }
        })
        .collect()
}

/// Decide about a record by hand.
///
/// `handled_manually`: it was booked by hand, and no sync sends it again. `delivered` and `send_again` settle a record of
/// unknown fate.
#[utoipa::path(
    operation_id = "resolveRecord",
    tag = "sync-logs",
    params(
        ("id" = Uuid, Path, description = "The sync"),
        ("source_record_type" = String, Path, description = "The record's type"),
        ("source_record_id" = Uuid, Path, description = "The record"),
    ),
    request_body(content = ResolveRecord, example = json!({
        "resolution": "handled_manually", "reason": "booked by hand", "reference": "voucher 2217",
    })),
    responses(
        (status = 200, description = "The record", body = RecordOutcomeItem),
        (status = 409, description = "The record has arrived, is under way, or is decided about already",
            body = Problem, content_type = "application/problem+json"),
    ),
    security(("person" = [])),
)]
#[post("/sync-logs/{id}/records/{source_record_type}/{source_record_id}/resolution")]
pub async fn resolve_record(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidPath((id, kind, record)): ValidPath<(Uuid, String, Uuid)>,
    ValidJson(body): ValidJson<ResolveRecord>,
) -> Result<HttpResponse, ApiError> {
    context.require(Access::RetryByHand)?;
    let resolved_by = context.require_person()?;
    read::refuse_archived(&state, context.organization_id, id).await?;
    let key = RecordKey { source_record_type: kind, source_record_id: record };
    let resolution = NewResolution {
        resolution: body.resolution,
        reason: body.reason.trim(),
        reference: body.reference.as_deref().map(str::trim).filter(|reference| !reference.is_empty()),
        resolved_by,
    };
    let now = state.clock.now();
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let row = state.ledger(&mut tx, now).resolve_record(id, &key, &resolution).await?;
    let sync = store::sync_logs::find(&mut tx, id).await?.ok_or_else(ApiError::not_found)?;
    let template = url_template(&mut tx, sync.integration_config_id).await?;
    tx.commit().await?;
    state.hub.nudge();
    Ok(HttpResponse::Ok().json(view::outcome(row, template.as_deref())))
}

/// Where an integration's records lie in the organization's own app, if that is known.
pub(super) async fn url_template(tx: &mut OrgTx, integration_config_id: Uuid) -> Result<Option<String>, ApiError> {
    let config = store::integrations::find(tx, integration_config_id).await?;
    Ok(config.and_then(|config| config.record_url_template))
}
