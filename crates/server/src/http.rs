//! The HTTP application: API, event stream, dashboard, and what operators read.

pub mod attempts;
pub mod audit;
pub mod auth;
mod csv;
pub mod dashboard;
pub mod events;
pub mod idempotency;
pub mod incidents;
pub mod integrations;
pub mod json;
pub mod limits;
pub mod lineage;
pub mod mapping_trials;
pub mod me;
pub mod notifications;
pub mod openapi;
pub mod operations;
pub mod paging;
pub mod problem;
pub mod records;
pub mod retries;
pub mod shell;
pub mod source_records;
pub mod sync_logs;
pub mod trends;
pub mod view;
pub mod webhook_secrets;

use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::{Compress, DefaultHeaders, from_fn};
use actix_web::{App, HttpRequest, HttpResponse, web};
use api_types::ErrorCode;
use serde_json::Value;
use utoipa_actix_web::service_config::ServiceConfig;
use utoipa_swagger_ui::SwaggerUi;

use crate::state::AppState;
use dashboard::Dashboard;
use limits::Limits;
use openapi::RouteTable;
use problem::ApiError;

/// Where the OpenAPI document is served.
pub const OPENAPI_PATH: &str = "/api/openapi.json";
const DOCS_PATH: &str = "/api/docs";
/// The documentation page sets its own styles.
const DOCS_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                           img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; object-src 'none'";

/// Registers every operation of the API, one resource after another.
pub fn api_routes(cfg: &mut ServiceConfig) {
    auth::routes(cfg);
    me::routes(cfg);
    integrations::routes(cfg);
    mapping_trials::routes(cfg);
    webhook_secrets::routes(cfg);
    trends::routes(cfg);
    source_records::routes(cfg);
    sync_logs::routes(cfg);
    attempts::routes(cfg);
    records::routes(cfg);
    retries::routes(cfg);
    lineage::routes(cfg);
    incidents::routes(cfg);
    notifications::routes(cfg);
    events::routes(cfg);
    audit::routes(cfg);
}

/// What every thread of the server shares, made once.
#[derive(Clone)]
pub struct Shared {
    state: web::Data<AppState>,
    limits: web::Data<Limits>,
    dashboard: web::Data<Dashboard>,
    routes: web::Data<RouteTable>,
    document: Arc<Value>,
}

impl Shared {
    /// Of a process's state.
    pub fn new(state: AppState) -> Self {
        let document = openapi::document_json();
        Self {
            limits: web::Data::new(Limits::new(&state.config.limits)),
            dashboard: web::Data::new(Dashboard::new(state.config.http.dashboard_dir.clone())),
            routes: web::Data::new(RouteTable::of(&document)),
            document: Arc::new(document),
            state: web::Data::new(state),
        }
    }

    /// The counters of this process.
    pub fn limits(&self) -> Limits {
        self.limits.get_ref().clone()
    }
}

/// Makes one thread's application.
pub fn application(
    shared: &Shared,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = actix_web::Error,
        InitError = (),
    > + use<>,
> {
    App::new()
        .app_data(shared.state.clone())
        .app_data(shared.limits.clone())
        .app_data(shared.dashboard.clone())
        .app_data(shared.routes.clone())
        .app_data(web::Data::from(Arc::clone(&shared.document)))
        .service(utoipa_actix_web::scope(openapi::PREFIX).configure(api_routes))
        .configure(operations::routes)
        .route(OPENAPI_PATH, web::get().to(openapi_document))
        .route(DOCS_PATH, web::get().to(to_docs))
        .service(
            web::scope(DOCS_PATH)
                .wrap(DefaultHeaders::new().add((header::CONTENT_SECURITY_POLICY, DOCS_POLICY)))
                .service(SwaggerUi::new("/{_:.*}").config(utoipa_swagger_ui::Config::new([OPENAPI_PATH]))),
        )
        .default_service(web::to(fallback))
        .wrap(from_fn(limits::limit))
        .wrap(Compress::default())
        .wrap(from_fn(shell::shell))
}

async fn openapi_document(document: web::Data<Value>) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-cache")).json(document.get_ref())
}

async fn to_docs() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, format!("{DOCS_PATH}/"))).finish()
}

/// Everything that is no operation: the dashboard, an unknown address, or a method that an address does not have.
async fn fallback(
    request: HttpRequest,
    routes: web::Data<RouteTable>,
    dashboard: web::Data<Dashboard>,
) -> Result<HttpResponse, ApiError> {
    if let Some(error) = routes.method_not_allowed(&request) {
        return Err(error);
    }
    if request.path() == "/api" || request.path().starts_with("/api/") || request.path().starts_with("/.well-known/") {
        return Err(ApiError::new(ErrorCode::NotFound, "there is no such address"));
    }
    dashboard.answer(&request).await
}
