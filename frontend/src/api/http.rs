//! One request over `fetch`.

use api_types::Problem;
use gloo_net::http::{Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use web_sys::AbortSignal;

use super::ApiError;

/// Where the API lives, on the dashboard's own host.
const BASE: &str = "/api/v1";

/// A request before it is sent; kept, so that it can be sent again after the session was renewed.
#[derive(Clone)]
pub struct Call {
    method: Method,
    path: String,
    body: Option<String>,
    headers: Vec<(&'static str, String)>,
    abort: Option<AbortSignal>,
}

impl Call {
    /// A GET of a path below the API's base.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// A POST without a body.
    pub fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    /// A PATCH.
    pub fn patch(path: impl Into<String>) -> Self {
        Self::new(Method::PATCH, path)
    }

    fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), body: None, headers: Vec::new(), abort: None }
    }

    /// With a JSON body.
    pub fn json(mut self, body: &impl Serialize) -> Self {
        self.body = serde_json::to_string(body).ok();
        self
    }

    /// With a header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Abandoned when the signal says so.
    pub fn abort_with(mut self, signal: AbortSignal) -> Self {
        self.abort = Some(signal);
        self
    }

    /// Sends it. An answer of any status is `Ok`; only a missing connection is an error.
    pub async fn send(&self, token: Option<&str>) -> Result<Response, ApiError> {
        let mut request = RequestBuilder::new(&format!("{BASE}{}", self.path))
            .method(self.method.clone())
            .credentials(web_sys::RequestCredentials::SameOrigin)
            .cache(web_sys::RequestCache::NoStore)
            .header("accept", "application/json, application/problem+json");
        if let Some(token) = token {
            request = request.header("authorization", &format!("Bearer {token}"));
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(abort) = &self.abort {
            request = request.abort_signal(Some(abort));
        }
        let answer = match &self.body {
            Some(body) => {
                request
                    .header("content-type", "application/json")
                    .body(body.clone())
                    .map_err(|_| ApiError::Offline)?
                    .send()
                    .await
            }
            None => request.send().await,
        };
        answer.map_err(|_| ApiError::Offline)
    }
}

/// Turns an answer that is no success into an error.
pub async fn accepted(response: Response) -> Result<Response, ApiError> {
    if response.ok() {
        return Ok(response);
    }
    let status = response.status();
    let text = response.text().await.map_err(|_| ApiError::Offline)?;
    Err(serde_json::from_str::<Problem>(&text)
        .map_or(ApiError::Unexpected(status), |problem| ApiError::Problem(Box::new(problem))))
}

/// Reads a JSON body.
pub async fn read<T: DeserializeOwned>(response: Response) -> Result<T, ApiError> {
    let status = response.status();
    let text = response.text().await.map_err(|_| ApiError::Offline)?;
    serde_json::from_str(&text).map_err(|_| ApiError::Unexpected(status))
}

/// Query parameters, left out when empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// No parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one unless it is empty.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.0.push((name.to_owned(), value));
        }
        self
    }

    /// The path with the parameters.
    pub fn on(&self, path: &str) -> String {
        if self.0.is_empty() {
            return path.to_owned();
        }
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
        format!("{path}?{}", pairs.join("&"))
    }
}

/// Percent-encodes a query value or path segment.
pub fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_leave_out_what_is_empty_and_escape_the_rest() {
        let query = Query::new().with("status", "").with("from", "2026-11-01T00:00:00+01:00").with("limit", "50");
        assert_eq!(query.on("/sync-logs"), "/sync-logs?from=2026-11-01T00%3A00%3A00%2B01%3A00&limit=50");
        assert_eq!(Query::new().on("/me"), "/me");
        assert_eq!(escape("åre/1"), "%C3%A5re%2F1");
    }
}
