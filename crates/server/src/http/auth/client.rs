//! The client credentials grant: reading the form, checking the key.

use std::collections::BTreeSet;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{HttpMessage as _, HttpRequest};
use api_types::ErrorCode;
use api_types::auth::ClientCredentialsForm;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use store::{OrgTx, PlainTx, api_keys};
use uuid::Uuid;

use crate::auth::{Scope, api_key};
use crate::http::json::read_body;
use crate::http::problem::ApiError;
use crate::state::AppState;

const MAX_FORM_BYTES: usize = 8 * 1024;

#[derive(Deserialize)]
struct RawForm {
    grant_type: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    scope: Option<String>,
}

/// Reads the form; the client's id and secret may come by HTTP Basic instead.
pub(super) async fn read(request: &HttpRequest, payload: Payload) -> Result<ClientCredentialsForm, ApiError> {
    if request.content_type() != "application/x-www-form-urlencoded" {
        return Err(invalid_request(ErrorCode::UnsupportedMediaType, "the body is application/x-www-form-urlencoded"));
    }
    let body = read_body(request, payload, MAX_FORM_BYTES).await?;
    let form: RawForm = serde_urlencoded::from_bytes(&body)
        .map_err(|_| invalid_request(ErrorCode::MalformedBody, "the form could not be read"))?;
    let basic = request.headers().get(header::AUTHORIZATION).and_then(|value| basic_credentials(value.to_str().ok()?));
    let (client_id, client_secret) = match (basic, form.client_id, form.client_secret) {
        (None, Some(id), Some(secret)) => (id, secret),
        (Some(basic), id, None) if id.as_ref().is_none_or(|id| *id == basic.0) => basic,
        _ => return Err(invalid_request(ErrorCode::MalformedBody, "client_id and client_secret are needed, once")),
    };
    let grant_type =
        form.grant_type.ok_or_else(|| invalid_request(ErrorCode::MalformedBody, "grant_type is needed"))?;
    if grant_type != "client_credentials" {
        let error = ApiError::new(ErrorCode::InvalidParameter, "grant_type is client_credentials");
        return Err(error.with_oauth_error("unsupported_grant_type"));
    }
    Ok(ClientCredentialsForm { grant_type, client_id, client_secret, scope: form.scope })
}

/// Checks the key, and returns its organization, its id, and the scopes asked for.
pub(super) async fn authenticate(
    state: &AppState,
    form: &ClientCredentialsForm,
) -> Result<(Uuid, Uuid, BTreeSet<Scope>), ApiError> {
    let refused = || {
        let error = ApiError::new(ErrorCode::InvalidCredentials, "the client's id or secret is wrong");
        error
            .with_oauth_error("invalid_client")
            .with_header(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Basic realm=\"syncwatch\""))
    };
    let key_id = Uuid::parse_str(form.client_id.trim()).map_err(|_| refused())?;
    let found = api_keys::find(&mut PlainTx::begin(&state.db).await?, key_id).await?;
    let key = found.filter(|key| api_key::fits(&form.client_secret, &key.secret_hash) && !key.revoked);
    let key = key.ok_or_else(refused)?;
    let granted: BTreeSet<Scope> = key.scopes.iter().filter_map(|scope| scope.parse().ok()).collect();
    let scopes = narrowed(&granted, form.scope.as_deref())?;
    let mut tx = OrgTx::begin(&state.db, key.organization_id).await?;
    api_keys::touch(&mut tx, key_id, state.clock.now()).await?;
    tx.commit().await?;
    Ok((key.organization_id, key_id, scopes))
}

/// The scopes asked for, all of which the key must have.
fn narrowed(granted: &BTreeSet<Scope>, wanted: Option<&str>) -> Result<BTreeSet<Scope>, ApiError> {
    let Some(wanted) = wanted.filter(|wanted| !wanted.trim().is_empty()) else { return Ok(granted.clone()) };
    let refused = || {
        let error = ApiError::new(ErrorCode::InvalidParameter, "the key does not have every scope that was asked for");
        error.with_oauth_error("invalid_scope")
    };
    wanted
        .split_ascii_whitespace()
        .map(|word| word.parse().ok().filter(|scope| granted.contains(scope)).ok_or_else(refused))
        .collect()
}

fn basic_credentials(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_once(' ')?;
    let decoded = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(encoded.trim()).ok()).flatten()?;
    let text = String::from_utf8(decoded).ok()?;
    // RFC 6749 has both parts form-encoded within Basic.
    let decode = |part: &str| {
        let pair = format!("x={part}");
        url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned())
    };
    let (id, secret) = text.split_once(':')?;
    Some((decode(id)?, decode(secret)?))
}

fn invalid_request(code: ErrorCode, detail: &str) -> ApiError {
    ApiError::new(code, detail).with_oauth_error("invalid_request")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    async fn form(request: TestRequest) -> Result<ClientCredentialsForm, ErrorCode> {
        let request = request.insert_header((header::CONTENT_TYPE, "application/x-www-form-urlencoded"));
        let (request, payload) = request.to_http_parts();
        read(&request, payload).await.map_err(|error| error.code())
    }

    #[actix_web::test]
    async fn the_client_authenticates_by_form_or_by_basic() {
        let body = "grant_type=client_credentials&client_id=a&client_secret=b%3Ac&scope=syncs%3Awrite";
        let read = form(TestRequest::post().set_payload(body)).await.unwrap();
        assert_eq!((read.client_id.as_str(), read.client_secret.as_str()), ("a", "b:c"));
        assert_eq!(read.scope.as_deref(), Some("syncs:write"));
        let basic = format!("Basic {}", STANDARD.encode("a:b%3Ac"));
        let request = TestRequest::post().insert_header((header::AUTHORIZATION, basic));
        let read = form(request.set_payload("grant_type=client_credentials")).await.unwrap();
        assert_eq!((read.client_id.as_str(), read.client_secret.as_str()), ("a", "b:c"));
    }

    #[actix_web::test]
    async fn half_a_form_or_another_grant_is_refused() {
        let refused = |body: &'static str| form(TestRequest::post().set_payload(body));
        assert_eq!(refused("").await.unwrap_err(), ErrorCode::MalformedBody);
        assert_eq!(refused("grant_type=client_credentials&client_id=a").await.unwrap_err(), ErrorCode::MalformedBody);
        let other = "grant_type=password&client_id=a&client_secret=b";
        assert_eq!(refused(other).await.unwrap_err(), ErrorCode::InvalidParameter);
    }

    #[test]
    fn scopes_can_be_narrowed_and_not_widened() {
        let granted = BTreeSet::from([Scope::SyncsWrite, Scope::RecordsWrite]);
        assert_eq!(narrowed(&granted, None).unwrap(), granted);
        assert_eq!(narrowed(&granted, Some("syncs:write")).unwrap(), BTreeSet::from([Scope::SyncsWrite]));
        assert!(narrowed(&granted, Some("syncs:write debug")).is_err());
        assert!(narrowed(&granted, Some("everything")).is_err());
    }
}
