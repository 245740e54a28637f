//! The way of records through a managed integration, as an administrator goes it over the API.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::organization::merge;

/// The type of the records that tests send.
pub const CLAIM: &str = "expense_claims";
/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_mins(1);
/// Requests at once where there are many.
const AT_ONCE: usize = 16;
/// How often a test looks again.
const AGAIN: Duration = Duration::from_millis(25);

/// An expense claim, as the bookkeeping peers take it.
#[derive(Clone, Debug)]
pub struct Claim {
    /// Its id.
    pub id: Uuid,
    /// What is sent.
    pub payload: Value,
}

impl Claim {
    /// A claim that every peer accepts.
    pub fn good(number: usize) -> Self {
        let id = Uuid::now_v7();
        let payload = json!({
            "id": id, "claim_number": format!("C-{number}"), "member": "Kari N.", "cost_center": "1000",
            "amount": "1250.00", "currency": "NOK", "period": "2026-11",
        });
        Self { id, payload }
    }

    /// Several such claims.
    pub fn many(count: usize) -> Vec<Self> {
        (1..=count).map(Self::good).collect()
    }

    /// A claim with an unknown cost center, which every peer refuses.
    pub fn bad(number: usize) -> Self {
        Self::good(number).with("cost_center", "9999")
    }

    /// The same claim with another value in a field.
    #[must_use]
    pub fn with(mut self, field: &str, value: &str) -> Self {
        self.payload[field] = value.into();
        self
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The JSON body; null where there was none.
    pub body: Value,
}

impl Reply {
    /// The body of a success; anything else is an error that shows the answer.
    pub fn ok(self) -> anyhow::Result<Value> {
        ensure!((200..300).contains(&self.status), "{}: {}", self.status, self.body);
        Ok(self.body)
    }

    /// The problem's code.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

/// A signed-in person, or a machine with its token.
#[derive(Clone, Debug)]
pub struct Caller {
    http: Client,
    base: String,
    token: String,
}

impl Caller {
    /// Somebody who has a token already; `base` is the server's address without a path.
    pub fn with_token(base: &str, token: &str) -> Self {
        // A second installation of the provider is refused, harmlessly.
        let _ = rustls::crypto::ring::default_provider().install_default();
        #[expect(clippy::disallowed_methods, reason = "the tests' own addresses")]
        let http = Client::builder().pool_max_idle_per_host(0).build();
        Self { http: http.unwrap_or_default(), base: base.trim_end_matches('/').to_owned(), token: token.to_owned() }
    }

    /// Signs a person in.
    pub async fn sign_in(base: &str, email: &str, password: &str) -> anyhow::Result<Self> {
        let mut caller = Self::with_token(base, "");
        let answer = caller.post("/auth/login", &json!({ "email": email, "password": password })).await?.ok()?;
        answer["access_token"].as_str().context("there is no token in the answer")?.clone_into(&mut caller.token);
        Ok(caller)
    }

    /// Sends a request below `/api/v1`, with an idempotency key of its own.
    pub async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Reply> {
        let mut request = self.http.request(method.clone(), format!("{}/api/v1{path}", self.base));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if method == Method::POST {
            request = request.header("Idempotency-Key", Uuid::now_v7().to_string());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let bytes = answer.bytes().await?;
        Ok(Reply { status, headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
    }

    /// GET.
    pub async fn get(&self, path: &str) -> anyhow::Result<Reply> {
        self.request(Method::GET, path, None).await
    }

    /// POST with a body.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Reply> {
        self.request(Method::POST, path, Some(body)).await
    }

    /// Changes settings, whatever version they have.
    pub async fn change(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.http.patch(format!("{}/api/v1{path}", self.base)).bearer_auth(&self.token);
        let answer = request.header("If-Match", "*").json(body).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Makes a managed `generic_http` integration; `more` are further members of the request.
    pub async fn connect(&self, settings: Value, more: Value) -> anyhow::Result<Uuid> {
        let mut body = json!({
            "name": format!("Books {}", Uuid::now_v7().simple()), "connector_type": "generic_http",
            "sync_type": "accounting_push", "runner": "managed", "settings": settings,
        });
        merge(&mut body, more);
        id_of(&self.post("/integrations", &body).await?.ok()?)
    }

    /// Makes an integration whose syncs somebody else runs and reports.
    pub async fn connect_external(&self, more: Value) -> anyhow::Result<Uuid> {
        let mut body = json!({ "runner": "external", "connector_type": "other", "settings": {} });
        merge(&mut body, more);
        self.connect(json!({}), body).await
    }

    /// Stages a claim's data.
    pub async fn stage(&self, integration: Uuid, claim: &Claim) -> anyhow::Result<Reply> {
        let body = json!({
            "payload": claim.payload,
            "label": format!("Claim {}", claim.payload["claim_number"].as_str().unwrap_or_default()),
            "amount": "1250.00", "currency": "NOK",
        });
        self.request(Method::PUT, &record_path(integration, claim.id), Some(&body)).await
    }

    /// Stages several claims, some at a time.
    pub async fn stage_all(&self, integration: Uuid, claims: &[Claim]) -> anyhow::Result<()> {
        for some in claims.chunks(AT_ONCE) {
            let replies = try_join_all(some.iter().map(|claim| self.stage(integration, claim))).await?;
            for reply in replies {
                reply.ok()?;
            }
        }
        Ok(())
    }

    /// Whether every one of the claims is in this state.
    pub async fn all_are(&self, state: &str, integration: Uuid, claims: &[Claim]) -> anyhow::Result<bool> {
        for some in claims.chunks(AT_ONCE) {
            let staged = try_join_all(some.iter().map(|claim| self.staged(integration, claim.id))).await?;
            if staged.iter().any(|staged| staged["state"] != state) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Where a staged claim stands.
    pub async fn staged(&self, integration: Uuid, claim: Uuid) -> anyhow::Result<Value> {
        self.get(&record_path(integration, claim)).await?.ok()
    }

    /// Starts a sync of everything that is due.
    pub async fn trigger(&self, integration: Uuid) -> anyhow::Result<Uuid> {
        id_of(&self.request(Method::POST, &format!("/integrations/{integration}/syncs"), None).await?.ok()?)
    }

    /// Starts a sync of everything that is due and waits for its end.
    pub async fn run(&self, integration: Uuid) -> anyhow::Result<Value> {
        let id = self.trigger(integration).await?;
        self.finished(id).await
    }

    /// An integration as it is shown.
    pub async fn integration(&self, id: Uuid) -> anyhow::Result<Value> {
        self.get(&format!("/integrations/{id}")).await?.ok()
    }

    /// A sync as it is shown.
    pub async fn sync(&self, id: Uuid) -> anyhow::Result<Value> {
        self.get(&format!("/sync-logs/{id}")).await?.ok()
    }

    /// The syncs of an integration, newest first.
    pub async fn syncs(&self, integration: Uuid) -> anyhow::Result<Vec<Value>> {
        items(&self.get(&format!("/sync-logs?integration_config_id={integration}&limit=200")).await?.ok()?)
    }

    /// A sync, once it has ended.
    pub async fn finished(&self, id: Uuid) -> anyhow::Result<Value> {
        until("a sync has ended", async || {
            let sync = self.sync(id).await?;
            Ok(Some(sync).filter(|sync| !matches!(sync["status"].as_str(), Some("pending" | "in_progress"))))
        })
        .await
    }

    /// A sync's attempts, oldest first.
    pub async fn attempts(&self, sync: Uuid) -> anyhow::Result<Vec<Value>> {
        items(&self.get(&format!("/sync-logs/{sync}/attempts")).await?.ok()?)
    }

    /// Every record's latest outcome in a sync.
    pub async fn outcomes(&self, sync: Uuid) -> anyhow::Result<Vec<Value>> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("/sync-logs/{sync}/records?limit=200{cursor}")).await?.ok()?;
            all.extend(items(&page)?);
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(all),
            }
        }
    }

    /// A claim's latest outcome in a sync.
    pub async fn outcome(&self, sync: Uuid, claim: Uuid) -> anyhow::Result<Value> {
        let id = claim.to_string();
        let all = self.outcomes(sync).await?;
        all.into_iter().find(|outcome| outcome["source_record_id"] == id).context("the sync doesn't know the record")
    }

    /// What a retry would do.
    pub async fn preview(&self, sync: Uuid) -> anyhow::Result<Value> {
        self.get(&format!("/sync-logs/{sync}/retry-preview")).await?.ok()
    }

    /// Asks for a retry.
    pub async fn retry(&self, sync: Uuid) -> anyhow::Result<Reply> {
        self.request(Method::POST, &format!("/sync-logs/{sync}/retries"), None).await
    }

    /// Asks for a retry and waits for its end.
    pub async fn retried(&self, sync: Uuid) -> anyhow::Result<Value> {
        self.retry(sync).await?.ok()?;
        self.finished(sync).await
    }

    /// Decides about a record of a sync.
    pub async fn resolve(&self, sync: Uuid, claim: Uuid, decision: &Value) -> anyhow::Result<Reply> {
        self.post(&format!("/sync-logs/{sync}/records/{CLAIM}/{claim}/resolution"), decision).await
    }
}

/// Asks again and again until there is an answer; fails after a minute.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        ensure!(Instant::now() < deadline, "not within {} s: {what}", PATIENCE.as_secs());
        tokio::time::sleep(AGAIN).await;
    }
}

/// The id in a body.
pub fn id_of(body: &Value) -> anyhow::Result<Uuid> {
    body["id"].as_str().and_then(|id| id.parse().ok()).with_context(|| format!("there is no id in {body}"))
}

/// The items of a list.
pub fn items(body: &Value) -> anyhow::Result<Vec<Value>> {
    body["items"].as_array().cloned().with_context(|| format!("there are no items in {body}"))
}

/// What was complained of about a record, without what the ledger makes of it.
pub fn complaints(outcome: &Value) -> Value {
    let mut errors = outcome["errors"].clone();
    for error in errors.as_array_mut().into_iter().flatten() {
        if let Some(error) = error.as_object_mut() {
            error.remove("class");
            error.remove("fingerprint");
        }
    }
    errors
}

/// The counts of a sync or an attempt: in scope, delivered, failed; -1 for one that is null.
pub fn counts(of: &Value) -> (i64, i64, i64) {
    let number = |name: &str| of[name].as_i64().unwrap_or(-1);
    (number("records_total"), number("records_processed"), number("records_failed"))
}

fn record_path(integration: Uuid, claim: Uuid) -> String {
    format!("/integrations/{integration}/records/{CLAIM}/{claim}")
}
