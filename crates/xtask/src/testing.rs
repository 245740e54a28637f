//! `cargo xtask test`: everything that must pass, part by part.

mod browser;
mod checks;
mod executables;
mod tally;

use std::cell::OnceCell;
use std::num::NonZero;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::faults;
use crate::frontend;
use crate::npm;
use crate::openapi;
use crate::place::Place;
use crate::postgres::{self, Throwaway};
use crate::python;
use crate::shell;
use crate::system;
use crate::tools;
pub use executables::Executable;
use executables::PROGRAMS;
pub use tally::{Tally, of_rust_tests};

/// Tests that run at once; those of whole servers wait for each other's answers half of their time.
const TEST_THREADS: &str = "RUST_TEST_THREADS";
/// How long one test executable may take before it is taken for hung.
const LIMIT: Duration = Duration::from_mins(15);

/// What `test` takes.
#[derive(Args)]
pub struct Options {
    /// The parts to run, in their own order; all where none is named
    parts: Vec<Part>,
    /// Where the generated requests of the contract's tests begin; the same number makes the same requests
    #[arg(long)]
    seed: Option<u32>,
}

/// A part of the tests; the order is the one they run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Part {
    /// The formatting
    Fmt,
    /// The compiler's and clippy's warnings
    Clippy,
    /// That the shared crates compile to WebAssembly
    Wasm,
    /// The crates' own tests
    Unit,
    /// The API over HTTP
    Api,
    /// What one organization must not see of another
    Isolation,
    /// The jobs in the background
    Worker,
    /// Killed processes and broken peers
    Faults,
    /// Syncs through all of that at once, some dozens of seeds; `cargo xtask faults` runs more
    SyncFaults,
    /// Months that leave the database
    Archive,
    /// What the description of the API promises to other people
    Contract,
    /// That openapi/openapi.json is what the code says
    Openapi,
    /// The dashboard in a real browser
    Browser,
    /// The documentation in the code
    Docs,
    /// The spelling
    Typos,
    /// Licences and sources of the dependencies
    Deny,
}

/// Runs the parts; the last line printed is `N passed, N failed`.
pub fn run(options: &Options) -> Result<ExitCode> {
    let mut session = Session {
        place: Place::find()?,
        executables: OnceCell::new(),
        database: None,
        dashboard: None,
        seed: options.seed,
    };
    let mut total = Tally::default();
    let mut lines = Vec::new();
    let chosen = |part: &&Part| options.parts.is_empty() || options.parts.contains(part);
    let browser = Part::value_variants().iter().filter(chosen).any(|part| *part == Part::Browser);
    for part in Part::value_variants().iter().filter(chosen) {
        if browser && part.waits() && session.dashboard.is_none() {
            session.dashboard = Some(frontend::build_beside(&session.place));
        }
        println!("\n── {} ──", part.name());
        let begun = Instant::now();
        let tally = session.run(*part).unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            Tally { passed: 0, failed: 1 }
        });
        let minutes = begun.elapsed().as_secs_f32() / 60.0;
        lines.push(format!(
            "{:<11} {minutes:>5.1} min {:>6} passed {:>4} failed",
            part.name(),
            tally.passed,
            tally.failed
        ));
        total += tally;
    }
    if let Err(error) = session.end() {
        eprintln!("error: {error:#}");
        total.failed += 1;
    }
    println!();
    for line in lines {
        println!("{line}");
    }
    println!("{total}");
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Part {
    /// Tests that mostly wait, for leases that run out and systems that keep silent.
    fn waits(self) -> bool {
        matches!(self, Self::Isolation | Self::Worker | Self::Faults | Self::SyncFaults)
    }

    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// What the tests of the `tests` package find in their environment; installs what is missing.
pub fn environment(place: &Place, database: &Throwaway) -> Result<Vec<(&'static str, PathBuf)>> {
    let mut environment = vec![
        ("SYNCWATCH_TEST_DATABASE_URL", PathBuf::from(&database.url)),
        ("SYNCWATCH_TEST_JAVA", system::need(place, "Java", &["default-jre-headless"], system::java)?),
    ];
    environment.extend(faults_environment(place)?);
    Ok(environment)
}

/// What those of them find that run databases of their own; installs what is missing.
pub fn faults_environment(place: &Place) -> Result<Vec<(&'static str, PathBuf)>> {
    Ok(vec![
        ("SYNCWATCH_TEST_NODE_MODULES", npm::install(place, "tests/peers")?),
        ("SYNCWATCH_TEST_POSTGRES_PROGRAMS", postgres::programs(place)?),
        ("SYNCWATCH_TEST_PYTHON", python::peers(place)?),
        ("SYNCWATCH_TEST_BIN_DIR", place.target.join("debug")),
    ])
}

/// Builds the programs and the tests, and returns the tests.
pub fn build(place: &Place) -> Result<Vec<Executable>> {
    let built = executables::build(place)?;
    for program in PROGRAMS {
        anyhow::ensure!(place.built(program, false).is_file(), "cargo built no {program}");
    }
    Ok(built)
}

/// What the tests of the contract find besides; installs what is missing.
pub fn contract_environment(place: &Place) -> Result<Vec<(&'static str, PathBuf)>> {
    Ok(vec![
        ("SYNCWATCH_TEST_CONTRACT_PYTHON", python::contract(place)?),
        ("SYNCWATCH_TEST_CONTRACT_NODE_MODULES", npm::install(place, "tests/contract")?),
    ])
}

/// What the parts share: built once, started once.
struct Session {
    place: Place,
    executables: OnceCell<Vec<Executable>>,
    database: Option<Throwaway>,
    /// The dashboard's build, while other parts run.
    dashboard: Option<JoinHandle<Result<()>>>,
    seed: Option<u32>,
}

impl Session {
    fn run(&mut self, part: Part) -> Result<Tally> {
        match part {
            Part::Fmt => checks::one(self.cargo(&["fmt", "--all", "--check"])),
            Part::Clippy => self.clippy(),
            Part::Wasm => {
                tools::wasm_target(&self.place)?;
                let check =
                    ["check", "--locked", "-p", "domain", "-p", "api-types", "--target", "wasm32-unknown-unknown"];
                checks::one(self.cargo(&check))
            }
            Part::Unit => self.unit(),
            Part::Api | Part::Isolation | Part::Worker | Part::Faults | Part::Archive => {
                self.integration(&part.name(), Vec::new())
            }
            Part::SyncFaults => {
                let executables = self.executables()?;
                faults::short(&self.place, executables)
            }
            Part::Contract => self.contract(),
            Part::Openapi => {
                self.executables()?;
                openapi::check(&self.place).map(|()| Tally { passed: 1, failed: 0 })
            }
            Part::Browser => {
                self.executables()?;
                if let Some(building) = self.dashboard.take() {
                    building.join().map_err(|_| anyhow::anyhow!("building the dashboard panicked"))??;
                }
                browser::run(&self.place)
            }
            Part::Docs => {
                let mut doc = self.cargo(&["doc", "--locked", "--workspace", "--exclude", "frontend", "--no-deps"]);
                doc.env("RUSTDOCFLAGS", "-D warnings");
                checks::one(doc)
            }
            Part::Typos => {
                let program = self.installing(python::typos)?;
                let mut typos = Command::new(program);
                typos.args(["--config", "typos.toml"]).current_dir(&self.place.root);
                checks::one(typos)
            }
            Part::Deny => {
                let bin = self.installing(tools::cargo_deny)?;
                let mut deny = Command::new(bin.join("cargo-deny"));
                deny.args(["--locked", "check", "bans", "licenses", "sources"]).current_dir(&self.place.root);
                checks::one(deny)
            }
        }
    }

    fn clippy(&self) -> Result<Tally> {
        let mut workspace =
            self.cargo(&["clippy", "--locked", "--workspace", "--exclude", "frontend", "--all-targets"]);
        workspace.args(["--", "-D", "warnings"]);
        let mut tally = checks::one(workspace)?;
        tools::wasm_target(&self.place)?;
        let mut frontend = self.cargo(&["clippy", "--locked", "-p", "frontend", "--target", "wasm32-unknown-unknown"]);
        frontend.args(["--", "-D", "warnings"]);
        tally += checks::one(frontend)?;
        Ok(tally)
    }

    /// The tests that stand in the crates themselves, and the examples in their documentation.
    fn unit(&mut self) -> Result<Tally> {
        let mut tally =
            self.run_executables(|executable| executable.package != "tests" || executable.is_library, Vec::new())?;
        let mut doc = self.cargo(&["test", "--locked", "--workspace", "--exclude", "frontend", "--doc"]);
        tally += tally::of_rust_tests(&mut doc, LIMIT)?;
        Ok(tally)
    }

    fn integration(&mut self, target: &str, mut more: Vec<(&'static str, PathBuf)>) -> Result<Tally> {
        if std::env::var_os(TEST_THREADS).is_none() {
            let processors = std::thread::available_parallelism().map_or(2, NonZero::get);
            more.push((TEST_THREADS, PathBuf::from((2 * processors).to_string())));
        }
        self.run_executables(|executable| executable.package == "tests" && executable.target == target, more)
    }

    /// The description against the running server and the tools of others, and against the released one.
    fn contract(&mut self) -> Result<Tally> {
        let mut environment = self.installing(contract_environment)?;
        if let Some(seed) = self.seed {
            environment.push(("SYNCWATCH_TEST_SEED", PathBuf::from(seed.to_string())));
        }
        let mut tally = self.integration("contract", environment)?;
        println!();
        tally += match openapi::check_compatible(&self.place) {
            Ok(()) => Tally { passed: 1, failed: 0 },
            Err(error) => {
                eprintln!("error: {error:#}");
                Tally { passed: 0, failed: 1 }
            }
        };
        Ok(tally)
    }

    fn run_executables(
        &mut self,
        wanted: impl Fn(&Executable) -> bool,
        more: Vec<(&'static str, PathBuf)>,
    ) -> Result<Tally> {
        let mut environment = self.environment()?;
        environment.extend(more);
        let chosen: Vec<&Executable> = self.executables()?.iter().filter(|executable| wanted(executable)).collect();
        anyhow::ensure!(!chosen.is_empty(), "there is no such test target");
        let mut tally = Tally::default();
        for executable in chosen {
            println!("\n{} {}", executable.package, executable.target);
            let outcome = tally::of_rust_tests(executable.command().envs(environment.iter().cloned()), LIMIT);
            tally += outcome.unwrap_or_else(|error| {
                eprintln!("error: {error:#}");
                Tally { passed: 0, failed: 1 }
            });
        }
        Ok(tally)
    }

    /// Builds everything once: the programs, the tests and the examples share one graph of dependencies.
    fn executables(&self) -> Result<&[Executable]> {
        if self.executables.get().is_none() {
            // Set for the first time: nobody else can have.
            let _ = self.executables.set(build(&self.place)?);
        }
        Ok(self.executables.get().map_or(&[], Vec::as_slice))
    }

    fn environment(&mut self) -> Result<Vec<(&'static str, PathBuf)>> {
        let _alone = tools::lock(&self.place)?;
        let database = match self.database.take() {
            Some(database) => database,
            None => Throwaway::start(&self.place)?,
        };
        environment(&self.place, self.database.insert(database))
    }

    fn installing<T>(&self, install: impl FnOnce(&Place) -> Result<T>) -> Result<T> {
        let _alone = tools::lock(&self.place)?;
        install(&self.place)
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = shell::cargo();
        command.args(arguments).current_dir(&self.place.root);
        command
    }

    fn end(self) -> Result<()> {
        self.database.map_or(Ok(()), Throwaway::stop)
    }
}
