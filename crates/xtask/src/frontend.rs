//! Building the dashboard.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread::JoinHandle;

use anyhow::Result;

use crate::npm;
use crate::place::Place;
use crate::progress::step;
use crate::shell;
use crate::stamp;
use crate::tools;

/// What the dashboard is made from.
const SOURCES: [&str; 8] = [
    "frontend",
    "crates/domain",
    "crates/api-types",
    ".cargo/config.toml",
    "Cargo.toml",
    "Cargo.lock",
    "Trunk.toml",
    "rust-toolchain.toml",
];

/// What says in `dist/` of what it is.
const STAMP: &str = ".stamp";
/// The niceness of who gives way to everybody.
const LAST: i32 = 19;

/// Packs the built files once, so that the server need not at each request.
const COMPRESS: &str = include_str!("frontend/compress.mjs");

/// What building needs, on a path.
pub struct Tools {
    path: OsString,
    trunk: PathBuf,
}

/// Installs what building needs.
pub fn tools(place: &Place) -> Result<Tools> {
    tools::wasm_target(place)?;
    let modules = npm::install(place, "frontend")?;
    // With all three on the path trunk fetches nothing by itself.
    let mut path = vec![tools::wasm_bindgen(place)?, modules.join(".bin")];
    let trunk = tools::trunk(place)?.join("trunk");
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    Ok(Tools { path: env::join_paths(path)?, trunk })
}

/// Installs what building needs, and builds `dist/` unless it is up to date.
pub fn build(place: &Place) -> Result<()> {
    match outdated(place)? {
        Some(stamp) => build_with(place, &tools(place)?, &stamp),
        None => Ok(()),
    }
}

/// The same on a thread of its own that takes what others leave of the processors; nobody who installs something waits for
/// it longer than until its tools are there.
pub fn build_beside(place: &Place) -> JoinHandle<Result<()>> {
    let place = place.clone();
    std::thread::spawn(move || {
        let Some(stamp) = outdated(&place)? else { return Ok(()) };
        let tools = {
            let _alone = tools::lock(&place)?;
            tools(&place)?
        };
        // On Linux of this thread alone, and of what it starts.
        if cfg!(target_os = "linux") {
            rustix::process::nice(LAST)?;
        }
        build_with(&place, &tools, &stamp)
    })
}

/// What `dist/` would be of, unless it is of just that.
fn outdated(place: &Place) -> Result<Option<String>> {
    let sources = SOURCES.map(|path| place.at(path));
    let current = stamp::of(&sources.each_ref().map(std::path::PathBuf::as_path))?;
    let dist = place.at("dist");
    let is_current = stamp::is_current(&dist.join(STAMP), &current) && dist.join("index.html.br").is_file();
    Ok((!is_current).then_some(current))
}

fn build_with(place: &Place, tools: &Tools, stamp: &str) -> Result<()> {
    let dist = place.at("dist");
    step("Building the dashboard", |step| {
        let mut command = shell::unmarked(Command::new(&tools.trunk));
        command
            .args(["build", "--offline", "--skip-version-check", "--config"])
            .arg(place.at("Trunk.toml"))
            .current_dir(&place.root)
            .env("PATH", &tools.path)
            // trunk reads it as a flag and knows only true and false.
            .env_remove("NO_COLOR");
        shell::logged(step, &place.cache.join("log/trunk.log"), &mut command)
    })?;
    step("Compressing the dashboard", |step| {
        let mut command = Command::new("node");
        command.args(["--input-type=module", "--eval", COMPRESS]).arg(&dist);
        shell::logged(step, &place.cache.join("log/compress.log"), &mut command)
    })?;
    fs::write(dist.join(STAMP), stamp)?;
    Ok(())
}
