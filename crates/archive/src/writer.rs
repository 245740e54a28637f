//! Writing a table's file.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use sha2::{Digest as _, Sha256};

use crate::error::ArchiveError;
use crate::layout::Layout;

/// A file that is being written.
pub struct FileWriter<R> {
    writer: SerializedFileWriter<Vec<u8>>,
    rows: u64,
    newest: Option<DateTime<Utc>>,
    oldest: Option<DateTime<Utc>>,
    kind: PhantomData<R>,
}

/// A file that is complete.
#[derive(Clone, Debug)]
pub struct WrittenFile {
    /// Its content.
    pub bytes: Bytes,
    /// Its rows.
    pub rows: u64,
    /// Start of the oldest sync in it.
    pub oldest: Option<DateTime<Utc>>,
    /// Start of the newest sync in it.
    pub newest: Option<DateTime<Utc>>,
    /// SHA-256 of its content, in lower-case hexadecimal.
    pub sha256: String,
}

impl<R: Layout> FileWriter<R> {
    /// An empty file.
    pub fn new() -> Result<Self, ArchiveError> {
        let schema = Arc::new(parse_message_type(&R::schema())?);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .build();
        let writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
        Ok(Self { writer, rows: 0, newest: None, oldest: None, kind: PhantomData })
    }

    /// Adds a row group; rows come newest first, at most [`Layout::GROUP_ROWS`] at a time.
    pub fn add(&mut self, rows: &[R]) -> Result<(), ArchiveError> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(()) };
        let mut group = self.writer.next_row_group()?;
        R::write_columns(rows, &mut group)?;
        group.close()?;
        self.newest.get_or_insert(first.time());
        self.oldest = Some(last.time());
        self.rows += rows.len() as u64;
        Ok(())
    }

    /// Ends the file.
    pub fn finish(self) -> Result<WrittenFile, ArchiveError> {
        let bytes = Bytes::from(self.writer.into_inner()?);
        let sha256 = hex::encode(Sha256::digest(&bytes));
        Ok(WrittenFile { bytes, rows: self.rows, oldest: self.oldest, newest: self.newest, sha256 })
    }
}
