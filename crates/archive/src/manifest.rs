//! What lies beside an organization's files of a month: what they hold, for people and other programs.

use chrono::{DateTime, NaiveDate, Utc};
use domain::retention::{LedgerTable, RetentionClass};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What an organization's files of a month hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the files' columns.
    pub schema_version: i16,
    /// Always `parquet`.
    pub format: String,
    /// Always `zstd`.
    pub compression: String,
    /// The organization.
    pub organization_id: Uuid,
    /// First day of the month.
    pub month: NaiveDate,
    /// How long it is kept.
    pub retention_class: RetentionClass,
    /// The files.
    pub tables: Vec<ManifestTable>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestTable {
    /// The table.
    pub table: LedgerTable,
    /// The file's name within the archive.
    pub file: String,
    /// Its rows.
    pub rows: i64,
    /// Its length.
    pub bytes: i64,
    /// Start of the oldest sync in it.
    pub min_started_at: Option<DateTime<Utc>>,
    /// Start of the newest sync in it.
    pub max_started_at: Option<DateTime<Utc>>,
    /// SHA-256 of its content.
    pub sha256: String,
}

impl Manifest {
    /// Of an organization's month.
    pub fn new(
        organization_id: Uuid,
        month: NaiveDate,
        retention_class: RetentionClass,
        tables: Vec<ManifestTable>,
    ) -> Self {
        Self {
            schema_version: crate::SCHEMA_VERSION,
            format: "parquet".to_owned(),
            compression: "zstd".to_owned(),
            organization_id,
            month,
            retention_class,
            tables,
        }
    }

    /// As it is written.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}
