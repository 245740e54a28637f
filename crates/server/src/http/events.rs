//! Live events: one publisher numbers what transactions have recorded, every process hears of it, and each open stream
//! gets its organization's share.

mod hub;
mod stream;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, web};
use utoipa_actix_web::service_config::ServiceConfig;

pub use hub::EventHub;

use super::problem::ApiError;
use crate::auth::{Access, OrgContext};
use crate::state::AppState;

/// Registers the operation.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(stream_events);
}

/// Follow what changes.
///
/// Server-sent events with ids only; fetch what they name. Resumes after `Last-Event-ID`, sends a comment every 15
/// seconds, and ends when the token expires: come back with a new token and the last id.
#[utoipa::path(
    operation_id = "streamEvents",
    tag = "events",
    params(("Last-Event-ID" = Option<i64>, Header, description = "The last event's id, to resume after it")),
    responses(
        (
            status = 200,
            description = "Events as they happen",
            content_type = "text/event-stream",
            body = String,
            example = "id: 42\nevent: sync.changed\ndata: {\"sync_id\":\"019a9f3c-0000-7000-8000-000000000001\"}\n\n",
        ),
    ),
    security(("person" = []), ("machine" = ["syncs:read"])),
)]
#[get("/events")]
pub async fn stream_events(
    state: web::Data<AppState>,
    context: OrgContext,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    context.require(Access::ReadSyncs)?;
    let last_seen = match request.headers().get("last-event-id") {
        None => None,
        Some(value) => {
            let seq = value.to_str().ok().and_then(|text| text.trim().parse::<i64>().ok()).filter(|seq| *seq >= 0);
            Some(seq.ok_or_else(|| ApiError::invalid_parameter("Last-Event-ID", "an event's id"))?)
        }
    };
    let frames = stream::open(state.get_ref().clone(), context, last_seen).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // Keeps compression away, here and in proxies, which would hold events back.
        .insert_header((header::CONTENT_ENCODING, "identity"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(frames))
}
