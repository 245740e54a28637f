//! Trying the connection to an external system.

use std::time::Duration;

use actix_web::{post, web};
use api_types::ErrorCode;
use api_types::integrations::{ConnectionTest, SourceTest, TestIntegration};
use connectors::{BuildError, GuardedClients};
use domain::integration::Runner;
use domain::violation::Violation;
use serde_json::Value;
use store::OrgTx;
use store::integrations::IntegrationConfig;
use uuid::Uuid;

use super::settings;
use crate::auth::{Access, OrgContext};
use crate::http::json::{OptionalJson, ValidPath};
use crate::http::problem::ApiError;
use crate::state::AppState;

/// What is found where the settings, which were accepted once, are refused now: the operator has closed a range, say.
const SETTINGS_REFUSED: &str = "SETTINGS_REFUSED";
/// What is found where no known master key opens the credentials.
const CREDENTIALS_UNREADABLE: &str = "CREDENTIALS_UNREADABLE";

/// Try the connection to the external system without sending a record.
///
/// With the credentials that are kept, or with others before they are. Where the integration reads its records from a source,
/// that is read too, and what is found of it is told beside the rest.
#[utoipa::path(
    operation_id = "testIntegration",
    tag = "integrations",
    params(("id" = Uuid, Path, description = "The integration")),
    request_body(content = Option<TestIntegration>, example = json!({})),
    responses(
        (status = 200, description = "What was found, in plain words", body = ConnectionTest),
        (status = 409, description = "An external runner connects, not Syncwatch", body = api_types::Problem,
            content_type = "application/problem+json"),
    ),
    security(("person" = [])),
)]
#[post("/integrations/{id}/test")]
pub async fn test_integration(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidPath(id): ValidPath<Uuid>,
    OptionalJson(body): OptionalJson<TestIntegration>,
) -> Result<web::Json<ConnectionTest>, ApiError> {
    context.require(Access::Administer)?;
    let config = {
        let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
        store::integrations::find(&mut tx, id).await?.ok_or_else(ApiError::not_found)?
    };
    if config.runner != Runner::Managed {
        return Err(ApiError::new(ErrorCode::InvalidTransition, "an external runner connects, not Syncwatch"));
    }
    let credentials = match body.and_then(|body| body.credentials) {
        Some(given) => {
            let given = settings::completed(&settings::credentials_of(&state, &config), given);
            check_credentials(&state, &config, &given)?;
            Some(given)
        }
        None => match settings::credentials_of(&state, &config) {
            Ok(kept) => kept,
            Err(error) => {
                tracing::warn!(integration_config_id = %config.id, error = %error, "credentials could not be opened");
                let message =
                    "The credentials that are kept cannot be read: none of the server's master keys opens them.";
                return Ok(web::Json(unconnected(CREDENTIALS_UNREADABLE, message.to_owned())));
            }
        },
    };
    let clients = GuardedClients::new(&state.outbound);
    let built = connectors::build_with(config.connector_type, &config.settings, credentials.as_ref(), &clients)
        .and_then(|connector| {
            let source = connectors::build_source_with(&config.settings, credentials.as_ref(), &clients)?;
            Ok((connector, source))
        });
    let (connector, source) = match built {
        Ok(built) => built,
        Err(BuildError::Invalid(found)) => {
            return Ok(web::Json(unconnected(SETTINGS_REFUSED, refused_settings(&found))));
        }
        Err(error) => return Err(ApiError::internal(error)),
    };
    let found = connector.test().await;
    let read = match source {
        Some(source) => Some(source.test().await),
        None => None,
    };
    Ok(web::Json(ConnectionTest {
        ok: found.ok,
        code: found.code,
        message: found.message,
        http_status_code: found.http_status_code,
        duration_ms: millis(found.duration),
        source: read.map(|read| SourceTest {
            ok: read.ok,
            code: read.code,
            message: read.message,
            duration_ms: millis(read.duration),
        }),
    }))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Credentials that were typed in are judged as if they were to be kept.
fn check_credentials(state: &AppState, config: &IntegrationConfig, given: &Value) -> Result<(), ApiError> {
    let found: Vec<Violation> =
        connectors::validate_settings(config.connector_type, &config.settings, Some(given), &state.outbound)
            .into_iter()
            .filter(|violation| violation.pointer.starts_with("/credentials"))
            .collect();
    if found.is_empty() { Ok(()) } else { Err(found.into()) }
}

/// Nothing was sent.
fn unconnected(code: &str, message: String) -> ConnectionTest {
    ConnectionTest { ok: false, code: code.to_owned(), message, http_status_code: None, duration_ms: 0, source: None }
}

fn refused_settings(found: &[Violation]) -> String {
    let told: Vec<String> = found.iter().map(|one| format!("{}: {}", one.pointer, one.detail)).collect();
    format!("The settings are no longer accepted: {}.", told.join("; "))
}
