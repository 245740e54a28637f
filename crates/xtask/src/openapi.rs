//! The committed description of the API, the code it comes from, and the description that was released last.

mod breaking;

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::place::Place;
use crate::shell;

const COMMITTED: &str = "openapi/openapi.json";
const RELEASED: &str = "openapi/released.json";

/// What `openapi` takes.
#[derive(Args)]
pub struct Options {
    /// Also makes it the released description, unless it breaks what the last one promised
    #[arg(long)]
    release: bool,
}

/// Writes the description anew.
pub fn run(options: &Options) -> Result<()> {
    let place = Place::find()?;
    let packages = ["--workspace", "--exclude", "frontend", "--exclude", "xtask"];
    shell::shown(shell::cargo().args(["build", "--bins"]).args(packages).current_dir(&place.root))?;
    fs::write(place.at(COMMITTED), generate(&place)?)?;
    println!("{COMMITTED} is up to date");
    if options.release {
        check_compatible(&place)?;
        fs::copy(place.at(COMMITTED), place.at(RELEASED))?;
        println!("{RELEASED} is version {}", version(&read(&place, RELEASED)?));
    }
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

/// An error where the committed description breaks what the released one promised, and its version doesn't say so.
pub fn check_compatible(place: &Place) -> Result<()> {
    let (released, committed) = (read(place, RELEASED)?, read(place, COMMITTED)?);
    let changes = breaking::changes(&released, &committed);
    let (was, is) = (version(&released), version(&committed));
    if changes.is_empty() {
        println!("{COMMITTED} ({is}) keeps what {RELEASED} ({was}) promised");
        return Ok(());
    }
    for change in &changes {
        println!("breaks clients: {change}");
    }
    ensure!(
        breaking::may_break(was, is),
        "{} breaking changes since {was}, and the version is {is}: openapi/README.md says what to do",
        changes.len()
    );
    Ok(())
}

fn read(place: &Place, path: &str) -> Result<Value> {
    let text = fs::read_to_string(place.at(path)).with_context(|| format!("{path} cannot be read"))?;
    serde_json::from_str(&text).with_context(|| format!("{path} is not JSON"))
}

fn version(document: &Value) -> &str {
    document["info"]["version"].as_str().unwrap_or_default()
}

fn generate(place: &Place) -> Result<String> {
    let text = shell::captured(Command::new(place.built("syncwatch", false)).arg("openapi"))?;
    Ok(format!("{}\n", text.trim_end()))
}
