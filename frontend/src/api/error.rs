//! What can go wrong between the dashboard and the API, and how it is said.

use api_types::{ErrorCode, Problem, ProblemError};

/// Why a request gave no answer that can be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiError {
    /// No connection to the server.
    Offline,
    /// The session is over and nobody signed in again.
    SignedOut,
    /// The server said what was wrong.
    Problem(Box<Problem>),
    /// The server answered something that is no problem document.
    Unexpected(u16),
}

impl ApiError {
    /// The stable code, where the server gave one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Problem(problem) => Some(problem.code),
            _ => None,
        }
    }

    /// The request's id in the server's log.
    pub fn request_id(&self) -> Option<String> {
        match self {
            Self::Problem(problem) => problem.request_id.clone(),
            _ => None,
        }
    }

    /// The server's own English sentence, for those who want to know more.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Problem(problem) => Some(problem.detail.clone()).filter(|detail| !detail.is_empty()),
            Self::Unexpected(status) => Some(format!("HTTP {status}")),
            _ => None,
        }
    }

    /// The error in plain words of the language in use.
    pub fn title(&self) -> String {
        let Some(code) = self.code() else {
            return match self {
                Self::Offline => tr!(error.offline),
                Self::SignedOut => tr!(error.unauthenticated),
                _ => tr!(error.unexpected),
            };
        };
        match code {
            ErrorCode::MalformedBody
            | ErrorCode::UnsupportedMediaType
            | ErrorCode::IdempotencyKeyRequired
            | ErrorCode::IdempotencyMismatch
            | ErrorCode::PreconditionRequired
            | ErrorCode::UnknownLineageJob => tr!(error.unexpected),
            ErrorCode::InvalidParameter => tr!(error.invalid_parameter),
            ErrorCode::InvalidCursor => tr!(error.invalid_cursor),
            ErrorCode::Unauthenticated => tr!(error.unauthenticated),
            ErrorCode::InvalidCredentials => tr!(error.invalid_credentials),
            ErrorCode::Forbidden => tr!(error.forbidden),
            ErrorCode::NotFound | ErrorCode::MethodNotAllowed | ErrorCode::Expired => tr!(error.not_found),
            ErrorCode::AlreadyActive => tr!(error.already_active),
            ErrorCode::AlreadyDelivered => tr!(error.already_delivered),
            ErrorCode::RetryLimitReached => tr!(error.retry_limit_reached),
            ErrorCode::NothingToRetry => tr!(error.nothing_to_retry),
            ErrorCode::Archived => tr!(error.archived),
            ErrorCode::AttemptSuperseded | ErrorCode::InvalidTransition | ErrorCode::Conflict => tr!(error.conflict),
            ErrorCode::IdempotencyInProgress => tr!(error.in_progress),
            ErrorCode::PreconditionFailed => tr!(error.precondition_failed),
            ErrorCode::BodyTooLarge => tr!(error.too_large),
            ErrorCode::ValidationFailed => tr!(error.validation_failed),
            ErrorCode::CredentialsRequired => tr!(error.credentials_required),
            ErrorCode::RateLimited => tr!(error.rate_limited),
            ErrorCode::Internal => tr!(error.internal),
            ErrorCode::Unavailable | ErrorCode::ClockSkew => tr!(error.unavailable),
        }
    }

    /// What is wrong at or below a place in the request, each with the rest of its pointer.
    pub fn fields_below(&self, part: &str) -> Vec<(String, String)> {
        let Self::Problem(problem) = self else { return Vec::new() };
        let below = |error: &ProblemError| {
            let rest = error.pointer.strip_prefix(part).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
            Some((rest.to_owned(), error.detail.clone()))
        };
        problem.errors.iter().filter_map(below).collect()
    }

    /// What is wrong with one field, by the pointer into the request.
    pub fn field(&self, pointer: &str) -> Option<String> {
        match self {
            Self::Problem(problem) => {
                problem.errors.iter().find(|error| error.pointer == pointer).map(|error| error.detail.clone())
            }
            _ => None,
        }
    }
}
