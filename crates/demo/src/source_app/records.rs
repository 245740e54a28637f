//! The source app's records: one JSON file, written by `seed`, changed by every correction.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Everything in the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Records {
    pub collections: Vec<Collection>,
}

/// Records of one kind, which one integration delivers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Collection {
    /// First part of the records' addresses.
    pub path: String,
    pub title_en: String,
    pub title_nb: String,
    pub integration_id: Uuid,
    pub record_type: String,
    pub records: Vec<Record>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub id: Uuid,
    pub label: String,
    /// What is delivered: texts by field.
    pub payload: Map<String, Value>,
    /// When it was corrected last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<DateTime<Utc>>,
}

impl Record {
    /// The record with the form's values; fields that it does not have are left alone.
    pub(crate) fn corrected(&self, form: &[(String, String)]) -> Self {
        let mut corrected = self.clone();
        for (field, value) in form {
            if let Some(kept) = corrected.payload.get_mut(field) {
                let text: String = value.trim().chars().filter(|c| !c.is_control()).take(200).collect();
                *kept = Value::String(text);
            }
        }
        corrected
    }

    /// The body of `stageRecord`. An amount that is none stays in the payload only, where the external system
    /// complains of it.
    pub(crate) fn staging_body(&self) -> Value {
        let mut body = json!({ "payload": self.payload, "label": self.label });
        let text = |field| self.payload.get(field).and_then(Value::as_str);
        if let (Some(amount), Some(currency)) = (text("amount"), text("currency"))
            && amount.parse::<rust_decimal::Decimal>().is_ok()
            && currency.len() == 3
            && currency.bytes().all(|b| b.is_ascii_uppercase())
        {
            body["amount"] = json!(amount);
            body["currency"] = json!(currency);
        }
        body
    }
}

impl Records {
    /// Empty while the file is not there yet.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        match std::fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("{} cannot be read", file.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", file.display())),
        }
    }

    /// Replaces the file as a whole, so that a reader never sees half of it.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        write_file(file, &serde_json::to_vec_pretty(self)?)
    }

    /// A record by the parts of its address.
    pub(crate) fn find(&self, path: &str, id: &str) -> Option<(&Collection, &Record)> {
        let id: Uuid = id.parse().ok()?;
        let collection = self.collections.iter().find(|collection| collection.path == path)?;
        Some((collection, collection.records.iter().find(|record| record.id == id)?))
    }

    /// Puts a corrected record in the place of the one with its id.
    pub(crate) fn replace(&mut self, path: &str, corrected: Record) {
        let kept = self
            .collections
            .iter_mut()
            .filter(|collection| collection.path == path)
            .flat_map(|collection| &mut collection.records)
            .find(|record| record.id == corrected.id);
        if let Some(record) = kept {
            *record = corrected;
        }
    }
}

/// Writes beside the file and renames.
pub(crate) fn write_file(file: &Path, bytes: &[u8]) -> Result<()> {
    let beside = file.with_extension("new");
    let write = || {
        let mut target = std::fs::File::create(&beside)?;
        target.write_all(bytes)?;
        target.sync_all()?;
        std::fs::rename(&beside, file)
    };
    write().with_context(|| format!("{} cannot be written", file.display()))
}
