//! Packages from npm, as the lock files say.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::place::Place;
use crate::progress::step;
use crate::shell;
use crate::stamp;
use crate::system;

/// Installs the packages of a directory unless they are there; returns its `node_modules`.
pub fn install(place: &Place, directory: &str) -> Result<PathBuf> {
    let home = place.at(directory);
    let modules = home.join("node_modules");
    let current = stamp::of(&[&home.join("package.json"), &home.join("package-lock.json")])?;
    let stamp_file = modules.join(".syncwatch-stamp");
    if stamp::is_current(&stamp_file, &current) {
        return Ok(modules);
    }
    ensure!(system::on_path("npm").is_some(), "npm is missing: install Node 20 or newer (https://nodejs.org)");
    step(&format!("Installing npm packages of {directory}"), |step| {
        let mut command = Command::new("npm");
        // No package's own scripts: nothing here needs them, and none should run.
        command.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&home);
        let log = place.cache.join(format!("log/npm-{}.log", directory.replace('/', "-")));
        shell::logged(step, &log, &mut command)
    })?;
    fs::write(&stamp_file, current).with_context(|| format!("{} cannot be written", stamp_file.display()))?;
    Ok(modules)
}
