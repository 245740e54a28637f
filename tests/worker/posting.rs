//! Accepted is not posted: until Xledger can no longer refuse what it has taken, a sync is a success with a remark, and
//! somebody asks; where nobody would, it has failed.

use chrono::Duration;
use serde_json::{Value, json};
use tests::peers::{Behaviour, Books, XLEDGER_TOKEN, XledgerBehaviour};
use tests::story::{counts, id_of, items, until};
use uuid::Uuid;

use crate::automatic::{due, moment, scene, timers, wait};
use crate::scene::Scene;
use crate::xledger::{asked, claim_of_lines, connect};

/// An integration whose items can fail for so long after they were accepted.
async fn posting(scene: &Scene, books: &Books, seconds: u32) -> anyhow::Result<Uuid> {
    let mut settings = asked(books);
    settings["posting"] = json!({ "wait_seconds": seconds });
    connect(scene, settings, XLEDGER_TOKEN).await
}

async fn change(scene: &Scene, integration: Uuid, patch: Value) -> anyhow::Result<()> {
    scene.admin.change(&format!("/integrations/{integration}"), &patch).await?;
    Ok(())
}

async fn light(scene: &Scene, integration: Uuid) -> anyhow::Result<Value> {
    Ok(scene.admin.integration(integration).await?["health"]["light"].clone())
}

/// The syncs that a filter finds.
async fn listed(scene: &Scene, filter: &str) -> anyhow::Result<Vec<Value>> {
    let found = items(&scene.admin.get(&format!("/sync-logs?{filter}")).await?.ok()?)?;
    Ok(found.iter().map(|sync| sync["id"].clone()).collect())
}

/// Whether the integration's one incident has ended.
async fn resolved(scene: &Scene, integration: Uuid) -> anyhow::Result<bool> {
    let incidents = scene.incidents(integration).await?;
    assert_eq!(incidents.len(), 1, "{incidents:?}");
    Ok(incidents[0]["resolved_at"].is_string())
}

/// What a sync says of itself: status, error code, the first remark's code, and whether a retry can be asked for.
fn said(sync: &Value) -> [&Value; 4] {
    [&sync["status"], &sync["error_code"], &sync["warnings"][0]["code"], &sync["retryable"]]
}

fn assert_awaits(sync: &Value) {
    let status = if sync["attempt"] == 0 { "success" } else { "retried_success" };
    assert_eq!(said(sync), [&json!(status), &Value::Null, &json!("AWAITING_POSTING"), &json!(true)], "{sync}");
    assert!(sync["next_retry_at"].is_string(), "{sync}");
}

fn assert_nobody_asks(sync: &Value, status: &str) {
    assert_eq!(said(sync), [&json!(status), &json!("AWAITING_POSTING"), &Value::Null, &json!(true)], "{sync}");
    assert_eq!(sync["next_retry_at"], Value::Null, "{sync}");
}

/// Moves the clock on from one time it is asked to the next, until nothing awaits any more.
async fn until_settled(scene: &mut Scene, mut sync: Value) -> anyhow::Result<Value> {
    while sync["warnings"] != json!([]) {
        assert_awaits(&sync);
        sync = due(scene, &sync).await?;
    }
    Ok(sync)
}

#[tokio::test]
async fn what_was_accepted_is_asked_for_until_it_is_posted() -> anyhow::Result<()> {
    let mut scene = scene(Duration::minutes(10)).await?;
    let books = Books::xledger().await?;
    let integration = posting(&scene, &books, 300).await?;
    let claim = claim_of_lines(1, &["1000", "1010"]);
    scene.admin.stage_all(integration, std::slice::from_ref(&claim)).await?;
    let sync = scene.admin.run(integration).await?;
    assert_awaits(&sync);
    assert_eq!(counts(&sync), (1, 0, 0), "nothing has arrived yet");
    // Six times within the time it takes.
    let waits = wait(&sync)?;
    assert!(waits >= Duration::seconds(45) && waits <= Duration::seconds(300), "{waits}");
    let id = id_of(&sync)?;
    let outcome = scene.admin.outcome(id, claim.id).await?;
    assert_eq!((&outcome["outcome"], &outcome["errors"][0]["code"]), (&json!("unknown"), &json!("AWAITING_POSTING")));
    let shown = scene.admin.integration(integration).await?;
    assert_eq!((&shown["health"]["light"], &shown["consecutive_failures"]), (&json!("yellow"), &json!(0)), "{shown}");
    assert_eq!(shown["undelivered"]["records"], 1, "{shown}");
    assert_eq!(listed(&scene, "retryable=true").await?, [json!(id)]);
    assert!(listed(&scene, "retryable=false").await?.is_empty());
    let preview = scene.admin.preview(id).await?;
    assert_eq!((&preview["records"], &preview["asked"]), (&json!(0), &json!(1)), "{preview}");

    // Asked at once, nobody knows yet; nobody else asks anew before its time.
    let sync = scene.admin.retried(id).await?;
    assert_awaits(&sync);
    assert_eq!(timers(&scene).await?, 1);
    let sync = until_settled(&mut scene, sync).await?;
    assert_eq!(said(&sync), [&json!("retried_success"), &Value::Null, &Value::Null, &json!(false)], "{sync}");
    assert_eq!((counts(&sync), &sync["next_retry_at"]), ((1, 1, 0), &Value::Null), "{sync}");
    assert_eq!(scene.admin.staged(integration, claim.id).await?["state"], "delivered");
    assert_eq!((light(&scene, integration).await?, timers(&scene).await?), (json!("green"), 0));
    assert!(listed(&scene, "retryable=true").await?.is_empty());
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (2, 0));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_is_refused_after_all_makes_its_sync_fail() -> anyhow::Result<()> {
    let mut scene = scene(Duration::minutes(10)).await?;
    let books = Books::xledger().await?;
    let integration = posting(&scene, &books, 300).await?;
    let claim = claim_of_lines(1, &["1000"]);
    scene.admin.stage_all(integration, std::slice::from_ref(&claim)).await?;
    let sync = scene.admin.run(integration).await?;
    assert_awaits(&sync);
    books.fail_posting("The period is closed.").await?;
    let sync = due(&mut scene, &sync).await?;
    let expected = [&json!("retried_failed"), &json!("ALL_RECORDS_FAILED"), &Value::Null, &json!(true)];
    assert_eq!(said(&sync), expected, "{sync}");
    let outcome = scene.admin.outcome(id_of(&sync)?, claim.id).await?;
    assert_eq!(outcome["errors"][0]["code"], "POSTING_FAILED", "{outcome}");
    let shown = scene.admin.integration(integration).await?;
    assert_eq!((&shown["health"]["light"], &shown["consecutive_failures"]), (&json!("red"), &json!(1)), "{shown}");
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (1, 0));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_incident_ends_with_what_is_posted_and_not_before() -> anyhow::Result<()> {
    let mut scene = scene(Duration::minutes(10)).await?;
    let books = Books::xledger().await?;
    let integration = posting(&scene, &books, 300).await?;
    for number in 1..=2 {
        scene.admin.stage_all(integration, &[claim_of_lines(number, &["9999"])]).await?;
        assert_eq!(scene.admin.run(integration).await?["status"], "failed");
    }
    assert!(!resolved(&scene, integration).await?);
    scene.admin.stage_all(integration, &[claim_of_lines(3, &["1000"])]).await?;
    let sync = scene.admin.run(integration).await?;
    assert_awaits(&sync);
    let shown = scene.admin.integration(integration).await?;
    assert_eq!((&shown["health"]["light"], &shown["consecutive_failures"]), (&json!("yellow"), &json!(2)), "{shown}");
    assert!(!resolved(&scene, integration).await?);
    assert_eq!(until_settled(&mut scene, sync).await?["status"], "retried_success");
    assert!(resolved(&scene, integration).await?);
    assert_eq!(scene.admin.integration(integration).await?["consecutive_failures"], 0);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_pause_puts_it_off_until_its_end() -> anyhow::Result<()> {
    let mut scene = scene(Duration::minutes(20)).await?;
    let books = Books::xledger().await?;
    let integration = posting(&scene, &books, 300).await?;
    scene.admin.stage_all(integration, &[claim_of_lines(1, &["1000"])]).await?;
    let sync = scene.admin.run(integration).await?;
    let (id, first) = (id_of(&sync)?, moment(&sync, "next_retry_at")?);
    change(&scene, integration, json!({ "paused": true })).await?;
    scene.clock.set(first);
    scene.sign_in_again().await?;
    let sync = until("it is put off", async || {
        let sync = scene.admin.sync(id).await?;
        Ok((moment(&sync, "next_retry_at")? > first).then_some(sync))
    })
    .await?;
    assert_eq!((&sync["status"], &sync["attempt"]), (&json!("success"), &json!(0)), "{sync}");
    assert_eq!(light(&scene, integration).await?, "grey");
    change(&scene, integration, json!({ "paused": false })).await?;
    assert_eq!(until_settled(&mut scene, sync).await?["status"], "retried_success");
    assert_eq!(books.log().await?.accepted, 1);
    scene.stop().await;
    Ok(())
}

/// Nobody can ask any more whom the record was sent to: the retry comes all the same, and says so.
#[tokio::test]
async fn where_nobody_can_be_asked_any_more_the_sync_fails() -> anyhow::Result<()> {
    let mut scene = scene(Duration::minutes(10)).await?;
    let books = Books::xledger().await?;
    let integration = posting(&scene, &books, 300).await?;
    scene.admin.stage_all(integration, &[claim_of_lines(1, &["1000"])]).await?;
    let sync = scene.admin.run(integration).await?;
    assert_awaits(&sync);
    change(&scene, integration, json!({ "credentials": { "type": "token", "token": XLEDGER_TOKEN } })).await?;
    let sync = due(&mut scene, &sync).await?;
    assert_eq!((&sync["status"], &sync["next_retry_at"]), (&json!("retried_failed"), &Value::Null), "{sync}");
    assert_eq!(scene.admin.preview(id_of(&sync)?).await?["unknown"], 1, "a person decides");
    assert_eq!((light(&scene, integration).await?, timers(&scene).await?), (json!("red"), 0));
    assert_eq!(books.log().await?.accepted, 1);
    scene.stop().await;
    Ok(())
}

/// It may have been removed there, and it may have been booked: nobody adds another one.
#[tokio::test]
async fn what_was_accepted_and_is_not_found_any_more_is_not_sent_again() -> anyhow::Result<()> {
    let scene = Scene::before_now(Duration::minutes(4)).await?;
    let books = Books::xledger().await?;
    let integration = posting(&scene, &books, 300).await?;
    let (told, lost) = (claim_of_lines(1, &["1000"]), claim_of_lines(2, &["1000"]));
    scene.admin.stage_all(integration, std::slice::from_ref(&told)).await?;
    let first = id_of(&scene.admin.run(integration).await?)?;
    // Of the other it was a look-up that said so.
    scene.admin.stage_all(integration, std::slice::from_ref(&lost)).await?;
    let common = Behaviour { reset_after: Some(0), times: Some(1), ..Behaviour::default() };
    books.behave(XledgerBehaviour { common, ..XledgerBehaviour::default() }).await?;
    let second = id_of(&scene.admin.run(integration).await?)?;
    scene.admin.retried(second).await?;
    for (sync, claim) in [(first, told.id), (second, lost.id)] {
        assert_eq!(scene.admin.outcome(sync, claim).await?["errors"][0]["code"], "AWAITING_POSTING");
    }
    books.forget().await?;
    scene.clock.advance(Duration::seconds(71));
    for (sync, claim) in [(first, told.id), (second, lost.id)] {
        assert_eq!(scene.admin.retried(sync).await?["status"], "retried_failed");
        let outcome = scene.admin.outcome(sync, claim).await?;
        let found = (&outcome["outcome"], &outcome["errors"][0]["code"]);
        assert_eq!(found, (&json!("unknown"), &json!("NO_LONGER_THERE")), "{outcome}");
    }
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (2, 0));
    scene.stop().await;
    Ok(())
}

/// Also where partial failures are warnings: of what was accepted somebody has to hear.
#[tokio::test]
async fn what_nobody_can_be_asked_about_is_no_tolerated_failure() -> anyhow::Result<()> {
    let mut scene = scene(Duration::minutes(20)).await?;
    let books = Books::xledger().await?;
    let integration = posting(&scene, &books, 30).await?;
    change(&scene, integration, json!({ "partial_failure": "warning" })).await?;
    scene.admin.stage_all(integration, &[claim_of_lines(1, &["1000"]), claim_of_lines(2, &["1000"])]).await?;
    // One is accepted, and of the other nobody knows.
    let common = Behaviour { times: Some(1), ..Behaviour::default() };
    books.behave(XledgerBehaviour { common, accept_nodes: Some(1), ..XledgerBehaviour::default() }).await?;
    let sync = scene.admin.run(integration).await?;
    assert_awaits(&sync);
    assert_eq!((counts(&sync), &sync["warnings"][1]["code"]), ((2, 0, 0), &json!("RECORDS_NOT_ARRIVED")), "{sync}");

    // The one is posted, and the other leaves again, and is accepted.
    let id = id_of(&sync)?;
    scene.clock.set(moment(&sync, "next_retry_at")? + Duration::seconds(100));
    scene.sign_in_again().await?;
    until("it is retried by itself", async || Ok((scene.admin.sync(id).await?["attempt"] == 1).then_some(()))).await?;
    let sync = scene.admin.finished(id).await?;
    assert_awaits(&sync);
    assert_eq!((counts(&sync), &sync["warnings"][1]), ((2, 1, 0), &Value::Null), "{sync}");

    change(&scene, integration, json!({ "credentials": { "type": "token", "token": XLEDGER_TOKEN } })).await?;
    let sync = due(&mut scene, &sync).await?;
    let expected = [&json!("retried_failed"), &json!("PARTIAL_FAILURE"), &Value::Null, &json!(true)];
    assert_eq!(said(&sync), expected, "{sync}");
    assert_eq!((light(&scene, integration).await?, timers(&scene).await?), (json!("red"), 0));
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (2, 0));
    scene.stop().await;
    Ok(())
}

/// A person's retry was the one that was to come by itself.
#[tokio::test]
async fn where_nobody_will_ask_the_sync_has_failed() -> anyhow::Result<()> {
    let mut scene = Scene::configured(|config| config.worker.automatic_retries = 1).await?;
    scene.clock.advance(-Duration::minutes(10));
    scene.sign_in_again().await?;
    let books = Books::xledger().await?;
    let integration = posting(&scene, &books, 300).await?;
    scene.admin.stage_all(integration, &[claim_of_lines(1, &["1000"])]).await?;
    let sync = scene.admin.run(integration).await?;
    assert_awaits(&sync);
    assert_nobody_asks(&scene.admin.retried(id_of(&sync)?).await?, "retried_failed");
    assert_eq!((light(&scene, integration).await?, timers(&scene).await?), (json!("red"), 0));

    scene.admin.stage_all(integration, &[claim_of_lines(2, &["1000"])]).await?;
    change(&scene, integration, json!({ "paused": true })).await?;
    assert_nobody_asks(&scene.admin.run(integration).await?, "failed");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn without_automatic_retries_a_person_asks() -> anyhow::Result<()> {
    let scene = Scene::before_now(Duration::minutes(4)).await?;
    let books = Books::xledger().await?;
    let integration = posting(&scene, &books, 30).await?;
    let claim = claim_of_lines(1, &["1000", "1010"]);
    scene.admin.stage_all(integration, std::slice::from_ref(&claim)).await?;
    let sync = scene.admin.run(integration).await?;
    assert_nobody_asks(&sync, "failed");
    let id = id_of(&sync)?;
    // Asked at once, nobody knows yet.
    assert_nobody_asks(&scene.admin.retried(id).await?, "retried_failed");
    let outcome = scene.admin.outcome(id, claim.id).await?;
    assert_eq!((&outcome["outcome"], &outcome["errors"][0]["code"]), (&json!("unknown"), &json!("AWAITING_POSTING")));
    scene.clock.advance(Duration::seconds(31));
    assert_eq!(scene.admin.retried(id).await?["status"], "retried_success");
    assert_eq!(scene.admin.staged(integration, claim.id).await?["state"], "delivered");

    let refused = claim_of_lines(2, &["2000"]);
    scene.admin.stage_all(integration, std::slice::from_ref(&refused)).await?;
    let id = id_of(&scene.admin.run(integration).await?)?;
    let words = "Kari N. has no open period.";
    books.fail_posting(words).await?;
    // As long as another request could be on its way, nothing is certain.
    for (outcome, state) in [("unknown", "unknown"), ("failed", "failed")] {
        assert_eq!(scene.admin.retried(id).await?["status"], "retried_failed");
        let found = scene.admin.outcome(id, refused.id).await?;
        let error = &found["errors"][0];
        assert_eq!((&found["outcome"], &error["code"]), (&json!(outcome), &json!("POSTING_FAILED")), "{found}");
        assert_eq!(error["message"], "[value] has no open period.");
        assert_eq!(scene.admin.staged(integration, refused.id).await?["state"], state);
        scene.clock.advance(Duration::seconds(71));
    }
    // Its item still lies there: nobody but a person may add another one.
    let for_good: i64 = scene.one("SELECT count(*) FROM source_records WHERE refused_for_good").await?;
    assert_eq!(for_good, 1);
    // Corrected it is another version, and leaves.
    scene.admin.stage_all(integration, &[refused.with("claim_number", "C-2 corrected")]).await?;
    assert_nobody_asks(&scene.admin.retried(id).await?, "retried_failed");
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (4, 0));
    scene.stop().await;
    Ok(())
}
