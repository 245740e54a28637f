//! The baselines: the server's own statements, or the barest ones, by PostgreSQL's own load generator.

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

/// How hard pgbench works.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Connections at once.
    pub clients: usize,
    /// Seconds that count.
    pub seconds: usize,
    /// Set for the whole connection, for scripts that set no organization themselves.
    pub organization: Option<Uuid>,
    /// Whether statements are planned once for all parameters, and by indexes, as those of the server's transactions are.
    pub generic: bool,
}

/// Runs a script for some seconds after a warm-up, and returns how often it ran in a second.
pub async fn run(program: &Path, database: &str, script: &str, load: Load) -> Result<f64> {
    let length = format!("--time={}", WARM_UP + load.seconds);
    let complaint = start(program, database, script, load, &["--progress=1", &length]).await?;
    let rates = rates(&complaint);
    ensure!(rates.len() > WARM_UP, "pgbench says no rates: {complaint}");
    let counted = &rates[WARM_UP..];
    Ok(counted.iter().sum::<f64>() / f64::from(u32::try_from(counted.len())?))
}

/// Runs a script once.
pub async fn once(program: &Path, database: &str, script: &str) -> Result<()> {
    let load = Load { clients: 1, seconds: 0, organization: None, generic: true };
    start(program, database, script, load, &["--transactions=1"]).await.map(drop)
}

/// Runs pgbench and returns what it said on standard error.
async fn start(program: &Path, database: &str, script: &str, load: Load, more: &[&str]) -> Result<String> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), script)?;
    let url: Url = database.parse().context("the database's address")?;
    let mut command = Command::new(program);
    command
        .args(["--no-vacuum", "--protocol=prepared", "--max-tries=1"])
        .arg(format!("--client={}", load.clients))
        .args(more)
        .arg("--file")
        .arg(file.path())
        .env("PGHOST", url.host_str().unwrap_or_default())
        .env("PGPORT", url.port().unwrap_or(5432).to_string())
        .env("PGUSER", url.username())
        .env("PGPASSWORD", url.password().unwrap_or_default())
        .env("PGDATABASE", url.path().trim_start_matches('/'))
        .kill_on_drop(true);
    let organization = load.organization.map(|organization| format!("-c app.org_id={organization} "));
    let generic =
        if load.generic { "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off" } else { "" };
    command.env("PGOPTIONS", organization.unwrap_or_default() + generic);
    let output = command.output().await.with_context(|| format!("{} cannot be run", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "pgbench ended with {}: {complaint}", output.status);
    let failed = text.lines().find_map(|line| line.strip_prefix("number of failed transactions: "));
    ensure!(failed.is_some_and(|failed| failed.starts_with("0 ")), "transactions of pgbench failed: {text}{complaint}");
    Ok(complaint)
}

/// One cycle of reporting with its ids put in.
pub fn cycle(organization: Uuid, integrations: &[Uuid]) -> String {
    fill(CYCLE, organization, integrations)
}

/// A script with its ids put in; `:which` is to be a number up to `:number`.
pub fn fill(script: &str, organization: Uuid, integrations: &[Uuid]) -> String {
    let ids: Vec<String> = integrations.iter().map(|id| format!("'{id}'")).collect();
    script
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
