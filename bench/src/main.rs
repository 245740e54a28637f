//! Syncwatch's measured claims. Each figure stands beside a baseline that is measured in the same run, on the same
//! machine and the same database, so that the ratio means something on any machine.

mod client;
mod dashboard;
mod export;
mod figure;
mod fill;
mod installation;
mod ledger;
mod list;
mod load;
mod many;
mod memory;
mod moment;
mod peer;
mod pgbench;
mod records;
mod reporting;
mod retry;
mod statements;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};
use clap::{Parser, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use crate::figure::Figure;
use crate::installation::Installation;

/// Measures what Syncwatch claims, and fails where a bound is missed.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
struct Arguments {
    /// What to measure; everything but the big ledger if nothing is named
    measurements: Vec<Measurement>,
    /// Fewer and shorter rounds, to see that everything works; the figures are rough
    #[arg(long)]
    quick: bool,
    /// Leaves the dashboard out
    #[arg(long)]
    skip_dashboard: bool,
    /// The big ledger: its syncs [default: 10000000]
    #[arg(long)]
    rows: Option<i64>,
    /// The big ledger: its organizations; the first holds a fifth of all syncs
    #[arg(long, default_value_t = 200)]
    organizations: i32,
    /// The big ledger: a directory where it lies and stays for the next run; without one it goes with the run
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The server's program [default: beside this one]
    #[arg(long)]
    server: Option<PathBuf>,
    /// The built dashboard
    #[arg(long, default_value = "dist")]
    dist: PathBuf,
    /// The program pgbench [default: PostgreSQL's]
    #[arg(long)]
    pgbench: Option<PathBuf>,
    /// Serves as the external system instead
    #[arg(long, hide = true)]
    peer: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Measurement {
    /// Reporting syncs, beside the same transactions by pgbench
    Reporting,
    /// The list of integrations with a long history, beside a short one
    List,
    /// Retrying failed records, beside a bare loop of requests
    Retry,
    /// Exporting records to a system that takes its time over them, beside a bare loop of requests
    Export,
    /// The dashboard's first load
    Dashboard,
    /// The server's memory under the load of reporting, list and retry, which this runs
    Memory,
    /// 50 integrations that sync at once, some with systems that hang: memory, and the longest wait for a slot
    Many,
    /// The same operations with 10 million syncs and with 100 thousand, with an installation of its own
    Ledger,
    /// Only fills the big ledger, in the directory that --dir names
    Fill,
}

impl Measurement {
    /// What shares one installation.
    const ON_ONE_INSTALLATION: [Self; 7] =
        [Self::Reporting, Self::List, Self::Retry, Self::Export, Self::Dashboard, Self::Memory, Self::Many];
}

impl Arguments {
    fn ledger(&self) -> ledger::Options {
        ledger::Options {
            rows: self.rows,
            organizations: self.organizations,
            directory: self.dir.clone(),
            quick: self.quick,
            server: self.server.clone(),
            dist: self.dist.clone(),
            pgbench: self.pgbench.clone(),
        }
    }

    fn wants(&self, measurement: Measurement) -> bool {
        let named = &self.measurements;
        let load = matches!(measurement, Measurement::Reporting | Measurement::List | Measurement::Retry);
        let skipped = measurement == Measurement::Dashboard && self.skip_dashboard;
        let big = matches!(measurement, Measurement::Ledger | Measurement::Fill);
        let wanted = (named.is_empty() && !big)
            || named.contains(&measurement)
            || (load && named.contains(&Measurement::Memory));
        wanted && !skipped
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A second installation of the provider is refused, harmlessly.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let outcome = if arguments.peer { peer::serve().await.map(|()| true) } else { run(&arguments).await };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<bool> {
    let begun = Instant::now();
    let mut figures = Vec::new();
    if arguments.wants(Measurement::Fill) {
        ledger::fill(&arguments.ledger()).await.context("filling")?;
    }
    if arguments.wants(Measurement::Ledger) {
        figures.extend(ledger::measure(&arguments.ledger(), interrupted()).await.context("the big ledger")?);
    }
    if Measurement::ON_ONE_INSTALLATION.iter().any(|measurement| arguments.wants(*measurement)) {
        figures.extend(on_one_installation(arguments).await?);
    }
    figure::print_table(&figures);
    println!("{:.0} s in all{}", begun.elapsed().as_secs_f64(), if arguments.quick { ", a quick run" } else { "" });
    let missed = figures.iter().filter(|figure| !figure.holds).count();
    if missed > 0 {
        println!("{missed} of {} bounds missed", figures.len());
    }
    Ok(missed == 0)
}

async fn on_one_installation(arguments: &Arguments) -> Result<Vec<Figure>> {
    let installation = Installation::start(arguments.server.as_deref(), &arguments.dist).await?;
    let measured = tokio::select! {
        measured = measure(arguments, &installation) => measured,
        interrupted = interrupted() => interrupted.and(Err(anyhow!("interrupted"))),
    };
    let stopped = installation.stop().await;
    let figures = measured?;
    stopped.map(|()| figures)
}

/// Waits for whoever has had enough; the server and its data are still to be cleared away then.
async fn interrupted() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        pressed = tokio::signal::ctrl_c() => Ok(pressed?),
    }
}

async fn measure(arguments: &Arguments, installation: &Installation) -> Result<Vec<Figure>> {
    let quick = arguments.quick;
    let mut figures = Vec::new();
    if arguments.wants(Measurement::Dashboard) {
        figures.push(dashboard::measure(installation, &arguments.dist).await.context("the dashboard's first load")?);
    }
    if arguments.wants(Measurement::Reporting) {
        let pgbench = pgbench::find(arguments.pgbench.as_deref())?;
        figures.extend(reporting::measure(installation, &pgbench, quick).await.context("reporting syncs")?);
    }
    if arguments.wants(Measurement::List) {
        figures.push(list::measure(installation, quick).await.context("listing integrations")?);
    }
    if arguments.wants(Measurement::Retry) {
        figures.extend(retry::measure(installation, quick).await.context("retrying failed records")?);
    }
    if arguments.wants(Measurement::Memory) {
        figures.push(memory::measure(installation)?);
    }
    // Their own loads, which are no part of that one.
    if arguments.wants(Measurement::Export) {
        figures.extend(export::measure(installation, quick).await.context("exporting records")?);
    }
    if arguments.wants(Measurement::Many) {
        figures.extend(many::measure(installation, quick).await.context("many syncs at once")?);
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(words: &[&str]) -> Vec<Measurement> {
        let arguments = Arguments::parse_from(["bench"].iter().chain(words));
        Measurement::value_variants().iter().copied().filter(|one| arguments.wants(*one)).collect()
    }

    #[test]
    fn nothing_named_is_everything_and_memory_needs_a_load() {
        use Measurement::{Dashboard, Export, Ledger, List, Many, Memory, Reporting, Retry};
        assert_eq!(wanted(&[]), [Reporting, List, Retry, Export, Dashboard, Memory, Many]);
        assert_eq!(wanted(&["--skip-dashboard"]), [Reporting, List, Retry, Export, Memory, Many]);
        assert_eq!(wanted(&["export", "many"]), [Export, Many]);
        assert_eq!(wanted(&["dashboard"]), [Dashboard]);
        assert_eq!(wanted(&["ledger"]), [Ledger], "which takes its time, and so is not run unless it is named");
        assert_eq!(wanted(&["memory"]), [Reporting, List, Retry, Memory]);
    }
}
