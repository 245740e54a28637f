//! How often a caller may call: per token, per address without one, and more strictly at sign-in.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, web};
use api_types::ErrorCode;
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use uuid::Uuid;

use super::problem::ApiError;
use crate::auth::context::of_request;
use crate::config::LimitsConfig;
use crate::state::AppState;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const WINDOW: Duration = Duration::from_mins(1);
/// How often counters that have run full again are forgotten.
const FORGET_EVERY: Duration = Duration::from_mins(1);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Caller {
    Principal(Uuid, Uuid),
    Address(Option<IpAddr>),
}

/// An e-mail address or client id, and where it is tried from.
type SignIn = (String, Option<IpAddr>);

type Counters<K> =
    RateLimiter<K, governor::state::keyed::DashMapStateStore<K>, DefaultClock, StateInformationMiddleware>;

/// The counters of this process.
#[derive(Clone)]
pub struct Limits {
    requests: Option<Arc<(u32, Counters<Caller>)>>,
    logins: Option<Arc<DefaultKeyedRateLimiter<SignIn>>>,
    clock: DefaultClock,
}

impl Limits {
    /// Fresh counters.
    pub fn new(config: &LimitsConfig) -> Self {
        let requests = quota(config.requests_per_minute).map(|quota| {
            let counters = RateLimiter::dashmap(quota).with_middleware::<StateInformationMiddleware>();
            Arc::new((config.requests_per_minute, counters))
        });
        let logins = quota(config.logins_per_minute).map(|quota| Arc::new(RateLimiter::dashmap(quota)));
        Self { requests, logins, clock: DefaultClock::default() }
    }

    /// Counts a sign-in; refuses one too many.
    pub fn count_login(&self, email: &str, address: Option<IpAddr>) -> Result<(), ApiError> {
        let Some(logins) = &self.logins else { return Ok(()) };
        logins.check_key(&(email.trim().to_lowercase(), address)).map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            ApiError::new(ErrorCode::RateLimited, "too many sign-ins; wait a little").retry_after(whole_seconds(wait))
        })
    }

    /// Counts a request, and returns what the headers say of it.
    fn count(&self, caller: &Caller) -> Result<Option<Standing>, ApiError> {
        let Some(requests) = &self.requests else { return Ok(None) };
        let (limit, counters) = requests.as_ref();
        match counters.check_key(caller) {
            Ok(state) => Ok(Some(Standing { limit: *limit, remaining: state.remaining_burst_capacity(), reset: 1 })),
            Err(not_until) => {
                let reset = whole_seconds(not_until.wait_time_from(self.clock.now()));
                let standing = Standing { limit: *limit, remaining: 0, reset };
                let error = ApiError::new(ErrorCode::RateLimited, "too many requests; slow down").retry_after(reset);
                Err(standing.headers().into_iter().fold(error, |error, (name, value)| error.with_header(name, value)))
            }
        }
    }

    /// Forgets, until the end of the process, callers that were quiet for a while.
    pub async fn forget_quiet_callers(self) {
        let mut ticks = tokio::time::interval(FORGET_EVERY);
        loop {
            ticks.tick().await;
            if let Some(requests) = &self.requests {
                requests.1.retain_recent();
            }
            if let Some(logins) = &self.logins {
                logins.retain_recent();
            }
        }
    }
}

struct Standing {
    limit: u32,
    remaining: u32,
    reset: u32,
}

impl Standing {
    /// The fields of draft-ietf-httpapi-ratelimit-headers.
    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let policy = format!("\"default\";q={};w={}", self.limit, WINDOW.as_secs());
        let standing = format!("\"default\";r={};t={}", self.remaining, self.reset);
        [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, standing)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, HeaderValue::from_str(&value).ok()?)))
            .collect()
    }
}

/// The middleware: counts requests to the API and says how many are left.
pub async fn limit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<EitherBody<impl MessageBody>>, Error> {
    let limits = request.app_data::<web::Data<Limits>>().cloned();
    let Some(limits) = limits.filter(|_| request.path().starts_with("/api/v1/")) else {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    };
    let caller = match of_request(request.request()) {
        Ok(context) => Caller::Principal(context.organization_id, context.principal.id()),
        Err(_) => Caller::Address(client_address(request.request())),
    };
    let standing = match limits.count(&caller) {
        Ok(standing) => standing,
        Err(error) => return Ok(request.error_response(error).map_into_right_body()),
    };
    let mut response = next.call(request).await?;
    for (name, value) in standing.iter().flat_map(Standing::headers) {
        response.headers_mut().insert(name, value);
    }
    Ok(response.map_into_left_body())
}

/// The caller's network address: the connection's, or the one that a trusted proxy has seen.
pub fn client_address(request: &HttpRequest) -> Option<IpAddr> {
    let trusts = request.app_data::<web::Data<AppState>>().is_some_and(|state| state.config.http.trust_forwarded_for);
    let forwarded = || {
        let header = request.headers().get_all("x-forwarded-for").last()?.to_str().ok()?;
        header.rsplit(',').next()?.trim().parse().ok()
    };
    let seen = if trusts { forwarded() } else { None };
    seen.or_else(|| request.peer_addr().map(|address| address.ip()))
}

fn quota(per_minute: u32) -> Option<Quota> {
    NonZeroU32::new(per_minute).map(Quota::per_minute)
}

fn whole_seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sign_in_too_many_is_refused_for_that_address_only() {
        let limits = Limits::new(&LimitsConfig { requests_per_minute: 0, logins_per_minute: 3 });
        for email in ["a@example.org", "A@example.org", " a@example.org "] {
            limits.count_login(email, None).unwrap();
        }
        let refused = limits.count_login("a@example.org", None).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::RateLimited);
        limits.count_login("b@example.org", None).unwrap();
        limits.count_login("a@example.org", Some(IpAddr::from([10, 0, 0, 1]))).unwrap();
    }

    #[test]
    fn requests_are_counted_down_per_caller() {
        let limits = Limits::new(&LimitsConfig { requests_per_minute: 2, logins_per_minute: 0 });
        let caller = Caller::Principal(Uuid::nil(), Uuid::nil());
        assert_eq!(limits.count(&caller).unwrap().unwrap().remaining, 1);
        assert_eq!(limits.count(&caller).unwrap().unwrap().remaining, 0);
        assert!(limits.count(&caller).is_err());
        assert!(limits.count(&Caller::Address(None)).is_ok());
    }

    #[test]
    fn zero_means_no_limit() {
        let limits = Limits::new(&LimitsConfig { requests_per_minute: 0, logins_per_minute: 0 });
        assert!(limits.count(&Caller::Address(None)).unwrap().is_none());
        for _ in 0..100 {
            limits.count_login("a", None).unwrap();
        }
    }
}
