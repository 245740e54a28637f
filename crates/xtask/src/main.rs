//! What a developer types: `cargo xtask up`, `cargo xtask test`, `cargo xtask faults`, `cargo xtask fuzz`,
//! `cargo xtask bench` and others.

mod bench;
mod db;
mod faults;
mod frontend;
mod fuzz;
mod guard;
mod installation;
mod interrupt;
mod npm;
mod openapi;
mod place;
mod postgres;
mod progress;
mod python;
mod shell;
mod stamp;
mod system;
mod testing;
mod tools;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Developer commands of Syncwatch")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Installs what is missing, builds everything and runs a demonstration until Ctrl-C
    Up(up::Options),
    /// Runs everything that must pass, or only the named parts
    Test(testing::Options),
    /// Runs syncs through killed processes and broken connections, each case repeatable by its seed
    Faults(faults::Options),
    /// Gives what reads external systems' answers whatever bytes a fuzzer thinks of
    Fuzz(fuzz::Options),
    /// Measures what is claimed, and fails where a bound is missed
    #[command(disable_help_flag = true)]
    Bench(bench::Options),
    /// Runs the database that tests need until Ctrl-C, for running one of them by hand
    Db,
    /// Rewrites openapi/openapi.json from the code
    Openapi(openapi::Options),
    /// Runs a program for as long as standard input stays open
    #[command(hide = true)]
    Guard(guard::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Up(options) => up::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Test(options) => testing::run(&options),
        Command::Faults(options) => faults::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Db => db::run().map(|()| ExitCode::SUCCESS),
        Command::Openapi(options) => openapi::run(&options).map(|()| ExitCode::SUCCESS),
        Command::Guard(options) => guard::run(&options),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
