//! The "source app": where the demonstration's records live and are corrected.
//!
//! Saving a record stages it again in Syncwatch, with a machine's key, as an organization's own app would. Who has the reading
//! token may read the records instead, as a source of Syncwatch's own reading.

use std::path::PathBuf;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::web::{self, Data, Path, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use anyhow::{Context, Result};
use reqwest::Method;
use serde::Deserialize;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::client::{Api, ApiError, Call, SignIn};
use crate::html::Language;

mod page;
mod reading;
pub(crate) mod records;

use page::Notice;
use records::{Record, Records};

/// How the source app is started.
#[derive(clap::Args)]
pub struct Arguments {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Syncwatch's address, for example <http://127.0.0.1:8080>
    #[arg(long)]
    server: String,
    /// JSON file with a machine's `client_id` and `client_secret` (scope records:write); read when first needed
    #[arg(long)]
    key_file: PathBuf,
    /// JSON file with the records, written by `seed`; it may come to be later
    #[arg(long)]
    data: PathBuf,
    /// The bearer token that readers of the records must present
    #[arg(long, env = "SYNCWATCH_DEMO_SOURCE_TOKEN", default_value = DEFAULT_READING_TOKEN, hide_env_values = true)]
    reading_token: String,
}

/// The bearer token unless another is given; no secret, since the records are invented.
pub const DEFAULT_READING_TOKEN: &str = "demonstration-reading-token";

/// Serves until standard input ends.
pub fn run(arguments: Arguments) -> Result<()> {
    let app = SourceApp {
        server: arguments.server,
        key_file: arguments.key_file,
        data: arguments.data,
        reading_token: arguments.reading_token.into(),
        api: Arc::default(),
        saving: Arc::default(),
    };
    crate::service::run(arguments.port, move |config| routes(config, &app))
}

#[derive(Clone)]
struct SourceApp {
    server: String,
    key_file: PathBuf,
    data: PathBuf,
    reading_token: Arc<str>,
    api: Arc<Mutex<Option<Arc<Api>>>>,
    /// One correction at a time: each reads the whole file and writes it.
    saving: Arc<Mutex<()>>,
}

impl SourceApp {
    async fn api(&self) -> Result<Arc<Api>> {
        let mut kept = self.api.lock().await;
        if let Some(api) = kept.as_ref() {
            return Ok(Arc::clone(api));
        }
        let api = Arc::new(Api::new(&self.server, SignIn::from_key_file(&self.key_file)?)?);
        *kept = Some(Arc::clone(&api));
        Ok(api)
    }
}

fn routes(config: &mut ServiceConfig, app: &SourceApp) {
    config
        .app_data(Data::new(app.clone()))
        .app_data(web::FormConfig::default().limit(64 * 1024))
        .route("/", web::get().to(list))
        .route("/api/{collection}", web::get().to(reading::list))
        .route("/api/{collection}/{id}", web::get().to(reading::fetch))
        .route("/{collection}/{id}", web::get().to(show))
        .route("/{collection}/{id}", web::post().to(save))
        .default_service(web::to(async |request: HttpRequest| page::not_found(Language::of(&request))));
}

#[derive(Deserialize)]
struct Shown {
    saved: Option<String>,
}

async fn list(request: HttpRequest, app: Data<SourceApp>) -> HttpResponse {
    let language = Language::of(&request);
    match Records::read(&app.data) {
        Ok(records) => page::list(language, &records),
        Err(error) => page::broken(language, &format!("{error:#}")),
    }
}

async fn show(
    request: HttpRequest,
    app: Data<SourceApp>,
    path: Path<(String, String)>,
    shown: Query<Shown>,
) -> HttpResponse {
    let language = Language::of(&request);
    let records = match Records::read(&app.data) {
        Ok(records) => records,
        Err(error) => return page::broken(language, &format!("{error:#}")),
    };
    match records.find(&path.0, &path.1) {
        Some((collection, record)) => {
            let notice = shown.saved.as_deref().map(Notice::Saved);
            page::record(StatusCode::OK, language, collection, record, notice)
        }
        None => page::not_found(language),
    }
}

async fn save(
    request: HttpRequest,
    app: Data<SourceApp>,
    path: Path<(String, String)>,
    form: web::Form<Vec<(String, String)>>,
) -> HttpResponse {
    let language = Language::of(&request);
    if from_another_site(&request) {
        return page::refused(language);
    }
    let _saving = app.saving.lock().await;
    let mut records = match Records::read(&app.data) {
        Ok(records) => records,
        Err(error) => return page::broken(language, &format!("{error:#}")),
    };
    let Some((collection, record)) = records.find(&path.0, &path.1) else { return page::not_found(language) };
    let corrected = Record { changed_at: Some(crate::clock::now()), ..record.corrected(&form.0) };
    let staged = stage(&app, collection.integration_id, &collection.record_type, &corrected).await;
    match staged {
        Ok(state) => {
            let location = format!("/{}/{}?saved={state}", path.0, corrected.id);
            records.replace(&path.0, corrected);
            match records.write(&app.data) {
                Ok(()) => HttpResponse::SeeOther().insert_header((LOCATION, location)).finish(),
                Err(error) => page::broken(language, &format!("{error:#}")),
            }
        }
        Err(error) => {
            // What was typed stays in the form.
            let (status, notice) = match error.downcast_ref::<ApiError>() {
                Some(refusal) if refusal.code() == Some("already_delivered") => {
                    (StatusCode::CONFLICT, Notice::AlreadyDelivered)
                }
                _ => (StatusCode::BAD_GATEWAY, Notice::Failed(format!("{error:#}"))),
            };
            page::record(status, language, collection, &corrected, Some(notice))
        }
    }
}

/// The state in which Syncwatch then has the record.
async fn stage(app: &SourceApp, integration: Uuid, record_type: &str, record: &Record) -> Result<String> {
    let path = format!("/integrations/{integration}/records/{record_type}/{}", record.id);
    let body = record.staging_body();
    let answer = app.api().await?.call(Call::new(Method::PUT, &path).body(&body)).await?;
    let state = answer.body.get("state").and_then(serde_json::Value::as_str);
    let known = |state: &&str| state.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    Ok(state.filter(known).context("Syncwatch's answer has no state")?.to_owned())
}

/// Browsers say where a form came from; a page of another site has no business here.
fn from_another_site(request: &HttpRequest) -> bool {
    let site = request.headers().get("Sec-Fetch-Site").and_then(|value| value.to_str().ok());
    matches!(site, Some("cross-site" | "same-site"))
}

#[cfg(test)]
mod tests;
