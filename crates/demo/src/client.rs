//! A small client of Syncwatch's API: signing in, calling, and saying plainly why a call failed.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::header::{ETAG, IF_MATCH, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// How often a call that is told to wait is tried again.
const MAX_WAITS: u32 = 10;
/// The longest wait that is taken from a `Retry-After`.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// What a caller signs in with.
#[derive(Clone)]
pub(crate) enum SignIn {
    Person { email: String, password: String },
    Key(Key),
}

impl SignIn {
    /// Reads a key file; its content is never shown.
    pub(crate) fn from_key_file(file: &Path) -> Result<Self> {
        let bytes = std::fs::read(file).with_context(|| format!("the key file {} cannot be read", file.display()))?;
        match serde_json::from_slice(&bytes) {
            Ok(key) => Ok(Self::Key(key)),
            Err(_) => bail!("the key file {} is not {{\"client_id\": …, \"client_secret\": …}}", file.display()),
        }
    }
}

/// A machine's key, as the command line prints it.
#[derive(Clone, Deserialize)]
pub(crate) struct Key {
    client_id: String,
    client_secret: String,
}

/// One signed-in caller.
pub(crate) struct Api {
    http: reqwest::Client,
    base: String,
    sign_in: SignIn,
    token: Mutex<Option<String>>,
}

/// One call; `path` follows `/api/v1`.
pub(crate) struct Call<'a> {
    method: Method,
    path: &'a str,
    query: Vec<(&'a str, String)>,
    body: Option<&'a Value>,
    idempotency_key: Option<&'a str>,
    if_match: Option<&'a str>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: Method, path: &'a str) -> Self {
        Self { method, path, query: Vec::new(), body: None, idempotency_key: None, if_match: None }
    }

    pub(crate) fn get(path: &'a str) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn query(mut self, query: Vec<(&'a str, String)>) -> Self {
        self.query = query;
        self
    }

    pub(crate) fn body(mut self, body: &'a Value) -> Self {
        self.body = Some(body);
        self
    }

    pub(crate) fn idempotency_key(mut self, key: &'a str) -> Self {
        self.idempotency_key = Some(key);
        self
    }

    pub(crate) fn if_match(mut self, etag: Option<&'a str>) -> Self {
        self.if_match = etag;
        self
    }
}

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub etag: Option<String>,
    pub body: Value,
}

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// No answer came.
    Unreachable { call: String, cause: String },
    /// An answer came that is no success; the body is a problem (RFC 9457) or whatever else stood there.
    Refused { call: String, status: StatusCode, body: Value },
}

impl ApiError {
    /// The problem's stable code.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { body, .. } => body.get("code").and_then(Value::as_str),
            Self::Unreachable { .. } => None,
        }
    }

    /// A member of the problem.
    pub(crate) fn member(&self, name: &str) -> Option<&str> {
        match self {
            Self::Refused { body, .. } => body.get(name).and_then(Value::as_str),
            Self::Unreachable { .. } => None,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { call, cause } => write!(f, "{call}: no answer ({cause})"),
            Self::Refused { call, status, body } => {
                write!(f, "{call}: {status}")?;
                let Some(code) = self.code() else {
                    return write!(
                        f,
                        ", and no problem answer: {}",
                        body.to_string().chars().take(300).collect::<String>()
                    );
                };
                write!(f, ", {code}")?;
                for name in ["detail", "request_id"] {
                    if let Some(text) = self.member(name) {
                        write!(f, "; {name}: {text}")?;
                    }
                }
                for error in body.get("errors").and_then(Value::as_array).into_iter().flatten() {
                    let member = |name| error.get(name).and_then(Value::as_str).unwrap_or("?");
                    write!(f, "\n  {} {}: {}", member("pointer"), member("code"), member("detail"))?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ApiError {}

impl Api {
    /// Nothing is sent before the first call.
    pub(crate) fn new(server: &str, sign_in: SignIn) -> reqwest::Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "the demonstration's own addresses")]
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_mins(1)).build()?;
        let base = format!("{}/api/v1", server.trim_end_matches('/'));
        Ok(Self { http, base, sign_in, token: Mutex::new(None) })
    }

    /// Calls, signing in first where needed, and again once where the token has run out.
    pub(crate) async fn call(&self, call: Call<'_>) -> Result<Answer, ApiError> {
        let mut renewed = false;
        loop {
            let token = self.token(renewed).await?;
            let answer = self.send(&call, Some(&token)).await;
            match &answer {
                Err(ApiError::Refused { status: StatusCode::UNAUTHORIZED, .. }) if !renewed => renewed = true,
                _ => return answer,
            }
        }
    }

    async fn token(&self, renew: bool) -> Result<String, ApiError> {
        let mut kept = self.token.lock().await;
        if let Some(token) = kept.as_ref().filter(|_| !renew) {
            return Ok(token.clone());
        }
        let answer = match &self.sign_in {
            SignIn::Person { email, password } => {
                let body = json!({ "email": email, "password": password });
                self.send(&Call::new(Method::POST, "/auth/login").body(&body), None).await?
            }
            SignIn::Key(key) => self.issue_token(key).await?,
        };
        let token = answer.body.get("access_token").and_then(Value::as_str).unwrap_or_default().to_owned();
        if token.is_empty() {
            let call = "sign-in: no access_token in the answer".to_owned();
            // The body may hold other secrets, so it is not shown.
            return Err(ApiError::Refused { call, status: answer.status, body: Value::Null });
        }
        *kept = Some(token.clone());
        Ok(token)
    }

    async fn issue_token(&self, key: &Key) -> Result<Answer, ApiError> {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", key.client_id.as_str()),
            ("client_secret", key.client_secret.as_str()),
        ];
        let request = self.http.post(format!("{}/oauth/token", self.base)).form(&form);
        read(request, "POST /oauth/token").await.map(|(answer, _)| answer)?
    }

    async fn send(&self, call: &Call<'_>, token: Option<&str>) -> Result<Answer, ApiError> {
        let name = format!("{} {}", call.method, call.path);
        let mut waits = 0;
        loop {
            let mut request = self.http.request(call.method.clone(), format!("{}{}", self.base, call.path));
            if !call.query.is_empty() {
                request = request.query(&call.query);
            }
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            if let Some(key) = call.idempotency_key {
                request = request.header("Idempotency-Key", key);
            }
            if let Some(etag) = call.if_match {
                request = request.header(IF_MATCH, etag);
            }
            if let Some(body) = call.body {
                request = request.json(body);
            }
            let (answer, wait) = read(request, &name).await?;
            match wait {
                Some(wait) if waits < MAX_WAITS => {
                    waits += 1;
                    tokio::time::sleep(wait).await;
                }
                _ => return answer,
            }
        }
    }
}

/// The answer, and how long to wait before asking again where the server asks for that.
async fn read(
    request: reqwest::RequestBuilder,
    call: &str,
) -> Result<(Result<Answer, ApiError>, Option<Duration>), ApiError> {
    let unreachable = |error: reqwest::Error| {
        let mut cause = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            cause = format!("{cause}: {inner}");
            source = inner.source();
        }
        ApiError::Unreachable { call: call.to_owned(), cause }
    };
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (etag, retry_after) = (header(ETAG), header(RETRY_AFTER));
    let text = response.text().await.map_err(unreachable)?;
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    if status.is_success() {
        return Ok((Ok(Answer { status, etag, body }), None));
    }
    let wait = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
        .then(|| retry_after.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs))
        .flatten()
        .map(|wait| wait.min(MAX_WAIT));
    Ok((Err(ApiError::Refused { call: call.to_owned(), status, body }), wait))
}
