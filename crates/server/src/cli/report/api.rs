//! The client of our own API, as far as a runner needs it.

use std::sync::Mutex;
use std::time::Duration;

use api_types::attempts::{StartAttempt, StartedAttempt};
use api_types::auth::TokenResponse;
use api_types::records::{AppendRecords, AppendedRecords};
use api_types::sync_logs::{FailSync, FinishedSync, ReportProgress, StartSync, SucceedSync};
use chrono::{DateTime, TimeDelta, Utc};
use domain::integration::{ConnectorType, SyncType};
use domain::sync_log::SyncStatus;
use reqwest::header::{DATE, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::byte_serialize;
use uuid::Uuid;

use super::credentials::Credentials;
use super::trouble::{Refusal, Trouble};
use crate::clock::Clock;
use crate::config::Secret;
use crate::http::problem::Chain;

const CONNECT: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(20);
/// A token is not used in its last moments.
const MARGIN: Duration = Duration::from_secs(30);
/// A clock that differs by less is taken to be right: the server says its time in whole seconds.
const RIGHT_CLOCK: TimeDelta = TimeDelta::seconds(2);

/// What of a sync a runner looks at.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Shown {
    pub(super) id: Uuid,
    pub(super) status: SyncStatus,
    pub(super) attempt: u16,
    /// Why it failed, if it has ended; it stays while a retry waits.
    pub(super) error_code: Option<String>,
}

/// What of an integration a runner looks at.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Kind {
    pub(super) connector_type: ConnectorType,
    pub(super) sync_type: SyncType,
}

#[derive(Deserialize)]
struct Items<T> {
    items: Vec<T>,
    #[serde(default)]
    next_cursor: Option<String>,
}

struct Token {
    text: Secret,
    until: Instant,
}

/// A caller of one installation, with one key.
pub(super) struct Api {
    http: Result<reqwest::Client, String>,
    base: String,
    credentials: Result<Credentials, String>,
    token: Mutex<Option<Token>>,
    /// How far the server's clock is ahead of this machine's.
    ahead: Mutex<TimeDelta>,
    clock: Clock,
}

impl Api {
    /// Without a call. What is wrong with the key or with this machine's certificates is told by the first one, since
    /// the job runs all the same.
    pub(super) fn new(url: &Url, credentials: Result<Credentials, String>, clock: Clock) -> Self {
        // A second installation of the provider is refused, harmlessly.
        let _ = rustls::crypto::ring::default_provider().install_default();
        #[expect(clippy::disallowed_methods, reason = "the address is its own user's")]
        let http = reqwest::Client::builder()
            .user_agent(concat!("Syncwatch/", env!("CARGO_PKG_VERSION"), " report"))
            .connect_timeout(CONNECT)
            .timeout(WHOLE)
            // A redirected report would lose its body, and its token could go astray.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Chain(&error).to_string());
        let base = url.as_str().trim_end_matches('/').to_owned();
        Self { http, base, credentials, token: Mutex::default(), ahead: Mutex::default(), clock }
    }

    /// The installation's address.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// The key's id, where one is known.
    pub(super) fn client_id(&self) -> Option<&str> {
        self.credentials.as_ref().ok().map(|credentials| credentials.client_id.as_str())
    }

    /// The present moment.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// A moment of this machine by the server's clock: a wrong clock here must not have a report refused.
    pub(super) fn server_time(&self, moment: DateTime<Utc>) -> DateTime<Utc> {
        let ahead = *lock(&self.ahead);
        if ahead.abs() <= RIGHT_CLOCK { moment } else { moment + ahead }
    }

    /// Sees to it that there is a token.
    pub(super) async fn sign_in(&self) -> Result<(), Trouble> {
        if self.known_token().is_none() {
            self.fetch_token().await?;
        }
        Ok(())
    }

    /// An integration's connector and kind of sync.
    pub(super) async fn integration(&self, id: Uuid) -> Result<Kind, Trouble> {
        self.call(Method::GET, &format!("/integrations/{id}"), None::<&()>).await
    }

    /// Starts a sync.
    pub(super) async fn start(&self, start: &StartSync) -> Result<Shown, Trouble> {
        self.call(Method::POST, "/sync-logs", Some(start)).await
    }

    /// Records a sync that has ended; says whether it was new.
    pub(super) async fn record_finished(&self, finished: &FinishedSync) -> Result<(Shown, bool), Trouble> {
        let (status, shown) = self.answer(Method::POST, "/sync-logs/finished", Some(finished)).await?;
        Ok((shown, status == StatusCode::CREATED))
    }

    /// Reports outcomes.
    pub(super) async fn append(&self, sync: Uuid, records: &AppendRecords) -> Result<AppendedRecords, Trouble> {
        self.call(Method::POST, &format!("/sync-logs/{sync}/records"), Some(records)).await
    }

    /// Says that an attempt goes on.
    pub(super) async fn go_on(&self, sync: Uuid, attempt: u16) -> Result<Shown, Trouble> {
        let progress = ReportProgress { attempt, records_total: None, records_done: None };
        self.call(Method::PATCH, &format!("/sync-logs/{sync}"), Some(&progress)).await
    }

    /// Ends an attempt with success.
    pub(super) async fn succeed(&self, sync: Uuid, end: &SucceedSync) -> Result<Shown, Trouble> {
        self.call(Method::POST, &format!("/sync-logs/{sync}/succeed"), Some(end)).await
    }

    /// Ends an attempt with failure.
    pub(super) async fn fail(&self, sync: Uuid, end: &FailSync) -> Result<Shown, Trouble> {
        self.call(Method::POST, &format!("/sync-logs/{sync}/fail"), Some(end)).await
    }

    /// Syncs of an integration that wait for a runner.
    pub(super) async fn waiting(&self, integration: Uuid) -> Result<Vec<Shown>, Trouble> {
        let first = format!("/sync-logs?integration_config_id={integration}&status=pending&limit=200");
        let mut waiting = Vec::new();
        let mut path = first.clone();
        loop {
            let page: Items<Shown> = self.call(Method::GET, &path, None::<&()>).await?;
            // An empty page leads nowhere, whatever it says.
            let next = page.next_cursor.filter(|_| !page.items.is_empty());
            waiting.extend(page.items);
            let Some(cursor) = next else { return Ok(waiting) };
            path = format!("{first}&cursor={}", byte_serialize(cursor.as_bytes()).collect::<String>());
        }
    }

    /// Whether a sync had an attempt already, so that the one it waits for is a retry.
    pub(super) async fn was_attempted(&self, sync: Uuid) -> Result<bool, Trouble> {
        let path = format!("/sync-logs/{sync}/attempts");
        let attempts: Items<serde_json::Value> = self.call(Method::GET, &path, None::<&()>).await?;
        Ok(!attempts.items.is_empty())
    }

    /// Claims the attempt of a sync that waits.
    pub(super) async fn claim(&self, sync: Uuid, lease_seconds: u32) -> Result<StartedAttempt, Trouble> {
        let body = StartAttempt { lease_seconds: Some(i64::from(lease_seconds)) };
        self.call(Method::POST, &format!("/sync-logs/{sync}/attempts"), Some(&body)).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, Trouble> {
        self.answer(method, path, body).await.map(|(_, answer)| answer)
    }

    /// A call with a token; with a fresh one if the server no longer takes the one at hand.
    async fn answer<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<(StatusCode, T), Trouble> {
        let mut fresh = false;
        loop {
            let token = if let Some(token) = self.known_token() {
                token
            } else {
                fresh = true;
                self.fetch_token().await?
            };
            let mut request = self.request(method.clone(), path)?.bearer_auth(token.expose());
            if let Some(body) = body {
                request = request.json(body);
            }
            let answer = self.send(request).await?;
            if answer.status() == StatusCode::UNAUTHORIZED && !fresh {
                *lock(&self.token) = None;
                continue;
            }
            let status = answer.status();
            return Ok((status, read(answer).await?));
        }
    }

    fn known_token(&self) -> Option<Secret> {
        lock(&self.token).as_ref().filter(|token| token.until > Instant::now()).map(|token| token.text.clone())
    }

    async fn fetch_token(&self) -> Result<Secret, Trouble> {
        let credentials = self.credentials.as_ref().map_err(|why| Trouble::Denied(why.clone()))?;
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", &credentials.client_id),
            ("client_secret", credentials.client_secret.expose()),
        ];
        let answer = self.send(self.request(Method::POST, "/oauth/token")?.form(&form)).await?;
        let token: TokenResponse = read(answer).await?;
        let lives = Duration::from_secs(u64::from(token.expires_in)).saturating_sub(MARGIN);
        let text = Secret::new(token.access_token);
        *lock(&self.token) = Some(Token { text: text.clone(), until: Instant::now() + lives });
        Ok(text)
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Trouble> {
        let http = self.http.as_ref().map_err(|why| Trouble::Denied(why.clone()))?;
        Ok(http.request(method, format!("{}/api/v1{path}", self.base)))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Trouble> {
        let answer = request.send().await.map_err(|error| away(&error))?;
        let date = answer.headers().get(DATE).and_then(|date| DateTime::parse_from_rfc2822(date.to_str().ok()?).ok());
        if let Some(date) = date {
            // Whole seconds, cut off: on average half a second more.
            *lock(&self.ahead) = date.to_utc() + TimeDelta::milliseconds(500) - self.clock.now();
        }
        Ok(answer)
    }
}

fn away(error: &reqwest::Error) -> Trouble {
    Trouble::Away { what: Chain(error).to_string(), wait: None }
}

/// The body of a success; anything else is trouble of some kind.
async fn read<T: DeserializeOwned>(answer: Response) -> Result<T, Trouble> {
    let status = answer.status();
    let wait = answer.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse().ok());
    let body = answer.bytes().await.map_err(|error| away(&error))?;
    if status.is_success() {
        let strange = |error| Trouble::Away { what: format!("an answer that cannot be read: {error}"), wait: None };
        return serde_json::from_slice(&body).map_err(strange);
    }
    let refusal: Refusal = serde_json::from_slice(&body).unwrap_or_default();
    let refusal = Refusal { status: status.as_u16(), ..refusal };
    let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS, StatusCode::TOO_EARLY];
    Err(if refusal.code.is_empty() {
        // Every answer of Syncwatch has a code: this is some proxy's, or the address is another server's.
        Trouble::Away {
            what: format!("{status}, which is no answer of Syncwatch"),
            wait: wait.map(Duration::from_secs),
        }
    } else if status.is_server_error() || passing.contains(&status) {
        let what = Trouble::Refused(refusal).to_string();
        Trouble::Away { what, wait: wait.map(Duration::from_secs) }
    } else if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        Trouble::Denied(Trouble::Refused(refusal).to_string())
    } else {
        Trouble::Refused(refusal)
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
