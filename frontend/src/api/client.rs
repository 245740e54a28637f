//! The client of a signed-in session: adds the token, renews it once, and waits when the session is over.

use api_types::auth::{Me, MePatch};
use gloo_net::http::Response;
use serde::de::DeserializeOwned;

use super::ApiError;
use super::http::{Call, accepted, read};
use crate::session::Session;

/// A signed-in client. It can only be had from a [`Session`].
#[derive(Clone, Copy)]
pub struct Client {
    session: Session,
}

/// An answer with its version, for `If-Match`.
#[derive(Clone, Debug, PartialEq)]
pub struct Versioned<T> {
    /// The answer.
    pub value: T,
    /// Its `ETag`.
    pub etag: Option<String>,
}

impl Client {
    /// The client of a session.
    pub const fn new(session: Session) -> Self {
        Self { session }
    }

    /// Sends a call; on 401 the token is renewed once, and if the session is over, the call waits until the person
    /// has signed in again, so that nothing they did is lost.
    pub async fn call(&self, call: Call) -> Result<Response, ApiError> {
        loop {
            let token = self.session.token();
            let response = call.send(token.as_deref()).await?;
            if response.status() != 401 {
                return accepted(response).await;
            }
            self.session.renew(token).await?;
        }
    }

    /// GET of a JSON document.
    pub async fn fetch<T: DeserializeOwned>(&self, path: impl Into<String>) -> Result<T, ApiError> {
        read(self.call(Call::get(path)).await?).await
    }

    /// GET of a JSON document with its version.
    pub async fn fetch_versioned<T: DeserializeOwned>(
        &self,
        path: impl Into<String>,
    ) -> Result<Versioned<T>, ApiError> {
        let response = self.call(Call::get(path)).await?;
        let etag = response.headers().get("etag");
        Ok(Versioned { value: read(response).await?, etag })
    }

    /// Any call with a JSON answer.
    pub async fn ask<T: DeserializeOwned>(&self, call: Call) -> Result<T, ApiError> {
        read(self.call(call).await?).await
    }

    /// Any call whose answer's body does not matter.
    pub async fn tell(&self, call: Call) -> Result<(), ApiError> {
        self.call(call).await.map(|_| ())
    }

    /// Who is signed in.
    pub async fn me(&self) -> Result<Me, ApiError> {
        self.fetch("/me").await
    }

    /// Changes the person's own settings.
    pub async fn update_me(&self, patch: &MePatch) -> Result<Me, ApiError> {
        self.ask(Call::patch("/me").json(patch)).await
    }

    /// Ends the session at the server.
    pub async fn logout(&self) -> Result<(), ApiError> {
        let token = self.session.token();
        accepted(Call::post("/auth/logout").send(token.as_deref()).await?).await.map(|_| ())
    }
}
