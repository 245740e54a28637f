//! How the command line finds the embedded database of a running server: a file that only its owner can read.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

const FILE_NAME: &str = "database.json";

/// The embedded database's addresses.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connections {
    /// As the application.
    pub app_url: String,
    /// As a role that may act as the owner.
    pub owner_url: String,
}

impl Connections {
    /// Reads what a running server has written.
    pub fn read(data_dir: &Path) -> anyhow::Result<Self> {
        let path = data_dir.join(FILE_NAME);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("no server runs with the data directory {}", data_dir.display()))?;
        serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))
    }

    /// Writes the file; the guard removes it.
    pub fn write(&self, data_dir: &Path) -> anyhow::Result<ConnectionFile> {
        let path = data_dir.join(FILE_NAME);
        let new = data_dir.join(format!("{FILE_NAME}.new"));
        // Made anew each time, so that permissions of a leftover do not live on.
        if new.exists() {
            std::fs::remove_file(&new)?;
        }
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .with_context(|| format!("making {}", new.display()))?;
        file.write_all(serde_json::to_string(self)?.as_bytes())?;
        std::fs::rename(&new, &path)?;
        Ok(ConnectionFile(path))
    }
}

/// The written file, removed when this is dropped.
#[derive(Debug)]
pub struct ConnectionFile(PathBuf);

impl Drop for ConnectionFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(%error, "the connection file cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_file_is_its_owners_and_goes_with_its_guard() {
        let dir = tempfile::tempdir().unwrap();
        let connections = Connections { app_url: "postgres://a".to_owned(), owner_url: "postgres://o".to_owned() };
        let guard = connections.write(dir.path()).unwrap();
        assert!(Connections::read(dir.path()).unwrap() == connections);
        let mode = std::fs::metadata(dir.path().join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(guard);
        assert!(Connections::read(dir.path()).is_err());
    }
}
