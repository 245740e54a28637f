//! What may pass by itself is sent again without anybody asking: later each time, six times at most, and nothing else.

use anyhow::Context as _;
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use tests::peers::{Behaviour, Books, Port};
use tests::story::{Claim, counts, id_of, until};
use uuid::Uuid;

use crate::scene::Scene;

/// A server that retries by itself, and whose clock can be moved on by so much.
pub async fn scene(lag: Duration) -> anyhow::Result<Scene> {
    let mut scene = Scene::configured(|config| config.worker.automatic_retries = 6).await?;
    scene.clock.advance(-lag);
    scene.sign_in_again().await?;
    Ok(scene)
}

/// A moment that a sync names.
pub fn moment(of: &Value, name: &str) -> anyhow::Result<DateTime<Utc>> {
    Ok(of[name].as_str().with_context(|| format!("there is no {name} in {of}"))?.parse()?)
}

/// How long after its end a sync is retried by itself.
pub fn wait(sync: &Value) -> anyhow::Result<Duration> {
    Ok(moment(sync, "next_retry_at")? - moment(sync, "completed_at")?)
}

/// Moves the clock on until a sync is due, and waits for the end of its attempt.
pub async fn due(scene: &mut Scene, sync: &Value) -> anyhow::Result<Value> {
    let (id, next) = (id_of(sync)?, sync["attempt"].as_i64().unwrap_or(0) + 1);
    scene.clock.set(moment(sync, "next_retry_at")?);
    scene.sign_in_again().await?;
    until("the sync is retried by itself", async || Ok((scene.admin.sync(id).await?["attempt"] == next).then_some(())))
        .await?;
    scene.admin.finished(id).await
}

/// Syncs that are retried by themselves.
pub async fn timers(scene: &Scene) -> anyhow::Result<i64> {
    scene.one("SELECT count(*) FROM retry_timers").await
}

#[tokio::test]
async fn what_was_refused_for_good_is_left_out() -> anyhow::Result<()> {
    let mut scene = scene(Duration::minutes(10)).await?;
    let books = Books::fastapi().await?;
    let settings = json!({ "url": books.url("/claims"), "concurrency": 1 });
    let integration = scene.admin.connect(settings, json!({})).await?;
    let (good, bad) = (Claim::good(1), Claim::bad(2));
    // The oldest first: that one is too much at once.
    scene.admin.stage_all(integration, std::slice::from_ref(&good)).await?;
    scene.admin.stage_all(integration, std::slice::from_ref(&bad)).await?;
    books.behave(Behaviour { status: Some(429), times: Some(1), ..Behaviour::default() }).await?;
    let sync = scene.admin.run(integration).await?;
    let id = id_of(&sync)?;
    assert_eq!((&sync["status"], counts(&sync)), (&json!("failed"), (2, 0, 2)), "{sync}");
    // The system is left alone for up to a second, and the wait comes on top.
    let waits = wait(&sync)?;
    assert!(waits >= Duration::seconds(1) && waits <= Duration::seconds(62), "{waits}");
    assert_eq!(scene.admin.preview(id).await?["records"], 2, "a person may send both");

    let sync = due(&mut scene, &sync).await?;
    assert_eq!((&sync["status"], counts(&sync)), (&json!("retried_failed"), (2, 1, 1)), "{sync}");
    assert_eq!(sync["next_retry_at"], Value::Null, "nothing is left that may pass");
    let attempts = scene.admin.attempts(id).await?;
    assert_eq!((&attempts[1]["records_total"], &attempts[1]["triggered_by_user_id"]), (&json!(1), &Value::Null));
    assert_eq!(timers(&scene).await?, 0);
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates, log.times(good.id)), (1, 0, 1));

    // Corrected, it is a person's to send.
    scene.admin.stage_all(integration, &[bad.with("cost_center", "1000")]).await?;
    assert_eq!(scene.admin.retried(id).await?["status"], "retried_success");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn it_is_tried_later_each_time_and_the_last_four_are_a_persons() -> anyhow::Result<()> {
    let mut scene = scene(Duration::hours(6)).await?;
    let nobody = Port::reserve()?;
    let settings = json!({ "url": format!("http://127.0.0.1:{}/claims", nobody.number()) });
    let integration = scene.admin.connect(settings, json!({})).await?;
    scene.admin.stage_all(integration, &[Claim::good(1)]).await?;
    let mut sync = scene.admin.run(integration).await?;
    let id = id_of(&sync)?;
    for minutes in [1, 2, 4, 8, 16, 32] {
        let waits = wait(&sync)?;
        // A system that is found not to answer is left alone for ten minutes at most.
        let longest = Duration::minutes(minutes) + Duration::minutes(10);
        assert!(waits >= Duration::seconds(1) && waits <= longest, "{waits}, at most {minutes} minutes");
        assert_eq!(sync["retryable"], true);
        sync = due(&mut scene, &sync).await?;
        assert_eq!(sync["status"], "retried_failed", "{sync}");
    }
    assert_eq!((&sync["retry_count"], &sync["next_retry_at"]), (&json!(6), &Value::Null), "{sync}");
    for number in 7..=10 {
        let sync = scene.admin.retried(id).await?;
        assert_eq!((&sync["status"], &sync["retry_count"]), (&json!("retried_failed"), &json!(number)));
        assert_eq!(sync["next_retry_at"], Value::Null);
    }
    let refused = scene.admin.retry(id).await?;
    assert_eq!((refused.status, refused.code()), (409, "retry_limit_reached"));
    assert_eq!(scene.admin.integration(integration).await?["consecutive_failures"], 1, "a retry is no further sync");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_person_is_quicker_than_the_timer() -> anyhow::Result<()> {
    let scene = scene(Duration::hours(2)).await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(json!({ "url": books.url("/claims") }), json!({})).await?;
    scene.admin.stage_all(integration, &[Claim::good(1)]).await?;
    books.behave(Behaviour { status: Some(429), times: Some(1), ..Behaviour::default() }).await?;
    let sync = scene.admin.run(integration).await?;
    assert_eq!((sync["next_retry_at"].is_string(), timers(&scene).await?), (true, 1));
    let sync = scene.admin.retried(id_of(&sync)?).await?;
    assert_eq!((&sync["status"], &sync["next_retry_at"]), (&json!("retried_success"), &Value::Null));
    assert_eq!(timers(&scene).await?, 0);
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (1, 0));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_doubt_is_asked_for_and_ends() -> anyhow::Result<()> {
    let mut scene = scene(Duration::minutes(10)).await?;
    let books = Books::fastapi().await?;
    let settings = json!({ "url": books.url("/claims"), "idempotency_header": "Idempotency-Key" });
    let integration = scene.admin.connect(settings, json!({})).await?;
    let claims = Claim::many(3);
    scene.admin.stage_all(integration, &claims).await?;
    books
        .behave(Behaviour { status: Some(502), book_first: Some(true), times: Some(2), ..Behaviour::default() })
        .await?;
    let sync = scene.admin.run(integration).await?;
    assert_eq!((&sync["status"], counts(&sync)), (&json!("failed"), (3, 1, 0)), "{sync}");
    let sync = due(&mut scene, &sync).await?;
    assert_eq!((&sync["status"], counts(&sync)), (&json!("retried_success"), (3, 3, 0)), "{sync}");
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (3, 0));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_a_tolerated_failure_has_left_is_asked_for_too() -> anyhow::Result<()> {
    let mut scene = scene(Duration::minutes(10)).await?;
    let books = Books::fastapi().await?;
    let settings = json!({ "url": books.url("/claims"), "concurrency": 1, "idempotency_header": "Idempotency-Key" });
    let integration = scene.admin.connect(settings, json!({ "partial_failure": "warning" })).await?;
    scene.admin.stage_all(integration, &Claim::many(2)).await?;
    books
        .behave(Behaviour { status: Some(502), book_first: Some(true), times: Some(1), ..Behaviour::default() })
        .await?;
    let sync = scene.admin.run(integration).await?;
    assert_eq!((&sync["status"], counts(&sync)), (&json!("success"), (2, 1, 0)), "{sync}");
    let sync = due(&mut scene, &sync).await?;
    assert_eq!((&sync["status"], counts(&sync)), (&json!("retried_success"), (2, 2, 0)), "{sync}");
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (2, 0));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn where_only_a_person_can_decide_nothing_is_tried() -> anyhow::Result<()> {
    let scene = scene(Duration::minutes(10)).await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(json!({ "url": books.url("/claims") }), json!({})).await?;
    scene.admin.stage_all(integration, &[Claim::good(1)]).await?;
    books.behave(Behaviour { status: Some(502), book_first: Some(true), ..Behaviour::default() }).await?;
    let sync = scene.admin.run(integration).await?;
    assert_eq!((&sync["status"], &sync["next_retry_at"]), (&json!("failed"), &Value::Null), "{sync}");
    assert_eq!(timers(&scene).await?, 0);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn nothing_is_tried_before_the_system_wants_to_hear_again() -> anyhow::Result<()> {
    let mut scene = scene(Duration::hours(1)).await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(json!({ "url": books.url("/claims") }), json!({})).await?;
    scene.admin.stage_all(integration, &Claim::many(2)).await?;
    books.behave(Behaviour { status: Some(503), retry_after: Some(900), ..Behaviour::default() }).await?;
    let sync = scene.admin.run(integration).await?;
    let waits = wait(&sync)?;
    // Counted from the answer, a moment before the end.
    assert!(waits >= Duration::seconds(840) && waits <= Duration::seconds(960), "{waits}");
    books.behave(Behaviour::default()).await?;
    assert_eq!(due(&mut scene, &sync).await?["status"], "retried_success");
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (2, 0));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_paused_integration_is_left_in_peace() -> anyhow::Result<()> {
    let mut scene = scene(Duration::hours(1)).await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(json!({ "url": books.url("/claims") }), json!({})).await?;
    scene.admin.stage_all(integration, &[Claim::good(1)]).await?;
    books.behave(Behaviour { status: Some(429), times: Some(1), ..Behaviour::default() }).await?;
    let sync = scene.admin.run(integration).await?;
    scene.admin.change(&format!("/integrations/{integration}"), &json!({ "paused": true })).await?;
    scene.clock.set(moment(&sync, "next_retry_at")?);
    until("the timer is gone", async || Ok((timers(&scene).await? == 0).then_some(()))).await?;
    scene.sign_in_again().await?;
    let shown: Value = scene.admin.sync(id_of(&sync)?).await?;
    assert_eq!((&shown["status"], &shown["retry_count"]), (&json!("failed"), &json!(0)));
    assert_eq!(books.log().await?.accepted, 0);
    scene.stop().await;
    Ok(())
}

/// The worker is told to stop as an attempt runs: what it did not send leaves by itself after the restart.
#[tokio::test]
async fn what_a_stop_left_over_is_sent_without_anybody_asking() -> anyhow::Result<()> {
    let mut scene = scene(Duration::minutes(10)).await?;
    let books = Books::fastapi().await?;
    let settings = json!({ "url": books.url("/claims"), "concurrency": 1 });
    let integration = scene.admin.connect(settings, json!({})).await?;
    let claims = Claim::many(3);
    scene.admin.stage_all(integration, &claims).await?;
    // All wait for the system.
    books.behave(Behaviour { status: Some(503), retry_after: Some(60), ..Behaviour::default() }).await?;
    let id: Uuid = scene.admin.trigger(integration).await?;
    until("the first was turned away", async || {
        let shown = scene.admin.outcomes(id).await?;
        Ok(shown.iter().any(|outcome| outcome["errors"][0]["code"] == "HTTP_503").then_some(()))
    })
    .await?;
    scene.end().await;
    books.behave(Behaviour::default()).await?;
    scene.start_again().await?;
    let sync = scene.admin.finished(id).await?;
    assert_eq!((&sync["status"], &sync["error_code"]), (&json!("failed"), &json!("WORKER_STOPPED")), "{sync}");
    assert_eq!(due(&mut scene, &sync).await?["status"], "retried_success");
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (3, 0));
    scene.stop().await;
    Ok(())
}
