//! `cargo xtask faults`: syncs with killed workers, databases and connections, as many as are asked for.

use std::num::NonZero;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::place::Place;
use crate::testing::{self, Executable, Tally};
use crate::tools;

/// The test target.
const TARGET: &str = "sync_faults";
/// Runs that are part of `cargo xtask test`.
const SHORT: u32 = 30;
/// How long the runs' common beginning may take, and each run, which waits most of its time: for leases that run out
/// after a worker was killed, for answers that don't come.
const BEGINNING: Duration = Duration::from_mins(5);
const RUN: Duration = Duration::from_mins(3);

/// What `faults` takes.
#[derive(Args)]
pub struct Options {
    /// How many cases to run
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// How many at once; two and a half for each processor, if left out
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// The first case's seed; the others' follow
    #[arg(long, default_value_t = 1)]
    seed: u32,
}

/// Builds what is needed and runs the cases; the last line printed is `N passed, N failed`.
pub fn run(options: &Options) -> Result<ExitCode> {
    let place = Place::find()?;
    let executables = testing::build(&place)?;
    let tally = run_cases(&place, &executables, options)?;
    println!("{tally}");
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The cases that are part of every test.
pub fn short(place: &Place, executables: &[Executable]) -> Result<Tally> {
    run_cases(place, executables, &Options { runs: SHORT, jobs: None, seed: 1 })
}

fn run_cases(place: &Place, executables: &[Executable], options: &Options) -> Result<Tally> {
    let environment = {
        let _alone = tools::lock(place)?;
        testing::faults_environment(place)?
    };
    let chosen = executables.iter().find(|executable| executable.package == "tests" && executable.target == TARGET);
    let mut command = chosen.context("there is no such test target")?.command();
    let jobs = options.jobs.unwrap_or_else(jobs).min(options.runs);
    command
        // What each case came to is shown as soon as it is known.
        .arg("--nocapture")
        .envs(environment)
        .env("SYNCWATCH_TEST_FAULT_RUNS", options.runs.to_string())
        .env("SYNCWATCH_TEST_FAULT_JOBS", jobs.to_string())
        .env("SYNCWATCH_TEST_FAULT_SEED", options.seed.to_string());
    testing::of_rust_tests(&mut command, limit(options.runs, jobs))
}

fn jobs() -> u32 {
    let processors = std::thread::available_parallelism().map_or(2, NonZero::get);
    u32::try_from(processors * 5 / 2).unwrap_or(u32::MAX)
}

/// How long it may take before it is taken for hung.
fn limit(runs: u32, jobs: u32) -> Duration {
    BEGINNING + RUN * runs.div_ceil(jobs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_grows_with_the_runs_that_come_one_after_the_other() {
        assert_eq!(limit(30, 5), Duration::from_mins(5 + 18));
        assert_eq!(limit(1, 1), Duration::from_mins(8));
        assert_eq!(limit(11, 5), Duration::from_mins(5 + 9));
    }
}
