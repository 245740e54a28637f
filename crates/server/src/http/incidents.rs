//! Incidents: list, take notice.

use actix_web::{get, post, web};
use api_types::Page;
use api_types::incidents::Incident;
use serde::{Deserialize, Serialize};
use store::OrgTx;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::json::{ValidPath, ValidQuery};
use super::paging::{Direction, FiltersHash, PageRequest};
use super::problem::ApiError;
use crate::auth::{Access, OrgContext};
use crate::state::AppState;

/// Registers the operations.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(list_incidents).service(acknowledge_incident);
}

/// Which incidents a list holds.
#[derive(Clone, Debug, Default, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct IncidentsQuery {
    /// Of one integration.
    integration_config_id: Option<Uuid>,
    /// Only open (or only resolved) ones.
    open: Option<bool>,
    /// Where to go on.
    #[serde(skip_serializing_if = "super::paging::is_no_filter")]
    #[param(max_length = 512)]
    cursor: Option<String>,
    /// Items of the page, 1–200; 50 if left out.
    #[serde(skip_serializing_if = "super::paging::is_no_filter")]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// List incidents, newest first.
#[utoipa::path(
    operation_id = "listIncidents",
    tag = "incidents",
    params(IncidentsQuery),
    responses((status = 200, description = "A page of incidents", body = Page<Incident>)),
    security(("person" = []), ("machine" = ["integrations:read"])),
)]
#[get("/incidents")]
pub async fn list_incidents(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidQuery(query): ValidQuery<IncidentsQuery>,
) -> Result<web::Json<Page<Incident>>, ApiError> {
    context.require(Access::ReadIntegrations)?;
    let filters = FiltersHash::of("incidents", context.organization_id, &query);
    let request: PageRequest = PageRequest::read(query.cursor.as_deref(), query.limit, filters)?;
    let direction = request.cursor.as_ref().map_or(Direction::Next, |cursor| cursor.direction);
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let rows = store::incidents::list(
        &mut tx,
        query.integration_config_id,
        query.open,
        request.key().copied(),
        direction == Direction::Previous,
        request.fetch_limit(),
    )
    .await?;
    let page = request.page(rows, |incident| (incident.opened_at, incident.id));
    Ok(web::Json(Page {
        items: page.items.into_iter().map(view).collect(),
        next_cursor: page.next_cursor,
        prev_cursor: page.prev_cursor,
    }))
}

/// Take notice of an incident; the first to do so stays on record.
#[utoipa::path(
    operation_id = "acknowledgeIncident",
    tag = "incidents",
    params(("id" = Uuid, Path, description = "The incident")),
    responses((status = 200, description = "The incident", body = Incident)),
    security(("person" = [])),
)]
#[post("/incidents/{id}/acknowledge")]
pub async fn acknowledge_incident(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidPath(id): ValidPath<Uuid>,
) -> Result<web::Json<Incident>, ApiError> {
    context.require(Access::Administer)?;
    let user_id = context.require_person()?;
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    if !store::incidents::acknowledge(&mut tx, id, user_id, state.clock.now()).await? {
        return Err(ApiError::not_found());
    }
    let incident = store::incidents::find(&mut tx, id).await?.ok_or_else(ApiError::not_found)?;
    state.ledger(&mut tx, state.clock.now()).tell_integration(incident.integration_config_id).await?;
    tx.commit().await?;
    state.hub.nudge();
    Ok(web::Json(view(incident)))
}

fn view(incident: store::incidents::Incident) -> Incident {
    Incident {
        id: incident.id,
        integration_config_id: incident.integration_config_id,
        integration_name: incident.integration_name,
        kind: incident.kind,
        opened_at: incident.opened_at,
        resolved_at: incident.resolved_at,
        acknowledged_at: incident.acknowledged_at,
        acknowledged_by: incident.acknowledged_by,
        sync_id: incident.sync_id,
        error_message: incident.error_message,
    }
}
