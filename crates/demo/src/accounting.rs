//! "Fjordregnskap": a stand-in for an accounting service, with rules of its own.
//!
//! It knows nothing of Syncwatch. Writing needs the bearer token; its log and its page need none, since they are the
//! evidence of what arrived.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use actix_web::web::{self, Bytes, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use anyhow::Result;
use serde_json::{Value, json};

use crate::clock;

mod book;
mod page;
mod rules;

use book::{Book, Booking, Kind};
use rules::Complaint;

/// The bearer token unless another is given; no secret, since the service takes invented records on loopback only.
pub const DEFAULT_TOKEN: &str = "demonstration-token";

/// Items in one batch.
const MAX_BATCH: usize = 200;

/// How the accounting service is started.
#[derive(clap::Args)]
pub struct Arguments {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// File to which every accepted record is appended as a line of JSON, and from which a later start goes on
    #[arg(long)]
    log: Option<PathBuf>,
    /// The bearer token that writers must present
    #[arg(long, env = "SYNCWATCH_DEMO_ACCOUNTING_TOKEN", default_value = DEFAULT_TOKEN, hide_env_values = true)]
    token: String,
}

/// Serves until standard input ends.
pub fn run(arguments: &Arguments) -> Result<()> {
    let office = Office::open(arguments.log.as_deref(), &arguments.token)?;
    crate::service::run(arguments.port, move |config| routes(config, &office))
}

/// The book and who may write in it.
#[derive(Clone)]
pub(crate) struct Office {
    book: Arc<Mutex<Book>>,
    token: Arc<str>,
}

impl Office {
    pub(crate) fn open(log: Option<&std::path::Path>, token: &str) -> Result<Self> {
        Ok(Self { book: Arc::new(Mutex::new(Book::open(log)?)), token: token.into() })
    }

    fn with_book<T>(&self, work: impl FnOnce(&mut Book) -> T) -> T {
        work(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The service's routes.
pub(crate) fn routes(config: &mut ServiceConfig, office: &Office) {
    config
        .app_data(Data::new(office.clone()))
        .app_data(web::PayloadConfig::new(1 << 20))
        .route("/", web::get().to(page::overview))
        .route("/api/log", web::get().to(log))
        .route("/api/status", web::get().to(status))
        .route("/api/vouchers", web::post().to(post_voucher))
        .route("/api/participants", web::post().to(post_participant))
        .route("/api/members/batch", web::post().to(post_members))
        .default_service(web::to(async || problem(StatusCode::NOT_FOUND, "not_found", "There is nothing here", &[])));
}

async fn log(office: Data<Office>) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "items": office.with_book(|book| book.entries().to_vec()) }))
}

/// What a connection test reads.
async fn status(request: HttpRequest, office: Data<Office>) -> HttpResponse {
    match authorised(&request, &office) {
        Ok(()) => HttpResponse::Ok().json(json!({ "service": "Fjordregnskap", "status": "open" })),
        Err(refusal) => refusal.answer(),
    }
}

async fn post_voucher(request: HttpRequest, office: Data<Office>, body: Bytes) -> HttpResponse {
    let period = rules::Period::of(clock::now());
    post_one(&request, &office, &body, Kind::Voucher, |record| rules::voucher(record, period))
}

async fn post_participant(request: HttpRequest, office: Data<Office>, body: Bytes) -> HttpResponse {
    post_one(&request, &office, &body, Kind::Participant, rules::participant)
}

fn post_one(
    request: &HttpRequest,
    office: &Office,
    body: &[u8],
    kind: Kind,
    complaints: impl Fn(&Value) -> Vec<Complaint>,
) -> HttpResponse {
    let record = match authorised_json(request, office, body) {
        Ok(record) => record,
        Err(refusal) => return refusal.answer(),
    };
    let found = complaints(&record);
    if !found.is_empty() {
        return rejected(&found);
    }
    match office.with_book(|book| book.take(kind, idempotency_key(request), record, clock::now())) {
        Ok(Booking::New(reference)) => HttpResponse::Created().json(json!({ "id": reference })),
        Ok(Booking::Known(reference)) => {
            HttpResponse::Ok().insert_header(("Idempotency-Replayed", "true")).json(json!({ "id": reference }))
        }
        Ok(Booking::OtherContent) => problem(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "The Idempotency-Key was used for another record",
            &[],
        ),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "log_failed", "The record could not be written down", &[]),
    }
}

/// Takes what is right and says of each item what became of it.
async fn post_members(request: HttpRequest, office: Data<Office>, body: Bytes) -> HttpResponse {
    let batch = match authorised_json(&request, &office, &body) {
        Ok(batch) => batch,
        Err(refusal) => return refusal.answer(),
    };
    let Some(items) = batch.get("items").and_then(Value::as_array) else {
        return rejected(&[Complaint::new("/items", "required", "A list of members is needed")]);
    };
    if items.len() > MAX_BATCH {
        let detail = format!("At most {MAX_BATCH} members fit in one batch");
        return problem(StatusCode::PAYLOAD_TOO_LARGE, "batch_too_large", &detail, &[]);
    }
    let (now, key) = (clock::now(), idempotency_key(&request));
    let results: Vec<Value> = items
        .iter()
        .enumerate()
        .map(|(index, member)| {
            let found = rules::member(member, now.date_naive());
            let mut result = if found.is_empty() {
                match office.with_book(|book| book.take_item(Kind::Member, key.clone(), member.clone(), now)) {
                    Ok(Booking::New(reference)) => json!({ "status": 201, "id": reference }),
                    Ok(Booking::Known(reference)) => json!({ "status": 200, "id": reference }),
                    Ok(Booking::OtherContent) | Err(_) => problem_body(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        "log_failed",
                        "It could not be written down",
                        &[],
                    ),
                }
            } else {
                rejected_body(&found)
            };
            if let Value::Object(members) = &mut result {
                members.insert("index".to_owned(), json!(index));
            }
            result
        })
        .collect();
    HttpResponse::build(StatusCode::MULTI_STATUS).json(json!({ "items": results }))
}

/// Why a request is not looked into.
enum Refusal {
    Unauthorized,
    NotJson,
    Malformed(serde_json::Error),
}

impl Refusal {
    fn answer(&self) -> HttpResponse {
        match self {
            Self::Unauthorized => {
                let mut answer = problem(StatusCode::UNAUTHORIZED, "unauthorized", "A bearer token is needed", &[]);
                answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                answer
            }
            Self::NotJson => {
                problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", "The body must be application/json", &[])
            }
            Self::Malformed(error) => {
                let detail = format!("The body is no JSON: {error}");
                problem(StatusCode::BAD_REQUEST, "malformed_json", &detail, &[])
            }
        }
    }
}

fn authorised(request: &HttpRequest, office: &Office) -> Result<(), Refusal> {
    let presented = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = presented.and_then(|value| value.strip_prefix("Bearer "));
    if token == Some(&*office.token) { Ok(()) } else { Err(Refusal::Unauthorized) }
}

fn authorised_json(request: &HttpRequest, office: &Office, body: &[u8]) -> Result<Value, Refusal> {
    authorised(request, office)?;
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/json") {
        return Err(Refusal::NotJson);
    }
    serde_json::from_slice(body).map_err(Refusal::Malformed)
}

fn idempotency_key(request: &HttpRequest) -> Option<String> {
    request.headers().get("Idempotency-Key").and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn rejected(complaints: &[Complaint]) -> HttpResponse {
    HttpResponse::UnprocessableEntity().content_type("application/problem+json").json(rejected_body(complaints))
}

fn rejected_body(complaints: &[Complaint]) -> Value {
    problem_body(
        StatusCode::UNPROCESSABLE_ENTITY,
        "validation_error",
        "The record breaks Fjordregnskap's rules",
        complaints,
    )
}

fn problem(status: StatusCode, code: &str, detail: &str, complaints: &[Complaint]) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("application/problem+json")
        .json(problem_body(status, code, detail, complaints))
}

fn problem_body(status: StatusCode, code: &str, detail: &str, complaints: &[Complaint]) -> Value {
    let mut body = json!({
        "type": format!("https://fjordregnskap.example/problems/{code}"),
        "title": status.canonical_reason().unwrap_or("Problem"),
        "status": status.as_u16(),
        "code": code,
        "detail": detail,
    });
    if !complaints.is_empty() {
        let errors: Vec<_> = complaints
            .iter()
            .map(|complaint| {
                json!({
                    "detail": complaint.detail,
                    "pointer": format!("#{}", complaint.pointer),
                    "code": complaint.code,
                })
            })
            .collect();
        body["errors"] = Value::Array(errors);
    }
    body
}

#[cfg(test)]
mod tests;
