//! GraphQL as Xledger speaks it: graphql-yoga with a subset of its schema.

use serde::Serialize;
use serde_json::json;

use super::books::{Behaviour, Books};
use super::checked_out;
use super::process::node;

/// A token that may read and write.
pub const XLEDGER_TOKEN: &str = "xledger-token-1";
/// A token that may read alone.
pub const XLEDGER_TOKEN_TO_READ: &str = "xledger-token-read-only";

/// How the peer treats the mutations to come; see `peers/xledger/xledger.mjs`.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct XledgerBehaviour {
    /// What every peer can do.
    #[serde(flatten)]
    pub common: Behaviour,
    /// Refuses them as too much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Throttle>,
    /// Accepts so many nodes of a request, and fails at the others one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accept_nodes: Option<u32>,
    /// Names the node that is refused, not its field alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names_nodes: Option<bool>,
}

/// Why Xledger takes no more for now.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Throttle {
    /// Too many requests within seconds.
    Burst,
    /// Too many at once.
    Concurrency,
    /// The allowance is used up.
    Credits,
}

impl Books {
    /// GraphQL with a subset of Xledger's schema, by graphql-yoga.
    pub async fn xledger() -> anyhow::Result<Self> {
        let mut command = node(&checked_out("peers/xledger/xledger.mjs"));
        command.args(["--port", "0"]);
        Self::start(command).await
    }

    /// Lets the posting of everything that Xledger has accepted so far fail.
    pub async fn fail_posting(&self, message: &str) -> anyhow::Result<()> {
        self.tell("/_posting", &json!({ "message": message })).await
    }

    /// Lets nothing be found any more of what Xledger has accepted so far.
    pub async fn forget(&self) -> anyhow::Result<()> {
        self.tell("/_forget", &json!({})).await
    }
}
