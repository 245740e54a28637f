//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): the same request, the same answer.
//!
//! A handler takes [`Idempotency`], begins its transaction, asks [`Idempotency::begin`], and either gives the stored
//! answer or does its work and stores the answer with [`Ticket::finish`] before it commits.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use api_types::ErrorCode;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sha2::{Digest, Sha256};
use store::OrgTx;
use store::idempotency::{self, Begin, RequestKey, StoredAnswer};

use super::problem::ApiError;
use crate::auth::OrgContext;

const HEADER: &str = "idempotency-key";
const MAX_CHARS: usize = 255;

/// The request's key, where one came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency(pub Option<String>);

/// The request's key; a request without one is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredIdempotency(pub Idempotency);

/// Whether to do the work.
#[derive(Debug)]
pub enum Start {
    /// Do it, then [`Ticket::finish`].
    New(Ticket),
    /// It was done: give this answer.
    Replay(HttpResponse),
}

/// The right to store the answer.
#[derive(Debug)]
pub struct Ticket {
    request: Option<RequestKey>,
    now: DateTime<Utc>,
}

impl Idempotency {
    /// Looks the request up within its write's transaction. `operation` names what is asked on which thing, such as
    /// `requestRetry/<sync id>`; the body stands for itself as it was understood.
    pub async fn begin(
        &self,
        tx: &mut OrgTx,
        context: &OrgContext,
        operation: &str,
        body: &impl Serialize,
        now: DateTime<Utc>,
    ) -> Result<Start, ApiError> {
        let Some(key) = &self.0 else { return Ok(Start::New(Ticket { request: None, now })) };
        let body = serde_json::to_vec(body).map_err(ApiError::internal)?;
        let request = RequestKey {
            principal_id: context.principal.id(),
            operation: operation.to_owned(),
            key: key.clone(),
            body_hash: Sha256::digest(&body).to_vec(),
        };
        match idempotency::begin(tx, &request, now).await? {
            Begin::New => Ok(Start::New(Ticket { request: Some(request), now })),
            Begin::Replay(answer) => Ok(Start::Replay(replay(answer))),
            Begin::Mismatch => Err(ApiError::new(
                ErrorCode::IdempotencyMismatch,
                "this Idempotency-Key was used for a request with another body",
            )),
            Begin::InProgress => {
                let error = ApiError::new(ErrorCode::IdempotencyInProgress, "the same request is being worked on");
                Err(error.retry_after(1))
            }
        }
    }
}

impl Ticket {
    /// Stores the answer, to be durable exactly if the work is, and returns it.
    pub async fn finish(
        self,
        tx: &mut OrgTx,
        status: StatusCode,
        location: Option<String>,
        body: &impl Serialize,
    ) -> Result<HttpResponse, ApiError> {
        let body = serde_json::to_value(body).map_err(ApiError::internal)?;
        let status = i16::try_from(status.as_u16()).map_err(ApiError::internal)?;
        let answer = StoredAnswer { status, location, body: (!body.is_null()).then_some(body) };
        if let Some(request) = &self.request {
            idempotency::finish(tx, request, &answer, self.now).await?;
        }
        Ok(respond(answer))
    }
}

fn respond(answer: StoredAnswer) -> HttpResponse {
    let status = u16::try_from(answer.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let mut response = HttpResponse::build(status.unwrap_or(StatusCode::OK));
    if let Some(location) = answer.location {
        response.insert_header((header::LOCATION, location));
    }
    match answer.body {
        Some(body) => response.json(body),
        None => response.finish(),
    }
}

fn replay(answer: StoredAnswer) -> HttpResponse {
    let mut response = respond(answer);
    let name = header::HeaderName::from_static("idempotent-replayed");
    response.headers_mut().insert(name, header::HeaderValue::from_static("true"));
    response
}

impl FromRequest for Idempotency {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(request).map(Self))
    }
}

impl FromRequest for RequiredIdempotency {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(request).and_then(|key| match key {
            Some(_) => Ok(Self(Idempotency(key))),
            None => Err(ApiError::new(ErrorCode::IdempotencyKeyRequired, "send an Idempotency-Key header")),
        }))
    }
}

/// The key, with or without the quotation marks of a structured field.
fn read(request: &HttpRequest) -> Result<Option<String>, ApiError> {
    let mut values = request.headers().get_all(HEADER);
    let Some(value) = values.next() else { return Ok(None) };
    let refused = || {
        ApiError::new(
            ErrorCode::InvalidParameter,
            format!("Idempotency-Key is one text of 1 to {MAX_CHARS} printable ASCII characters"),
        )
    };
    if values.next().is_some() {
        return Err(refused());
    }
    let text = value.to_str().map_err(|_| refused())?.trim();
    let key = match text.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').ok_or_else(refused)?,
        None => text,
    };
    let fits = (1..=MAX_CHARS).contains(&key.len()) && key.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if fits { Ok(Some(key.to_owned())) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn key(value: &str) -> Result<Option<String>, ErrorCode> {
        let request = TestRequest::post().insert_header((HEADER, value)).to_http_request();
        read(&request).map_err(|error| error.code())
    }

    #[test]
    fn a_key_comes_with_or_without_quotation_marks() {
        assert_eq!(key("abc-1"), Ok(Some("abc-1".to_owned())));
        assert_eq!(key("\"abc-1\""), Ok(Some("abc-1".to_owned())));
        assert_eq!(read(&TestRequest::post().to_http_request()).unwrap(), None);
    }

    #[test]
    fn empty_and_endless_keys_are_refused() {
        assert_eq!(key(""), Err(ErrorCode::InvalidParameter));
        assert_eq!(key("\"\""), Err(ErrorCode::InvalidParameter));
        assert_eq!(key("\"abc-1"), Err(ErrorCode::InvalidParameter));
        assert_eq!(key(&"x".repeat(256)), Err(ErrorCode::InvalidParameter));
    }

    #[actix_web::test]
    async fn a_required_key_is_required() {
        let (request, mut payload) = TestRequest::post().to_http_parts();
        let error = RequiredIdempotency::from_request(&request, &mut payload).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::IdempotencyKeyRequired);
    }
}
