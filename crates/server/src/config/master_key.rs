//! Finding the master key, or making one.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::{Config, MasterKey};
use crate::vault::Vault;

const FILE_NAME: &str = "master.key";

impl Config {
    /// Where an installation with the embedded database keeps its key.
    pub fn master_key_path(&self) -> PathBuf {
        self.data_dir.join(FILE_NAME)
    }

    /// Whether the first start has yet to make the key: the embedded database keeps one of its own unless another is given.
    pub fn awaits_first_key(&self) -> bool {
        self.is_embedded() && matches!(self.master_key, MasterKey::InDataDir) && !self.master_key_path().exists()
    }

    /// The vault with the configured master keys; makes a key where the embedded database has none yet.
    pub fn vault(&self) -> anyhow::Result<Vault> {
        match &self.master_key {
            MasterKey::Given(text) => Ok(Vault::from_text(text.expose())?),
            MasterKey::File(path) => read(path),
            MasterKey::InDataDir if self.is_embedded() => {
                let path = self.master_key_path();
                if !path.exists() {
                    write_new(&path, &format!("{}\n", Vault::generate_key()))?;
                }
                read(&path)
            }
            MasterKey::InDataDir => {
                bail!(
                    "SYNCWATCH_MASTER_KEY or SYNCWATCH_MASTER_KEY_FILE is needed with DATABASE_URL (32 bytes in base64)"
                )
            }
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Vault> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading the master key {}", path.display()))?;
    Vault::from_text(&text).with_context(|| format!("the master key {}", path.display()))
}

/// Writes a file that only its owner can read, and that must not exist yet.
fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("making {}", path.display()))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_embedded_key_is_made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::for_tests("postgres://x", dir.path());
        config.database.url = None;
        assert!(!config.awaits_first_key(), "one is given");
        config.master_key = MasterKey::InDataDir;
        assert!(config.awaits_first_key());
        let first = config.vault().unwrap();
        assert!(!config.awaits_first_key());
        let again = config.vault().unwrap();
        assert_eq!(first.current_key_id(), again.current_key_id());
        let mode = std::fs::metadata(dir.path().join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
