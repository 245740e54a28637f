//! Programs and libraries in Python, each set in a virtual environment named with what is in it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::place::Place;
use crate::progress::step;
use crate::shell;
use crate::stamp;
use crate::system;

const TYPOS: &str = "1.52.0";

/// The spelling checker.
pub fn typos(place: &Place) -> Result<PathBuf> {
    let environment = environment(place, &format!("typos-{TYPOS}"), &[&format!("typos=={TYPOS}")])?;
    Ok(environment.join("bin/typos"))
}

/// A Python that has what the peers of the tests need.
pub fn peers(place: &Place) -> Result<PathBuf> {
    with_requirements(place, "peers", "tests/peers/requirements.txt")
}

/// A Python that has what the tests of the contract need.
pub fn contract(place: &Place) -> Result<PathBuf> {
    with_requirements(place, "contract", "tests/contract/requirements.txt")
}

fn with_requirements(place: &Place, name: &str, requirements: &str) -> Result<PathBuf> {
    let requirements = place.at(requirements);
    let name = format!("{name}-{}", stamp::of(&[&requirements])?);
    Ok(environment(place, &name, &["-r", &requirements.to_string_lossy()])?.join("bin/python"))
}

fn environment(place: &Place, name: &str, packages: &[&str]) -> Result<PathBuf> {
    let home = place.cache.join("python").join(name);
    let complete = home.join("complete");
    if complete.is_file() && home.join("bin/python").is_file() {
        return Ok(home);
    }
    system::need(place, "Python 3 with venv", &["python3", "python3-venv"], || {
        let mut probe = Command::new("python3");
        shell::captured(probe.args(["-c", "import venv, ensurepip"])).ok()
    })?;
    step(&format!("Installing Python packages ({name})"), |step| {
        let log = place.cache.join(format!("log/python-{name}.log"));
        let mut make = Command::new("python3");
        shell::logged(step, &log, make.args(["-m", "venv", "--clear"]).arg(&home))?;
        let mut fill = Command::new(home.join("bin/python"));
        fill.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input"]).args(packages);
        shell::logged(step, &log, &mut fill)
    })?;
    fs::write(complete, "")?;
    Ok(home)
}
