//! Thousands of requests that schemathesis makes from the description, good and bad ones and whole sequences, and every
//! answer compared with it (`schemathesis.toml`, `hooks.py`).

use std::fs;
use std::io::Write as _;

use serde_json::Value;
use tests::server::TestServer;

use crate::scene::{Caller, Scene};
use crate::tool::{checked_out, committed, committed_file, python_program, run};

/// Where the random numbers begin, unless `cargo xtask test contract --seed` says otherwise.
const SEED: &str = "20261121";
/// Fewest requests of one caller; fewer means that something kept them from being made.
const FEWEST: usize = 1_500;

/// Operations that generated requests cannot bring to succeed.
const NEVER: [(&str, &str); 1] = [("refresh", "needs the cookie of a session, which works once")];

#[tokio::test]
async fn generated_requests_of_an_administrator_are_answered_as_described() {
    generate(Caller::Admin).await;
}

#[tokio::test]
async fn generated_requests_of_a_machine_are_answered_as_described() {
    generate(Caller::Machine).await;
}

async fn generate(caller: Caller) {
    let server = TestServer::configured(|config| {
        // Limits so high that they are counted and never reached, and a token that outlives the run.
        config.limits.requests_per_minute = 100_000_000;
        config.limits.logins_per_minute = 1_000_000;
        config.sessions.access_seconds = 3_600;
    })
    .await;
    let scene = Scene::of(&server, caller).await;
    let directory = tempfile::tempdir().unwrap();
    let (told, statuses) = (directory.path().join("scene.json"), directory.path().join("statuses.json"));
    fs::write(&told, scene.told.to_string()).unwrap();
    let seed = std::env::var("SYNCWATCH_TEST_SEED").unwrap_or_else(|_| SEED.to_owned());
    say(&format!("generated requests of {}: seed {seed}", caller.word()));
    let mut schemathesis = python_program("schemathesis");
    schemathesis
        .arg("--config-file")
        .arg(checked_out("tests/contract/schemathesis.toml"))
        .arg("run")
        .arg(committed_file())
        .args(["--url", &server.base(), "--seed", &seed])
        .args(["--header", &format!("Authorization: Bearer {}", scene.token)])
        .env("PYTHONPATH", checked_out("tests/contract"))
        .env("SYNCWATCH_CONTRACT_SCENE", &told)
        .env("SYNCWATCH_CONTRACT_STATUSES", &statuses)
        .env("COLUMNS", "160")
        .current_dir(directory.path());
    let (content, printed) = run(&mut schemathesis).await;
    let cases = cases(&printed);
    say(&format!("generated requests of {}: {} cases", caller.word(), cases.unwrap_or_default()));
    let failures = printed.find(" FAILURES ").map_or(printed.as_str(), |at| &printed[at..]);
    assert!(content, "again with: cargo xtask test contract --seed {seed}\n{failures}");
    assert!(cases.is_some_and(|cases| cases >= FEWEST), "{printed}");
    let statuses: Value = serde_json::from_str(&fs::read_to_string(statuses).unwrap()).unwrap();
    let refused = never_successful(&committed(), &statuses, caller);
    assert!(refused.is_empty(), "no request of these succeeded: {refused:?}\n{statuses:#}");
}

/// What a passed test says too.
fn say(line: &str) {
    // Unlike `println!`, this is not captured.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// `Test cases: 2,345 generated, …`.
fn cases(printed: &str) -> Option<usize> {
    let words: Vec<&str> = printed.split_whitespace().collect();
    let place = words.iter().position(|word| word.trim_matches(',') == "generated")?;
    words.get(place.checked_sub(1)?)?.replace(',', "").parse().ok()
}

/// Operations that the caller may use, and of which no request succeeded.
fn never_successful(document: &Value, statuses: &Value, caller: Caller) -> Vec<String> {
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    operations
        .filter(|operation| {
            let needs = operation["security"].as_array().into_iter().flatten().filter_map(Value::as_object);
            needs.into_iter().any(|need| need.is_empty() || need.contains_key(caller.scheme()))
        })
        .filter_map(|operation| operation["operationId"].as_str())
        .filter(|id| NEVER.iter().all(|(never, _)| never != id))
        .filter(|id| {
            let known = statuses[*id].as_object();
            !known.is_some_and(|known| known.keys().any(|status| status.starts_with('2')))
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_number_of_cases_is_read_from_the_summary() {
    assert_eq!(cases("Test cases:\n  2,345 generated, 3 found 1 unique failures"), Some(2_345));
    assert_eq!(cases("Test cases: 12 generated"), Some(12));
    assert_eq!(cases("nothing"), None);
}
