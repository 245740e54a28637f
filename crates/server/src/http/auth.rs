//! Signing in and out, and tokens for machines.

mod client;

use std::collections::BTreeSet;

use actix_web::cookie::time::Duration as CookieDuration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header;
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, post, web};
use api_types::ErrorCode;
use api_types::auth::{ClientCredentialsForm, LoginRequest, TokenResponse};
use api_types::problem::ProblemError;
use domain::violation::{Rule, Violation};
use store::memberships::Membership;
use store::{PlainTx, memberships, users};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::json::ValidJson;
use super::limits::{Limits, client_address};
use super::problem::ApiError;
use super::shell::LogNote;
use crate::auth::session::{self, Refreshed};
use crate::auth::token::Issued;
use crate::auth::{Principal, Role, password};
use crate::state::AppState;
use crate::telemetry::METRICS;

/// The cookie of refresh tokens.
pub const COOKIE: &str = "syncwatch_refresh";
const COOKIE_PATH: &str = "/api/v1/auth";
const MAX_EMAIL_BYTES: usize = 320;

/// Registers the operations.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(login).service(refresh).service(logout).service(issue_token);
}

/// Sign in with e-mail and password.
///
/// Members of several organizations name one; without it the answer is 422, whose `errors` list the organizations with
/// the code `organization`.
#[utoipa::path(
    operation_id = "login",
    tag = "auth",
    request_body(
        content = LoginRequest,
        example = json!({ "email": "kari@example.org", "password": "correct horse battery staple" }),
    ),
    responses(
        (
            status = 200,
            description = "An access token; the refresh token comes as a cookie",
            body = TokenResponse,
            example = json!({ "access_token": "eyJ…", "token_type": "Bearer", "expires_in": 600 }),
        ),
        (status = 401, description = "Wrong e-mail address or password", body = api_types::Problem, content_type = "application/problem+json"),
        (status = 403, description = "A member of no organization", body = api_types::Problem, content_type = "application/problem+json"),
    ),
    security(()),
)]
#[post("/auth/login")]
pub async fn login(
    state: web::Data<AppState>,
    limits: web::Data<Limits>,
    request: HttpRequest,
    ValidJson(credentials): ValidJson<LoginRequest>,
) -> Result<HttpResponse, ApiError> {
    limits
        .count_login(&credentials.email, client_address(&request))
        .inspect_err(|_| METRICS.sign_ins.with_label_values(&["throttled"]).inc())?;
    let user_id = check_password(&state, &credentials)
        .await
        .inspect_err(|_| METRICS.sign_ins.with_label_values(&["refused"]).inc())?;
    let now = state.clock.now();
    let mut tx = PlainTx::begin(&state.db).await?;
    tx.set_person(user_id).await?;
    let places = memberships::of_person(&mut tx, user_id).await?;
    let place = choose(&places, credentials.organization_id)?;
    let role: Role = place.role.parse().map_err(ApiError::internal)?;
    let organization_id = place.organization_id;
    let days = state.config.sessions.refresh_days;
    let refresh_token = session::begin(&mut tx, user_id, organization_id, days, now).await?;
    tx.commit().await?;
    METRICS.sign_ins.with_label_values(&["ok"]).inc();
    signed_in(&state, user_id, organization_id, role, &refresh_token)
}

/// Exchange the refresh cookie for a new access token.
///
/// Each refresh token works once; one that comes twice ends the session everywhere.
#[utoipa::path(
    operation_id = "refresh",
    tag = "auth",
    responses(
        (status = 200, description = "A new access token, and a new cookie", body = TokenResponse),
        (status = 401, description = "The session has ended", body = api_types::Problem, content_type = "application/problem+json"),
    ),
    security(("refresh_cookie" = [])),
)]
#[post("/auth/refresh")]
pub async fn refresh(state: web::Data<AppState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let ended = || ApiError::new(ErrorCode::Unauthenticated, "the session has ended; sign in again");
    let cookie = request.cookie(COOKIE).ok_or_else(ended)?;
    let days = state.config.sessions.refresh_days;
    match session::refresh(&state.db, cookie.value(), days, state.clock.now()).await? {
        Refreshed::Continues(session) => {
            signed_in(&state, session.user_id, session.organization_id, session.role, &session.refresh_token)
        }
        Refreshed::Reused => {
            request.extensions_mut().insert(LogNote("a refresh token came twice; its family was revoked"));
            Err(ended())
        }
        Refreshed::Ended => Err(ended()),
    }
}

/// End the session.
///
/// Every refresh token of this sign-in is revoked; the access token ends by itself within ten minutes.
#[utoipa::path(
    operation_id = "logout",
    tag = "auth",
    responses((status = 204, description = "Signed out; the cookie is gone")),
    security((), ("refresh_cookie" = [])),
)]
#[post("/auth/logout")]
pub async fn logout(state: web::Data<AppState>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    if let Some(cookie) = request.cookie(COOKIE) {
        session::end(&state.db, cookie.value(), state.clock.now()).await?;
    }
    let mut gone = refresh_cookie(&state, "");
    gone.make_removal();
    Ok(HttpResponse::NoContent().cookie(gone).insert_header((header::CACHE_CONTROL, "no-store")).finish())
}

/// Issue a token to a machine.
///
/// The OAuth 2.0 client credentials grant (RFC 6749, section 4.4); the client may also authenticate by HTTP Basic.
#[utoipa::path(
    operation_id = "issueToken",
    tag = "auth",
    request_body(
        content = ClientCredentialsForm,
        content_type = "application/x-www-form-urlencoded",
        example = json!({
            "grant_type": "client_credentials",
            "client_id": "019a9f3c-0000-7000-8000-000000000001",
            "client_secret": "swk_…",
            "scope": "syncs:write records:write",
        }),
    ),
    responses(
        (
            status = 200,
            description = "An access token",
            body = TokenResponse,
            example = json!({ "access_token": "eyJ…", "token_type": "Bearer", "expires_in": 600 }),
        ),
        (status = 400, description = "A malformed request, another grant, or a scope the key does not have", body = api_types::Problem, content_type = "application/problem+json"),
        (status = 401, description = "Wrong client id or secret", body = api_types::Problem, content_type = "application/problem+json"),
    ),
    security(()),
)]
#[post("/oauth/token")]
pub async fn issue_token(
    state: web::Data<AppState>,
    limits: web::Data<Limits>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let form = client::read(&request, payload.into_inner()).await?;
    limits.count_login(&form.client_id, client_address(&request))?;
    let (organization_id, key_id, scopes) = client::authenticate(&state, &form)
        .await
        .inspect_err(|_| METRICS.sign_ins.with_label_values(&["refused"]).inc())?;
    METRICS.sign_ins.with_label_values(&["ok"]).inc();
    let principal = Principal::Machine(key_id);
    let issued = state
        .tokens
        .issue(organization_id, principal, Role::Runner, &scopes, state.clock.now())
        .map_err(ApiError::internal)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::PRAGMA, "no-cache"))
        .json(token_response(issued)))
}

async fn check_password(state: &AppState, credentials: &LoginRequest) -> Result<Uuid, ApiError> {
    let email = credentials.email.trim();
    let found = if email.len() > MAX_EMAIL_BYTES {
        None
    } else {
        users::find_login(&mut PlainTx::begin(&state.db).await?, email).await?
    };
    let (user_id, hash) = found.map_or((None, None), |found| (Some(found.user_id), Some(found.password_hash)));
    let fits = password::verify(credentials.password.clone(), hash).await.map_err(ApiError::internal)?;
    user_id
        .filter(|_| fits)
        .ok_or_else(|| ApiError::new(ErrorCode::InvalidCredentials, "the e-mail address or the password is wrong"))
}

/// The organization to sign in to; told only to whom the password was right.
fn choose(places: &[Membership], wanted: Option<Uuid>) -> Result<&Membership, ApiError> {
    match (places, wanted) {
        ([], _) => Err(ApiError::new(ErrorCode::Forbidden, "you belong to no organization")),
        (_, Some(wanted)) => places.iter().find(|place| place.organization_id == wanted).ok_or_else(|| {
            let detail = "you belong to no such organization";
            ApiError::violations(vec![Violation::new(Rule::UnknownReference, "/organization_id", detail)])
        }),
        ([only], None) => Ok(only),
        (several, None) => {
            let detail = "you belong to several organizations: name one";
            let required = ProblemError {
                code: Rule::Required.as_str().to_owned(),
                pointer: "/organization_id".to_owned(),
                detail: detail.to_owned(),
            };
            let choices = several.iter().map(|place| ProblemError {
                code: "organization".to_owned(),
                pointer: "/organization_id".to_owned(),
                detail: format!("{} {}", place.organization_id, place.organization_name),
            });
            let errors = std::iter::once(required).chain(choices).collect();
            Err(ApiError::new(ErrorCode::ValidationFailed, detail).with_errors(errors))
        }
    }
}

fn signed_in(
    state: &AppState,
    user_id: Uuid,
    organization_id: Uuid,
    role: Role,
    refresh_token: &str,
) -> Result<HttpResponse, ApiError> {
    let principal = Principal::Person(user_id);
    let issued = state
        .tokens
        .issue(organization_id, principal, role, &BTreeSet::new(), state.clock.now())
        .map_err(ApiError::internal)?;
    Ok(HttpResponse::Ok()
        .cookie(refresh_cookie(state, refresh_token))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(token_response(issued)))
}

fn refresh_cookie(state: &AppState, value: &str) -> Cookie<'static> {
    Cookie::build(COOKIE, value.to_owned())
        .path(COOKIE_PATH)
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(state.config.http.is_https())
        .max_age(CookieDuration::days(i64::from(state.config.sessions.refresh_days)))
        .finish()
}

fn token_response(issued: Issued) -> TokenResponse {
    TokenResponse { access_token: issued.token, token_type: "Bearer".to_owned(), expires_in: issued.expires_in }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(id: u128) -> Membership {
        Membership {
            organization_id: Uuid::from_u128(id),
            organization_name: format!("Organization {id}"),
            role: "org_admin".to_owned(),
        }
    }

    #[test]
    fn a_member_of_one_organization_need_not_choose() {
        assert_eq!(choose(&[place(1)], None).unwrap().organization_id, Uuid::from_u128(1));
        assert_eq!(choose(&[], None).unwrap_err().code(), ErrorCode::Forbidden);
    }

    #[test]
    fn a_member_of_several_chooses_among_them() {
        let places = [place(1), place(2)];
        assert_eq!(choose(&places, Some(Uuid::from_u128(2))).unwrap(), &places[1]);
        let problem = choose(&places, None).unwrap_err().into_problem();
        assert_eq!(problem.code, ErrorCode::ValidationFailed);
        let codes: Vec<&str> = problem.errors.iter().map(|error| error.code.as_str()).collect();
        assert_eq!(codes, ["required", "organization", "organization"]);
        let problem = choose(&places, Some(Uuid::from_u128(3))).unwrap_err().into_problem();
        assert_eq!(problem.errors[0].code, "unknown_reference");
    }
}
