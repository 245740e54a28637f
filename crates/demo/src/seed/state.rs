//! What an earlier seeding did that the API does not tell.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::source_app::records::write_file;

/// The file's content and where it is.
pub(super) struct State {
    file: PathBuf,
    kept: Kept,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    /// The day of the first seeding, from which the history is counted back: a later run invents the same days.
    anchor: NaiveDate,
    /// Integrations whose history was imported.
    imported: BTreeSet<Uuid>,
}

impl State {
    /// Reads the file, or begins one with this day.
    pub(super) fn load(file: &Path, today: NaiveDate) -> Result<Self> {
        let kept = match std::fs::read(file) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).with_context(|| format!("{} cannot be read", file.display()))?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Kept { anchor: today, imported: BTreeSet::new() }
            }
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", file.display())),
        };
        let state = Self { file: file.to_owned(), kept };
        state.write()?;
        Ok(state)
    }

    /// Forgets everything: the ledger is new.
    pub(super) fn begin_anew(&mut self, today: NaiveDate) -> Result<()> {
        self.kept = Kept { anchor: today, imported: BTreeSet::new() };
        self.write()
    }

    pub(super) fn anchor(&self) -> NaiveDate {
        self.kept.anchor
    }

    pub(super) fn imported(&self, integration: Uuid) -> bool {
        self.kept.imported.contains(&integration)
    }

    pub(super) fn note_import(&mut self, integration: Uuid) -> Result<()> {
        self.kept.imported.insert(integration);
        self.write()
    }

    fn write(&self) -> Result<()> {
        write_file(&self.file, &serde_json::to_vec_pretty(&self.kept)?)
    }
}
