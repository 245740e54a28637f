//! The records for those who read them by themselves: a list, part by part, and each one by its id.

use actix_web::http::header::AUTHORIZATION;
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::SourceApp;
use super::records::{Record, Records};

/// Items of a part unless another number is asked for, and at most.
const ITEMS: usize = 50;
const MOST_ITEMS: usize = 200;

#[derive(Deserialize)]
pub(super) struct Wanted {
    /// Only what was corrected since; what never was is always told.
    since: Option<DateTime<Utc>>,
    /// The last item of the part before.
    cursor: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn list(
    request: HttpRequest,
    app: Data<SourceApp>,
    collection: Path<String>,
    wanted: Query<Wanted>,
) -> HttpResponse {
    let records = match authorised(&request, &app) {
        Ok(records) => records,
        Err(refusal) => return refusal,
    };
    let Some(collection) = records.collections.iter().find(|known| known.path == *collection) else {
        return HttpResponse::NotFound().json(json!({ "title": "There is no such collection" }));
    };
    let changed = |record: &&Record| match (wanted.since, record.changed_at) {
        (Some(since), Some(changed_at)) => changed_at >= since,
        _ => true,
    };
    let wanted_records: Vec<&Record> = collection.records.iter().filter(changed).collect();
    let cursor = wanted.cursor.as_deref().filter(|cursor| !cursor.is_empty());
    let begin = match cursor {
        None => 0,
        Some(last) => match wanted_records.iter().position(|record| record.id.to_string() == last) {
            Some(position) => position + 1,
            None => return HttpResponse::BadRequest().json(json!({ "title": "There is no such cursor" })),
        },
    };
    let limit = wanted.limit.unwrap_or(ITEMS).clamp(1, MOST_ITEMS);
    let part: Vec<&Record> = wanted_records.iter().skip(begin).take(limit).copied().collect();
    let more = begin + part.len() < wanted_records.len();
    let next = part.last().filter(|_| more).map(|record| record.id);
    let items: Vec<Value> = part.into_iter().map(item).collect();
    HttpResponse::Ok().json(json!({ "items": items, "next": next }))
}

pub(super) async fn fetch(request: HttpRequest, app: Data<SourceApp>, path: Path<(String, String)>) -> HttpResponse {
    let records = match authorised(&request, &app) {
        Ok(records) => records,
        Err(refusal) => return refusal,
    };
    match records.find(&path.0, &path.1) {
        Some((_, record)) => HttpResponse::Ok().json(item(record)),
        None => HttpResponse::NotFound().json(json!({ "title": "There is no such record" })),
    }
}

fn item(record: &Record) -> Value {
    let mut item = json!({ "id": record.id, "label": record.label, "data": record.payload });
    if let Some(changed_at) = record.changed_at {
        item["changed_at"] = json!(changed_at);
    }
    item
}

/// The records, for those who may read them.
#[expect(clippy::result_large_err, reason = "what is answered instead; made once per refused request")]
fn authorised(request: &HttpRequest, app: &SourceApp) -> Result<Records, HttpResponse> {
    let presented = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    if presented.and_then(|value| value.strip_prefix("Bearer ")) != Some(&*app.reading_token) {
        return Err(HttpResponse::Unauthorized().json(json!({ "title": "The reading token is needed" })));
    }
    Records::read(&app.data).map_err(|error| {
        let detail = format!("{error:#}");
        HttpResponse::InternalServerError().json(json!({ "title": "The records cannot be read", "detail": detail }))
    })
}
