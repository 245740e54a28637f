//! Token services: a mock that lets everybody in, and a certified provider that knows one client.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::process::{Peer, node};
use super::{checked_out, client};

/// The client that the provider knows.
pub const TOKEN_CLIENT: &str = "syncwatch";
/// Its secret.
pub const TOKEN_SECRET: &str = "syncwatch-client-secret-1";

/// A running token service; it ends when this is dropped.
#[derive(Debug)]
pub struct Tokens {
    url: String,
    client: reqwest::Client,
    _peer: Peer,
}

impl Tokens {
    /// One that gives signed tokens to whoever asks, by oauth2-mock-server.
    pub async fn mock() -> anyhow::Result<Self> {
        Self::start("peers/tokens/mock.mjs").await
    }

    /// One that gives them to the client it knows, by oidc-provider.
    pub async fn provider() -> anyhow::Result<Self> {
        Self::start("peers/tokens/oidc.mjs").await
    }

    async fn start(script: &str) -> anyhow::Result<Self> {
        let mut command = node(&checked_out(script));
        command.args(["--port", "0"]);
        let (peer, url) = Peer::start(command, true).await?;
        Ok(Self { url, client: client(), _peer: peer })
    }

    /// Who issues the tokens.
    pub fn issuer(&self) -> &str {
        &self.url
    }

    /// Where they are given.
    pub fn url(&self) -> String {
        format!("{}/token", self.url)
    }

    /// How many tokens were asked for.
    pub async fn requests(&self) -> anyhow::Result<u64> {
        let answer = self.client.get(format!("{}/_log", self.url)).send().await?.error_for_status()?;
        let log: Value = answer.json().await?;
        log["requests"].as_u64().context("the log says how many tokens were asked for")
    }

    /// For how long the mock says that its tokens hold.
    pub async fn expire_in(&self, seconds: u32) -> anyhow::Result<()> {
        self.behave(&json!({ "expires_in": seconds })).await
    }

    /// Lets the mock answer this in the place of a token.
    pub async fn refuse(&self, status: u16, body: &Value) -> anyhow::Result<()> {
        self.behave(&json!({ "refusal": { "status": status, "body": body } })).await
    }

    async fn behave(&self, behaviour: &Value) -> anyhow::Result<()> {
        let url = format!("{}/_behaviour", self.url);
        self.client.post(url).json(behaviour).send().await?.error_for_status()?;
        Ok(())
    }
}
