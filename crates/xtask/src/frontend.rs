//! Building the dashboard.

use std::env;
use std::fs;
use std::process::Command;

use anyhow::Result;

use crate::npm;
use crate::place::Place;
use crate::progress::step;
use crate::shell;
use crate::stamp;
use crate::tools;

/// What the dashboard is made from.
const SOURCES: [&str; 7] =
    ["frontend", "crates/domain", "crates/api-types", "Cargo.toml", "Cargo.lock", "Trunk.toml", "rust-toolchain.toml"];

/// Packs the built files once, so that the server need not at each request.
const COMPRESS: &str = include_str!("frontend/compress.mjs");

/// Builds `dist/` unless it is up to date.
pub fn build(place: &Place) -> Result<()> {
    let sources = SOURCES.map(|path| place.at(path));
    let current = stamp::of(&sources.each_ref().map(std::path::PathBuf::as_path))?;
    let dist = place.at("dist");
    let stamp_file = dist.join(".stamp");
    if stamp::is_current(&stamp_file, &current) && dist.join("index.html.br").is_file() {
        return Ok(());
    }
    tools::wasm_target(place)?;
    let modules = npm::install(place, "frontend")?;
    // With all three on the path trunk fetches nothing by itself.
    let mut path = vec![tools::wasm_bindgen(place)?, modules.join(".bin")];
    let trunk = tools::trunk(place)?.join("trunk");
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let path = env::join_paths(path)?;
    step("Building the dashboard", |step| {
        let mut command = shell::unmarked(Command::new(trunk));
        command
            .args(["build", "--offline", "--skip-version-check", "--config"])
            .arg(place.at("Trunk.toml"))
            .current_dir(&place.root)
            .env("PATH", path)
            // trunk reads it as a flag and knows only true and false.
            .env_remove("NO_COLOR");
        shell::logged(step, &place.cache.join("log/trunk.log"), &mut command)
    })?;
    step("Compressing the dashboard", |step| {
        let mut command = Command::new("node");
        command.args(["--input-type=module", "--eval", COMPRESS]).arg(&dist);
        shell::logged(step, &place.cache.join("log/compress.log"), &mut command)
    })?;
    fs::write(stamp_file, current)?;
    Ok(())
}
