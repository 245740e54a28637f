//! The dashboard in Debian's Chromium, on an installation of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::tally::{self, Tally};
use crate::frontend;
use crate::installation::{EMAIL, Installation, PASSWORD, Ports};
use crate::npm;
use crate::place::Place;
use crate::system;
use crate::tools;

/// Builds the dashboard, starts an installation, and runs the tests in `tests/e2e` against it.
pub fn run(place: &Place) -> Result<Tally> {
    let (modules, chromium) = {
        let _alone = tools::lock(place)?;
        frontend::build(place)?;
        (npm::install(place, "tests/e2e")?, system::need(place, "Chromium", &["chromium"], system::chromium)?)
    };
    // Below the system's temporary directory, and open to passers-by: the database's unprivileged user must get in.
    let passable = fs::Permissions::from_mode(0o711);
    let data = tempfile::Builder::new().prefix("syncwatch-e2e-").permissions(passable).tempdir()?;
    let installation = Installation::start(place, data.path(), Ports::any()?, false)?;
    let outcome = playwright(place, &modules, &chromium, &installation, data.path());
    let kept = outcome.as_ref().map_or(true, |tally| tally.failed > 0);
    installation.stop()?;
    if kept {
        println!("The services' logs are in {}", data.keep().join("log").display());
    }
    outcome
}

fn playwright(
    place: &Place,
    modules: &Path,
    chromium: &Path,
    installation: &Installation,
    data: &Path,
) -> Result<Tally> {
    let report = data.join("playwright.json");
    let status = Command::new("node")
        .arg(modules.join("@playwright/test/cli.js"))
        .args(["test", "--reporter=list,json"])
        .current_dir(place.at("tests/e2e"))
        .env("CI", "1")
        .env("PLAYWRIGHT_JSON_OUTPUT_NAME", &report)
        .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
        .env("SYNCWATCH_E2E_CHROMIUM", chromium)
        .env("SYNCWATCH_E2E_URL", &installation.server)
        .env("SYNCWATCH_E2E_INBOX", &installation.inbox)
        .env("SYNCWATCH_E2E_ACCOUNTING", &installation.accounting)
        .env("SYNCWATCH_E2E_SOURCE_APP", &installation.source_app)
        .env("SYNCWATCH_E2E_EMAIL", EMAIL)
        .env("SYNCWATCH_E2E_PASSWORD", PASSWORD)
        .stdin(std::process::Stdio::null())
        .status()
        .context("node cannot be run")?;
    let text = fs::read_to_string(&report).with_context(|| format!("Playwright ended with {status} and no report"))?;
    let mut tally = tally::of_playwright(&serde_json::from_str(&text)?).context("Playwright's report has no counts")?;
    if !status.success() && tally.failed == 0 {
        tally.failed = 1;
    }
    Ok(tally)
}
