//! The secret that an external runner verifies webhooks with.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, post, web};
use api_types::integrations::RotatedWebhookSecret;
use api_types::{ErrorCode, Problem};
use domain::integration::Runner;
use serde_json::Value;
use store::OrgTx;
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::idempotency::{Idempotency, Start};
use super::json::ValidPath;
use super::problem::ApiError;
use crate::auth::{Access, OrgContext};
use crate::state::AppState;
use crate::webhook_secrets;

/// Registers the operations.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(rotate_webhook_secret);
}

/// Make a new secret for an integration's webhooks.
///
/// The answer shows it, and nothing does again. For 24 hours webhooks carry the former secret's signature beside the new
/// one's, so that the receiver can change over at any moment of them.
#[utoipa::path(
    operation_id = "rotateWebhookSecret",
    tag = "integrations",
    params(
        ("id" = Uuid, Path, description = "The integration"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeated request harmless"),
    ),
    responses(
        (status = 200, description = "The new secret", body = RotatedWebhookSecret,
            example = json!({ "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "former_valid_until": "2026-11-22T09:30:00Z" })),
        (status = 409, description = "Syncwatch runs the syncs itself, or another request made a new secret at the same \
            time", body = Problem, content_type = "application/problem+json"),
    ),
    security(("person" = [])),
)]
#[post("/integrations/{id}/webhook-secret")]
pub async fn rotate_webhook_secret(
    state: web::Data<AppState>,
    context: OrgContext,
    idempotency: Idempotency,
    ValidPath(id): ValidPath<Uuid>,
) -> Result<HttpResponse, ApiError> {
    context.require(Access::Administer)?;
    let now = state.clock.now();
    let operation = format!("rotateWebhookSecret/{id}");
    let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
    let ticket = match idempotency.begin(&mut tx, &context, &operation, &Value::Null, now).await? {
        Start::Replay(answer) => return Ok(answer),
        Start::New(ticket) => ticket,
    };
    let config = store::integrations::find_held(&mut tx, id).await?.ok_or_else(ApiError::not_found)?;
    if config.runner != Runner::External {
        return Err(ApiError::new(ErrorCode::InvalidTransition, "only an external runner is told about retries"));
    }
    let replaces = store::webhook_secrets::exists(&mut tx, id).await?;
    let (secret, former_until) = webhook_secrets::make(&state, &mut tx, id, now).await?;
    let mut ledger = state.ledger(&mut tx, now);
    ledger.tell_integration(id).await?;
    if !replaces {
        ledger.announce_waiting(&config).await?;
    }
    // Answers that are kept for repeated requests are no place for a secret.
    let kept = RotatedWebhookSecret { secret: None, former_valid_until: replaces.then_some(former_until) };
    ticket.finish(&mut tx, StatusCode::OK, None, &kept).await?;
    tx.commit().await?;
    state.hub.nudge();
    state.webhooks.notify_one();
    Ok(HttpResponse::Ok().json(RotatedWebhookSecret { secret: Some(secret.expose()), ..kept }))
}
