//! The server's memory after everything that was asked of it, without PostgreSQL.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::figure::Figure;
use crate::installation::Installation;

/// Most bytes the server may ever have held.
pub const BOUND: u64 = 150_000_000;

/// Reads how much the server holds and has held: itself and the process of it that watches over the database.
pub fn measure(installation: &Installation) -> Result<Figure> {
    let Usage { peak, present } = usage(installation.pid()?)?;
    let figure = Figure {
        name: "server's memory under this load, without PostgreSQL".to_owned(),
        measured: format!("{} MB at most, {} MB at the end", peak / 1_000_000, present / 1_000_000),
        baseline: String::new(),
        ratio: None,
        samples: String::new(),
        bound: format!("≤ {} MB", BOUND / 1_000_000),
        holds: peak <= BOUND,
    };
    Ok(figure.tell())
}

/// What a process holds, and the most it has held, in bytes; with the process of it that watches over the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The most at a time.
    pub peak: u64,
    /// Now.
    pub present: u64,
}

/// Reads what the server holds.
pub fn usage(server: u32) -> Result<Usage> {
    let mut usage = Usage::default();
    for pid in own_processes(server)? {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        usage.peak += bytes(&status, "VmHWM")?;
        usage.present += bytes(&status, "VmRSS")?;
    }
    Ok(usage)
}

/// Lets the most that the server holds begin anew.
pub fn forget_peak(server: u32) -> Result<()> {
    for pid in own_processes(server)? {
        fs::write(format!("/proc/{pid}/clear_refs"), "5").context("forgetting the server's peak of memory")?;
    }
    Ok(())
}

fn own_processes(server: u32) -> Result<Vec<u32>> {
    let program = fs::read_link(format!("/proc/{server}/exe"))?;
    let is_own = |pid: &u32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|other| other == program);
    Ok(std::iter::once(server).chain(children(server)?).filter(is_own).collect())
}

fn children(pid: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for task in fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task"))? {
        // A thread may end between the look and the question.
        let text = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        found.extend(text.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
    }
    Ok(found)
}

/// A member of `/proc/PID/status` that is given in KiB.
fn bytes(status: &str, name: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let words = line.with_context(|| format!("no {name}"))?.split_whitespace().next();
    let kib: u64 = words.with_context(|| format!("{name} is empty"))?.parse()?;
    Ok(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_bytes() {
        let status = "Name:\tsyncwatch\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(bytes(status, "VmHWM").unwrap(), 2_097_152);
        assert_eq!(bytes(status, "VmRSS").unwrap(), 1_048_576);
        assert!(bytes(status, "VmSwap").is_err());
    }
}
