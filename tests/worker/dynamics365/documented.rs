//! The answers that are documented of Dataverse, and answers that break off, over HTTP by WireMock.

use serde_json::json;
use tests::peers::{TOKEN_SECRET, WireMock};
use tests::story::{Claim, counts, id_of};

use super::{connect, said, settings};
use crate::scene::Scene;

/// Which answer a claim is given is told by its cost center; see `peers/wiremock/mappings`.
const ANSWERS: &[(&str, &str, &str)] = &[
    ("too_long", "failed", "0x80044331"),
    ("option", "failed", "0x8004431A"),
    ("undeclared", "failed", "0x80048d19"),
    ("unknown_property", "failed", "0x0"),
    ("duplicate_key", "failed", "0x80060892"),
    ("matching_key", "failed", "0x80040237"),
    ("duplicate_as_500", "failed", "0x80040333"),
    ("not_found_by_id", "failed", "0x80040217"),
    ("not_found_by_key", "failed", "0x80060891"),
    ("privilege", "failed", "0x80040220"),
    ("privilege_of_another", "failed", "0x80048306"),
    ("CONNECTION_RESET_BY_PEER", "unknown", "NO_ANSWER"),
    ("EMPTY_RESPONSE", "unknown", "NO_ANSWER"),
    ("MALFORMED_RESPONSE_CHUNK", "unknown", "NO_ANSWER"),
    ("RANDOM_DATA_THEN_CLOSE", "unknown", "NO_ANSWER"),
    ("1000", "succeeded", ""),
];

/// Those that say that it was too much, for longer than a sync waits.
const THROTTLED: [(&str, &str); 3] = [
    ("throttled_by_time", "0x80072321"),
    ("throttled_by_number", "0x80072322"),
    ("throttled_by_concurrency", "0x80072326"),
];

#[tokio::test]
async fn every_documented_answer_is_understood() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let wiremock = WireMock::start().await?;
    let settings = settings(&wiremock.url(""), &wiremock.url("/token"), json!({}));
    let integration = connect(&scene, settings, TOKEN_SECRET).await?;
    let claims: Vec<Claim> = ANSWERS
        .iter()
        .enumerate()
        .map(|(number, (answer, _, _))| Claim::good(number).with("cost_center", answer))
        .collect();
    scene.admin.stage_all(integration, &claims).await?;
    let id = id_of(&scene.admin.run(integration).await?)?;
    for (claim, (answer, outcome, code)) in claims.iter().zip(ANSWERS) {
        let found = said(&scene, id, claim).await?;
        assert_eq!((found.0.as_str(), found.1.as_str()), (*outcome, *code), "{answer}");
        let sent = wiremock.requests("PATCH", &claim.id.to_string()).await?;
        assert_eq!(sent, 1, "{answer} leaves once");
        // Whether the row in the way is the record's own.
        let duplicates = ["duplicate_key", "matching_key", "duplicate_as_500"];
        let looked_up = wiremock.requests("GET", &claim.id.to_string()).await?;
        assert_eq!(looked_up, usize::from(duplicates.contains(answer)), "{answer}");
    }
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_was_too_much_was_not_taken() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let wiremock = WireMock::start().await?;
    // All of them leave before the first answer keeps others from it.
    let settings = settings(&wiremock.url(""), &wiremock.url("/token"), json!({ "concurrency": THROTTLED.len() }));
    let integration = connect(&scene, settings, TOKEN_SECRET).await?;
    let claims: Vec<Claim> = THROTTLED
        .iter()
        .enumerate()
        .map(|(number, (answer, _))| Claim::good(number).with("cost_center", answer))
        .collect();
    scene.admin.stage_all(integration, &claims).await?;
    let id = id_of(&scene.admin.run(integration).await?)?;
    for (claim, (answer, code)) in claims.iter().zip(THROTTLED) {
        let found = said(&scene, id, claim).await?;
        assert_eq!((found.0.as_str(), found.1.as_str()), ("failed", code), "{answer}");
        assert_eq!(wiremock.requests("PATCH", &claim.id.to_string()).await?, 1, "{answer} leaves once");
    }
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_answer_that_takes_too_long_leaves_its_record_in_doubt() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let wiremock = WireMock::start().await?;
    // The request and the token have to leave within that time, too.
    let settings = settings(&wiremock.url(""), &wiremock.url("/token"), json!({ "timeout_ms": 10_000 }));
    let integration = connect(&scene, settings, TOKEN_SECRET).await?;
    let claims = [Claim::good(1).with("cost_center", "DELAYED"), Claim::good(2)];
    scene.admin.stage_all(integration, &claims).await?;
    let id = id_of(&scene.admin.run(integration).await?)?;
    assert_eq!(said(&scene, id, &claims[0]).await?, ("unknown".to_owned(), "TIMEOUT".to_owned()));
    assert_eq!(said(&scene, id, &claims[1]).await?.0, "succeeded", "the others are not kept");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn parts_that_are_missing_were_not_attempted() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let wiremock = WireMock::start().await?;
    let settings = settings(&wiremock.url(""), &wiremock.url("/token"), json!({ "batch_size": 50 }));
    let integration = connect(&scene, settings, TOKEN_SECRET).await?;
    scene.admin.stage_all(integration, &Claim::many(3)).await?;
    let sync = scene.admin.run(integration).await?;
    assert_eq!(counts(&sync), (3, 2, 1), "{sync}");
    let batches = wiremock.requests("POST", "/$batch").await?;
    let singles = wiremock.requests("PATCH", "/sw_claims(").await?;
    assert_eq!((batches, singles), (1, 1), "the third left again, by itself");
    scene.stop().await;
    Ok(())
}
