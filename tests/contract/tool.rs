//! Running the tools of others on the committed description.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

/// How long a tool may take before it is taken for hung.
const PATIENCE: Duration = Duration::from_mins(12);

/// A file or directory of the checkout.
pub fn checked_out(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path).canonicalize().unwrap_or_else(|_| panic!("{path}"))
}

/// The file of the committed description.
pub fn committed_file() -> PathBuf {
    checked_out("openapi/openapi.json")
}

/// The committed description.
pub fn committed() -> Value {
    serde_json::from_str(&std::fs::read_to_string(committed_file()).unwrap()).unwrap()
}

/// A program of the Python environment that `cargo xtask` has made for these tests.
pub fn python_program(name: &str) -> Command {
    Command::new(from_environment("SYNCWATCH_TEST_CONTRACT_PYTHON").with_file_name(name))
}

/// The npm packages of these tests.
pub fn node_modules() -> PathBuf {
    from_environment("SYNCWATCH_TEST_CONTRACT_NODE_MODULES")
}

fn from_environment(name: &str) -> PathBuf {
    std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set: use `cargo xtask test contract`")).into()
}

/// Runs a tool to its end, and returns whether it was content and everything it printed.
pub async fn run(command: &mut Command) -> (bool, String) {
    let running = command.stdin(Stdio::null()).kill_on_drop(true).env("PYTHONDONTWRITEBYTECODE", "1").output();
    let output = tokio::time::timeout(PATIENCE, running).await.expect("the tool comes to an end").unwrap();
    let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), printed)
}
