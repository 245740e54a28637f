//! The secrets that sign webhooks: made here, sealed at rest, shown once.

use anyhow::Context as _;
use api_types::ErrorCode;
use chrono::{DateTime, Duration, Utc};
use notifier::WebhookSecret;
use rand::RngCore as _;
use store::OrgTx;
use store::integrations::SealedBytes;
use store::webhook_secrets::SigningSecret;
use uuid::Uuid;

use crate::http::problem::ApiError;
use crate::state::AppState;
use crate::vault::Sealed;

/// Bytes of a secret.
const BYTES: usize = 32;
/// Hours in which a former secret goes on signing.
const OVERLAP_HOURS: i64 = 24;
/// Most secrets that sign, so that no number of rotations makes a header too large.
const MOST_SIGNING: i64 = 4;

/// Makes a new secret for an integration's webhooks. Returns it, and until when the former one signs too.
pub async fn make(
    state: &AppState,
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    now: DateTime<Utc>,
) -> Result<(WebhookSecret, DateTime<Utc>), ApiError> {
    let mut bytes = vec![0; BYTES];
    rand::rng().fill_bytes(&mut bytes);
    let id = Uuid::now_v7();
    let sealed = state.vault.seal(&bytes, &context(integration_config_id, id)).map_err(ApiError::internal)?;
    let secret = SigningSecret { id, sealed: SealedBytes { key_id: sealed.key_id, bytes: sealed.bytes } };
    let former_until = now + Duration::hours(OVERLAP_HOURS);
    store::webhook_secrets::replace(tx, integration_config_id, &secret, now, former_until).await.map_err(|error| {
        if error.is_constraint("webhook_secrets_one_current") {
            ApiError::new(ErrorCode::Conflict, "another request made a new secret at the same time")
        } else {
            error.into()
        }
    })?;
    Ok((WebhookSecret::new(bytes), former_until))
}

/// The secrets that sign an integration's webhooks at a moment, the newest first.
pub async fn signing(
    state: &AppState,
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    now: DateTime<Utc>,
) -> anyhow::Result<Vec<WebhookSecret>> {
    let secrets = store::webhook_secrets::signing(tx, integration_config_id, now, MOST_SIGNING).await?;
    secrets
        .into_iter()
        .map(|secret| {
            let sealed = Sealed { key_id: secret.sealed.key_id, bytes: secret.sealed.bytes };
            let bytes = state.vault.open(&sealed, &context(integration_config_id, secret.id));
            Ok(WebhookSecret::new(bytes.context("a webhook's secret could not be opened")?))
        })
        .collect()
}

/// What a secret is sealed for.
pub(crate) fn context(integration_config_id: Uuid, id: Uuid) -> String {
    format!("webhook_secret:{integration_config_id}:{id}")
}
