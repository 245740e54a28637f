//! Months that have left the database for files: writing them, reading them like everything else, and letting them
//! expire.
//!
//! A month leaves as a whole and for good. Whoever reads looks into the database first and then, in the same
//! transaction, at which months lie in the archive: while that transaction is open no month can leave, so nothing is
//! missed and nothing is seen twice. Files are read when the transaction has ended.

pub mod expire;
mod month;
pub mod read;
pub mod run;
mod trends;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use api_types::ErrorCode;
use archive::{ArchiveError, Files, Index, Layout, Location};
use store::archives::Archive;

use crate::http::problem::{ApiError, Chain};

pub(crate) use month::check_version;

/// Tables of contents that are kept in memory.
const KEPT_INDEXES: usize = 64;

/// Opens the archive's location; nothing is asked of it yet.
pub fn open(location: &Location) -> Result<Files, ArchiveError> {
    // A second installation of the provider is refused, harmlessly.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Files::open(location)
}

/// The newest last.
type Indexes = VecDeque<(String, Arc<Index>)>;

/// Reads the archive's files; clones share what is kept in memory.
#[derive(Clone, Debug)]
pub struct ArchiveReader {
    files: Files,
    indexes: Arc<Mutex<Indexes>>,
}

impl ArchiveReader {
    /// Of a location.
    pub fn open(location: &Location) -> Result<Self, ArchiveError> {
        Ok(Self { files: open(location)?, indexes: Arc::default() })
    }

    /// A file's table of contents. Files never change, so one that was read stays true.
    pub(crate) async fn index(&self, entry: &Archive) -> Result<Arc<Index>, ArchiveError> {
        if let Some(known) = self.known_index(&entry.location) {
            return Ok(known);
        }
        let size = u64::try_from(entry.bytes).unwrap_or(0);
        let index = Arc::new(Index::open(&self.files, &entry.location, size).await?);
        let mut indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        if indexes.len() >= KEPT_INDEXES {
            indexes.pop_front();
        }
        indexes.push_back((entry.location.clone(), Arc::clone(&index)));
        Ok(index)
    }

    fn known_index(&self, location: &str) -> Option<Arc<Index>> {
        let indexes = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        indexes.iter().find(|(known, _)| known == location).map(|(_, index)| Arc::clone(index))
    }

    /// The rows of a row group.
    pub(crate) async fn group<R: Layout>(&self, index: &Index, group: usize) -> Result<Vec<R>, ArchiveError> {
        index.read(&self.files, group).await
    }
}

impl From<ArchiveError> for ApiError {
    fn from(error: ArchiveError) -> Self {
        match &error {
            ArchiveError::Unreachable(_) | ArchiveError::NotDurable(_) => Self::unavailable(Chain(&error)),
            ArchiveError::Corrupt(_) => Self::internal(Chain(&error)),
        }
    }
}

/// What is asked for belongs to a month that was deleted when its time had come.
fn expired() -> ApiError {
    ApiError::new(ErrorCode::Expired, "syncs of that month were deleted when their retention had ended")
}
