//! Where things are: the checkout, the cache of tools, what cargo builds.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The directories every command works with.
#[derive(Clone)]
pub struct Place {
    /// The checkout.
    pub root: PathBuf,
    /// Tools and logs, shared by all checkouts.
    pub cache: PathBuf,
    /// What cargo builds.
    pub target: PathBuf,
}

impl Place {
    /// Finds them from the environment; cargo says where the checkout is.
    pub fn find() -> Result<Self> {
        let start = match std::env::var_os("CARGO_MANIFEST_DIR") {
            Some(directory) => PathBuf::from(directory),
            None => std::env::current_dir()?,
        };
        let root = start
            .ancestors()
            .find(|directory| directory.join("Cargo.lock").is_file())
            .context("run this inside the checkout")?
            .to_owned();
        let cache = match (variable("SYNCWATCH_CACHE"), variable("XDG_CACHE_HOME")) {
            (Some(cache), _) => cache,
            (None, Some(base)) => base.join("syncwatch"),
            (None, None) => std::env::home_dir().context("this user has no home directory")?.join(".cache/syncwatch"),
        };
        std::fs::create_dir_all(&cache).with_context(|| format!("{} cannot be made", cache.display()))?;
        let target = variable("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |target| root.join(target));
        Ok(Self { root, cache, target })
    }

    /// A program of this workspace, built in the dev or release profile.
    pub fn built(&self, name: &str, release: bool) -> PathBuf {
        self.target.join(if release { "release" } else { "debug" }).join(name)
    }

    /// A file or directory of the checkout.
    pub fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root.join(path)
    }
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
