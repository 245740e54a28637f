//! The test programs that cargo builds.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::place::Place;
use crate::shell;

/// The programs that tests and checks run.
pub const PROGRAMS: [&str; 2] = ["syncwatch", "syncwatch-demo"];

/// One built test program.
#[derive(Debug, PartialEq, Eq)]
pub struct Executable {
    /// The package it belongs to.
    pub package: String,
    /// The target's name: the library, the program, or the file of tests.
    pub target: String,
    /// Whether it holds the tests of a library itself.
    pub is_library: bool,
    directory: PathBuf,
    program: PathBuf,
}

impl Executable {
    /// The program, to be run where cargo would run it.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.directory).env("CARGO_MANIFEST_DIR", &self.directory);
        command
    }
}

/// Builds all programs, tests and examples in the dev profile and returns the test programs.
pub fn build(place: &Place) -> Result<Vec<Executable>> {
    let mut child = shell::cargo()
        .args(["build", "--locked", "--workspace", "--exclude", "frontend", "--all-targets"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(&place.root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo cannot be run")?;
    let stdout = child.stdout.take().context("cargo has no standard output")?;
    let messages = std::io::read_to_string(stdout)?;
    ensure!(child.wait()?.success(), "the tests do not build");
    Ok(messages.lines().filter_map(|line| executable(&serde_json::from_str(line).ok()?)).collect())
}

/// The test program a message of cargo speaks of, if it does.
fn executable(message: &Value) -> Option<Executable> {
    if message.get("reason")? != "compiler-artifact" || message.pointer("/profile/test")? != true {
        return None;
    }
    let target = message.get("target")?;
    let kinds = target.get("kind")?.as_array()?;
    // Examples are built to be run by tests, not as tests.
    if kinds.iter().any(|kind| kind == "example" || kind == "bench") {
        return None;
    }
    let directory = Path::new(message.get("manifest_path")?.as_str()?).parent()?.to_owned();
    Some(Executable {
        package: package_name(message.get("package_id")?.as_str()?, &directory)?,
        target: target.get("name")?.as_str()?.to_owned(),
        is_library: kinds.iter().any(|kind| kind == "lib"),
        program: PathBuf::from(message.get("executable")?.as_str()?),
        directory,
    })
}

/// `path+file:///home/x/syncwatch/crates/store#0.1.0` or `…#name@0.1.0`.
fn package_name(id: &str, directory: &Path) -> Option<String> {
    match id.rsplit_once('#')?.1.split_once('@') {
        Some((name, _version)) => Some(name.to_owned()),
        None => Some(directory.file_name()?.to_str()?.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(kind: &str, test: bool) -> Value {
        json!({
            "reason": "compiler-artifact",
            "package_id": "path+file:///home/x/syncwatch/tests#0.1.0",
            "manifest_path": "/home/x/syncwatch/tests/Cargo.toml",
            "target": { "kind": [kind], "name": "api" },
            "profile": { "test": test },
            "executable": "/target/debug/deps/api-1",
        })
    }

    #[test]
    fn test_programs_are_told_from_the_rest() {
        let found = executable(&message("test", true)).unwrap();
        assert_eq!((found.package.as_str(), found.target.as_str(), found.is_library), ("tests", "api", false));
        assert_eq!(found.directory, Path::new("/home/x/syncwatch/tests"));
        assert_eq!(executable(&message("bin", false)), None);
        assert_eq!(executable(&message("example", true)), None);
        assert_eq!(executable(&json!({ "reason": "build-finished", "success": true })), None);
    }

    #[test]
    fn a_package_is_named_in_both_forms_of_its_id() {
        let directory = Path::new("/x/crates/store");
        assert_eq!(package_name("path+file:///x/crates/store#0.1.0", directory).as_deref(), Some("store"));
        assert_eq!(package_name("path+file:///x/crates/s#store@0.1.0", directory).as_deref(), Some("store"));
        assert_eq!(package_name("nonsense", directory), None);
    }
}
