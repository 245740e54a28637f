//! Running other programs.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::progress::Step;

/// How many lines of a failed program's log are shown.
const TAIL: usize = 40;

/// Cargo, as if typed by hand.
pub fn cargo() -> Command {
    unmarked(Command::new("cargo"))
}

/// Takes away what `cargo xtask` says about this program itself: some build scripts depend on those variables and would
/// run again, with everything above them, whenever cargo is called now by hand and now from here.
pub fn unmarked(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let marks = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
        if marks.iter().any(|mark| text.starts_with(mark)) {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a program quietly: its output goes to a log file, its latest line to the step. A failure shows the log's end.
pub fn logged(step: &Step, log: &Path, command: &mut Command) -> Result<()> {
    if let Some(directory) = log.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let file = Mutex::new(File::create(log).with_context(|| format!("{} cannot be written", log.display()))?);
    let lines = Mutex::new(Vec::new());
    let status = stream(command, &|line| {
        step.detail(line);
        if let (Ok(mut file), Ok(mut lines)) = (file.lock(), lines.lock()) {
            // A full disk shows up elsewhere; the step itself matters more than its log.
            let _ = writeln!(file, "{line}");
            lines.push(line.to_owned());
        }
    })?;
    if !status.success() {
        let lines = lines.into_inner().unwrap_or_default();
        for line in lines.iter().skip(lines.len().saturating_sub(TAIL)) {
            eprintln!("    {line}");
        }
        bail!("`{}` ended with {status}; the whole log is in {}", describe(command), log.display());
    }
    Ok(())
}

/// Runs a program with its output passed through; an error where it fails.
pub fn shown(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("`{}` cannot be run", describe(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", describe(command));
    }
    Ok(())
}

/// Runs a program and returns what it printed on standard output.
pub fn captured(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("`{}` cannot be run", describe(command)))?;
    if !output.status.success() {
        bail!("`{}` ended with {}: {}", describe(command), output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs a program with a text as its standard input.
pub fn fed(command: &mut Command, input: &str) -> Result<()> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{}` cannot be run", describe(command)))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends before it has read says why below.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("`{}` ended with {}: {}", describe(command), output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// Runs a program, giving each line of both its outputs to `take`.
fn stream(command: &mut Command, take: &(dyn Fn(&str) + Sync)) -> Result<ExitStatus> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{}` cannot be run", describe(command)))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        scope.spawn(|| stdout.map(|pipe| each_line(pipe, take)));
        scope.spawn(|| stderr.map(|pipe| each_line(pipe, take)));
    });
    Ok(child.wait()?)
}

/// Runs a program with its standard output both passed through and returned; killed when it takes longer than `limit`.
pub fn teed(command: &mut Command, limit: Duration) -> Result<(ExitStatus, Vec<String>)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{}` cannot be run", describe(command)))?;
    let lines = child.stdout.take().map(line_channel).context("the program has no standard output")?;
    let deadline = Instant::now() + limit;
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                println!("{line}");
                seen.push(line);
            }
            Err(RecvTimeoutError::Disconnected) => return Ok((child.wait()?, seen)),
            Err(RecvTimeoutError::Timeout) => {
                child.kill()?;
                child.wait()?;
                bail!("`{}` was still running after {} minutes", describe(command), limit.as_secs() / 60);
            }
        }
    }
}

fn line_channel(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        each_line(pipe, &|line| {
            // Nobody listens any more once the program was given up.
            let _ = sender.send(line.to_owned());
        });
    });
    receiver
}

fn each_line(pipe: impl Read, take: &dyn Fn(&str)) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        take(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']));
        line.clear();
    }
}

/// A program and its arguments as one would type them.
fn describe(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
