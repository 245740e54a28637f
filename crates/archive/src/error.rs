//! What can go wrong with the archive.

/// An archive error, sorted by what a caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The archive cannot be reached, or a file of it is not there; trying again later may work.
    #[error("the archive cannot be reached")]
    Unreachable(#[source] object_store::Error),
    /// The archive's directory cannot be written to.
    #[error("the archive cannot be written to")]
    NotDurable(#[source] std::io::Error),
    /// A file is not what this program has written.
    #[error("a file of the archive is not readable: {0}")]
    Corrupt(String),
}

impl From<object_store::Error> for ArchiveError {
    fn from(error: object_store::Error) -> Self {
        Self::Unreachable(error)
    }
}

impl From<object_store::path::Error> for ArchiveError {
    fn from(error: object_store::path::Error) -> Self {
        Self::Corrupt(error.to_string())
    }
}

impl From<parquet::errors::ParquetError> for ArchiveError {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::Corrupt(error.to_string())
    }
}
