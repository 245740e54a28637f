//! Run events of `OpenLineage`, taken as reports of runs.

use actix_web::http::header;
use actix_web::{HttpResponse, post, web};
use api_types::Problem;
use api_types::lineage::{LineageEvent, LineageReceipt};
use domain::lineage::LineageEventType;
use store::OrgTx;
use utoipa_actix_web::service_config::ServiceConfig;

use super::json::ValidJson;
use super::problem::ApiError;
use crate::auth::{Access, OrgContext};
use crate::ledger::LineageReport;
use crate::state::AppState;

/// Bytes an event may have: facets that are not read here can be long.
const EVENT_LIMIT: usize = 4 * 1024 * 1024;

/// Registers the operation.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(accept_lineage_event);
}

/// Report a run by an `OpenLineage` run event.
///
/// The job is some integration's `lineage_job`; the run's id becomes the sync's `client_run_id`, with `openlineage:`
/// before it. `START` (or the first `RUNNING`) begins a sync, `RUNNING` and `OTHER` extend its lease, `COMPLETE` ends it
/// with success, `FAIL` and `ABORT` with failure. Events that come twice, late or out of order are harmless: an end
/// without a start is recorded, a start after the end changes nothing. So an `Idempotency-Key` is not taken: the run's id
/// and what is known of the run make a repeated event harmless.
#[utoipa::path(
    operation_id = "acceptLineageEvent",
    tag = "sync-logs",
    request_body(content = LineageEvent, examples(
        ("start" = (summary = "A run begins", value = json!({
            "eventType": "START", "eventTime": "2026-11-20T05:00:00.000Z",
            "run": { "runId": "0198c0de-0000-7000-8000-000000000003" },
            "job": { "namespace": "cron", "name": "payroll.nightly" },
            "producer": "https://app.example/jobs",
            "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        }))),
        ("fail" = (summary = "A run fails", value = json!({
            "eventType": "FAIL", "eventTime": "2026-11-20T05:00:07.000Z",
            "run": { "runId": "0198c0de-0000-7000-8000-000000000003", "facets": { "errorMessage": {
                "message": "Xledger did not answer", "programmingLanguage": "python",
                "_producer": "https://app.example/jobs",
                "_schemaURL": "https://openlineage.io/spec/facets/1-0-0/ErrorMessageRunFacet.json",
            } } },
            "job": { "namespace": "cron", "name": "payroll.nightly" },
            "producer": "https://app.example/jobs",
        }))),
    )),
    responses(
        (status = 201, description = "The event made the run's sync", body = LineageReceipt,
            headers(("Location" = String, description = "The sync"))),
        (status = 200, description = "The event was taken; `changed` says whether it said anything new",
            body = LineageReceipt),
        (status = 409, description = "The run has ended otherwise", body = Problem,
            content_type = "application/problem+json"),
    ),
    security(("person" = []), ("machine" = ["syncs:write"])),
)]
#[post("/lineage")]
pub async fn accept_lineage_event(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidJson(event): ValidJson<LineageEvent, EVENT_LIMIT>,
) -> Result<HttpResponse, ApiError> {
    context.require(Access::WriteSyncs)?;
    let now = state.clock.now();
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let taken = state.ledger(&mut tx, now).take_lineage(&report(event), context.reporter()).await?;
    tx.commit().await?;
    if taken.changed {
        state.wake();
    }
    let receipt = LineageReceipt {
        sync_id: taken.sync.as_ref().map(|sync| sync.id),
        status: taken.sync.as_ref().map(|sync| sync.status),
        changed: taken.changed,
    };
    Ok(match taken.sync.filter(|_| taken.created) {
        Some(sync) => {
            let location = format!("/api/v1/sync-logs/{}", sync.id);
            HttpResponse::Created().insert_header((header::LOCATION, location)).json(receipt)
        }
        None => HttpResponse::Ok().json(receipt),
    })
}

fn report(event: LineageEvent) -> LineageReport {
    let rows = event
        .outputs
        .into_iter()
        .flatten()
        .filter_map(|output| output.output_facets?.output_statistics?.row_count)
        .reduce(i64::saturating_add);
    LineageReport {
        namespace: event.job.namespace,
        name: event.job.name,
        run_id: event.run.run_id,
        event: event.event_type.unwrap_or(LineageEventType::Other),
        at: event.event_time,
        rows,
        error_message: event.run.facets.and_then(|facets| facets.error_message).map(|error| error.message),
        producer: event.producer,
    }
}
