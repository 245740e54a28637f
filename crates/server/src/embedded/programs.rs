//! Which PostgreSQL programs to run: the machine's own where it has them, downloaded ones otherwise.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use postgresql_embedded::{PostgreSQL, Settings, VersionReq};

/// The oldest release series the schema works with.
const OLDEST: u32 = 15;
/// The release series that is downloaded where the machine has none.
const DOWNLOADED: u32 = 17;
/// Downloading some ten megabytes and setting up a cluster, each on a slow machine.
const PATIENCE: Duration = Duration::from_mins(10);

/// Finds or fetches the programs and makes `cluster` with them unless it exists; returns the directory of the programs.
///
/// `series` is the release series of an existing cluster: no other can open its files.
pub(super) async fn set_up(
    home: &Path,
    cluster: &Path,
    password_file: &Path,
    series: Option<u32>,
) -> anyhow::Result<PathBuf> {
    let found = installed(series);
    let mut postgresql = PostgreSQL::new(Settings {
        releases_url: "https://github.com/theseus-rs/postgresql-binaries".to_owned(),
        version: VersionReq::parse(&format!("={}", series.unwrap_or(DOWNLOADED)))?,
        trust_installation_dir: found.is_some(),
        installation_dir: found.unwrap_or_else(|| home.join("programs")),
        password_file: password_file.to_owned(),
        data_dir: cluster.to_owned(),
        host: "127.0.0.1".to_owned(),
        port: 0,
        username: "postgres".to_owned(),
        // Read from the password file.
        password: String::new(),
        temporary: false,
        timeout: Some(PATIENCE),
        configuration: std::collections::HashMap::new(),
        socket_dir: None,
    });
    postgresql.setup().await.with_context(|| {
        format!(
            "PostgreSQL {} could not be set up (install it, e.g. `apt-get install postgresql`, or name a running \
             server in DATABASE_URL)",
            series.map_or_else(|| format!("{OLDEST} or newer"), |series| series.to_string())
        )
    })?;
    Ok(postgresql.settings().binary_dir())
}

/// The installation directory (the parent of `bin`) of the newest usable programs on this machine.
fn installed(series: Option<u32>) -> Option<PathBuf> {
    candidates()
        .into_iter()
        .filter(|bin| bin.join("initdb").is_file())
        .filter_map(|bin| Some((series_of(&bin)?, bin)))
        .filter(|(found, _)| series.map_or(*found >= OLDEST, |wanted| *found == wanted))
        // The first of equals: `max_by_key` would take the last.
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .and_then(|(_, bin)| bin.parent().map(Path::to_owned))
}

fn candidates() -> Vec<PathBuf> {
    let packaged = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let packaged = packaged.map(|entry| entry.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).filter(|directory| directory.ends_with("bin")).collect::<Vec<_>>();
    packaged.chain(on_path).collect()
}

fn series_of(bin: &Path) -> Option<u32> {
    let output = Command::new(bin.join("postgres")).arg("--version").output().ok()?;
    parse_series(&String::from_utf8_lossy(&output.stdout))
}

/// `postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)` → 15.
fn parse_series(version: &str) -> Option<u32> {
    let (_, number) = version.split_once("(PostgreSQL) ")?;
    number.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parse_series;

    #[test]
    fn the_series_is_read_from_what_the_program_prints() {
        assert_eq!(parse_series("postgres (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_series("postgres (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(parse_series("postgres (PostgreSQL) devel\n"), None);
        assert_eq!(parse_series(""), None);
    }
}
