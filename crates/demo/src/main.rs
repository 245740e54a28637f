//! `syncwatch-demo`: the parts of the demonstration that are no part of the server.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "syncwatch-demo", about = "The demonstration of Syncwatch: its peers and its data")]
struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    /// The stand-in accounting service; ends when its standard input does
    Accounting(demo::accounting::Arguments),
    /// The app that the records come from; ends when its standard input does
    SourceApp(demo::source_app::Arguments),
    /// Fills an organization through the API; a second run adds nothing
    Seed(demo::seed::Arguments),
}

fn main() -> ExitCode {
    // An error means that a provider is there already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let done = match Arguments::parse().part {
        Part::Accounting(arguments) => demo::accounting::run(&arguments),
        Part::SourceApp(arguments) => demo::source_app::run(arguments),
        Part::Seed(arguments) => demo::seed::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
