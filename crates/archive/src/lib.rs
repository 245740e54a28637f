//! The archive: rows of the ledger as Parquet files in a directory or on an S3-compatible store.
//!
//! One file per organization, month and table, compressed with zstd, newest rows first, so that a page or a single sync
//! is read by the statistics of a few row groups. A file holds the columns of the table as the database gave them; what
//! is read back is equal, to the microsecond. Nothing here decides what is archived or when.

mod columns;
mod error;
mod files;
mod layout;
mod location;
mod manifest;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

pub use error::ArchiveError;
pub use files::Files;
pub use layout::Layout;
pub use location::Location;
pub use manifest::{Manifest, ManifestTable};
pub use reader::Index;
pub use writer::{FileWriter, WrittenFile};

/// Version of the files' columns; a reader takes the versions it knows.
pub const SCHEMA_VERSION: i16 = 1;
