//! `cargo xtask bench`: the measured claims, with the optimised server.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Args;

use crate::frontend;
use crate::place::Place;
use crate::progress::step;
use crate::shell;
use crate::tools;

/// What `bench` takes; it is passed on.
#[derive(Args)]
pub struct Options {
    /// What to measure and how; `--help` says what there is
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Builds the server, the bench and the dashboard, and runs the bench. Fails where a bound is missed.
pub fn run(options: &Options) -> Result<ExitCode> {
    let place = Place::find()?;
    {
        let _alone = tools::lock(&place)?;
        if loads_dashboard(&options.arguments) {
            frontend::build(&place)?;
        }
        step("Building the server and the bench", |step| {
            let mut command = shell::cargo();
            command.args(["build", "--release", "--package", "server", "--package", "bench"]).current_dir(&place.root);
            shell::logged(step, &place.cache.join("log/cargo-bench.log"), &mut command)
        })?;
    }
    let program = place.built("bench", true);
    let status = Command::new(&program)
        .args(&options.arguments)
        .current_dir(&place.root)
        .status()
        .with_context(|| format!("{} cannot be run", program.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether the dashboard is among what is measured: it is unless something else alone is named.
fn loads_dashboard(arguments: &[OsString]) -> bool {
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let others = ["reporting", "list", "retry", "export", "memory", "many", "ledger", "fill"].into_iter().any(has);
    !has("--skip-dashboard") && !has("--help") && (has("dashboard") || !others)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loads(words: &[&str]) -> bool {
        loads_dashboard(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_dashboard_is_built_only_where_it_is_measured() {
        assert!(loads(&[]) && loads(&["--quick"]) && loads(&["retry", "dashboard"]));
        assert!(!loads(&["ledger", "--rows", "20000"]) && !loads(&["fill"]));
        assert!(
            !loads(&["--skip-dashboard"])
                && !loads(&["retry", "--quick"])
                && !loads(&["export", "many"])
                && !loads(&["--help"])
        );
    }
}
