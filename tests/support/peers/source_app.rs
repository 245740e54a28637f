//! The demonstration's source app: an organization's own app, whose records Syncwatch reads.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use uuid::Uuid;

use super::process::Peer;
use crate::server::program;
use crate::story::{CLAIM, Claim};

/// What readers of the records must present.
pub const READING_TOKEN: &str = "the reading token of this test";

/// A running source app; it ends when this is dropped.
#[derive(Debug)]
pub struct SourceApp {
    url: String,
    data: PathBuf,
    _directory: TempDir,
    _peer: Peer,
}

impl SourceApp {
    /// Starts one with these claims.
    pub async fn start(claims: &[Claim]) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let data = directory.path().join("records.json");
        let mut command = Command::new(program()?.with_file_name("syncwatch-demo"));
        // It tells nobody of what is saved: no test saves by its pages.
        command.args(["source-app", "--server", "http://127.0.0.1:9", "--reading-token", READING_TOKEN]);
        command.arg("--key-file").arg(directory.path().join("no-key.json")).arg("--data").arg(&data);
        let (peer, url) = Peer::start_with_input(command).await?;
        let app = Self { url, data, _directory: directory, _peer: peer };
        app.hold(claims, None)?;
        Ok(app)
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// From now on it has these claims and no others, as they were changed at a moment.
    pub fn hold(&self, claims: &[Claim], changed_at: Option<&str>) -> anyhow::Result<()> {
        let records: Vec<Value> = claims
            .iter()
            .map(|claim| {
                let label = format!("Claim {}", claim.payload["claim_number"].as_str().unwrap_or_default());
                json!({ "id": claim.id, "label": label, "payload": claim.payload, "changed_at": changed_at })
            })
            .collect();
        let collection = json!({
            "path": "claims", "title_en": "Expense claims", "title_nb": "Utlegg", "integration_id": Uuid::nil(),
            "record_type": CLAIM, "records": records,
        });
        let beside = self.data.with_extension("new");
        fs::write(&beside, json!({ "collections": [collection] }).to_string())?;
        Ok(fs::rename(&beside, &self.data)?)
    }

    /// From now on it cannot say anything of its records.
    pub fn break_down(&self) -> anyhow::Result<()> {
        Ok(fs::write(&self.data, "rubbish")?)
    }

    /// How Syncwatch is told to read it, so many records at a time.
    pub fn settings(&self, at_a_time: usize) -> Value {
        json!({
            "kind": "http", "type": CLAIM,
            "list_url": self.url(&format!("/api/claims?since={{since}}&cursor={{cursor}}&limit={at_a_time}")),
            "fetch_url": self.url("/api/claims/{source_record_id}"),
            "items_pointer": "/items", "next_pointer": "/next", "id_pointer": "/id", "payload_pointer": "/data",
            "label_pointer": "/label", "amount_pointer": "/data/amount", "currency_pointer": "/data/currency",
        })
    }
}
