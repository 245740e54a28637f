//! Saying what is going on: a spinner on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

/// A step that is under way.
pub struct Step {
    bar: Option<ProgressBar>,
}

impl Step {
    /// Shows the latest line of what the step is doing.
    pub fn detail(&self, line: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(line.trim().chars().take(100).collect::<String>());
        }
    }
}

/// Runs one step of work under a name and says how long it took.
pub fn step<T>(name: &str, work: impl FnOnce(&Step) -> Result<T>) -> Result<T> {
    let bar = std::io::stderr().is_terminal().then(|| {
        let bar = ProgressBar::new_spinner().with_prefix(name.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {msg:.dim}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    });
    if bar.is_none() {
        eprintln!("{name} …");
    }
    let step = Step { bar };
    let begun = Instant::now();
    let outcome = work(&step);
    let seconds = begun.elapsed().as_secs_f32();
    if let Some(bar) = &step.bar {
        bar.finish_and_clear();
    }
    match &outcome {
        Ok(_) => eprintln!("✓ {name} ({seconds:.1} s)"),
        Err(_) => eprintln!("✗ {name} ({seconds:.1} s)"),
    }
    outcome
}
