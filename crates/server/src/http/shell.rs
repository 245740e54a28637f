//! What every request passes: a request id, one log line, one measurement, the safety headers, and a net for panics.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpResponse, web};
use futures::FutureExt as _;
use uuid::Uuid;

use super::problem::ApiError;
use crate::state::AppState;
use crate::telemetry::METRICS;

/// The header that carries a request's id both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request that is being answered, if one is.
pub fn current_request_id() -> Option<String> {
    CURRENT.try_with(Clone::clone).ok()
}

/// The outermost middleware.
pub async fn shell(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let request_id = accepted_id(request.headers()).unwrap_or_else(|| Uuid::now_v7().to_string());
    let started = Instant::now();
    let method = request.method().clone();
    let is_api = request.path().starts_with("/api/v1/");
    let is_https = request.app_data::<web::Data<AppState>>().is_some_and(|state| state.config.http.is_https());
    let answer = CURRENT.scope(request_id.clone(), async {
        METRICS.in_flight.inc();
        let answer = AssertUnwindSafe(next.call(request)).catch_unwind().await;
        METRICS.in_flight.dec();
        match answer {
            Ok(Ok(response)) => Ok(response.map_into_boxed_body()),
            Ok(Err(error)) => Err(HttpResponse::from_error(error)),
            Err(panic) => {
                let error = ApiError::internal(format!("a handler panicked: {}", panic_text(panic.as_ref())));
                Err(HttpResponse::from_error(error))
            }
        }
    });
    let mut answer = answer.await;
    let (route, note, status) = match &mut answer {
        Ok(response) => {
            add_headers(response.headers_mut(), &request_id, is_https, is_api);
            let request = response.request();
            let note = request.extensions().get::<LogNote>().map(|note| note.0);
            (request.match_pattern(), note, response.status())
        }
        // The request went down with the handler.
        Err(response) => {
            add_headers(response.headers_mut(), &request_id, is_https, is_api);
            (None, None, response.status())
        }
    };
    let route = route.unwrap_or_else(|| "unmatched".to_owned());
    let elapsed = started.elapsed();
    METRICS.observe(method.as_str(), &route, status.as_u16(), elapsed);
    tracing::info!(
        %method,
        route,
        status = status.as_u16(),
        ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        request_id,
        note,
        "request"
    );
    answer.map_err(|response| InternalError::from_response("the request ended early", response).into())
}

/// A remark of a handler for the request's log line; a constant, so that it holds no data.
#[derive(Clone, Copy, Debug)]
pub struct LogNote(pub &'static str);

/// A caller's own request id, if it is short and plain.
fn accepted_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    ((8..=128).contains(&id.len()) && id.bytes().all(is_plain)).then(|| id.to_owned())
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without words")
}

fn add_headers(headers: &mut HeaderMap, request_id: &str, is_https: bool, is_api: bool) {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    let mut add = |name: HeaderName, value: &'static str| {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    };
    add(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; base-uri 'none'");
    add(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    add(header::REFERRER_POLICY, "same-origin");
    add(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    add(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    add(header::X_FRAME_OPTIONS, "DENY");
    if is_api {
        // Answers hold an organization's data; no cache on the way keeps them.
        add(header::CACHE_CONTROL, "no-store");
    }
    if is_https {
        add(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains");
    }
}

#[cfg(test)]
mod tests {
    use actix_web::App;
    use actix_web::dev::Service as _;
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service, read_body_json};
    use serde_json::Value;

    use super::*;

    async fn panics() -> HttpResponse {
        panic!("as it should")
    }

    async fn fails() -> Result<HttpResponse, ApiError> {
        Err(ApiError::not_found())
    }

    #[actix_web::test]
    async fn a_panic_becomes_a_problem_with_the_request_id() {
        let app = init_service(App::new().wrap(from_fn(shell)).route("/", web::get().to(panics))).await;
        let request = TestRequest::get().uri("/").insert_header((REQUEST_ID, "my-request-1")).to_request();
        let response = app.call(request).await.unwrap_err().error_response();
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers().get(REQUEST_ID).unwrap(), "my-request-1");
        let body: Value = serde_json::from_slice(&response.into_body().try_into_bytes().unwrap()).unwrap();
        assert_eq!(body["request_id"], "my-request-1");
    }

    #[actix_web::test]
    async fn a_problem_and_its_header_carry_one_id_and_a_strange_id_is_replaced() {
        let app = init_service(App::new().wrap(from_fn(shell)).route("/", web::get().to(fails))).await;
        let request = TestRequest::get().uri("/").insert_header((REQUEST_ID, "a b<script>")).to_request();
        let response = call_service(&app, request).await;
        let id = response.headers().get(REQUEST_ID).unwrap().to_str().unwrap().to_owned();
        assert!(Uuid::parse_str(&id).is_ok());
        assert_eq!(response.headers().get(header::X_CONTENT_TYPE_OPTIONS).unwrap(), "nosniff");
        let body: Value = read_body_json(response).await;
        assert_eq!(body["request_id"], id);
    }
}
