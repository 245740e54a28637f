//! Who is signed in, and their own settings.

use actix_web::{get, patch, web};
use api_types::ErrorCode;
use api_types::auth::{Me, MePatch, OrganizationRef};
use domain::language::Language;
use store::{OrgTx, PlainTx, api_keys, memberships, users};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::json::ValidJson;
use super::problem::ApiError;
use crate::auth::{OrgContext, Principal};
use crate::state::AppState;

/// Registers the operations.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(get_me).service(update_me);
}

/// Say who is signed in.
///
/// For a person also every organization they can sign in to; for a machine its key's name.
#[utoipa::path(
    operation_id = "getMe",
    tag = "auth",
    responses((status = 200, description = "The token's bearer", body = Me)),
    security(("person" = []), ("machine" = [])),
)]
#[get("/me")]
pub async fn get_me(state: web::Data<AppState>, context: OrgContext) -> Result<web::Json<Me>, ApiError> {
    match context.principal {
        Principal::Person(user_id) => of_person(&state, &context, user_id).await.map(web::Json),
        Principal::Machine(key_id) => {
            let mut tx = OrgTx::begin(&state.db, context.organization_id).await?;
            let (name, organization) = api_keys::names(&mut tx, key_id).await?.ok_or_else(gone)?;
            let organization = OrganizationRef { id: context.organization_id, name: organization };
            Ok(web::Json(Me {
                id: key_id,
                name,
                email: None,
                role: context.role.as_str().to_owned(),
                language: Language::En,
                email_on_incident: false,
                organizations: vec![organization.clone()],
                organization,
            }))
        }
    }
}

/// Change one's own settings.
///
/// Members that are left out stay as they are.
#[utoipa::path(
    operation_id = "updateMe",
    tag = "auth",
    request_body(content = MePatch, example = json!({ "language": "nb", "email_on_incident": true })),
    responses((status = 200, description = "The new settings", body = Me)),
    security(("person" = [])),
)]
#[patch("/me")]
pub async fn update_me(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidJson(patch): ValidJson<MePatch>,
) -> Result<web::Json<Me>, ApiError> {
    let user_id = context.require_person()?;
    let mut tx = PlainTx::begin(&state.db).await?;
    tx.set_person(user_id).await?;
    users::update_settings(&mut tx, user_id, patch.language.map(Language::as_str), patch.email_on_incident).await?;
    tx.commit().await?;
    of_person(&state, &context, user_id).await.map(web::Json)
}

async fn of_person(state: &AppState, context: &OrgContext, user_id: Uuid) -> Result<Me, ApiError> {
    let mut tx = PlainTx::begin(&state.db).await?;
    tx.set_person(user_id).await?;
    let profile = users::profile(&mut tx, user_id).await?.ok_or_else(gone)?;
    let places = memberships::of_person(&mut tx, user_id).await?;
    let organizations: Vec<OrganizationRef> = places
        .into_iter()
        .map(|place| OrganizationRef { id: place.organization_id, name: place.organization_name })
        .collect();
    let organization =
        organizations.iter().find(|place| place.id == context.organization_id).cloned().ok_or_else(gone)?;
    Ok(Me {
        id: profile.id,
        name: profile.name,
        email: Some(profile.email),
        role: context.role.as_str().to_owned(),
        language: profile.language.parse().unwrap_or(Language::En),
        email_on_incident: profile.email_on_incident,
        organization,
        organizations,
    })
}

/// The token outlived what it stands for.
fn gone() -> ApiError {
    ApiError::new(ErrorCode::Unauthenticated, "the token's bearer is no longer known here")
}
