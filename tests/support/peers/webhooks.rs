//! A receiver of webhooks that verifies them with somebody else's library.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::process::Command;

use super::process::{Peer, from_environment};
use super::{checked_out, client};

/// A running receiver; it ends when this is dropped.
#[derive(Debug)]
pub struct WebhookReceiver {
    url: String,
    client: reqwest::Client,
    _peer: Peer,
}

/// A webhook as it came.
#[derive(Clone, Debug, Deserialize)]
pub struct ReceivedWebhook {
    /// The path it came to.
    pub path: String,
    /// `webhook-id`.
    pub id: String,
    /// `webhook-timestamp`.
    pub timestamp: String,
    /// `webhook-signature`.
    pub signature: String,
    /// Whether it verified under each of the receiver's secrets.
    pub verified: Vec<bool>,
    /// The body.
    pub body: Value,
}

/// How webhooks to come are answered; see `peers/webhook_receiver.py`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct WebhookAnswers {
    /// With this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// So many; those after that are taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// With the header of that name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
    /// With the header of that name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Not before something else is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<bool>,
}

impl WebhookReceiver {
    /// Starts one that takes everything.
    pub async fn start() -> anyhow::Result<Self> {
        let mut command = python("peers/webhook_receiver.py")?;
        command.args(["--port", "0"]);
        let (peer, url) = Peer::start(command, true).await?;
        Ok(Self { url, client: client(), _peer: peer })
    }

    /// The address of a path on the receiver.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// What it verifies with from now on.
    pub async fn verify_with(&self, secrets: &[&str]) -> anyhow::Result<()> {
        self.tell("/_secrets", &json!({ "secrets": secrets })).await
    }

    /// How webhooks to come are answered, in place of what was set before.
    pub async fn answer(&self, answers: &WebhookAnswers) -> anyhow::Result<()> {
        self.tell("/_behaviour", &serde_json::to_value(answers)?).await
    }

    /// What came so far.
    pub async fn received(&self) -> anyhow::Result<Vec<ReceivedWebhook>> {
        #[derive(Deserialize)]
        struct Log {
            received: Vec<ReceivedWebhook>,
        }
        let answer = self.client.get(self.url("/_log")).send().await?.error_for_status()?;
        let log: Log = answer.json().await.context("reading the receiver's log")?;
        Ok(log.received)
    }

    async fn tell(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        self.client.post(self.url(path)).json(body).send().await?.error_for_status()?;
        Ok(())
    }
}

/// A script in the checkout's `tests`, under the Python that has what the peers need.
pub fn python(script: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(from_environment("SYNCWATCH_TEST_PYTHON")?);
    // No cache files in the checkout.
    command.arg("-B").arg(checked_out(script));
    Ok(command)
}
