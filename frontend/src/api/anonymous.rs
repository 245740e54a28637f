//! What can be asked without being signed in.

use api_types::auth::{LoginRequest, TokenResponse};

use super::ApiError;
use super::http::{Call, accepted, read};

/// The client of somebody who is not signed in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Anonymous;

impl Anonymous {
    /// Signs in.
    pub async fn login(self, request: &LoginRequest) -> Result<TokenResponse, ApiError> {
        let answer = Call::post("/auth/login").json(request).send(None).await?;
        read(accepted(answer).await?).await
    }

    /// Gets a new access token for the refresh cookie.
    pub async fn refresh(self) -> Result<TokenResponse, ApiError> {
        let answer = Call::post("/auth/refresh").send(None).await?;
        read(accepted(answer).await?).await
    }
}
