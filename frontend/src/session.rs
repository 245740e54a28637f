//! Who is signed in. The access token lives in memory only; the refresh token is a cookie that scripts never see.

use std::rc::Rc;

use api_types::ErrorCode;
use api_types::auth::{LoginRequest, Me, TokenResponse};
use futures::lock::Mutex;
use leptos::prelude::*;
use uuid::Uuid;

use crate::api::{Anonymous, ApiError, Client};
use crate::prefs::Prefs;

/// Where a session stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Asking the server whether the cookie is still good.
    Starting,
    /// Nobody is signed in.
    SignedOut,
    /// Somebody is.
    SignedIn,
    /// Somebody was, and everything they see and typed is kept until they have signed in again.
    Expired,
    /// The server could not be asked.
    Unreachable(ApiError),
}

/// The session of this window.
#[derive(Clone, Copy)]
pub struct Session {
    token: StoredValue<Option<String>>,
    /// Where it stands.
    pub phase: RwSignal<Phase>,
    /// Who is signed in, also while expired.
    pub me: RwSignal<Option<Me>>,
    renewing: StoredValue<Rc<Mutex<()>>, LocalStorage>,
    prefs: Prefs,
}

impl Session {
    /// A session that has yet to ask the server.
    pub fn new(prefs: Prefs) -> Self {
        Self {
            token: StoredValue::new(None),
            phase: RwSignal::new(Phase::Starting),
            me: RwSignal::new(None),
            renewing: StoredValue::new_local(Rc::new(Mutex::new(()))),
            prefs,
        }
    }

    /// The signed-in client.
    pub const fn client(self) -> Client {
        Client::new(self)
    }

    /// The access token.
    pub fn token(self) -> Option<String> {
        self.token.get_value()
    }

    /// Whether the person may change things, and not only look.
    pub fn may_act(self) -> bool {
        self.me.with(|me| me.as_ref().is_some_and(|me| matches!(me.role.as_str(), "org_admin" | "global_admin")))
    }

    /// The person and the organization: everything on screen belongs to this pair.
    pub fn identity(self) -> Option<(Uuid, Uuid)> {
        self.me.with(|me| me.as_ref().map(|me| (me.id, me.organization.id)))
    }

    /// Asks the server whether the cookie is still good.
    pub async fn start(self) {
        self.phase.set(Phase::Starting);
        match refresh().await {
            Ok(answer) => {
                self.token.set_value(Some(answer.access_token));
                self.enter().await;
            }
            Err(error) if is_over(&error) => self.phase.set(Phase::SignedOut),
            Err(error) => self.phase.set(Phase::Unreachable(error)),
        }
    }

    /// Signs in, or back in.
    pub async fn sign_in(self, request: LoginRequest) -> Result<(), ApiError> {
        let answer = Anonymous.login(&request).await?;
        self.token.set_value(Some(answer.access_token));
        let me = self.client().me().await?;
        self.welcome(me);
        Ok(())
    }

    /// Signs out, here and at the server.
    pub async fn sign_out(self) {
        let _ = self.client().logout().await;
        self.token.set_value(None);
        self.phase.set(Phase::SignedOut);
        self.me.set(None);
    }

    /// Gives up an expired session and goes to the sign-in page.
    pub fn give_up(self) {
        self.token.set_value(None);
        self.phase.set(Phase::SignedOut);
        self.me.set(None);
    }

    async fn enter(self) {
        match self.client().me().await {
            Ok(me) => self.welcome(me),
            Err(ApiError::SignedOut) => self.phase.set(Phase::SignedOut),
            Err(error) => self.phase.set(Phase::Unreachable(error)),
        }
    }

    fn welcome(self, me: Me) {
        self.prefs.adopt(me.language.as_str());
        self.me.set(Some(me));
        self.phase.set(Phase::SignedIn);
    }

    /// Gets a new token after `stale` was refused. Many calls may ask at once; one of them renews. When the session
    /// is over, waits until the person has signed in again.
    pub async fn renew(self, stale: Option<String>) -> Result<(), ApiError> {
        let gate = self.renewing.try_get_value().ok_or(ApiError::SignedOut)?;
        let _held = gate.lock().await;
        if self.token() != stale && self.token().is_some() {
            return Ok(());
        }
        match refresh().await {
            Ok(answer) if Some(&answer.access_token) != stale.as_ref() => {
                self.token.set_value(Some(answer.access_token));
                Ok(())
            }
            Err(error) if !is_over(&error) => Err(error),
            _ => self.wait_for_sign_in(stale).await,
        }
    }

    async fn wait_for_sign_in(self, stale: Option<String>) -> Result<(), ApiError> {
        if self.me.with_untracked(Option::is_none) {
            self.token.set_value(None);
            return Err(ApiError::SignedOut);
        }
        self.phase.set(Phase::Expired);
        loop {
            gloo_timers::future::TimeoutFuture::new(200).await;
            match self.phase.try_get_untracked() {
                Some(Phase::Expired) => {
                    if self.token().is_some() && self.token() != stale {
                        return Ok(());
                    }
                }
                Some(Phase::SignedIn) => return Ok(()),
                _ => return Err(ApiError::SignedOut),
            }
        }
    }
}

/// Renews the session's cookie and token. Windows take turns: a refresh token that is shown twice ends the session.
async fn refresh() -> Result<TokenResponse, ApiError> {
    let _turn = crate::browser::shared_lock("syncwatch-session").await;
    Anonymous.refresh().await
}

/// Whether a refusal means that the session is over, and not that the server is away.
fn is_over(error: &ApiError) -> bool {
    match error {
        ApiError::SignedOut | ApiError::Unexpected(401 | 403) => true,
        ApiError::Problem(problem) => {
            matches!(problem.code, ErrorCode::Unauthenticated | ErrorCode::InvalidCredentials | ErrorCode::Forbidden)
                || problem.status == 400
        }
        _ => false,
    }
}

/// The session, from any component.
pub fn use_session() -> Session {
    expect_context::<Session>()
}
