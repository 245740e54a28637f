//! Integrations: list, settings, connection test, syncs on demand.

mod connection_test;
pub(crate) mod settings;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, get, patch, post, web};
use api_types::integrations::{Integration, IntegrationPatch, IntegrationSummary, NewIntegration};
use api_types::sync_logs::{Sync, TriggerSync};
use api_types::{ErrorCode, Page};
use domain::health::HealthFacts;
use store::OrgTx;
use store::integrations::IntegrationConfig;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::idempotency::{Idempotency, Start};
use super::json::{OptionalJson, ValidJson, ValidPath};
use super::problem::ApiError;
use super::view;
use crate::auth::{Access, OrgContext};
use crate::state::AppState;
use crate::webhook_secrets;

/// Registers the operations.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(list_integrations)
        .service(create_integration)
        .service(get_integration)
        .service(update_integration)
        .service(connection_test::test_integration)
        .service(trigger_sync);
}

/// List the organization's integrations with their health.
///
/// All of them, by name: an organization has tens of integrations, and the dashboard orders them by how they fare.
#[utoipa::path(
    operation_id = "listIntegrations",
    tag = "integrations",
    responses((status = 200, description = "Every integration", body = Page<IntegrationSummary>)),
    security(("person" = []), ("machine" = ["integrations:read"])),
)]
#[get("/integrations")]
pub async fn list_integrations(
    state: web::Data<AppState>,
    context: OrgContext,
) -> Result<web::Json<Page<IntegrationSummary>>, ApiError> {
    context.require(Access::ReadIntegrations)?;
    let now = state.clock.now();
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let rows = store::integrations::list(&mut tx).await?;
    let items = rows.iter().map(|(config, facts, active)| view::summary(config, facts, *active, now)).collect();
    Ok(web::Json(Page { items, next_cursor: None, prev_cursor: None }))
}

/// Connect an external system.
///
/// With `retry_webhook_url` the answer shows the secret of its webhooks, once: an answer given again for a repeated
/// `Idempotency-Key` is without it (`rotateWebhookSecret` makes a new one).
#[utoipa::path(
    operation_id = "createIntegration",
    tag = "integrations",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless")),
    request_body(content = NewIntegration, example = json!({
        "name": "Accounting", "connector_type": "generic_http", "sync_type": "accounting_push", "runner": "managed",
        "settings": { "url": "https://accounting.example/api/vouchers", "idempotency_header": "Idempotency-Key" },
        "credentials": { "type": "bearer", "token": "…" },
        "schedule": { "cron": "0 6 * * 1-5", "time_zone": "Europe/Oslo" },
        "record_url_template": "https://app.example/claims/{id}",
    })),
    responses(
        (status = 201, description = "The new integration", body = Integration),
        (status = 409, description = "The name or the lineage job is taken", body = api_types::Problem, content_type = "application/problem+json"),
    ),
    security(("person" = [])),
)]
#[post("/integrations")]
pub async fn create_integration(
    state: web::Data<AppState>,
    context: OrgContext,
    idempotency: Idempotency,
    ValidJson(new): ValidJson<NewIntegration>,
) -> Result<HttpResponse, ApiError> {
    context.require(Access::Administer)?;
    let now = state.clock.now();
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let ticket = match idempotency.begin(&mut tx, &context, "createIntegration", &new, now).await? {
        Start::Replay(answer) => return Ok(answer),
        Start::New(ticket) => ticket,
    };
    let lineage_job = new.lineage_job.clone();
    let config = settings::create(&state, context.organization_id, new, now)?;
    store::integrations::insert(&mut tx, &config).await.map_err(name_taken)?;
    if let Some(job) = &lineage_job {
        store::lineage_jobs::set(&mut tx, config.id, Some(job)).await.map_err(lineage_job_taken)?;
    }
    let mut ledger = state.ledger(&mut tx, now);
    ledger.reset_timers(&config).await?;
    ledger.tell_integration(config.id).await?;
    let secret = first_webhook_secret(&state, &mut tx, &config).await?;
    let mut body = view::integration(&config, &HealthFacts::default(), None, None, lineage_job, now);
    let location = format!("/api/v1/integrations/{}", config.id);
    // Answers that are kept for repeated requests are no place for a secret.
    let mut answer = ticket.finish(&mut tx, StatusCode::CREATED, Some(location.clone()), &body).await?;
    tx.commit().await?;
    state.hub.nudge();
    if secret.is_some() {
        body.retry_webhook_secret = secret;
        answer = HttpResponse::Created().insert_header((header::LOCATION, location)).json(body);
    }
    answer.headers_mut().insert(header::ETAG, etag(config.version)?);
    Ok(answer)
}

/// Read one integration with its settings.
#[utoipa::path(
    operation_id = "getIntegration",
    tag = "integrations",
    params(("id" = Uuid, Path, description = "The integration")),
    responses((status = 200, description = "The integration; its `ETag` is what a change must name", body = Integration,
        headers(("ETag" = String, description = "Version of the settings")))),
    security(("person" = []), ("machine" = ["integrations:read"])),
)]
#[get("/integrations/{id}")]
pub async fn get_integration(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidPath(id): ValidPath<Uuid>,
) -> Result<HttpResponse, ApiError> {
    context.require(Access::ReadIntegrations)?;
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let config = store::integrations::find(&mut tx, id).await?.ok_or_else(ApiError::not_found)?;
    answer(&state, &mut tx, &config, None).await
}

/// Change an integration's settings.
///
/// Members left out stay. The answer to the change that sets the first `retry_webhook_url` shows the secret of its
/// webhooks, once; setting an address that was disabled enables it again. A new or enabled address is told of every retry
/// that waits and of which no message has arrived. `If-Match` names the version that was read, so that two administrators
/// never overwrite each other silently.
///
/// Credentials that are kept go only to the hosts that they were given for. New settings that would show them to another
/// one (by its scheme, name or port; of a database also by who proves that it is the one) need them again in the same
/// request: `credentials_required` says which.
#[utoipa::path(
    operation_id = "updateIntegration",
    tag = "integrations",
    params(
        ("id" = Uuid, Path, description = "The integration"),
        ("If-Match" = String, Header, description = "The `ETag` that was read"),
    ),
    request_body(content = IntegrationPatch, example = json!({ "freshness_hours": 72, "paused": false })),
    responses(
        (status = 200, description = "The changed integration", body = Integration),
        (status = 409, description = "The name or the lineage job is taken", body = api_types::Problem, content_type = "application/problem+json"),
        (status = 412, description = "Changed in the meantime", body = api_types::Problem, content_type = "application/problem+json"),
        (status = 428, description = "If-Match is missing", body = api_types::Problem, content_type = "application/problem+json"),
    ),
    security(("person" = [])),
)]
#[patch("/integrations/{id}")]
pub async fn update_integration(
    request: HttpRequest,
    state: web::Data<AppState>,
    context: OrgContext,
    ValidPath(id): ValidPath<Uuid>,
    ValidJson(patch): ValidJson<IntegrationPatch>,
) -> Result<HttpResponse, ApiError> {
    context.require(Access::Administer)?;
    let now = state.clock.now();
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let known = store::integrations::find(&mut tx, id).await?.ok_or_else(ApiError::not_found)?;
    check_version(&request, known.version)?;
    let read_version = known.version;
    let lineage_job = patch.lineage_job.clone();
    let names_address = patch.retry_webhook_url.is_some();
    let told_at = known.told_at().map(str::to_owned);
    let mut config = settings::change(&state, known, patch, now)?;
    if !store::integrations::update(&mut tx, &config, read_version).await.map_err(name_taken)? {
        return Err(changed_meanwhile());
    }
    if let Some(job) = lineage_job {
        store::lineage_jobs::set(&mut tx, config.id, job.as_ref()).await.map_err(lineage_job_taken)?;
    }
    config.version += 1;
    let mut ledger = state.ledger(&mut tx, now);
    ledger.reset_timers(&config).await?;
    ledger.tell_integration(config.id).await?;
    // Shown to those alone who ask for webhooks: nobody looks for a secret in the answer to any other change.
    let secret = if names_address { first_webhook_secret(&state, &mut tx, &config).await? } else { None };
    if config.told_at() != told_at.as_deref() || secret.is_some() {
        state.ledger(&mut tx, now).announce_waiting(&config).await?;
    }
    let response = answer(&state, &mut tx, &config, secret).await?;
    tx.commit().await?;
    state.hub.nudge();
    state.webhooks.notify_one();
    Ok(response)
}

/// Start a managed sync now: of one record, or of all that are due.
#[utoipa::path(
    operation_id = "triggerSync",
    tag = "integrations",
    params(
        ("id" = Uuid, Path, description = "The integration"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless"),
    ),
    request_body(content = Option<TriggerSync>, example = json!({})),
    responses(
        (status = 202, description = "The sync, pending", body = Sync),
        (status = 409, description = "One is under way, or an external runner starts the syncs",
            body = api_types::Problem, content_type = "application/problem+json"),
    ),
    security(("person" = []), ("machine" = ["syncs:write"])),
)]
#[post("/integrations/{id}/syncs")]
pub async fn trigger_sync(
    state: web::Data<AppState>,
    context: OrgContext,
    idempotency: Idempotency,
    ValidPath(id): ValidPath<Uuid>,
    OptionalJson(body): OptionalJson<TriggerSync>,
) -> Result<HttpResponse, ApiError> {
    context.require(Access::WriteSyncs)?;
    let now = state.clock.now();
    let only = settings::one_record(body.as_ref())?;
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let operation = format!("triggerSync/{id}");
    let ticket = match idempotency.begin(&mut tx, &context, &operation, &body, now).await? {
        Start::Replay(answer) => return Ok(answer),
        Start::New(ticket) => ticket,
    };
    let sync = state.ledger(&mut tx, now).trigger(id, only, context.reporter()).await?;
    let location = format!("/api/v1/sync-logs/{}", sync.id);
    let body = view::sync(&sync, false, None);
    let answer = ticket.finish(&mut tx, StatusCode::ACCEPTED, Some(location), &body).await?;
    tx.commit().await?;
    state.wake();
    Ok(answer)
}

/// The secret of an integration that has a webhook address and has had no secret yet.
async fn first_webhook_secret(
    state: &AppState,
    tx: &mut OrgTx,
    config: &IntegrationConfig,
) -> Result<Option<String>, ApiError> {
    if config.retry_webhook_url.is_none() || store::webhook_secrets::exists(tx, config.id).await? {
        return Ok(None);
    }
    let (secret, _) = webhook_secrets::make(state, tx, config.id, state.clock.now()).await?;
    Ok(Some(secret.expose()))
}

async fn answer(
    state: &AppState,
    tx: &mut OrgTx,
    config: &IntegrationConfig,
    secret: Option<String>,
) -> Result<HttpResponse, ApiError> {
    let facts = store::health::find(tx, config.id).await?;
    let active = store::active_syncs::find_of_integration(tx, config.id).await?;
    let incident = store::incidents::find_open(tx, config.id).await?;
    let lineage_job = store::lineage_jobs::find(tx, config.id).await?;
    let mut body = view::integration(config, &facts, active, incident, lineage_job, state.clock.now());
    body.retry_webhook_secret = secret;
    Ok(HttpResponse::Ok().insert_header((header::ETAG, etag(config.version)?)).json(body))
}

fn etag(version: i64) -> Result<HeaderValue, ApiError> {
    HeaderValue::from_str(&format!("\"{version}\"")).map_err(ApiError::internal)
}

fn check_version(request: &HttpRequest, version: i64) -> Result<(), ApiError> {
    let Some(given) = request.headers().get(header::IF_MATCH) else {
        return Err(ApiError::new(ErrorCode::PreconditionRequired, "If-Match names the version that was read"));
    };
    let given = given.to_str().unwrap_or_default();
    let wanted = format!("\"{version}\"");
    // Proxies that compress may weaken the tag.
    let fits = |tag: &str| tag.trim() == "*" || tag.trim().trim_start_matches("W/") == wanted;
    if given.split(',').any(fits) { Ok(()) } else { Err(changed_meanwhile()) }
}

fn changed_meanwhile() -> ApiError {
    ApiError::new(ErrorCode::PreconditionFailed, "the settings changed since they were read")
}

fn lineage_job_taken(error: store::StoreError) -> ApiError {
    if error.is_constraint(store::lineage_jobs::ONE_INTEGRATION) {
        ApiError::new(ErrorCode::Conflict, "another integration has this lineage job")
    } else {
        error.into()
    }
}

fn name_taken(error: store::StoreError) -> ApiError {
    if error.is_constraint("integration_configs_name") {
        ApiError::new(ErrorCode::Conflict, "an integration of this name exists")
    } else {
        error.into()
    }
}
