//! A caller of the API, with or without a token.

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use uuid::Uuid;

/// Somebody who calls the API.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl Client {
    /// Without a token; `base` is the server's address without a path.
    pub fn anonymous(base: &str) -> Self {
        // A second installation of the provider is refused, harmlessly.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Redirects and compressed bodies are seen as they are.
        #[expect(clippy::disallowed_methods, reason = "the tests' own addresses")]
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_gzip();
        // A request must not meet a connection that is just being closed.
        let http = http.pool_max_idle_per_host(0).build().unwrap();
        Self { http, base: base.trim_end_matches('/').to_owned(), token: None }
    }

    /// The same caller with a token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The token.
    pub fn token(&self) -> &str {
        self.token.as_deref().expect("this caller has no token")
    }

    /// A request to a path below `/api/v1`.
    pub fn request(&self, method: Method, path: &str) -> Request {
        self.request_at(method, &format!("/api/v1{path}"))
    }

    /// A request to any path of the server.
    pub fn request_at(&self, method: Method, path: &str) -> Request {
        let mut builder = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            builder = builder.bearer_auth(token);
        }
        Request(builder)
    }

    /// GET.
    pub fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path)
    }

    /// POST.
    pub fn post(&self, path: &str) -> Request {
        self.request(Method::POST, path)
    }

    /// PUT.
    pub fn put(&self, path: &str) -> Request {
        self.request(Method::PUT, path)
    }

    /// PATCH.
    pub fn patch(&self, path: &str) -> Request {
        self.request(Method::PATCH, path)
    }
}

/// A request to be sent.
#[derive(Debug)]
pub struct Request(RequestBuilder);

impl Request {
    /// With a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    /// With a form.
    #[must_use]
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        Self(self.0.form(fields))
    }

    /// With a body as it is.
    #[must_use]
    pub fn body(self, media_type: &str, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.header("content-type", media_type).body(body))
    }

    /// With a header.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap()))
    }

    /// With an idempotency key of its own.
    #[must_use]
    pub fn once(self) -> Self {
        self.key(&Uuid::now_v7().to_string())
    }

    /// With an idempotency key.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("Idempotency-Key", key)
    }

    /// Sends it and reads the whole answer.
    pub async fn send(self) -> Answer {
        let answer = self.0.send().await.expect("the server answers");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let bytes = answer.bytes().await.expect("the answer comes whole");
        Answer { status, headers, json: serde_json::from_slice(&bytes).unwrap_or(Value::Null), bytes }
    }

    /// Sends it and hands the answer over while its body still comes.
    pub async fn stream(self) -> reqwest::Response {
        self.0.send().await.expect("the server answers")
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The JSON body; null where it is none.
    pub json: Value,
    /// The body as it came.
    pub bytes: Bytes,
}

impl Answer {
    /// The JSON body of an answer with this status; any other status fails the test.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json
    }

    /// Asserts that it is a problem with this status and code, in the form every problem has, and returns it.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, &self.json["code"]), (status, &code.into()), "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.json["status"], status);
        assert_eq!(self.json["type"], format!("urn:syncwatch:problem:{code}"));
        assert_eq!(self.json["request_id"].as_str(), Some(self.header("x-request-id")), "{}", self.json);
        assert!(self.json["title"].is_string() && self.json["detail"].is_string(), "{}", self.json);
        self.json
    }

    /// Asserts that it is a 422 that names exactly these rules at these places, in any order.
    #[track_caller]
    pub fn violations(self, expected: &[(&str, &str)]) {
        let problem = self.problem(422, "validation_failed");
        let mut found: Vec<(String, String)> = problem["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|error| (text(&error["code"]), text(&error["pointer"])))
            .collect();
        let mut expected: Vec<(String, String)> =
            expected.iter().map(|(code, pointer)| ((*code).to_owned(), (*pointer).to_owned())).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{problem}");
    }

    /// A header's text; empty where it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// The id in a body.
#[track_caller]
pub fn id(body: &Value) -> Uuid {
    body["id"].as_str().and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("there is no id in {body}"))
}

/// The items of a list.
#[track_caller]
pub fn items(body: &Value) -> &[Value] {
    body["items"].as_array().unwrap_or_else(|| panic!("there are no items in {body}"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
