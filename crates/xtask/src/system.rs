//! What the operating system must bring along: installed where this user may, asked for otherwise.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::place::Place;
use crate::progress::step;
use crate::shell;

/// The oldest PostgreSQL the schema works with.
const OLDEST_POSTGRES: u32 = 15;

/// Whether this process may install packages and change users.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Looks a program up on `PATH`.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// Makes sure that `find` finds something, by installing Debian packages if need be.
pub fn need<T>(place: &Place, what: &str, packages: &[&str], find: impl Fn() -> Option<T>) -> Result<T> {
    if let Some(found) = find() {
        return Ok(found);
    }
    let advice = format!("install {what}, on Debian and Ubuntu by `sudo apt-get install {}`", packages.join(" "));
    if !is_root() || on_path("apt-get").is_none() {
        bail!("{what} is missing: {advice}");
    }
    let log = place.cache.join(format!("log/apt-{}.log", packages[0]));
    step(&format!("Installing {what}"), |step| {
        let apt = |arguments: &[&str]| {
            let mut command = Command::new("apt-get");
            command.args(["-q", "-y"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
            shell::logged(step, &log, &mut command)
        };
        apt(&["update"])?;
        apt(&[&["install", "--no-install-recommends"], packages].concat())
    })?;
    match find() {
        Some(found) => Ok(found),
        None => bail!("{what} was installed but is not to be found: {advice}"),
    }
}

/// The directory of the newest PostgreSQL server programs.
pub fn postgres_programs() -> Option<PathBuf> {
    let packaged = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let packaged = packaged.map(|entry| entry.path().join("bin"));
    let on_path = on_path("initdb").and_then(|program| program.parent().map(Path::to_owned));
    packaged
        .chain(on_path)
        .filter(|directory| directory.join("initdb").is_file())
        .filter_map(|directory| Some((postgres_series(&directory)?, directory)))
        .filter(|(series, _)| *series >= OLDEST_POSTGRES)
        // The first of equals: Debian's own before what else is on the path.
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, directory)| directory)
}

fn postgres_series(directory: &Path) -> Option<u32> {
    let version = shell::captured(Command::new(directory.join("postgres")).arg("--version")).ok()?;
    let (_, number) = version.split_once("(PostgreSQL) ")?;
    number.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

/// Java, of whatever version: the peers need 11, and Debian has had newer ones for long.
pub fn java() -> Option<PathBuf> {
    on_path("java")
}

/// Debian's browser.
pub fn chromium() -> Option<PathBuf> {
    on_path("chromium").or_else(|| on_path("chromium-browser"))
}

/// User and group of the unprivileged user to run a database as.
pub fn unprivileged() -> Option<(u32, u32)> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    ["postgres", "nobody"].iter().find_map(|wanted| {
        passwd.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            match fields[..] {
                [name, _, user, group, ..] if name == *wanted => Some((user.parse().ok()?, group.parse().ok()?)),
                _ => None,
            }
        })
    })
}

/// Whether every user can pass through the directory and all above it.
pub fn is_reachable(directory: &Path) -> bool {
    directory
        .ancestors()
        .all(|ancestor| std::fs::metadata(ancestor).map_or(true, |metadata| metadata.mode() & 0o001 != 0))
}
