//! Telling whether files have changed since something was made from them.

use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::Path;

use anyhow::{Context, Result};

/// Directories that are made, not written.
const SKIPPED: [&str; 3] = ["node_modules", "dist", "target"];

/// A hash of the files' names and contents; directories are walked.
pub fn of(paths: &[&Path]) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    for path in paths {
        add(path, &mut hasher).with_context(|| format!("{} cannot be read", path.display()))?;
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// Whether `file` holds `stamp`.
pub fn is_current(file: &Path, stamp: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|text| text == stamp)
}

fn add(path: &Path, hasher: &mut DefaultHasher) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default();
    if path.is_dir() {
        if SKIPPED.iter().any(|skipped| name == *skipped) {
            return Ok(());
        }
        let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        entries.sort();
        return entries.iter().try_for_each(|entry| add(entry, hasher));
    }
    let content = fs::read(path)?;
    // Lengths keep neighbouring names and contents apart.
    for bytes in [name.as_encoded_bytes(), &content] {
        hasher.write_usize(bytes.len());
        hasher.write(bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_changes_with_content_and_name_and_not_with_what_is_made() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let now = || of(&[root]).unwrap();
        fs::write(root.join("a"), "one").unwrap();
        let first = now();
        assert_eq!(now(), first);
        fs::create_dir(root.join("node_modules")).unwrap();
        fs::write(root.join("node_modules/x"), "y").unwrap();
        assert_eq!(now(), first);
        fs::write(root.join("a"), "two").unwrap();
        let second = now();
        assert_ne!(second, first);
        fs::rename(root.join("a"), root.join("b")).unwrap();
        assert_ne!(now(), second);
    }

    #[test]
    fn a_missing_file_is_named() {
        assert!(of(&[Path::new("/no/such/file")]).unwrap_err().to_string().contains("/no/such/file"));
    }
}
