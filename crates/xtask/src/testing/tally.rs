//! Counting what passed and what failed.

use std::fmt;
use std::ops::AddAssign;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use crate::shell;

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u32,
    pub failed: u32,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Runs a program that prints `test result: …` lines, passing its output through.
pub fn of_rust_tests(command: &mut Command, limit: Duration) -> Result<Tally> {
    let (status, lines) = shell::teed(command, limit)?;
    let mut tally = Tally::default();
    for line in &lines {
        if let Some(result) = of_line(line) {
            tally += result;
        }
    }
    // It broke before it could count, or outside any test.
    if !status.success() && tally.failed == 0 {
        tally.failed = 1;
    }
    Ok(tally)
}

/// `test result: FAILED. 2 passed; 12 failed; 0 ignored; …`.
fn of_line(line: &str) -> Option<Tally> {
    let (_, counts) = line.trim().strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what: &str| {
        counts.split("; ").find_map(|part| part.strip_suffix(what)).and_then(|number| number.trim().parse().ok())
    };
    Some(Tally { passed: count(" passed")?, failed: count(" failed")? })
}

/// The `stats` of Playwright's JSON report. A test that passed only when tried again has failed.
pub fn of_playwright(report: &Value) -> Option<Tally> {
    let stats = report.get("stats")?;
    let count = |name: &str| u32::try_from(stats.get(name)?.as_u64()?).ok();
    let errors = report.get("errors").and_then(Value::as_array).map_or(0, Vec::len);
    Some(Tally {
        passed: count("expected")?,
        failed: count("unexpected")? + count("flaky")? + u32::try_from(errors).unwrap_or(u32::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_line_of_a_test_program_is_counted() {
        let line =
            "test result: FAILED. 2 passed; 12 failed; 0 ignored; 0 measured; 3 filtered out; finished in 14.85s";
        assert_eq!(of_line(line), Some(Tally { passed: 2, failed: 12 }));
        assert_eq!(of_line("test result: ok. 8 passed; 0 failed; 0 ignored"), Some(Tally { passed: 8, failed: 0 }));
        assert_eq!(of_line("test api::a_test ... ok"), None);
        assert_eq!(of_line("test result: ok. many passed; 0 failed"), None);
    }

    #[test]
    fn a_program_that_breaks_without_counting_has_failed_once() {
        let run =
            |script: &str| of_rust_tests(Command::new("sh").args(["-c", script]), Duration::from_mins(1)).unwrap();
        assert_eq!(run("exit 101"), Tally { passed: 0, failed: 1 });
        assert_eq!(run("echo 'test result: ok. 3 passed; 0 failed; 0 ignored'"), Tally { passed: 3, failed: 0 });
        let failing = "echo 'test result: FAILED. 3 passed; 2 failed; 0 ignored'; exit 101";
        assert_eq!(run(failing), Tally { passed: 3, failed: 2 });
    }

    #[test]
    fn a_program_that_hangs_is_given_up() {
        let refusal = of_rust_tests(Command::new("sleep").arg("60"), Duration::from_millis(200)).unwrap_err();
        assert!(refusal.to_string().contains("still running"));
    }

    #[test]
    fn a_flaky_browser_test_is_a_failed_one() {
        let report = json!({ "errors": [], "stats": { "expected": 7, "unexpected": 1, "flaky": 1, "skipped": 0 } });
        assert_eq!(of_playwright(&report), Some(Tally { passed: 7, failed: 2 }));
        let broken =
            json!({ "errors": [{ "message": "no tests" }], "stats": { "expected": 0, "unexpected": 0, "flaky": 0 } });
        assert_eq!(of_playwright(&broken), Some(Tally { passed: 0, failed: 1 }));
        assert_eq!(of_playwright(&json!({})), None);
    }
}
