//! `cargo xtask fuzz`: whatever bytes a coverage-guided fuzzer thinks of, for what reads external systems' answers.
//!
//! The targets are built with the one toolchain: what `cargo-fuzz` needs a nightly compiler for is the address sanitizer,
//! and there is no unsafe code for it to look at.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::place::Place;
use crate::progress::step;
use crate::shell;
use crate::system;
use crate::tools;

/// What lets the fuzzer see which code an input has led to, and what it was compared with.
const INSTRUMENTS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                           -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
                           -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
                           -Clink-dead-code";
/// Bytes of the longest input, seconds that one may take, and megabytes that the target may hold.
const LIMITS: [&str; 3] = ["-max_len=16384", "-timeout=10", "-rss_limit_mb=1024"];
/// Answers as the external systems write them.
const FIXTURES: &str = "crates/connectors/fixtures";

/// What `fuzz` takes.
#[derive(Args)]
pub struct Options {
    /// For how many seconds each target runs
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// The targets; all where none is named
    targets: Vec<Target>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Target {
    /// The complaints in the body of an answer
    ParseBody,
    /// The parts of an answer to a batch
    Batch,
    /// When a system wants to hear again
    RetryAfter,
}

/// An input to begin with, and the name of its file.
type Seed = (String, String);

impl Target {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn seeds(self, fixtures: &[(String, Value)]) -> Vec<Seed> {
        match self {
            Self::ParseBody => fixtures.iter().map(|(name, fixture)| (name.clone(), body(fixture))).collect(),
            Self::Batch => {
                let mut seeds: Vec<Seed> =
                    fixtures.iter().map(|(name, fixture)| (name.clone(), batch(&[fixture]))).collect();
                let three: Vec<&Value> = fixtures.iter().map(|(_, fixture)| fixture).take(3).collect();
                seeds.push(("three".to_owned(), batch(&three)));
                seeds
            }
            Self::RetryAfter => {
                let date = "Wed, 21 Oct 2026 07:28:00 GMT\nWed, 21 Oct 2026 07:27:00 GMT";
                [("seconds", "120"), ("date", date)].map(|(name, seed)| (name.to_owned(), seed.to_owned())).into()
            }
        }
    }
}

/// Builds the targets and lets each run; fails where an input breaks one.
pub fn run(options: &Options) -> Result<ExitCode> {
    let place = Place::find()?;
    let programs = {
        let _alone = tools::lock(&place)?;
        system::need(&place, "a C++ compiler", &["g++"], || system::on_path("c++"))?;
        build(&place)?
    };
    let fixtures = read_fixtures(&place.at(FIXTURES))?;
    for target in Target::value_variants() {
        if !options.targets.is_empty() && !options.targets.contains(target) {
            continue;
        }
        fuzz(&place, &programs.join(target.name()), *target, &fixtures, options.seconds)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the targets, and returns the directory that they lie in.
fn build(place: &Place) -> Result<PathBuf> {
    let host = host(place)?;
    // A directory of its own: what carries the instruments is of no use to anything else.
    let target = place.target.join("fuzz");
    step("Building the fuzz targets", |step| {
        let mut command = shell::cargo();
        command
            // With the target named, build scripts and macros go without the instruments.
            .args(["build", "--release", "--bins", "--target", &host, "--target-dir"])
            .arg(&target)
            .current_dir(place.at("fuzz"))
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env("RUSTFLAGS", INSTRUMENTS);
        shell::logged(step, &place.cache.join("log/cargo-fuzz.log"), &mut command)
    })?;
    Ok(target.join(host).join("release"))
}

/// The machine that the toolchain builds for.
fn host(place: &Place) -> Result<String> {
    let said = shell::captured(Command::new("rustc").arg("-vV").current_dir(&place.root))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say which machine it is for")?.to_owned())
}

fn fuzz(place: &Place, program: &Path, target: Target, fixtures: &[(String, Value)], seconds: u32) -> Result<()> {
    let name = target.name();
    let home = place.cache.join("fuzz").join(&name);
    let corpus = home.join("corpus");
    fs::create_dir_all(&corpus)?;
    for (file, seed) in target.seeds(fixtures) {
        fs::write(corpus.join(file), seed)?;
    }
    let log = place.cache.join(format!("log/fuzz-{name}.log"));
    let outcome = step(&format!("Fuzzing {name} for {seconds} s"), |step| {
        let mut command = Command::new(program);
        command
            .arg(&corpus)
            .args(LIMITS)
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}/", home.display()))
            .current_dir(&home);
        shell::logged(step, &log, &mut command)
    });
    outcome.with_context(|| {
        format!("{name} broke; the input's file is named above, and repeats it with `{} FILE`", program.display())
    })?;
    let said = fs::read_to_string(&log)?;
    let done = said.lines().rev().find(|line| line.starts_with("Done "));
    println!("{name}: {}", done.context("the fuzzer ended without saying what it has done")?);
    Ok(())
}

fn read_fixtures(folder: &Path) -> Result<Vec<(String, Value)>> {
    let mut fixtures = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let fixture = serde_json::from_str(&fs::read_to_string(&path)?);
        fixtures.push((name, fixture.with_context(|| format!("{} is no JSON", path.display()))?));
    }
    // Wherever the directory lists them: the same targets begin with the same inputs.
    fixtures.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(fixtures)
}

/// The body of an answer as it came.
fn body(fixture: &Value) -> String {
    match &fixture["body"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// An answer to a batch, with those answers in its parts: its content type on the first line, then its body.
fn batch(answers: &[&Value]) -> String {
    let part = |(place, answer): (usize, &&Value)| {
        format!(
            "--b\r\nContent-Type: application/http\r\nContent-ID: {}\r\n\r\nHTTP/1.1 {} Words\r\n\
             Content-Type: application/json\r\nRetry-After: 7\r\n\r\n{}\r\n",
            place + 1,
            answer["status"],
            body(answer)
        )
    };
    let parts: String = answers.iter().enumerate().map(part).collect();
    format!("multipart/mixed; boundary=b\n{parts}--b--\r\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_target_begins_with_inputs_that_it_understands() {
        let fixtures = [
            ("text".to_owned(), json!({ "status": 500, "body": "Internal Server Error" })),
            ("json".to_owned(), json!({ "status": 422, "body": { "detail": "no" } })),
        ];
        let bodies = Target::ParseBody.seeds(&fixtures);
        assert_eq!(bodies[0], ("text".to_owned(), "Internal Server Error".to_owned()));
        assert_eq!(bodies[1], ("json".to_owned(), "{\"detail\":\"no\"}".to_owned()));
        let batches = Target::Batch.seeds(&fixtures);
        assert_eq!(batches.len(), 3);
        assert!(batches[2].1.contains("Content-ID: 2\r\n\r\nHTTP/1.1 422 Words\r\n"), "{}", batches[2].1);
        assert_eq!(Target::RetryAfter.name(), "retry_after");
    }
}
