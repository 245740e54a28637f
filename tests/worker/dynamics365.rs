//! Dynamics 365, by its Web API before SAP's OData server, and by WireMock with the answers that are documented: what
//! is refused is told where it stands in the record, a row that is there is never made again, and tokens are shown to
//! nobody else.

mod documented;
mod tokens;

use chrono::Duration;
use reqwest::Method;
use serde_json::{Value, json};
use tests::organization::merge;
use tests::peers::{Behaviour, Books, DataverseBehaviour, TOKEN_CLIENT, TOKEN_SECRET, Tokens};
use tests::story::{Claim, counts, id_of};
use uuid::Uuid;

use crate::scene::Scene;

/// How claims become rows.
fn mapping() -> Value {
    json!({
        "entity": "sw_claims",
        "fields": {
            "sw_claimnumber": { "from": "/claim_number", "as": "text", "required": true },
            "sw_member": { "from": "/member", "as": "text", "personal": true },
            "sw_costcenter": { "from": "/cost_center", "as": "text", "required": true },
            "sw_amount": { "from": "/amount", "as": "decimal", "required": true },
            "sw_currency": { "from": "/currency", "as": "text" },
        },
    })
}

/// Settings of an integration with an environment at an address, and more.
fn settings(environment: &str, token_url: &str, more: Value) -> Value {
    let mut settings = json!({
        "environment": environment, "token_url": token_url, "key_attribute": "sw_syncid", "mapping": mapping(),
        "timeout_ms": 60_000,
    });
    merge(&mut settings, more);
    settings
}

async fn connect(scene: &Scene, settings: Value, secret: &str) -> anyhow::Result<Uuid> {
    let credentials = json!({ "type": "client_credentials", "client_id": TOKEN_CLIENT, "client_secret": secret });
    let more = json!({ "connector_type": "dynamics365", "credentials": credentials });
    scene.admin.connect(settings, more).await
}

/// An environment, who gives tokens for it, and an integration with it.
struct Dynamics {
    books: Books,
    tokens: Tokens,
    integration: Uuid,
}

impl Dynamics {
    async fn start(scene: &Scene, more: Value) -> anyhow::Result<Self> {
        let tokens = Tokens::mock().await?;
        let books = Books::dataverse(&tokens).await?;
        let settings = settings(&books.url(""), &tokens.url(), more);
        let integration = connect(scene, settings, TOKEN_SECRET).await?;
        Ok(Self { books, tokens, integration })
    }

    /// How many rows there are; each record has one at most.
    async fn rows(&self) -> anyhow::Result<usize> {
        let log = self.books.log().await?;
        assert_eq!(log.duplicates, 0);
        Ok(log.accepted)
    }
}

/// The outcome of a claim, with its first code.
async fn said(scene: &Scene, sync: Uuid, claim: &Claim) -> anyhow::Result<(String, String)> {
    let outcome = scene.admin.outcome(sync, claim.id).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok((text(&outcome["outcome"]), text(&outcome["errors"][0]["code"])))
}

async fn refuses_some(batch_size: u32) -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let dynamics = Dynamics::start(&scene, json!({ "batch_size": batch_size })).await?;
    let (integration, books) = (dynamics.integration, &dynamics.books);
    let good = Claim::many(5);
    let bad = [Claim::bad(6), Claim::bad(7)];
    scene.admin.stage_all(integration, &[&good[..], &bad[..]].concat()).await?;

    let sync = scene.admin.run(integration).await?;
    assert_eq!((&sync["status"], counts(&sync)), (&json!("failed"), (7, 5, 2)), "{sync}");
    let id = id_of(&sync)?;
    assert_eq!(dynamics.rows().await?, 5);
    let log = books.log().await?;
    for claim in &good {
        let outcome = scene.admin.outcome(id, claim.id).await?;
        assert_eq!((&outcome["outcome"], log.times(claim.id)), (&json!("succeeded"), 1), "{outcome}");
        assert_eq!(outcome["external_reference_id"], json!(log.reference_of(claim.id)));
    }
    for claim in &bad {
        let outcome = scene.admin.outcome(id, claim.id).await?;
        assert_eq!((&outcome["outcome"], &outcome["http_status_code"]), (&json!("failed"), &json!(400)), "{outcome}");
        let error = &outcome["errors"][0];
        assert_eq!((&error["code"], &error["field"]), (&json!("0x8004431A"), &json!("/cost_center")), "{error}");
        assert_eq!(error["field_name"], "sw_costcenter");
        let words = error["message"].as_str().unwrap_or_default();
        assert!(words.contains("The value 9999 of 'sw_costcenter'"), "{words}");
    }
    assert_eq!(dynamics.tokens.requests().await?, 1, "one token is enough for all");

    let corrected = bad.map(|claim| claim.with("cost_center", "1000"));
    scene.admin.stage_all(integration, &corrected).await?;
    assert_eq!(scene.admin.retried(id).await?["status"], "retried_success");
    assert_eq!(dynamics.rows().await?, 7);
    assert_eq!(scene.admin.integration(integration).await?["health"]["light"], "green");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_refused_value_is_told_where_it_stands_in_the_record() -> anyhow::Result<()> {
    refuses_some(1).await
}

#[tokio::test]
async fn a_batch_goes_on_after_a_refused_record() -> anyhow::Result<()> {
    refuses_some(50).await
}

#[tokio::test]
async fn records_behind_a_failure_leave_again_where_a_server_stops_at_it() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let dynamics = Dynamics::start(&scene, json!({ "batch_size": 50, "concurrency": 1 })).await?;
    let stops = DataverseBehaviour { stops_at_failure: Some(true), ..DataverseBehaviour::default() };
    dynamics.books.behave(stops).await?;
    let mut claims = Claim::many(20);
    claims.extend([Claim::bad(21), Claim::bad(22), Claim::bad(23)]);
    scene.admin.stage_all(dynamics.integration, &claims).await?;
    let sync = scene.admin.run(dynamics.integration).await?;
    assert_eq!(counts(&sync), (23, 20, 3), "{sync}");
    assert_eq!(dynamics.rows().await?, 20);
    scene.stop().await;
    Ok(())
}

/// A sync of two claims whose answers, or requests, are lost.
async fn lost(scene: &Scene, dynamics: &Dynamics, before: bool, requests: u32) -> anyhow::Result<(Uuid, [Claim; 2])> {
    let claims = [Claim::good(1), Claim::good(2)];
    scene.admin.stage_all(dynamics.integration, &claims).await?;
    let common =
        Behaviour { reset_after: Some(0), reset_before: Some(before), times: Some(requests), ..Behaviour::default() };
    dynamics.books.behave(DataverseBehaviour { common, ..DataverseBehaviour::default() }).await?;
    let id = id_of(&scene.admin.run(dynamics.integration).await?)?;
    for claim in &claims {
        assert_eq!(said(scene, id, claim).await?, ("unknown".to_owned(), "NO_ANSWER".to_owned()));
    }
    Ok((id, claims))
}

async fn is_found_by_sending_again(batch_size: u32, requests: u32) -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let dynamics = Dynamics::start(&scene, json!({ "batch_size": batch_size })).await?;
    let (id, claims) = lost(&scene, &dynamics, false, requests).await?;
    assert_eq!(dynamics.rows().await?, 2);
    // A correction waits, and comes too late.
    let corrected = claims[0].clone().with("cost_center", "2000");
    scene.admin.stage_all(dynamics.integration, &[corrected]).await?;
    let ended = scene.admin.retried(id).await?;
    assert_eq!((&ended["status"], counts(&ended)), (&json!("retried_success"), (2, 2, 0)), "{ended}");
    assert_eq!(dynamics.rows().await?, 2, "no row was made again");
    let log = dynamics.books.log().await?;
    for claim in &claims {
        let outcome = scene.admin.outcome(id, claim.id).await?;
        assert_eq!(outcome["external_reference_id"], json!(log.reference_of(claim.id)), "{outcome}");
        assert_eq!(scene.admin.staged(dynamics.integration, claim.id).await?["state"], "delivered");
    }
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_row_whose_answer_was_lost_is_not_made_again() -> anyhow::Result<()> {
    is_found_by_sending_again(1, 2).await
}

#[tokio::test]
async fn rows_whose_batch_was_lost_are_not_made_again() -> anyhow::Result<()> {
    is_found_by_sending_again(50, 1).await
}

#[tokio::test]
async fn a_request_that_was_lost_leaves_again_at_once() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let dynamics = Dynamics::start(&scene, json!({})).await?;
    let (id, _) = lost(&scene, &dynamics, true, 2).await?;
    assert_eq!(dynamics.rows().await?, 0);
    // Late or never: a second request for the same row is harmless.
    assert_eq!(scene.admin.retried(id).await?["status"], "retried_success");
    assert_eq!(dynamics.rows().await?, 2);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn later_a_row_is_looked_up_by_its_key() -> anyhow::Result<()> {
    let scene = Scene::before_now(Duration::minutes(10)).await?;
    let more = json!({ "batch_size": 50, "timeout_ms": 10_000, "settle_seconds": 60 });
    let dynamics = Dynamics::start(&scene, more).await?;
    let (id, claims) = lost(&scene, &dynamics, false, 1).await?;
    scene.clock.advance(Duration::seconds(81));
    let preview = scene.admin.preview(id).await?;
    assert_eq!((&preview["records"], &preview["asked"]), (&json!(0), &json!(2)), "{preview}");
    assert_eq!(scene.admin.retried(id).await?["status"], "retried_success");
    let log = dynamics.books.log().await?;
    for claim in &claims {
        let outcome = scene.admin.outcome(id, claim.id).await?;
        assert_eq!(outcome["external_reference_id"], json!(log.reference_of(claim.id)), "{outcome}");
    }
    assert_eq!(dynamics.rows().await?, 2);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_later_is_free_to_be_corrected() -> anyhow::Result<()> {
    let scene = Scene::before_now(Duration::minutes(10)).await?;
    let more = json!({ "timeout_ms": 10_000, "settle_seconds": 60 });
    let dynamics = Dynamics::start(&scene, more).await?;
    let bad = Claim::bad(1);
    scene.admin.stage_all(dynamics.integration, std::slice::from_ref(&bad)).await?;
    let common = Behaviour { reset_after: Some(0), reset_before: Some(true), times: Some(1), ..Behaviour::default() };
    dynamics.books.behave(DataverseBehaviour { common, ..DataverseBehaviour::default() }).await?;
    let id = id_of(&scene.admin.run(dynamics.integration).await?)?;
    let (unknown, code) = said(&scene, id, &bad).await?;
    assert_eq!((unknown.as_str(), code.as_str()), ("unknown", "NO_ANSWER"));
    // Sent again at once it is refused, and the first request may still be on its way.
    assert_eq!(scene.admin.retried(id).await?["status"], "retried_failed");
    assert_eq!(scene.admin.staged(dynamics.integration, bad.id).await?["state"], "unknown");
    scene.clock.advance(Duration::seconds(91));
    scene.admin.stage_all(dynamics.integration, &[bad.clone().with("cost_center", "1000")]).await?;
    let preview = scene.admin.preview(id).await?;
    assert_eq!((&preview["records"], &preview["asked"]), (&json!(0), &json!(1)), "{preview}");
    // It is not there, so what leaves is the correction.
    assert_eq!(scene.admin.retried(id).await?["status"], "retried_success");
    assert_eq!(dynamics.rows().await?, 1);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_row_that_somebody_else_made_is_not_taken_for_the_records() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let dynamics = Dynamics::start(&scene, json!({})).await?;
    let claims = [Claim::good(1), Claim::good(2)];
    dynamics.books.make_row(claims[0].id, &json!({ "sw_claimnumber": "old", "sw_costcenter": "1000" })).await?;
    let other = Uuid::now_v7();
    dynamics.books.make_row(other, &json!({ "sw_claimnumber": "C-2", "sw_costcenter": "1000" })).await?;
    scene.admin.stage_all(dynamics.integration, &claims).await?;
    let id = id_of(&scene.admin.run(dynamics.integration).await?)?;
    let (first, second) = (said(&scene, id, &claims[0]).await?, said(&scene, id, &claims[1]).await?);
    assert_eq!((first.0.as_str(), first.1.as_str()), ("failed", "ALREADY_THERE"));
    assert_eq!((second.0.as_str(), second.1.as_str()), ("failed", "0x80060892"));
    let outcome = scene.admin.outcome(id, claims[1].id).await?;
    assert_eq!(outcome["errors"][0]["field_name"], "Claim Number", "{outcome}");
    assert_eq!(dynamics.rows().await?, 2);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_code_counts_more_than_its_status() -> anyhow::Result<()> {
    let mut scene = Scene::before_now(Duration::hours(1)).await?;
    let dynamics = Dynamics::start(&scene, json!({})).await?;
    let claim = Claim::good(1);
    scene.admin.stage_all(dynamics.integration, std::slice::from_ref(&claim)).await?;
    let mut sync = None;
    // What is too much for longer than a sync waits fails as well.
    for (status, code, retry_after) in [
        (500, "0x80040333", None),
        (403, "0x80040220", None),
        (429, "0x80072322", Some(900)),
        (503, "0x80072326", Some(900)),
    ] {
        let common = Behaviour { status: Some(status), retry_after, ..Behaviour::default() };
        let failing = DataverseBehaviour { common, code: Some(code), ..DataverseBehaviour::default() };
        dynamics.books.behave(failing).await?;
        let ended = match sync {
            None => scene.admin.run(dynamics.integration).await?,
            Some(id) => scene.admin.retried(id).await?,
        };
        let id = id_of(&ended)?;
        assert_eq!(said(&scene, id, &claim).await?, ("failed".to_owned(), code.to_owned()));
        assert_eq!(scene.admin.staged(dynamics.integration, claim.id).await?["state"], "failed");
        sync = Some(id);
        if retry_after.is_some() {
            scene.clock.advance(Duration::seconds(901));
            scene.sign_in_again().await?;
        }
    }
    dynamics.books.behave(DataverseBehaviour::default()).await?;
    if let Some(id) = sync {
        assert_eq!(scene.admin.retried(id).await?["status"], "retried_success");
    }
    assert_eq!(dynamics.rows().await?, 1);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn too_much_at_once_waits_and_leaves_in_the_same_sync() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let dynamics = Dynamics::start(&scene, json!({ "batch_size": 2, "concurrency": 1 })).await?;
    scene.admin.stage_all(dynamics.integration, &Claim::many(4)).await?;
    let common = Behaviour { status: Some(429), retry_after: Some(1), times: Some(1), ..Behaviour::default() };
    let busy = DataverseBehaviour { common, code: Some("0x80072322"), ..DataverseBehaviour::default() };
    dynamics.books.behave(busy).await?;
    let sync = scene.admin.run(dynamics.integration).await?;
    assert_eq!((&sync["status"], counts(&sync)), (&json!("success"), (4, 4, 0)), "{sync}");
    assert_eq!(dynamics.rows().await?, 4);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_may_be_changed_is_changed() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let dynamics = Dynamics::start(&scene, json!({})).await?;
    let settings = settings(&dynamics.books.url(""), &dynamics.tokens.url(), json!({ "write": "upsert" }));
    let change = json!({ "settings": settings, "allow_updates": true });
    scene.admin.change(&format!("/integrations/{}", dynamics.integration), &change).await?;
    let claim = Claim::good(1);
    scene.admin.stage_all(dynamics.integration, std::slice::from_ref(&claim)).await?;
    assert_eq!(scene.admin.run(dynamics.integration).await?["status"], "success");
    scene.admin.stage_all(dynamics.integration, &[claim.clone().with("cost_center", "2000")]).await?;
    assert_eq!(scene.admin.run(dynamics.integration).await?["status"], "success");
    assert_eq!(dynamics.rows().await?, 1, "the row was changed, not made again");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_connection_is_tried_without_sending() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let dynamics = Dynamics::start(&scene, json!({})).await?;
    let path = format!("/integrations/{}/test", dynamics.integration);
    let tested = scene.admin.request(Method::POST, &path, None).await?.ok()?;
    assert_eq!(tested["ok"], true, "{tested}");
    let mut elsewhere = settings(&dynamics.books.url(""), &dynamics.tokens.url(), json!({}));
    elsewhere["mapping"]["entity"] = json!("sw_people");
    scene.admin.change(&format!("/integrations/{}", dynamics.integration), &json!({ "settings": elsewhere })).await?;
    let tested = scene.admin.request(Method::POST, &path, None).await?.ok()?;
    assert_eq!(tested["ok"], false, "{tested}");
    assert!(tested["message"].as_str().unwrap_or_default().contains("sw_people"), "{tested}");
    assert_eq!(dynamics.rows().await?, 0);
    scene.stop().await;
    Ok(())
}
