//! Tools that cargo installs, each in a directory named with its version.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::place::Place;
use crate::progress::step;
use crate::shell;
use crate::system;

const TRUNK: &str = "0.21.14";
const CARGO_DENY: &str = "0.20.2";

/// The builder of the dashboard.
pub fn trunk(place: &Place) -> Result<PathBuf> {
    install(place, "trunk", TRUNK, "trunk", true)
}

/// The checker of licences and sources.
pub fn cargo_deny(place: &Place) -> Result<PathBuf> {
    install(place, "cargo-deny", CARGO_DENY, "cargo-deny", true)
}

/// The generator of the dashboard's JavaScript; its version must be that of the library.
pub fn wasm_bindgen(place: &Place) -> Result<PathBuf> {
    // Without its own lock file: that one asks for dependencies older than this toolchain wants.
    install(place, "wasm-bindgen-cli", &locked(place, "wasm-bindgen")?, "wasm-bindgen", false)
}

/// The standard library for WebAssembly; `rust-toolchain.toml` asks for it, and rustup usually has brought it by now.
pub fn wasm_target(place: &Place) -> Result<()> {
    const TARGET: &str = "wasm32-unknown-unknown";
    let query = || {
        let mut command = Command::new("rustc");
        command.args(["--print", "target-libdir", "--target", TARGET]).current_dir(&place.root);
        shell::captured(&mut command)
    };
    if fs::read_dir(query()?.trim()).is_ok_and(|mut entries| entries.next().is_some()) {
        return Ok(());
    }
    ensure!(
        system::on_path("rustup").is_some(),
        "the Rust target {TARGET} is missing: install it beside this toolchain"
    );
    step("Installing the WebAssembly target", |step| {
        let mut command = Command::new("rustup");
        command.args(["target", "add", TARGET]).current_dir(&place.root);
        shell::logged(step, &place.cache.join("log/rustup.log"), &mut command)
    })
}

/// Takes a lock that keeps two runs from installing the same thing at once; it is free again when the file is dropped.
pub fn lock(place: &Place) -> Result<File> {
    let file = File::create(place.cache.join("lock"))?;
    if file.try_lock().is_err() {
        step("Waiting for another run that is installing", |_| Ok(file.lock()?))?;
    }
    Ok(file)
}

fn install(place: &Place, package: &str, version: &str, program: &str, locked: bool) -> Result<PathBuf> {
    let root = place.cache.join(format!("tools/{package}-{version}"));
    let bin = root.join("bin");
    if answers(&bin.join(program)) {
        return Ok(bin);
    }
    // A directory of its own: the workspace's must not be held up, and this one goes afterwards.
    let target = place.cache.join(format!("tools/build-{package}"));
    step(&format!("Installing {package} {version}"), |step| {
        let mut command = shell::cargo();
        command.args(["install", package, "--version", version, "--force", "--root"]).arg(&root);
        if locked {
            command.arg("--locked");
        }
        command
            .current_dir(&place.cache)
            .env("CARGO_TARGET_DIR", &target)
            // Tools that run for a second need not be optimised for minutes.
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
            .env_remove("RUSTFLAGS");
        shell::logged(step, &place.cache.join(format!("log/{package}.log")), &mut command)
    })?;
    let _ = fs::remove_dir_all(target);
    ensure!(answers(&bin.join(program)), "{package} was installed but does not run");
    Ok(bin)
}

fn answers(program: &Path) -> bool {
    program.is_file() && shell::captured(Command::new(program).arg("--version")).is_ok()
}

/// The version of a package in Cargo.lock.
fn locked(place: &Place, package: &str) -> Result<String> {
    version_in(&fs::read_to_string(place.at("Cargo.lock"))?, package)
        .with_context(|| format!("Cargo.lock names no {package}"))
}

fn version_in(lock: &str, package: &str) -> Option<String> {
    let lock: toml::Table = lock.parse().ok()?;
    let found = lock
        .get("package")?
        .as_array()?
        .iter()
        .find(|entry| entry.get("name").and_then(toml::Value::as_str) == Some(package))?;
    Some(found.get("version")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::version_in;

    #[test]
    fn a_locked_version_is_read_by_the_whole_name() {
        let lock = "version = 4\n[[package]]\nname = \"wasm-bindgen-futures\"\nversion = \"0.4.0\"\n\
                    [[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\n";
        assert_eq!(version_in(lock, "wasm-bindgen").as_deref(), Some("0.2.130"));
        assert_eq!(version_in(lock, "leptos"), None);
    }
}
