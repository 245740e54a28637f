//! The Dataverse Web API of one table: SAP's OData server behind what it lacks of it.

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::books::{Behaviour, Books};
use super::checked_out;
use super::process::node;
use super::tokens::Tokens;

/// How the peer treats the requests to come that write; see `peers/dataverse/dataverse.mjs`.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct DataverseBehaviour {
    /// What every peer can do.
    #[serde(flatten)]
    pub common: Behaviour,
    /// With a status: Dataverse's code in the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// Does not go on in a batch after a failure, although it is asked to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stops_at_failure: Option<bool>,
    /// After so many rows, lets the issuer of tokens change its keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotate_after: Option<u32>,
}

impl Books {
    /// The Web API, which lets in who has a token of this service.
    pub async fn dataverse(tokens: &Tokens) -> anyhow::Result<Self> {
        let mut command = node(&checked_out("peers/dataverse/dataverse.mjs"));
        command.args(["--port", "0", "--issuer", tokens.issuer()]);
        Self::start(command).await
    }

    /// Somebody else makes the row of a record.
    pub async fn make_row(&self, record_id: Uuid, row: &Value) -> anyhow::Result<()> {
        self.tell("/_rows", &json!({ "key": record_id, "row": row })).await
    }
}
