//! Reading a table's file, a row group at a time.

use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use chrono::{DateTime, Utc};
use parquet::errors::ParquetError;
use parquet::file::metadata::page_index::RowGroupPageIndex;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedRowGroupReader;
use parquet::file::statistics::Statistics;
use uuid::Uuid;

use crate::columns::{self, corrupt};
use crate::error::ArchiveError;
use crate::files::Files;
use crate::layout::Layout;

/// What is read from the end of a file at first: nearly always its whole table of contents.
const TAIL: u64 = 64 * 1024;
/// Length of the table of contents, and the format's mark.
const FOOTER: u64 = 8;

/// A file's table of contents.
#[derive(Debug)]
pub struct Index {
    metadata: ParquetMetaData,
    name: String,
    size: u64,
}

impl Index {
    /// Reads the table of contents of a file of that size.
    pub async fn open(files: &Files, name: &str, size: u64) -> Result<Self, ArchiveError> {
        let mut tail = files.get_range(name, size.saturating_sub(TAIL)..size).await?;
        let length = footer_length(&tail)? + FOOTER;
        if length > size {
            return Err(corrupt("the table of contents is longer than the file"));
        }
        if length > tail.len() as u64 {
            tail = files.get_range(name, size - length..size).await?;
        }
        let end = tail.len().saturating_sub(usize::try_from(FOOTER).unwrap_or(0));
        let begin = tail.len().saturating_sub(usize::try_from(length).unwrap_or(usize::MAX));
        let metadata = ParquetMetaDataReader::decode_metadata(&tail[begin..end])?;
        Ok(Self { metadata, name: name.to_owned(), size })
    }

    /// Every row group.
    pub fn groups(&self) -> std::ops::Range<usize> {
        0..self.metadata.num_row_groups()
    }

    /// Row groups that may hold syncs that started within a period, both ends included, in the file's order.
    pub fn groups_within<R: Layout>(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<usize> {
        self.groups()
            .filter(|group| {
                let column = self.metadata.row_group(*group).columns().get(R::TIME_COLUMN);
                let Some(Statistics::Int64(seen)) = column.and_then(|column| column.statistics()) else { return true };
                let (Some(min), Some(max)) = (seen.min_opt(), seen.max_opt()) else { return true };
                *max >= from.timestamp_micros() && *min <= to.timestamp_micros()
            })
            .collect()
    }

    /// The rows of a row group.
    pub async fn read<R: Layout>(&self, files: &Files, group: usize) -> Result<Vec<R>, ArchiveError> {
        let group = self.metadata.row_group(group);
        let (mut start, mut end) = (u64::MAX, 0);
        for column in group.columns() {
            let (at, length) = range_of(column)?;
            (start, end) = (start.min(at), end.max(at + length));
        }
        R::read_columns(&self.window(files, group, start, end).await?)
    }

    /// The source records of a row group, in its order: one column of it alone.
    pub async fn read_records<R: Layout>(&self, files: &Files, group: usize) -> Result<Vec<Uuid>, ArchiveError> {
        let group = self.metadata.row_group(group);
        let column = R::RECORD_COLUMN.ok_or_else(|| corrupt("the table has no source records"))?;
        let chunk = group.columns().get(column).ok_or_else(|| corrupt("the file has other columns"))?;
        let (start, length) = range_of(chunk)?;
        columns::read(&self.window(files, group, start, start + length).await?, column)
    }

    async fn window<'m>(
        &self,
        files: &Files,
        group: &'m RowGroupMetaData,
        start: u64,
        end: u64,
    ) -> Result<SerializedRowGroupReader<'m, Window>, ArchiveError> {
        if start > end || end > self.size {
            return Err(corrupt("a row group lies outside the file"));
        }
        let bytes = files.get_range(&self.name, start..end).await?;
        let window = Window { start, bytes, size: self.size };
        let properties = Arc::new(ReaderProperties::builder().build());
        Ok(SerializedRowGroupReader::new(Arc::new(window), group, RowGroupPageIndex::new(0, None), properties)?)
    }
}

/// Where a column lies, and its length.
fn range_of(column: &ColumnChunkMetaData) -> Result<(u64, u64), ArchiveError> {
    // The library does not return from numbers below zero.
    let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
    if start < 0 || column.compressed_size() < 0 {
        return Err(corrupt("a column lies outside the file"));
    }
    Ok(column.byte_range())
}

fn footer_length(tail: &Bytes) -> Result<u64, ArchiveError> {
    let Some((_, [a, b, c, d, b'P', b'A', b'R', b'1'])) = tail.split_last_chunk() else {
        return Err(corrupt("it is no Parquet file"));
    };
    Ok(u64::from(u32::from_le_bytes([*a, *b, *c, *d])))
}

/// The part of a file that was fetched, addressed as in the whole.
struct Window {
    start: u64,
    bytes: Bytes,
    size: u64,
}

impl Window {
    fn slice(&self, start: u64, length: Option<usize>) -> parquet::errors::Result<Bytes> {
        let outside = || ParquetError::EOF("outside the part that was fetched".to_owned());
        let begin = start.checked_sub(self.start).and_then(|at| usize::try_from(at).ok()).ok_or_else(outside)?;
        let end = length.map_or(Some(self.bytes.len()), |length| begin.checked_add(length)).ok_or_else(outside)?;
        if begin > end || end > self.bytes.len() {
            return Err(outside());
        }
        Ok(self.bytes.slice(begin..end))
    }
}

impl Length for Window {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Window {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(self.slice(start, None)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.slice(start, Some(length))
    }
}
