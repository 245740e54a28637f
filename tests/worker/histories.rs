//! Random histories, driven through the real ledger against a real database: after every step the health row says what a
//! plain look at every sync says, and again and again what building it anew from the ledger says.

mod plain;
mod plan;
mod world;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use plan::{Step, history};
use world::{History, World};

/// How many histories, where nothing else is asked for.
const HISTORIES: u32 = 24;
/// Where the random numbers begin, where nothing else is asked for.
const SEED: u128 = 20_261_121;

/// A number from the environment, so that a run can be repeated or made longer.
fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

async fn follow(world: &World, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let failed = |error: anyhow::Error| TestCaseError::fail(format!("{error:#}"));
    let mut history = History::begin(world).await.map_err(failed)?;
    for (number, step) in steps.iter().enumerate() {
        let touched =
            history.take(step).await.map_err(|error| failed(error.context(format!("step {number}, {step:?}"))))?;
        history
            .compare(&touched, number % 4 == 0)
            .await
            .map_err(|error| failed(error.context(format!("after step {number}, {step:?}"))))?;
    }
    history.settle().await.map_err(|error| failed(error.context("at the end")))
}

#[test]
fn the_health_row_is_what_the_ledger_says() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(World::new());
    let seed: u128 = number("SYNCWATCH_TEST_SEED").unwrap_or(SEED);
    println!("SYNCWATCH_TEST_SEED={seed} repeats this");
    let bytes = [seed.to_le_bytes(), seed.to_be_bytes()].concat();
    let config = Config {
        cases: number("SYNCWATCH_TEST_HISTORIES").unwrap_or(HISTORIES),
        failure_persistence: None,
        max_shrink_time: 120_000,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let outcome = runner.run(&history(), |steps| runtime.block_on(follow(&world, steps)));
    if let Err(error) = outcome {
        panic!("SYNCWATCH_TEST_SEED={seed}: {error}");
    }
}
