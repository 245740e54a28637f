//! The description is written as its readers expect (`.spectral.yaml`).

use tokio::process::Command;

use crate::tool::{checked_out, committed_file, node_modules, run};

#[tokio::test]
async fn the_linter_has_nothing_to_say() {
    let mut spectral = Command::new("node");
    spectral
        .arg(node_modules().join("@stoplight/spectral-cli/dist/index.js"))
        .args(["lint", "--fail-severity=warn", "--format=text"])
        .arg("--ruleset")
        .arg(checked_out("tests/contract/.spectral.yaml"))
        .arg(committed_file());
    let (content, printed) = run(&mut spectral).await;
    assert!(content && printed.contains("No results"), "{printed}");
}
