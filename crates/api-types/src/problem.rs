//! Problem answers (RFC 9457) and the one table of error codes.

use serde::{Deserialize, Serialize};

/// Declares the table: code, HTTP status, title.
macro_rules! error_codes {
    ($($(#[$meta:meta])* $variant:ident = $code:tt, $status:tt, $title:tt;)+) => {
        /// Stable codes of problem answers. Clients match these, never titles or details.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum ErrorCode {
            $($(#[$meta])* #[serde(rename = $code)] $variant),+
        }

        impl ErrorCode {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code as it stands in JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// The HTTP status it comes with.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status),+ }
            }

            /// A short English title, the same for every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }
        }
    };
}

error_codes! {
    /// The body is no JSON, or not of the documented shape.
    MalformedBody = "malformed_body", 400, "The body could not be read";
    /// A query parameter or header is not of the documented shape.
    InvalidParameter = "invalid_parameter", 400, "A parameter is not valid";
    /// A cursor is damaged or belongs to other filters.
    InvalidCursor = "invalid_cursor", 400, "The cursor is not valid here";
    /// The operation needs an `Idempotency-Key`.
    IdempotencyKeyRequired = "idempotency_key_required", 400, "An Idempotency-Key is needed";
    /// No valid token came with the request.
    Unauthenticated = "unauthenticated", 401, "Sign in first";
    /// E-mail or password is wrong, or the client's credentials are.
    InvalidCredentials = "invalid_credentials", 401, "The credentials are wrong";
    /// The token does not allow this.
    Forbidden = "forbidden", 403, "Not allowed";
    /// There is no such thing in the caller's organization.
    NotFound = "not_found", 404, "Not found";
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed", 405, "Method not allowed";
    /// The source record is under way in another sync.
    AlreadyActive = "already_active", 409, "Already under way";
    /// The record was delivered with another content.
    AlreadyDelivered = "already_delivered", 409, "Already delivered";
    /// Ten retries are the most.
    RetryLimitReached = "retry_limit_reached", 409, "The limit of retries is reached";
    /// No record of the sync can be sent again.
    NothingToRetry = "nothing_to_retry", 409, "Nothing to retry";
    /// The sync lies in the archive.
    Archived = "archived", 409, "Archived";
    /// A report of an attempt that has a successor.
    AttemptSuperseded = "attempt_superseded", 409, "The attempt was superseded";
    /// The status does not allow this.
    InvalidTransition = "invalid_transition", 409, "The status does not allow this";
    /// A request with the same `Idempotency-Key` is being worked on.
    IdempotencyInProgress = "idempotency_in_progress", 409, "The same request is in progress";
    /// The month lay in the archive and was deleted when its time had come.
    Expired = "expired", 410, "Expired";
    /// Something with this name or key exists.
    Conflict = "conflict", 409, "Conflict with what exists";
    /// The settings changed since they were read.
    PreconditionFailed = "precondition_failed", 412, "Changed in the meantime";
    /// The body is larger than the limit.
    BodyTooLarge = "body_too_large", 413, "The body is too large";
    /// The body's media type is not taken.
    UnsupportedMediaType = "unsupported_media_type", 415, "The media type is not taken";
    /// One or more rules are broken; `errors` names every one.
    ValidationFailed = "validation_failed", 422, "The request breaks rules";
    /// The settings would show credentials to a host that they were not given for; `errors` names those to give again.
    CredentialsRequired = "credentials_required", 422, "The credentials are needed again";
    /// The same `Idempotency-Key` came with another body.
    IdempotencyMismatch = "idempotency_mismatch", 422, "The Idempotency-Key was used for another request";
    /// No integration of the organization has this `OpenLineage` job.
    UnknownLineageJob = "unknown_lineage_job", 422, "No integration has this lineage job";
    /// Changing settings needs the version that was read.
    PreconditionRequired = "precondition_required", 428, "An If-Match is needed";
    /// Too many requests.
    RateLimited = "rate_limited", 429, "Too many requests";
    /// Something broke here; the request id finds it in the log.
    Internal = "internal", 500, "Something broke";
    /// The server's clock runs ahead of the database's, which refuses what begins in its future; try again.
    ClockSkew = "clock_skew", 503, "The server's clocks disagree";
    /// The database or another part is away; try again.
    Unavailable = "unavailable", 503, "Not available at the moment";
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A problem answer, `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// `urn:syncwatch:problem:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// A short English title.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: ErrorCode,
    /// What happened, in one English sentence.
    pub detail: String,
    /// Finds the request in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Every offending field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemError>,
    /// The active sync, with `already_active`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_id: Option<uuid::Uuid>,
}

/// One offending field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProblemError {
    /// The broken rule's name.
    pub code: String,
    /// JSON Pointer into the body, or `?name` for a query parameter.
    pub pointer: String,
    /// One English sentence.
    pub detail: String,
}

impl Problem {
    /// A problem of a code.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:syncwatch:problem:{code}"),
            title: code.title().to_owned(),
            status: code.status(),
            code,
            detail: detail.into(),
            request_id: None,
            errors: Vec::new(),
            sync_id: None,
        }
    }

    /// A problem that names every broken rule.
    pub fn violations(violations: Vec<domain::violation::Violation>) -> Self {
        let count = violations.len();
        let detail = if count == 1 { "1 rule is broken".to_owned() } else { format!("{count} rules are broken") };
        let errors = violations
            .into_iter()
            .map(|violation| ProblemError {
                code: violation.rule.as_str().to_owned(),
                pointer: violation.pointer,
                detail: violation.detail,
            })
            .collect();
        Self { errors, ..Self::new(ErrorCode::ValidationFailed, detail) }
    }
}
