//! For operators: alive, ready, measurements, and the keys that verify tokens.

use actix_web::http::header;
use actix_web::{HttpResponse, get, web};

use super::problem::ApiError;
use crate::state::AppState;
use crate::telemetry::METRICS;

/// Registers the operators' addresses.
pub fn routes(cfg: &mut web::ServiceConfig) {
    cfg.service(healthz).service(readyz).service(metrics).service(jwks);
}

/// The process is alive.
#[get("/healthz")]
async fn healthz() -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).body("ok\n")
}

/// The process can serve: the database answers and has the schema this program was built with.
#[get("/readyz")]
async fn readyz(state: web::Data<AppState>) -> Result<HttpResponse, ApiError> {
    if store::migrate::is_current(&state.db).await? {
        Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).body("ready\n"))
    } else {
        Err(ApiError::unavailable("the database's schema is not the one this program was built with"))
    }
}

/// Measurements for Prometheus.
#[get("/metrics")]
async fn metrics() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(METRICS.render())
}

/// The published keys (RFC 7517).
#[get("/.well-known/jwks.json")]
async fn jwks(state: web::Data<AppState>) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "public, max-age=300")).json(state.tokens.key_set())
}
