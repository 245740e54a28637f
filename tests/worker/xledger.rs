//! Xledger, by a GraphQL server with its schema: what it refuses is told where it stands in the record, whoever is not to
//! blame is sent all the same, and nothing is called failed that it may have taken.

use std::collections::BTreeSet;

use chrono::Duration;
use reqwest::Method;
use serde_json::{Value, json};
use tests::peers::{Behaviour, Books, Throttle, XLEDGER_TOKEN, XLEDGER_TOKEN_TO_READ, XledgerBehaviour};
use tests::story::{Claim, counts, id_of, until};
use uuid::Uuid;

use crate::scene::Scene;

const REFUSED: &str = "Invalid cost center code: 9999";

/// How claims become lines of a voucher, one each.
fn mapping() -> Value {
    json!({
        "entity": "addGLImportItems",
        "fields": {
            "account.code": { "value": "7140" },
            "transactionSource.code": { "value": "AR" },
            "glObject1.code": { "from": "/cost_center", "as": "text", "required": true },
            "amount": { "from": "/amount", "as": "money", "required": true },
            "currency.code": { "from": "/currency", "as": "text" },
            "invoiceNumber": { "from": "/claim_number", "as": "text" },
            "extOrderNumber": { "from": "/id", "as": "text" },
            "text": { "from": "/member", "as": "text", "personal": true },
        },
    })
}

/// The same for claims with lines, which become one each.
fn mapping_of_lines() -> Value {
    let mut mapping = mapping();
    mapping["lines"] = json!("/lines");
    for field in ["glObject1.code", "amount"] {
        mapping["fields"][field]["per_line"] = json!(true);
    }
    mapping
}

/// A claim with lines, one for each cost center.
pub fn claim_of_lines(number: usize, cost_centers: &[&str]) -> Claim {
    let mut claim = Claim::good(number);
    let lines: Vec<Value> =
        cost_centers.iter().map(|code| json!({ "cost_center": code, "amount": "100.00" })).collect();
    claim.payload["lines"] = json!(lines);
    claim
}

fn settings(books: &Books, mapping: &Value) -> Value {
    json!({ "endpoint": books.url("/graphql"), "mapping": mapping, "batch_size": 500, "timeout_ms": 120_000 })
}

/// Makes an integration.
pub async fn connect(scene: &Scene, settings: Value, token: &str) -> anyhow::Result<Uuid> {
    let more = json!({ "connector_type": "xledger", "credentials": { "type": "token", "token": token } });
    scene.admin.connect(settings, more).await
}

async fn refuses_some(behaviour: XledgerBehaviour) -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::xledger().await?;
    books.behave(behaviour).await?;
    let integration = connect(&scene, settings(&books, &mapping()), XLEDGER_TOKEN).await?;
    let good = Claim::many(5);
    let bad = [Claim::bad(6), Claim::bad(7)];
    scene.admin.stage_all(integration, &[&good[..], &bad[..]].concat()).await?;

    let sync = scene.admin.run(integration).await?;
    let said = (&sync["status"], &sync["error_code"], &sync["error_message"]);
    assert_eq!(said, (&json!("failed"), &json!("PARTIAL_FAILURE"), &json!(REFUSED)), "{sync}");
    assert_eq!(counts(&sync), (7, 5, 2), "{sync}");
    let id = id_of(&sync)?;
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (5, 0));
    for claim in &good {
        let outcome = scene.admin.outcome(id, claim.id).await?;
        assert_eq!((&outcome["outcome"], log.times(claim.id)), (&json!("succeeded"), 1), "{outcome}");
        assert_eq!(outcome["external_reference_id"], json!(log.reference_of(claim.id)));
    }
    for claim in &bad {
        let outcome = scene.admin.outcome(id, claim.id).await?;
        assert_eq!((&outcome["outcome"], &outcome["http_status_code"]), (&json!("failed"), &json!(200)), "{outcome}");
        let error = &outcome["errors"][0];
        assert_eq!((&error["code"], &error["message"]), (&json!("INVALID_VALUE"), &json!(REFUSED)));
        assert_eq!((&error["field"], &error["field_name"]), (&json!("/cost_center"), &json!("glObject1")));
        assert_eq!(error["hints"][0], "1000");
    }

    let corrected = bad.map(|claim| claim.with("cost_center", "1000"));
    scene.admin.stage_all(integration, &corrected).await?;
    assert_eq!(scene.admin.retried(id).await?["status"], "retried_success");
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (7, 0));
    assert_eq!(scene.admin.integration(integration).await?["health"]["light"], "green");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_refusal_that_names_no_record_is_traced_to_its_records() -> anyhow::Result<()> {
    refuses_some(XledgerBehaviour::default()).await
}

#[tokio::test]
async fn a_refusal_that_names_a_record_keeps_back_that_one_alone() -> anyhow::Result<()> {
    refuses_some(XledgerBehaviour { names_nodes: Some(true), ..XledgerBehaviour::default() }).await
}

#[tokio::test]
async fn five_hundred_records_are_correlated_one_by_one() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::xledger().await?;
    let integration = connect(&scene, settings(&books, &mapping()), XLEDGER_TOKEN).await?;
    let claims = Claim::many(500);
    scene.admin.stage_all(integration, &claims).await?;
    let sync = scene.admin.run(integration).await?;
    assert_eq!((&sync["status"], counts(&sync)), (&json!("success"), (500, 500, 0)), "{sync}");
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (500, 0));
    let keys: BTreeSet<_> = log.records.iter().map(|booking| booking.idempotency_key.clone()).collect();
    assert_eq!(keys.len(), 500, "each line can be found again");
    let outcomes = scene.admin.outcomes(id_of(&sync)?).await?;
    for claim in &claims {
        let outcome = outcomes.iter().find(|outcome| outcome["source_record_id"] == json!(claim.id));
        let reference = outcome.map(|outcome| outcome["external_reference_id"].clone());
        assert_eq!(reference, Some(json!(log.reference_of(claim.id))), "{}", claim.id);
    }
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn too_much_at_once_has_not_been_taken_and_waits() -> anyhow::Result<()> {
    for (throttle, code, seconds) in [
        (Throttle::Burst, "BAD_REQUEST.BURST_RATE_LIMIT_REACHED", 5),
        (Throttle::Concurrency, "BAD_REQUEST.CONCURRENCY_LIMIT_REACHED", 1),
        // Longer than a lease at one leap.
        (Throttle::Credits, "BAD_REQUEST.INSUFFICIENT_CREDITS", 0),
    ] {
        let scene = Scene::before_now(Duration::minutes(2)).await?;
        let books = Books::xledger().await?;
        let integration = connect(&scene, settings(&books, &mapping()), XLEDGER_TOKEN).await?;
        let claim = Claim::good(1);
        scene.admin.stage_all(integration, std::slice::from_ref(&claim)).await?;
        books.behave(XledgerBehaviour { throttle: Some(throttle), ..XledgerBehaviour::default() }).await?;
        let id = scene.admin.trigger(integration).await?;
        until("the record waits", async || {
            // Not yet there until a worker has taken the sync.
            let outcomes = scene.admin.outcomes(id).await?;
            let Some(outcome) = outcomes.first() else { return Ok(None) };
            let said = (&outcome["outcome"], &outcome["errors"][0]["code"], &outcome["state"]);
            Ok((said == (&json!("not_attempted"), &json!(code), &json!("staged"))).then_some(()))
        })
        .await?;
        assert_eq!(books.log().await?.accepted, 0);
        if seconds > 0 {
            books.behave(XledgerBehaviour::default()).await?;
            scene.clock.advance(Duration::seconds(seconds));
            assert_eq!(scene.admin.finished(id).await?["status"], "success");
            assert_eq!(books.log().await?.accepted, 1);
        }
        scene.stop().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_record_of_which_some_lines_were_taken_is_in_doubt() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::xledger().await?;
    let integration = connect(&scene, settings(&books, &mapping_of_lines()), XLEDGER_TOKEN).await?;
    let whole = claim_of_lines(1, &["1000", "1010"]);
    let half = claim_of_lines(2, &["1000", "1010", "2000"]);
    let refused = claim_of_lines(3, &["9999"]);
    scene.admin.stage_all(integration, &[whole.clone(), half.clone(), refused.clone()]).await?;
    books.behave(XledgerBehaviour { accept_nodes: Some(4), ..XledgerBehaviour::default() }).await?;
    let id = id_of(&scene.admin.run(integration).await?)?;
    // The order of the records is not theirs to choose: one of those with several lines is not taken whole.
    let log = books.log().await?;
    assert_eq!((log.accepted <= 4, log.duplicates), (true, 0));
    let mut doubted = 0;
    for claim in [&whole, &half] {
        let lines = claim.payload["lines"].as_array().map_or(0, Vec::len);
        let outcome = scene.admin.outcome(id, claim.id).await?;
        let taken = log.times(claim.id);
        let (expected, code) = match taken {
            taken if taken == lines => ("succeeded", None),
            0 => ("unknown", Some("PARTIAL_ANSWER")),
            _ => ("unknown", Some("PARTLY_ACCEPTED")),
        };
        assert_eq!((&outcome["outcome"], outcome["errors"][0]["code"].as_str()), (&json!(expected), code), "{outcome}");
        doubted += i64::from(expected == "unknown");
    }
    assert!(doubted > 0);
    let outcome = scene.admin.outcome(id, refused.id).await?;
    assert_eq!(
        (&outcome["outcome"], &outcome["errors"][0]["field"]),
        (&json!("failed"), &json!("/lines/0/cost_center"))
    );
    // Asked, Xledger has the one in part, and perhaps will have the other: nobody sends again what may be there.
    books.behave(XledgerBehaviour::default()).await?;
    let preview = scene.admin.preview(id).await?;
    assert_eq!((&preview["records"], &preview["asked"]), (&json!(1), &json!(doubted)), "{preview}");
    assert_eq!(scene.admin.retried(id).await?["status"], "retried_failed");
    for claim in [&whole, &half] {
        let lines = claim.payload["lines"].as_array().map_or(0, Vec::len);
        let outcome = scene.admin.outcome(id, claim.id).await?;
        let code = match log.times(claim.id) {
            taken if taken == lines => None,
            0 => Some("ASKED_TOO_EARLY"),
            _ => Some("PARTLY_ACCEPTED"),
        };
        assert_eq!(outcome["errors"][0]["code"].as_str(), code, "{outcome}");
    }
    assert_eq!(books.log().await?.accepted, log.accepted);
    scene.stop().await;
    Ok(())
}

/// Settings of an integration that is asked about what it may have.
pub fn asked(books: &Books) -> Value {
    json!({
        "endpoint": books.url("/graphql"), "mapping": mapping_of_lines(), "batch_size": 500, "timeout_ms": 10_000,
        "settle_seconds": 60,
    })
}

/// A sync of two claims, one with two lines, whose answer, or request, is lost.
async fn lost(scene: &Scene, books: &Books, integration: Uuid, before: bool) -> anyhow::Result<(Uuid, [Claim; 2])> {
    let claims = [claim_of_lines(1, &["1000"]), claim_of_lines(2, &["1000", "1010"])];
    scene.admin.stage_all(integration, &claims).await?;
    let common = Behaviour { reset_after: Some(0), reset_before: Some(before), times: Some(1), ..Behaviour::default() };
    books.behave(XledgerBehaviour { common, ..XledgerBehaviour::default() }).await?;
    let id = id_of(&scene.admin.run(integration).await?)?;
    for claim in &claims {
        let outcome = scene.admin.outcome(id, claim.id).await?;
        assert_eq!((&outcome["outcome"], &outcome["errors"][0]["code"]), (&json!("unknown"), &json!("NO_ANSWER")));
    }
    Ok((id, claims))
}

#[tokio::test]
async fn what_a_lost_answer_was_about_is_found_by_its_identifiers() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::xledger().await?;
    let integration = connect(&scene, asked(&books), XLEDGER_TOKEN).await?;
    let (id, claims) = lost(&scene, &books, integration, false).await?;
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (3, 0));
    // A correction waits, and comes too late.
    scene.admin.stage_all(integration, &[claims[0].clone().with("claim_number", "C-1 corrected")]).await?;
    let ended = scene.admin.retried(id).await?;
    assert_eq!((&ended["status"], counts(&ended)), (&json!("retried_success"), (2, 2, 0)), "{ended}");
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (3, 0), "nothing was sent again");
    let references: Vec<&str> = log.records.iter().map(|booking| booking.reference.as_str()).collect();
    for claim in &claims {
        let outcome = scene.admin.outcome(id, claim.id).await?;
        let found = outcome["external_reference_id"].as_str().unwrap_or_default();
        assert!(!found.is_empty() && found.split(',').all(|id| references.contains(&id)), "{outcome}");
        assert_eq!(found.split(',').count(), log.times(claim.id));
        assert_eq!(scene.admin.staged(integration, claim.id).await?["state"], "delivered");
    }
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_a_lost_request_was_about_leaves_once_it_cannot_be_on_its_way() -> anyhow::Result<()> {
    let scene = Scene::before_now(Duration::minutes(2)).await?;
    let books = Books::xledger().await?;
    let integration = connect(&scene, asked(&books), XLEDGER_TOKEN).await?;
    let (id, claims) = lost(&scene, &books, integration, true).await?;
    assert_eq!(scene.admin.retried(id).await?["status"], "retried_failed");
    for claim in &claims {
        assert_eq!(scene.admin.outcome(id, claim.id).await?["errors"][0]["code"], "ASKED_TOO_EARLY");
    }
    assert_eq!(books.log().await?.accepted, 0);
    scene.clock.advance(Duration::seconds(71));
    assert_eq!(scene.admin.retried(id).await?["status"], "retried_success");
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (3, 0));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_mapped_does_not_leave() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::xledger().await?;
    let integration = connect(&scene, settings(&books, &mapping()), XLEDGER_TOKEN).await?;
    let (good, bad) = (Claim::good(1), Claim::good(2).with("amount", "1 250,00"));
    scene.admin.stage_all(integration, &[good.clone(), bad.clone()]).await?;
    let id = id_of(&scene.admin.run(integration).await?)?;
    let outcome = scene.admin.outcome(id, bad.id).await?;
    let error = &outcome["errors"][0];
    let said = (&outcome["outcome"], &error["code"], &error["field"], &error["field_name"]);
    assert_eq!(said, (&json!("failed"), &json!("MAPPING_INVALID_VALUE"), &json!("/amount"), &json!("amount")));
    let log = books.log().await?;
    assert_eq!((log.accepted, log.times(good.id)), (1, 1));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_token_is_tried_and_kept_to_oneself() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::xledger().await?;
    for (token, ok, outcome) in [
        (XLEDGER_TOKEN, true, "succeeded"),
        (XLEDGER_TOKEN_TO_READ, true, "failed"),
        ("xledger-token-of-nobody", false, "failed"),
    ] {
        let integration = connect(&scene, settings(&books, &mapping()), token).await?;
        let path = format!("/integrations/{integration}/test");
        let tested = scene.admin.request(Method::POST, &path, None).await?.ok()?;
        assert_eq!(tested["ok"], ok, "{tested}");
        let claim = Claim::good(1);
        scene.admin.stage_all(integration, std::slice::from_ref(&claim)).await?;
        let id = id_of(&scene.admin.run(integration).await?)?;
        assert_eq!(scene.admin.outcome(id, claim.id).await?["outcome"], outcome, "{token}");
        assert_eq!(scene.tables_that_hold(token).await?, Vec::<String>::new());
    }
    assert_eq!(books.log().await?.accepted, 1);
    scene.stop().await;
    Ok(())
}
