//! What was accepted, in order, in memory and in the log file.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Voucher,
    Participant,
    Member,
}

impl Kind {
    const fn letter(self) -> char {
        match self {
            Self::Voucher => 'V',
            Self::Participant => 'E',
            Self::Member => 'M',
        }
    }
}

/// One accepted record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub time: DateTime<Utc>,
    pub kind: Kind,
    pub reference: String,
    pub idempotency_key: Option<String>,
    pub record: Value,
}

/// What became of a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Booking {
    /// Booked under this reference.
    New(String),
    /// It had come before with the same key; nothing was booked.
    Known(String),
    /// The key had come before with another record; nothing was booked.
    OtherContent,
}

/// The peer's own log.
#[derive(Default)]
pub(super) struct Book {
    entries: Vec<Entry>,
    file: Option<File>,
}

impl Book {
    /// Goes on where the file ends. A last line that was cut off by a crash is an error, never silently dropped.
    pub(super) fn open(log: Option<&Path>) -> Result<Self> {
        let Some(path) = log else { return Ok(Self::default()) };
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(path)
            .with_context(|| format!("{} cannot be opened", path.display()))?;
        let entries: Result<Vec<Entry>> = BufReader::new(&file)
            .lines()
            .enumerate()
            .map(|(number, line)| {
                serde_json::from_str(&line?).with_context(|| format!("{}, line {}", path.display(), number + 1))
            })
            .collect();
        Ok(Self { entries: entries?, file: Some(file) })
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Books a record that came alone: its key stands for it.
    pub(super) fn take(
        &mut self,
        kind: Kind,
        key: Option<String>,
        record: Value,
        now: DateTime<Utc>,
    ) -> std::io::Result<Booking> {
        let known =
            self.entries.iter().find(|entry| entry.kind == kind && key.is_some() && entry.idempotency_key == key);
        match known {
            Some(entry) if entry.record == record => Ok(Booking::Known(entry.reference.clone())),
            Some(_) => Ok(Booking::OtherContent),
            None => self.append(kind, key, record, now),
        }
    }

    /// Books a record of a batch: the key stands for the batch, so that key and content together are the record.
    pub(super) fn take_item(
        &mut self,
        kind: Kind,
        key: Option<String>,
        record: Value,
        now: DateTime<Utc>,
    ) -> std::io::Result<Booking> {
        let known = self.entries.iter().find(|entry| {
            entry.kind == kind && key.is_some() && entry.idempotency_key == key && entry.record == record
        });
        match known {
            Some(entry) => Ok(Booking::Known(entry.reference.clone())),
            None => self.append(kind, key, record, now),
        }
    }

    /// Written down before it counts as booked.
    fn append(
        &mut self,
        kind: Kind,
        idempotency_key: Option<String>,
        record: Value,
        time: DateTime<Utc>,
    ) -> std::io::Result<Booking> {
        let number = 1_001 + self.entries.iter().filter(|entry| entry.kind == kind).count();
        let reference = format!("{}-{number}", kind.letter());
        let entry = Entry { time, kind, reference: reference.clone(), idempotency_key, record };
        if let Some(file) = &mut self.file {
            let mut line = serde_json::to_vec(&entry)?;
            line.push(b'\n');
            file.write_all(&line)?;
        }
        self.entries.push(entry);
        Ok(Booking::New(reference))
    }
}
