//! The committed description of the API and the code it comes from.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::place::Place;
use crate::shell;

const COMMITTED: &str = "openapi/openapi.json";

/// Writes the description anew.
pub fn rewrite() -> Result<()> {
    let place = Place::find()?;
    let packages = ["--workspace", "--exclude", "frontend", "--exclude", "xtask"];
    shell::shown(shell::cargo().args(["build", "--bins"]).args(packages).current_dir(&place.root))?;
    fs::write(place.at(COMMITTED), generate(&place)?)?;
    println!("{COMMITTED} is up to date");
    Ok(())
}

/// An error where the committed description is not what the built server says.
pub fn check(place: &Place) -> Result<()> {
    let committed = fs::read_to_string(place.at(COMMITTED)).with_context(|| format!("{COMMITTED} cannot be read"))?;
    let generated = generate(place)?;
    if committed == generated {
        return Ok(());
    }
    let differing = committed.lines().zip(generated.lines()).position(|(ours, theirs)| ours != theirs);
    let line = differing.unwrap_or_else(|| committed.lines().count().min(generated.lines().count()));
    bail!(
        "{COMMITTED} differs from the code in line {}: the file has `{}`, the code says `{}`; run `cargo xtask openapi`",
        line + 1,
        committed.lines().nth(line).unwrap_or_default().trim(),
        generated.lines().nth(line).unwrap_or_default().trim()
    )
}

fn generate(place: &Place) -> Result<String> {
    let text = shell::captured(Command::new(place.built("syncwatch", false)).arg("openapi"))?;
    Ok(format!("{}\n", text.trim_end()))
}
