//! Checks that pass or fail as a whole.

use std::process::{Command, Stdio};

use anyhow::Result;

use super::{Tally, shell};

/// Runs a check that counts as one test.
pub fn one(mut command: Command) -> Result<Tally> {
    shell::shown(command.stdin(Stdio::null()))?;
    Ok(Tally { passed: 1, failed: 0 })
}
