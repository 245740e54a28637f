//! Tokens for requests to Dataverse (OAuth 2.0, client credentials): asked for once, kept until they run out.
//!
//! A request without a token doesn't leave, so whatever the token service does, nothing is in doubt.

use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use crate::connector::Permanence;
use crate::credentials::ClientCredentials;
use crate::exchange::{self, Answer, Completeness, Exchange, Trouble};
use crate::guard::{DestinationRefused, GuardedClient};
use crate::wording;

/// The longest time the token service may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// So long before a token runs out another is asked for; earlier of one that holds for less than twice as long.
const MARGIN: Duration = Duration::from_mins(1);
/// For how long a token holds, where nothing says so.
const UNSAID: Duration = Duration::from_mins(5);
/// For how long a refusal is believed that asking again will not change: clients that go on asking are locked out.
const REFUSED_FOR: Duration = Duration::from_secs(30);
/// For how long the token service is left alone when it has failed: everybody who waits would wait as long again.
const FAILED_FOR: Duration = Duration::from_secs(5);
/// Longest token, in bytes.
const MAX_TOKEN: usize = 16 * 1024;

/// Gives tokens to requests: asks the token service for one at a time.
pub(super) struct Tokens {
    client: GuardedClient,
    url: Url,
    scope: String,
    credentials: ClientCredentials,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    granted: Option<Granted>,
    refused: Option<(Instant, Trouble)>,
}

/// A token that was given.
struct Granted {
    token: String,
    until: Instant,
    /// It took the place of one that was refused, and nothing has let it in yet.
    is_second: bool,
}

impl Tokens {
    pub(super) fn new(client: GuardedClient, url: Url, scope: String, credentials: ClientCredentials) -> Self {
        Self { client, url, scope, credentials, state: Mutex::default() }
    }

    /// Who asks.
    pub(super) fn credentials(&self) -> &ClientCredentials {
        &self.credentials
    }

    /// A token that still holds.
    pub(super) async fn get(&self) -> Result<String, Trouble> {
        let mut state = self.state.lock().await;
        if let Some(granted) = state.granted.as_ref().filter(|granted| Instant::now() < granted.until) {
            return Ok(granted.token.clone());
        }
        self.ask(&mut state, false).await
    }

    /// Another token than one that was refused; `None` if that would be refused, too: it was itself the second one.
    pub(super) async fn renewed(&self, refused: &str) -> Option<Result<String, Trouble>> {
        let mut state = self.state.lock().await;
        if let Some(granted) = &state.granted {
            if granted.token == refused && granted.is_second {
                return None;
            }
            // Somebody else was quicker.
            if granted.token != refused && Instant::now() < granted.until {
                return Some(Ok(granted.token.clone()));
            }
        }
        Some(self.ask(&mut state, true).await)
    }

    /// A request with this token was let in.
    pub(super) async fn let_in(&self, token: &str) {
        if let Some(granted) = self.state.lock().await.granted.as_mut().filter(|granted| granted.token == token) {
            granted.is_second = false;
        }
    }

    /// Asks for a token, while everybody else who wants one waits.
    async fn ask(&self, state: &mut State, is_second: bool) -> Result<String, Trouble> {
        let now = Instant::now();
        if let Some((_, trouble)) = state.refused.as_ref().filter(|(until, _)| now < *until) {
            return Err(trouble.clone());
        }
        state.granted = None;
        let exchange = match self.request() {
            Ok(request) => exchange::exchange(request).await,
            Err(refused) => refused.into(),
        };
        match self.read(&exchange) {
            Ok((token, holds_for)) => {
                // What was asked for earlier runs out earlier.
                let until = now + holds_for.saturating_sub(MARGIN.min(holds_for / 2));
                state.granted = Some(Granted { token: token.clone(), until, is_second });
                Ok(token)
            }
            Err(trouble) => {
                let believed = if trouble.permanence == Permanence::Permanent { REFUSED_FOR } else { FAILED_FOR };
                state.refused = Some((Instant::now() + believed, trouble.clone()));
                Err(trouble)
            }
        }
    }

    fn request(&self) -> Result<RequestBuilder, DestinationRefused> {
        let request = self.client.request(Method::POST, self.url.clone())?;
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", self.credentials.client_id.as_str()),
            ("client_secret", self.credentials.client_secret.as_str()),
            ("scope", self.scope.as_str()),
        ];
        Ok(request.header(ACCEPT, HeaderValue::from_static("application/json")).timeout(PATIENCE).form(&form))
    }

    /// The token and for how long it holds, or why there is none.
    fn read(&self, exchange: &Exchange) -> Result<(String, Duration), Trouble> {
        let answer = match exchange {
            Exchange::Answered(answer) => answer,
            Exchange::NeverLeft(trouble) | Exchange::NoAnswer(trouble) => {
                let message = format!("No token could be asked for: {}", trouble.message);
                return Err(Trouble { message, ..trouble.clone() });
            }
        };
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if (200..300).contains(&answer.status) && answer.completeness == Completeness::Whole {
            return token(&body).ok_or_else(|| Trouble {
                code: "NO_TOKEN",
                message: "The token service answered without a token: another service may be at its address."
                    .to_owned(),
                permanence: Permanence::Permanent,
            });
        }
        Err(self.refusal(answer, &body))
    }

    fn refusal(&self, answer: &Answer, body: &Value) -> Trouble {
        let status = answer.status;
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let described = text("error_description");
        let known = REFUSALS.iter().find(|refusal| refusal.error == text("error"));
        let (code, plain, permanence) = match known {
            Some(refusal) => (refusal.error, refusal.plain, refusal.permanence),
            None if matches!(status, 408 | 425 | 429) || !(300..500).contains(&status) => {
                ("TOKEN_SERVICE_FAILED", "The token service is away or busy.", Permanence::Transient)
            }
            None => ("TOKEN_REFUSED", "The token service gave no token.", Permanence::Permanent),
        };
        let plain = entra_words(described).unwrap_or(plain);
        let said =
            if described.is_empty() { format!("It answered {status}.") } else { format!("It said: {described}") };
        let message = wording::words(&self.credentials.ungranted(), &format!("{plain} {said}"));
        Trouble { code, message, permanence }
    }
}

/// What an error of a token service means.
struct Refusal {
    error: &'static str,
    plain: &'static str,
    permanence: Permanence,
}

/// RFC 6749, 4.1.2.1 and 5.2, and Entra's own.
const REFUSALS: &[Refusal] = &[
    Refusal {
        error: "invalid_client",
        plain: "The token service does not accept the client's id or its secret.",
        permanence: Permanence::Permanent,
    },
    Refusal {
        error: "unauthorized_client",
        plain: "The client may not ask for tokens in this way, or is not known in this tenant.",
        permanence: Permanence::Permanent,
    },
    Refusal {
        error: "invalid_scope",
        plain: "The token service knows no environment by this scope.",
        permanence: Permanence::Permanent,
    },
    Refusal {
        error: "invalid_resource",
        plain: "The environment is not known in this tenant.",
        permanence: Permanence::Permanent,
    },
    Refusal {
        error: "invalid_request",
        plain: "The token service does not take the request; the tenant may be wrong.",
        permanence: Permanence::Permanent,
    },
    Refusal {
        error: "invalid_grant",
        plain: "The token service does not let the client in.",
        permanence: Permanence::Permanent,
    },
    Refusal {
        error: "unsupported_grant_type",
        plain: "The token service gives no tokens for a client's secret.",
        permanence: Permanence::Permanent,
    },
    Refusal {
        error: "access_denied",
        plain: "The token service does not let the client in.",
        permanence: Permanence::Permanent,
    },
    Refusal {
        error: "temporarily_unavailable",
        plain: "The token service is away or busy.",
        permanence: Permanence::Transient,
    },
    Refusal { error: "server_error", plain: "The token service failed.", permanence: Permanence::Transient },
];

/// Entra says more by the number its words begin with.
fn entra_words(described: &str) -> Option<&'static str> {
    const NUMBERS: &[(&str, &str)] = &[
        ("AADSTS7000215", "The client's secret is wrong; perhaps the secret's id was entered in its place."),
        ("AADSTS7000222", "The client's secret has expired: a new one has to be made and entered."),
        ("AADSTS700016", "The client is not known in this tenant."),
        ("AADSTS7000112", "The client is disabled in this tenant."),
        ("AADSTS90002", "There is no such tenant."),
        ("AADSTS900023", "The tenant's name is neither an id nor a domain that is known."),
        ("AADSTS500011", "The environment is not known in this tenant."),
    ];
    let number = described.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    NUMBERS.iter().find(|(known, _)| *known == number).map(|(_, words)| *words)
}

/// A token, and for how long it holds.
fn token(body: &Value) -> Option<(String, Duration)> {
    let kind = body.get("token_type").and_then(Value::as_str).unwrap_or("Bearer");
    let token = body.get("access_token").and_then(Value::as_str)?;
    let is_plain = !token.is_empty() && token.len() <= MAX_TOKEN && token.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain || !kind.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let seconds = body.get("expires_in").and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
    // A day is longer than any token holds that should be kept.
    let holds_for = seconds.map_or(UNSAID, |seconds| Duration::from_secs(seconds.min(86_400)));
    Some((token.to_owned(), holds_for))
}

#[cfg(test)]
mod tests;
