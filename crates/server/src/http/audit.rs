//! Tamper evidence: verification of the ledger against its seals, and the checkpoints.

use actix_web::{get, web};
use api_types::Page;
use api_types::audit::{AuditVerification, SealCheckpoint};
use serde::{Deserialize, Serialize};
use store::OrgTx;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

use super::json::ValidQuery;
use super::paging::{FiltersHash, PageRequest};
use super::problem::ApiError;
use crate::audit::{Scope, shown, verify};
use crate::auth::{Access, OrgContext};
use crate::state::AppState;

/// Seals that one call looks at if the caller asks for no number.
const DEFAULT_SEALS: i64 = 1_000;
/// Seals that one call looks at, at most.
const MAX_SEALS: i64 = 5_000;
/// Syncs that one call looks at, at most.
const MAX_SYNCS: i64 = 20_000;

/// Registers the operations.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(verify_audit).service(list_checkpoints);
}

/// Which part of the chain.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct VerificationQuery {
    /// Look at the seals after this one: 0 begins at the beginning, `next_after` goes on. Left out, the newest are looked
    /// at.
    #[param(minimum = 0, example = 0)]
    after: Option<i64>,
    /// Seals to look at, 1–5,000; 1,000 if left out.
    #[param(minimum = 1, maximum = 5000, example = 1000)]
    seals: Option<i64>,
}

/// Compare a part of the chain of seals with the ledger as it is now, and name the first row that does not fit.
///
/// Whole chains are walked by going on at `next_after`, or by `syncwatch audit verify`.
#[utoipa::path(
    operation_id = "verifyAudit",
    tag = "audit",
    params(VerificationQuery),
    responses((status = 200, description = "What was found", body = AuditVerification, example = json!({
        "fits": false, "checked": 16, "syncs_checked": 0, "all_syncs_checked": false, "waiting": 0, "head_seq": 1043,
        "next_after": null,
        "first_mismatch": {
            "table": "sync_attempts", "reason": "row_changed", "seq": 17,
            "sync_id": "019aa5f0-63c8-7e3b-8a8b-1a2b3c4d5e6f", "attempt": 0, "source_record_type": null,
            "source_record_id": null,
            "detail": "sync_attempts, sync 019aa5f0-63c8-7e3b-8a8b-1a2b3c4d5e6f, attempt 0, seal 17: the row is another \
                one than was sealed",
        },
    }))),
    security(("person" = [])),
)]
#[get("/audit/verification")]
pub async fn verify_audit(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidQuery(query): ValidQuery<VerificationQuery>,
) -> Result<web::Json<AuditVerification>, ApiError> {
    context.require(Access::Administer)?;
    let seals = query.seals.unwrap_or(DEFAULT_SEALS);
    if !(1..=MAX_SEALS).contains(&seals) {
        return Err(ApiError::invalid_parameter("seals", format!("between 1 and {MAX_SEALS}")));
    }
    let head = {
        let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
        store::seals::head(&mut tx).await?.0
    };
    let after = query.after.unwrap_or_else(|| (head - seals).max(0));
    if !(0..=head).contains(&after) {
        return Err(ApiError::invalid_parameter("after", "0 or the number of a seal"));
    }
    let scope = Scope { after, seals: Some(seals), syncs: Some(MAX_SYNCS), outside: None };
    let found = verify(&state.db, &state.archive, context.organization_id, &scope, |_| {}).await?;
    Ok(web::Json(AuditVerification {
        fits: found.first_mismatch.is_none(),
        checked: found.checked,
        syncs_checked: found.syncs_checked,
        all_syncs_checked: found.all_syncs_checked,
        waiting: found.waiting,
        head_seq: found.head_seq,
        next_after: found.next_after,
        first_mismatch: found.first_mismatch,
    }))
}

/// Where the page lies.
#[derive(Clone, Debug, Default, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CheckpointsQuery {
    /// Where to go on.
    #[serde(skip_serializing)]
    cursor: Option<String>,
    /// Items of the page, 1–200; 50 if left out.
    #[serde(skip_serializing)]
    limit: Option<i64>,
}

/// List the signed checkpoints of the chain of seals, newest first.
#[utoipa::path(
    operation_id = "listCheckpoints",
    tag = "audit",
    params(CheckpointsQuery),
    responses((status = 200, description = "A page of checkpoints", body = Page<SealCheckpoint>, example = json!({
        "items": [{
            "organization_id": "019aa5f0-0000-7000-8000-000000000001", "seq": 1043,
            "chain_hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "made_at": "2026-11-20T13:03:11Z", "kid": "nPcFvJ2pS9wQz0aT",
            "signature": "mQ6m1xk6d3B0V0m3mQ6m1xk6d3B0V0m3mQ6m1xk6d3B0V0m3mQ6m1xk6d3B0V0m3mQ6m1xk6d3B0V0m3mQ6m1w",
        }],
        "next_cursor": null, "prev_cursor": null,
    }))),
    security(("person" = [])),
)]
#[get("/audit/checkpoints")]
pub async fn list_checkpoints(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidQuery(query): ValidQuery<CheckpointsQuery>,
) -> Result<web::Json<Page<SealCheckpoint>>, ApiError> {
    context.require(Access::Administer)?;
    let filters = FiltersHash::of("checkpoints", context.organization_id, &query);
    let request: PageRequest<i64> = PageRequest::read(query.cursor.as_deref(), query.limit, filters)?;
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let newer = request.is_backwards();
    let rows = store::seals::list_checkpoints(&mut tx, request.key().copied(), newer, request.fetch_limit()).await?;
    let page = request.page(rows, |signed| signed.checkpoint.seq);
    Ok(web::Json(Page {
        items: page.items.iter().map(shown).collect(),
        next_cursor: page.next_cursor,
        prev_cursor: page.prev_cursor,
    }))
}
