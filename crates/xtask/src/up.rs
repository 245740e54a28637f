//! `cargo xtask up`: from a fresh checkout to a running dashboard with real syncs in it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::frontend;
use crate::installation::{EMAIL, Installation, PASSWORD, Ports};
use crate::interrupt;
use crate::place::Place;
use crate::progress::step;
use crate::shell;
use crate::system;
use crate::tools;

/// Where root keeps the demonstration if the checkout lies where the database's user cannot go.
const ROOTS_DATA_DIR: &str = "/var/lib/syncwatch-demo";

/// What `up` takes.
#[derive(Args)]
pub struct Options {
    /// Port of the dashboard and the API; the helpers take the next four
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Where the demonstration's data is kept [default: .syncwatch in the checkout]
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Throws the demonstration's data away first
    #[arg(long)]
    fresh: bool,
    /// Builds the server optimised
    #[arg(long)]
    release: bool,
}

/// Runs until Ctrl-C.
pub fn run(options: &Options) -> Result<()> {
    let place = Place::find()?;
    let ports = Ports::from(options.port)?;
    let data = data_dir(&place, options)?;
    {
        let _alone = tools::lock(&place)?;
        frontend::build(&place)?;
        build_programs(&place, options.release)?;
    }
    if options.fresh {
        clear(&data)?;
    }
    std::fs::create_dir_all(&data).with_context(|| format!("{} cannot be made", data.display()))?;
    let mut installation = Installation::start(&place, &data, ports, options.release)?;
    println!();
    println!("Syncwatch is running.");
    println!();
    println!("  Dashboard   {}", installation.server);
    println!("  Sign in     {EMAIL} with the password {PASSWORD}");
    println!("  API         {}/api/docs", installation.server);
    println!("  Inbox       {}   (every e-mail Syncwatch sends)", installation.inbox);
    println!("  Source app  {}   (correct a failed record here)", installation.source_app);
    println!("  Accounting  {}   (what has arrived)", installation.accounting);
    println!("  Data, logs  {}", data.display());
    println!();
    println!("Ctrl-C stops everything.");
    let outcome = interrupt::wait(|| installation.check());
    step("Stopping", |_| installation.stop())?;
    outcome
}

fn build_programs(place: &Place, release: bool) -> Result<()> {
    step("Building the server", |step| {
        let mut command = shell::cargo();
        // The same choice of packages as for the tests, as far as it decides the features of dependencies: one build.
        command.args(["build", "--workspace", "--exclude", "frontend", "--exclude", "xtask", "--bins"]);
        command.current_dir(&place.root);
        if release {
            command.arg("--release");
        }
        shell::logged(step, &place.cache.join("log/cargo.log"), &mut command)
    })
}

fn data_dir(place: &Place, options: &Options) -> Result<PathBuf> {
    let chosen = match &options.data_dir {
        Some(chosen) => std::path::absolute(chosen)?,
        None if system::is_root() && !system::is_reachable(&place.root) => PathBuf::from(ROOTS_DATA_DIR),
        None => place.at(".syncwatch"),
    };
    Ok(chosen)
}

/// Removes the demonstration's data, and nothing that is something else.
fn clear(data: &Path) -> Result<()> {
    if !data.exists() {
        return Ok(());
    }
    let is_ours = data.join("demo").is_dir() || std::fs::read_dir(data)?.next().is_none();
    ensure!(is_ours, "{} holds something else than a demonstration: it is left alone", data.display());
    std::fs::remove_dir_all(data).with_context(|| format!("{} cannot be removed", data.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_demonstration_is_thrown_away() {
        let directory = tempfile::tempdir().unwrap();
        let (other, demo) = (directory.path().join("other"), directory.path().join("demo-data"));
        std::fs::create_dir_all(other.join("letters")).unwrap();
        assert!(clear(&other).unwrap_err().to_string().contains("left alone"));
        assert!(other.join("letters").is_dir());
        std::fs::create_dir_all(demo.join("demo")).unwrap();
        clear(&demo).unwrap();
        assert!(!demo.exists());
        clear(&demo).unwrap();
    }
}
