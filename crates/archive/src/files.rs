//! Files of the archive by their names, wherever it lies.

use std::fmt;
use std::fs::DirBuilder;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};

use crate::error::ArchiveError;
use crate::location::Location;

/// The archive's files; clones share the connections.
#[derive(Clone)]
pub struct Files {
    store: Arc<dyn ObjectStore>,
    prefix: String,
    /// Of an archive on this machine: what was written is forced to the disk.
    directory: Option<PathBuf>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Files({})", self.prefix)
    }
}

impl Files {
    /// Of a location. Nothing is asked of it yet: a directory is made when the first file is written.
    pub fn open(location: &Location) -> Result<Self, ArchiveError> {
        match location {
            Location::Directory(directory) => Ok(Self {
                store: Arc::new(LocalFileSystem::new()),
                prefix: ObjectPath::from_absolute_path(directory)?.to_string(),
                directory: Some(directory.clone()),
            }),
            Location::S3 { bucket, prefix } => {
                Ok(Self { store: open_s3(bucket)?, prefix: prefix.clone(), directory: None })
            }
        }
    }

    fn path(&self, name: &str) -> Result<ObjectPath, ArchiveError> {
        let separator = if self.prefix.is_empty() { "" } else { "/" };
        Ok(ObjectPath::parse(format!("{}{separator}{name}", self.prefix))?)
    }

    /// Writes a file whole, in place of what had the name: under a temporary name first, so that nobody sees a part.
    /// When this returns, the file outlives a loss of power.
    pub async fn put(&self, name: &str, bytes: Bytes) -> Result<(), ArchiveError> {
        if let Some(directory) = self.directory.clone() {
            on_disk(move || make_private(&directory)).await?;
        }
        self.store.put(&self.path(name)?, PutPayload::from(bytes)).await?;
        match &self.directory {
            Some(directory) => force_to_disk(directory.clone(), name.to_owned()).await,
            None => Ok(()),
        }
    }

    /// Reads a whole file.
    pub async fn get(&self, name: &str) -> Result<Bytes, ArchiveError> {
        Ok(self.store.get(&self.path(name)?).await?.bytes().await?)
    }

    /// Reads a part of a file.
    pub async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, ArchiveError> {
        Ok(self.store.get_range(&self.path(name)?, range).await?)
    }

    /// Deletes a file, so that it stays gone after a loss of power; one that is gone already is no error.
    pub async fn delete(&self, name: &str) -> Result<(), ArchiveError> {
        match self.store.delete(&self.path(name)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let Some(path) = self.directory.as_ref().map(|directory| directory.join(name)) else { return Ok(()) };
        on_disk(move || match std::fs::File::open(path.parent().unwrap_or(&path)) {
            Ok(parent) => parent.sync_all(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        })
        .await
    }
}

async fn on_disk(work: impl FnOnce() -> std::io::Result<()> + Send + 'static) -> Result<(), ArchiveError> {
    let done = tokio::task::spawn_blocking(work);
    done.await.map_err(std::io::Error::other).flatten().map_err(ArchiveError::NotDurable)
}

/// Makes the archive's directory, where it is not there yet: nobody else looks into it, and whoever owns the directory it
/// lies in, the server as a rule, can, whoever archives.
fn make_private(directory: &Path) -> std::io::Result<()> {
    let Some(parent) = directory.parent().filter(|_| !directory.exists()) else { return Ok(()) };
    std::fs::create_dir_all(parent)?;
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|()| {
            let owner = std::fs::metadata(parent)?;
            if std::fs::metadata(directory)?.uid() == owner.uid() {
                return Ok(());
            }
            chown(directory, Some(owner.uid()), Some(owner.gid()))
        }),
    }
}

/// The file's bytes and every directory entry on the way to it.
async fn force_to_disk(directory: PathBuf, name: String) -> Result<(), ArchiveError> {
    on_disk(move || {
        let mut path = directory.join(&name);
        loop {
            std::fs::File::open(&path)?.sync_all()?;
            if path == directory {
                return std::fs::File::open(directory.parent().unwrap_or_else(|| Path::new("/")))?.sync_all();
            }
            path.pop();
        }
    })
    .await
}

#[cfg(feature = "s3")]
fn open_s3(bucket: &str) -> Result<Arc<dyn ObjectStore>, ArchiveError> {
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
    use object_store::{ClientConfigKey, RetryConfig};

    let retry =
        RetryConfig { max_retries: 2, retry_timeout: std::time::Duration::from_secs(15), ..RetryConfig::default() };
    let store = AmazonS3Builder::from_env()
        .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), "60 seconds")
        .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::ConnectTimeout), "5 seconds")
        .with_bucket_name(bucket)
        .with_retry(retry)
        .build()?;
    Ok(Arc::new(store))
}

#[cfg(not(feature = "s3"))]
fn open_s3(_bucket: &str) -> Result<Arc<dyn ObjectStore>, ArchiveError> {
    Err(ArchiveError::Corrupt("this program was built without S3".to_owned()))
}
