//! Syncs of a hundred records through everything that can befall them: workers and databases that are killed, connections
//! that break before and after a request has arrived, answers that don't come, and two administrators who press Retry at
//! once. Whatever happens, each record is in the external system once, or is shown as failed or unknown.
//!
//! `SYNCWATCH_TEST_FAULT_RUNS`, `…_JOBS` and `…_SEED` say how many cases run, how many at once, and which comes first.

mod cluster;
mod fleet;
mod judge;
mod plan;
mod process;
mod proxy;
mod run;
mod stage;
mod story;
mod system;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::anyhow;

use cluster::Template;
use plan::Plan;

/// A number from the environment.
fn number(name: &str) -> Option<u32> {
    std::env::var(format!("SYNCWATCH_TEST_FAULT_{name}")).ok()?.parse().ok()
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Runs a case on a thread of its own, and says what came of it.
fn case(seed: u32, template: &Template) -> Result<(), String> {
    let (plan, begun) = (Plan::of(seed), Instant::now());
    let outcome = std::thread::scope(|scope| {
        let running = scope.spawn(|| runtime()?.block_on(run::run(&plan, template)));
        running.join().unwrap_or_else(|_| Err(anyhow!("the case panicked")))
    });
    let seconds = begun.elapsed().as_secs();
    match outcome {
        Ok(()) => {
            println!("passed in {seconds} s: {plan}");
            Ok(())
        }
        Err(error) => {
            let story = format!("{plan}\n{error:#}\n{plan:?}\nrepeat it with: {}", plan.command());
            println!("FAILED in {seconds} s: {story}");
            Err(story)
        }
    }
}

#[test]
fn every_record_arrives_once_or_is_shown_not_to_have() {
    let (runs, jobs) = (number("RUNS").unwrap_or(5), number("JOBS").unwrap_or(2));
    let first = number("SEED").unwrap_or(1);
    let template = runtime().unwrap().block_on(Template::make()).unwrap();
    let next = AtomicU32::new(0);
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= runs {
                        return;
                    }
                    if let Err(story) = case(first.wrapping_add(number), &template) {
                        failed.lock().unwrap_or_else(PoisonError::into_inner).push(story);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(failed.is_empty(), "{} of {runs} cases failed:\n\n{}", failed.len(), failed.join("\n\n"));
}
