//! The API's caller: one pool of connections that are kept open, one token.

use anyhow::{Context as _, Result, ensure};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use uuid::Uuid;

/// Calls the API.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// What the API answered.
pub struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Client {
    /// A caller without a token.
    pub fn new(base: &str) -> Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "the bench's own addresses")]
        let http = reqwest::Client::builder().no_proxy().no_gzip().build()?;
        Ok(Self { http, base: base.to_owned(), token: None })
    }

    /// The same caller with a token.
    pub fn with_token(mut self, token: String) -> Self {
        self.token = Some(token);
        self
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        Answer::read(self.request(Method::GET, path)).await
    }

    /// Reads an answer piece by piece.
    pub async fn stream(&self, path: &str) -> Result<Response> {
        Ok(self.request(Method::GET, path).send().await?.error_for_status()?)
    }

    /// Writes, with a key of its own where the operation wants one.
    pub async fn post_once(&self, path: &str, body: &Value) -> Result<Answer> {
        let key = Uuid::new_v4().to_string();
        Answer::read(self.request(Method::POST, path).header("Idempotency-Key", key).json(body)).await
    }

    /// Writes.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        Answer::read(self.request(Method::POST, path).json(body)).await
    }

    /// Puts.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        Answer::read(self.request(Method::PUT, path).json(body)).await
    }

    /// A machine's token.
    pub async fn machine_token(&self, id: Uuid, secret: &str) -> Result<String> {
        let form = [("grant_type", "client_credentials"), ("client_id", &id.to_string()), ("client_secret", secret)];
        let answer = Answer::read(self.request(Method::POST, "/api/v1/oauth/token").form(&form)).await?;
        answer.expect(200)?.text("access_token")
    }
}

impl Answer {
    async fn read(request: RequestBuilder) -> Result<Self> {
        let answer = request.send().await?;
        Ok(Self { status: answer.status().as_u16(), body: answer.bytes().await?.to_vec() })
    }

    /// Refuses any other status.
    pub fn expect(self, status: u16) -> Result<Self> {
        ensure!(self.status == status, "answered with {}: {}", self.status, String::from_utf8_lossy(&self.body));
        Ok(self)
    }

    /// The body.
    pub fn json(&self) -> Result<Value> {
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// A member of the body.
    pub fn text(&self, name: &str) -> Result<String> {
        let body = self.json()?;
        Ok(body[name].as_str().with_context(|| format!("the answer has no {name}"))?.to_owned())
    }

    /// The id in the body.
    pub fn id(&self) -> Result<Uuid> {
        Ok(self.text("id")?.parse()?)
    }
}
