//! Every error a caller can see, as `application/problem+json`.

use std::fmt;
use std::sync::Once;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use api_types::{ErrorCode, Problem, ProblemError};
use domain::violation::{Rule, Violation};
use store::StoreError;
use uuid::Uuid;

use super::shell::current_request_id;

/// The media type of problem answers.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// Seconds after which a caller may try again when a part of the server is away.
const RETRY_AFTER_SECONDS: u32 = 5;

/// A problem answer on its way out.
#[derive(Debug)]
pub struct ApiError(Box<Parts>);

#[derive(Debug)]
struct Parts {
    problem: Problem,
    /// The `error` member that RFC 6749 asks of a token endpoint.
    oauth_error: Option<&'static str>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    /// An error of a code, with one English sentence that says what happened.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self::from(Problem::new(code, detail))
    }

    /// There is no such thing in the caller's organization.
    pub fn not_found() -> Self {
        Self::new(ErrorCode::NotFound, "there is no such thing here")
    }

    /// The request breaks rules; the answer names every one.
    pub fn violations(violations: Vec<Violation>) -> Self {
        Self::from(Problem::violations(violations))
    }

    /// The source record is under way in another sync.
    pub fn already_active(sync_id: Uuid) -> Self {
        let problem = Problem::new(ErrorCode::AlreadyActive, "it is under way in another sync");
        Self::from(Problem { sync_id: Some(sync_id), ..problem })
    }

    /// A query parameter, header or path segment is not of the documented shape.
    pub fn invalid_parameter(name: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(ErrorCode::InvalidParameter, format!("{name}: {detail}")).with_errors(vec![ProblemError {
            code: "invalid_format".to_owned(),
            pointer: format!("?{name}"),
            detail,
        }])
    }

    /// Something broke here. The cause goes to the log, once, and never to the caller.
    pub fn internal(cause: impl fmt::Display) -> Self {
        tracing::error!(request_id = current_request_id().as_deref(), error = %cause, "request failed");
        Self::new(ErrorCode::Internal, "something broke here; the request id finds it in the log")
    }

    /// A part of the server is away; the caller may try again soon.
    pub fn unavailable(cause: impl fmt::Display) -> Self {
        tracing::warn!(request_id = current_request_id().as_deref(), error = %cause, "not available");
        Self::new(ErrorCode::Unavailable, "not available at the moment; try again soon")
            .retry_after(RETRY_AFTER_SECONDS)
    }

    /// The database refused a start that is not in the future by this server's clock: the two clocks disagree.
    fn clock_skew() -> Self {
        static TOLD: Once = Once::new();
        TOLD.call_once(|| {
            tracing::error!(
                "this server's clock is more than 5 seconds ahead of the database's; until they agree, syncs cannot start"
            );
        });
        Self::new(ErrorCode::ClockSkew, "the server's clock runs ahead of the database's; try again soon")
            .retry_after(RETRY_AFTER_SECONDS)
    }

    /// The code.
    pub fn code(&self) -> ErrorCode {
        self.0.problem.code
    }

    /// The problem, as one item's result within a larger answer.
    pub fn into_problem(self) -> Problem {
        self.0.problem
    }

    /// Names the offending fields.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<ProblemError>) -> Self {
        self.0.problem.errors = errors;
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Says after how many seconds the caller may try again.
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Adds the `error` member of RFC 6749.
    #[must_use]
    pub fn with_oauth_error(mut self, error: &'static str) -> Self {
        self.0.oauth_error = Some(error);
        self
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self(Box::new(Parts { problem, oauth_error: None, headers: Vec::new() }))
    }
}

impl From<Vec<Violation>> for ApiError {
    fn from(violations: Vec<Violation>) -> Self {
        Self::violations(violations)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<&StoreError> for ApiError {
    /// What a handler has not mapped itself. A refused constraint that arrives here is a rule the handler forgot.
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) | StoreError::Contention(_) => Self::unavailable(Chain(error)),
            // The caller's own value was compared with this server's clock before.
            _ if error.is_constraint(Rule::StartedAtNotInFuture.as_str()) => Self::clock_skew(),
            _ => Self::internal(Chain(error)),
        }
    }
}

/// An error and its causes in one line.
pub struct Chain<'a>(pub &'a (dyn std::error::Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.problem.code, self.0.problem.detail)
    }
}

impl std::error::Error for ApiError {}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut problem = self.0.problem.clone();
        problem.request_id = problem.request_id.or_else(current_request_id);
        let mut body = serde_json::to_value(&problem).unwrap_or_default();
        if let (Some(error), Some(members)) = (self.0.oauth_error, body.as_object_mut()) {
            members.insert("error".to_owned(), error.into());
            members.insert("error_description".to_owned(), problem.detail.into());
        }
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((header::CONTENT_TYPE, MEDIA_TYPE));
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if matches!(self.0.problem.code, ErrorCode::Unauthenticated) {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"syncwatch\""));
        }
        for (name, value) in &self.0.headers {
            response.insert_header((name.clone(), value.clone()));
        }
        response.body(body.to_string())
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::MessageBody as _;
    use serde_json::Value;

    use super::*;

    fn body_of(error: &ApiError) -> Value {
        let response = error.error_response();
        assert_eq!(response.headers().get(header::CONTENT_TYPE).unwrap(), MEDIA_TYPE);
        serde_json::from_slice(&response.into_body().try_into_bytes().unwrap()).unwrap()
    }

    #[test]
    fn every_code_answers_with_its_status_and_type() {
        for code in ErrorCode::ALL {
            let error = ApiError::new(*code, "x");
            assert_eq!(error.status_code().as_u16(), code.status());
            let body = body_of(&error);
            assert_eq!(body["code"], code.as_str());
            assert_eq!(body["type"], format!("urn:syncwatch:problem:{code}"));
        }
    }

    #[test]
    fn every_violation_is_named_with_its_place() {
        let body = body_of(&ApiError::from(vec![
            Violation::new(Rule::StartedAtNotInFuture, "/started_at", "a"),
            Violation::new(Rule::OutOfRange, "/lease_seconds", "b"),
        ]));
        assert_eq!(body["errors"][0]["pointer"], "/started_at");
        assert_eq!(body["errors"][1]["code"], "out_of_range");
    }

    #[test]
    fn an_internal_error_keeps_its_cause_to_itself() {
        let body = body_of(&ApiError::internal("the password is hunter2"));
        assert!(!body.to_string().contains("hunter2"));
    }

    #[test]
    fn an_oauth_error_has_both_vocabularies() {
        let error = ApiError::new(ErrorCode::InvalidCredentials, "wrong").with_oauth_error("invalid_client");
        let body = body_of(&error);
        assert_eq!(body["error"], "invalid_client");
        assert_eq!(body["code"], "invalid_credentials");
    }

    #[test]
    fn clocks_that_disagree_are_no_fault_of_the_caller() {
        let refused = |name: &str| StoreError::Constraint { name: name.to_owned(), unique: false };
        let response = ApiError::from(refused("started_at_not_in_future")).error_response();
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key(header::RETRY_AFTER));
        assert_eq!(ApiError::from(refused("sync_status_transition")).code(), ErrorCode::Internal);
    }

    #[test]
    fn unavailable_says_when_to_come_back() {
        let response = ApiError::unavailable("x").error_response();
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key(header::RETRY_AFTER));
    }
}
