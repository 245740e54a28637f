//! The bookkeeping peers: FastAPI, Django REST framework, OData, Dataverse and GraphQL, with the same log and the same
//! faults on demand.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use uuid::Uuid;

use super::process::{Peer, node};
use super::{checked_out, client, python};

/// A running bookkeeping system; it ends when this is dropped.
#[derive(Debug)]
pub struct Books {
    url: String,
    client: reqwest::Client,
    _peer: Peer,
}

/// Everything a peer has booked.
#[derive(Clone, Debug, Deserialize)]
pub struct BooksLog {
    /// Number of bookings.
    pub accepted: usize,
    /// Bookings of a record that was booked before.
    pub duplicates: usize,
    /// The bookings, oldest first.
    pub records: Vec<Booking>,
}

/// One booking.
#[derive(Clone, Debug, Deserialize)]
pub struct Booking {
    /// The idempotency key it came with.
    pub idempotency_key: Option<String>,
    /// The record's id in the payload, or else the claim's number.
    pub record_id: String,
    /// The claim's number.
    pub claim_number: String,
    /// The peer's own reference.
    pub reference: String,
}

/// How a peer treats the claims to come; see `peers/peer_books.py`.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Behaviour {
    /// Waits before a request is worked on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u32>,
    /// Waits after it was worked on, before the answer leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_after_ms: Option<u32>,
    /// After so many requests, lets the others wait before they are worked on, until something else is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_after: Option<u32>,
    /// Answers this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// With `status`: books all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub book_first: Option<bool>,
    /// With `status`: the header of that name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
    /// After so many requests, resets the connection in place of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_after: Option<u32>,
    /// With `reset_after`: resets before anything is booked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset_before: Option<bool>,
    /// How many requests the fault applies to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
}

impl Books {
    /// FastAPI with strict models.
    pub async fn fastapi() -> anyhow::Result<Self> {
        Self::python("fastapi_app.py").await
    }

    /// Django REST framework with strict serializers.
    pub async fn drf() -> anyhow::Result<Self> {
        Self::python("drf_app.py").await
    }

    /// OData 4, by SAP's mock server.
    pub async fn odata() -> anyhow::Result<Self> {
        let mut command = node(&checked_out("peers/odata/odata.mjs"));
        command.args(["--port", "0"]);
        Self::start(command).await
    }

    async fn python(script: &str) -> anyhow::Result<Self> {
        let mut command = python(&format!("peers/{script}"))?;
        command.args(["--port", "0"]);
        Self::start(command).await
    }

    pub(super) async fn start(command: Command) -> anyhow::Result<Self> {
        let (peer, url) = Peer::start(command, true).await?;
        Ok(Self { url, client: client(), _peer: peer })
    }

    /// The address of a path on the peer.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// What was booked.
    pub async fn log(&self) -> anyhow::Result<BooksLog> {
        let answer = self.client.get(self.url("/_log")).send().await?.error_for_status()?;
        answer.json().await.context("reading the peer's log")
    }

    /// Sets how the claims to come are treated, in place of what was set before.
    pub async fn behave(&self, behaviour: impl Serialize) -> anyhow::Result<()> {
        self.tell("/_behaviour", &behaviour).await
    }

    /// Tells the peer what it is to do.
    pub(super) async fn tell(&self, path: &str, what: &impl Serialize) -> anyhow::Result<()> {
        self.client.post(self.url(path)).json(what).send().await?.error_for_status()?;
        Ok(())
    }
}

impl BooksLog {
    /// How often a record was booked.
    pub fn times(&self, record_id: Uuid) -> usize {
        let id = record_id.to_string();
        self.records.iter().filter(|booking| booking.record_id == id).count()
    }

    /// The peer's reference of a record that was booked.
    pub fn reference_of(&self, record_id: Uuid) -> Option<&str> {
        let id = record_id.to_string();
        self.records.iter().find(|booking| booking.record_id == id).map(|booking| booking.reference.as_str())
    }
}
