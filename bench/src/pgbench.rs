//! The baseline of reporting: the server's own statements by PostgreSQL's own load generator.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;
use url::Url;
use uuid::Uuid;

/// One cycle: the statements of `startSync`, then those of `succeedSync`, as the server issues them.
const CYCLE: &str = include_str!("cycle.sql");

/// Where Debian and the PostgreSQL project put each version's programs.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Finds the program.
pub fn find(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(named) = named {
        ensure!(named.is_file(), "there is no pgbench at {}", named.display());
        return Ok(named.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found: Vec<PathBuf> = std::env::split_paths(&path).map(|dir| dir.join("pgbench")).collect();
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    found.extend(versions.map(|version| version.path().join("bin/pgbench")));
    let found = found.into_iter().find(|program| program.is_file());
    found.context("pgbench is not here: install PostgreSQL's programs, or name it with --pgbench")
}

/// Seconds in which each new connection prepares and plans its statements, as the server's have long done.
const WARM_UP: usize = 3;

/// Runs cycles on the integrations for some seconds after a warm-up, and returns how many there were in a second.
pub async fn run(
    program: &Path,
    database: &str,
    organization: Uuid,
    integrations: &[Uuid],
    clients: usize,
    seconds: usize,
) -> Result<f64> {
    let script = tempfile::NamedTempFile::new()?;
    std::fs::write(script.path(), cycle(organization, integrations))?;
    let url: Url = database.parse().context("the database's address")?;
    let mut command = Command::new(program);
    command
        .args(["--no-vacuum", "--protocol=prepared", "--max-tries=1", "--progress=1"])
        .arg(format!("--client={clients}"))
        .arg(format!("--time={}", WARM_UP + seconds))
        .arg("--file")
        .arg(script.path())
        .env("PGHOST", url.host_str().unwrap_or_default())
        .env("PGPORT", url.port().unwrap_or(5432).to_string())
        .env("PGUSER", url.username())
        .env("PGPASSWORD", url.password().unwrap_or_default())
        .env("PGDATABASE", url.path().trim_start_matches('/'))
        .kill_on_drop(true);
    let output = command.output().await.with_context(|| format!("{} cannot be run", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "pgbench ended with {}: {complaint}", output.status);
    let failed = text.lines().find_map(|line| line.strip_prefix("number of failed transactions: "));
    ensure!(failed.is_some_and(|failed| failed.starts_with("0 ")), "transactions of pgbench failed: {text}{complaint}");
    let rates = rates(&complaint);
    ensure!(rates.len() > WARM_UP, "pgbench says no rates: {complaint}");
    let counted = &rates[WARM_UP..];
    Ok(counted.iter().sum::<f64>() / f64::from(u32::try_from(counted.len())?))
}

/// The script with its ids put in.
fn cycle(organization: Uuid, integrations: &[Uuid]) -> String {
    let ids: Vec<String> = integrations.iter().map(|id| format!("'{id}'")).collect();
    CYCLE
        .replace(":organization", &format!("'{organization}'"))
        .replace(":integrations", &format!("ARRAY[{}]::uuid[]", ids.join(", ")))
        .replace(":number", &ids.len().to_string())
}

/// The rate of each second, which pgbench tells on standard error.
fn rates(text: &str) -> Vec<f64> {
    let rate = |line: &str| line.strip_prefix("progress: ")?.split_once(" s, ")?.1.split_once(" tps")?.0.parse().ok();
    text.lines().filter_map(rate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rates_are_read() {
        let text = "pgbench (15.18)\nprogress: 1.0 s, 812.2 tps, lat 18.0 ms stddev 2.1, 0 failed\n\
                    progress: 2.0 s, 900.0 tps, lat 17.0 ms stddev 2.0, 0 failed\n";
        assert_eq!(rates(text), [812.2, 900.0]);
        assert!(rates("nothing").is_empty());
    }

    #[test]
    fn every_placeholder_is_filled() {
        let script = cycle(Uuid::nil(), &[Uuid::nil(), Uuid::nil()]);
        assert!(!script.contains(":organization") && !script.contains(":integrations") && !script.contains(":number"));
        assert!(script.contains("\\set which random(1, 2)"));
        assert_eq!(script.matches("COMMIT;").count(), 2);
    }
}
