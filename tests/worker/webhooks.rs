//! Retry requests as a receiver gets them that verifies with somebody else's library.

mod addresses;

use anyhow::Context as _;
use chrono::Duration;
use reqwest::Method;
use serde_json::{Value, json};
use server::Clock;
use tests::peers::{Act, ReceivedWebhook, Scripted, WebhookAnswers, WebhookReceiver};
use tests::story::{id_of, until};
use uuid::Uuid;

use crate::scene::Scene;

/// A server on which a message comes again when the clock is moved on, and not before.
async fn still() -> anyhow::Result<Scene> {
    Scene::standing_still_at(Clock::system().now()).await
}

/// An integration whose runner is told at an address, and the secret it verifies with.
async fn connect(scene: &Scene, url: &str) -> anyhow::Result<(Uuid, String)> {
    let body = json!({
        "name": format!("Books {}", Uuid::now_v7()), "connector_type": "xledger", "sync_type": "accounting_push",
        "runner": "external", "retry_webhook_url": url,
    });
    let made = scene.admin.post("/integrations", &body).await?.ok()?;
    let secret = made["retry_webhook_secret"].as_str().context("no secret was shown")?;
    Ok((id_of(&made)?, secret.to_owned()))
}

/// A receiver, and an integration whose runner it is.
async fn receiver(scene: &Scene) -> anyhow::Result<(WebhookReceiver, Uuid)> {
    let receiver = WebhookReceiver::start().await?;
    let (integration, secret) = connect(scene, &receiver.url("/hooks")).await?;
    receiver.verify_with(&[&secret]).await?;
    Ok((receiver, integration))
}

/// A sync that failed, with a retry of it requested.
async fn retry(scene: &Scene, integration: Uuid) -> anyhow::Result<Uuid> {
    let start = json!({
        "integration_config_id": integration, "connector_type": "xledger", "sync_type": "accounting_push",
        "triggered_by": "automatic",
    });
    let sync = id_of(&scene.admin.post("/sync-logs", &start).await?.ok()?)?;
    let failure = json!({ "attempt": 0, "error_code": "TIMEOUT", "error_message": "Xledger did not answer" });
    scene.admin.post(&format!("/sync-logs/{sync}/fail"), &failure).await?.ok()?;
    scene.admin.retry(sync).await?.ok()?;
    Ok(sync)
}

async fn received(receiver: &WebhookReceiver, number: usize) -> anyhow::Result<Vec<ReceivedWebhook>> {
    until("the webhooks have arrived", async || {
        let messages = receiver.received().await?;
        Ok((messages.len() >= number).then_some(messages))
    })
    .await
}

/// Waits until so many messages are in a state.
async fn outbox(scene: &Scene, state: &'static str, number: i64) -> anyhow::Result<()> {
    until(state, async || {
        let found: Value = scene
            .one(
                "
                    SELECT coalesce(jsonb_object_agg(state, number), '{}')
                    FROM (SELECT state, count(*) AS number FROM webhook_outbox GROUP BY state) AS states
                    ",
            )
            .await?;
        Ok((found[state].as_i64().unwrap_or(0) == number).then_some(()))
    })
    .await
}

/// Waits until the message was tried so many times and waits again.
async fn tried(scene: &Scene, number: i64) -> anyhow::Result<()> {
    until("it was tried in vain", async || {
        let tries: i64 = scene
            .one(
                "
                SELECT coalesce(sum(tries), 0) FROM webhook_outbox
                JOIN webhook_queue ON webhook_id = id WHERE locked_until IS NULL
                ",
            )
            .await?;
        Ok((tries >= number).then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_retry_request_is_delivered_once_and_verifies() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let (receiver, integration) = receiver(&scene).await?;
    let sync = retry(&scene, integration).await?;
    outbox(&scene, "delivered", 1).await?;
    let all = received(&receiver, 1).await?;
    let [webhook] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(webhook.verified, [true]);
    assert_eq!(webhook.path, "/hooks");
    assert!(webhook.id.starts_with("msg_") && webhook.signature.starts_with("v1,"), "{webhook:?}");
    assert_eq!(webhook.body["type"], "retry.requested");
    assert_eq!(
        webhook.body["data"],
        json!({
            "sync_id": sync, "integration_config_id": integration, "connector_type": "xledger",
            "sync_type": "accounting_push", "attempt": 1, "records": 0,
        })
    );
    assert_eq!(scene.admin.sync(sync).await?["status"], "pending", "a message is no claim");
    let queued: i64 = scene.one("SELECT count(*) FROM webhook_queue").await?;
    assert_eq!(queued, 0);
    let claimed = scene.admin.request(Method::POST, &format!("/sync-logs/{sync}/attempts"), None).await?.ok()?;
    assert_eq!(claimed["attempt"], webhook.body["data"]["attempt"]);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_message_that_is_not_taken_comes_again_under_the_same_id() -> anyhow::Result<()> {
    let scene = still().await?;
    let (receiver, integration) = receiver(&scene).await?;
    receiver.answer(&WebhookAnswers { status: Some(500), times: Some(2), ..WebhookAnswers::default() }).await?;
    retry(&scene, integration).await?;
    for tries in 1..=2 {
        tried(&scene, tries).await?;
        let status: i16 = scene.one("SELECT last_status FROM webhook_outbox").await?;
        assert_eq!(status, 500);
        scene.clock.advance(Duration::seconds(15));
    }
    outbox(&scene, "delivered", 1).await?;
    let all = received(&receiver, 3).await?;
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|webhook| webhook.verified == [true] && webhook.id == all[0].id), "{all:?}");
    assert!(all[2].timestamp > all[0].timestamp, "each try has its own moment");
    assert!(all.iter().all(|webhook| webhook.body == all[0].body));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_receiver_that_is_busy_is_left_alone_for_as_long_as_it_asks() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let (receiver, integration) = receiver(&scene).await?;
    let busy = WebhookAnswers { status: Some(429), retry_after: Some(1_800), ..WebhookAnswers::default() };
    receiver.answer(&busy).await?;
    retry(&scene, integration).await?;
    tried(&scene, 1).await?;
    let seconds: f64 =
        scene.one("SELECT extract(epoch FROM next_try_at - now())::double precision FROM webhook_queue").await?;
    assert!((1_700.0..1_900.0).contains(&seconds), "{seconds}");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_was_settled_a_month_ago_is_deleted() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let (receiver, integration) = receiver(&scene).await?;
    retry(&scene, integration).await?;
    retry(&scene, integration).await?;
    outbox(&scene, "delivered", 2).await?;
    receiver.answer(&WebhookAnswers { status: Some(503), ..WebhookAnswers::default() }).await?;
    retry(&scene, integration).await?;
    tried(&scene, 1).await?;
    let old = "
        UPDATE webhook_outbox SET created_at = now() - interval '31 days'
        WHERE state = 'waiting' OR id = (SELECT min(id::text)::uuid FROM webhook_outbox WHERE state = 'delivered')
        RETURNING 1
    ";
    scene.one::<i32>(old).await?;
    // A worker looks for them when it begins.
    scene.another_worker().await?;
    outbox(&scene, "delivered", 1).await?;
    outbox(&scene, "waiting", 1).await?;
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_redirect_is_not_followed() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let (receiver, integration) = receiver(&scene).await?;
    let elsewhere =
        WebhookAnswers { status: Some(307), location: Some(receiver.url("/elsewhere")), ..WebhookAnswers::default() };
    receiver.answer(&elsewhere).await?;
    retry(&scene, integration).await?;
    tried(&scene, 1).await?;
    let all = receiver.received().await?;
    assert_eq!(all.iter().map(|webhook| webhook.path.as_str()).collect::<Vec<_>>(), ["/hooks"]);
    let status: i16 = scene.one("SELECT last_status FROM webhook_outbox WHERE state = 'waiting'").await?;
    assert_eq!(status, 307);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_inside_address_is_not_asked() -> anyhow::Result<()> {
    for literal in [false, true] {
        let scene = Scene::configured(|config| config.outbound.allow.clear()).await?;
        let receiver = WebhookReceiver::start().await?;
        // A name tells nothing of where it leads until it is resolved.
        let (integration, _) = connect(&scene, &receiver.url("/hooks").replace("127.0.0.1", "localhost")).await?;
        if literal {
            // As it was taken while the operator still allowed it.
            scene
                .one::<i32>(
                    "
                    UPDATE integration_configs
                    SET retry_webhook_url = replace(retry_webhook_url, 'localhost', '127.0.0.1') RETURNING 1
                    ",
                )
                .await?;
        }
        retry(&scene, integration).await?;
        tried(&scene, 1).await?;
        let words: String = scene.one("SELECT last_answer FROM webhook_outbox").await?;
        assert!(words.contains("requests may not go to"), "{words}");
        assert!(receiver.received().await?.is_empty());
        scene.stop().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_new_secret_signs_beside_the_former_one_for_a_day() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let receiver = WebhookReceiver::start().await?;
    let (integration, former) = connect(&scene, &receiver.url("/hooks")).await?;
    let path = format!("/integrations/{integration}/webhook-secret");
    let rotated = scene.admin.request(Method::POST, &path, None).await?.ok()?;
    let new = rotated["secret"].as_str().context("no secret was shown")?;
    receiver.verify_with(&[&former, new]).await?;
    retry(&scene, integration).await?;
    let all = received(&receiver, 1).await?;
    assert_eq!(all[0].verified, [true, true], "both verify");
    assert_eq!(all[0].signature.split(' ').count(), 2);

    // The day is over.
    scene.one::<i32>("UPDATE webhook_secrets SET expires_at = now() WHERE expires_at IS NOT NULL RETURNING 1").await?;
    retry(&scene, integration).await?;
    let all = received(&receiver, 2).await?;
    assert_eq!(all[1].verified, [false, true]);
    assert_eq!(all[1].signature.split(' ').count(), 1);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_retry_that_was_claimed_is_told_no_more() -> anyhow::Result<()> {
    let scene = still().await?;
    let (receiver, integration) = receiver(&scene).await?;
    receiver.answer(&WebhookAnswers { status: Some(503), ..WebhookAnswers::default() }).await?;
    let sync = retry(&scene, integration).await?;
    tried(&scene, 1).await?;
    scene.admin.request(Method::POST, &format!("/sync-logs/{sync}/attempts"), None).await?.ok()?;
    scene.clock.advance(Duration::seconds(15));
    outbox(&scene, "withdrawn", 1).await?;
    assert_eq!(receiver.received().await?.len(), 1);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_retry_that_nobody_claims_for_a_day_is_told_no_more() -> anyhow::Result<()> {
    let mut scene = still().await?;
    let (receiver, integration) = receiver(&scene).await?;
    receiver.answer(&WebhookAnswers { status: Some(503), times: Some(1), ..WebhookAnswers::default() }).await?;
    let sync = retry(&scene, integration).await?;
    tried(&scene, 1).await?;
    receiver.answer(&WebhookAnswers { status: Some(503), ..WebhookAnswers::default() }).await?;
    scene.clock.advance(Duration::hours(25));
    scene.sign_in_again().await?;
    let back = scene.admin.finished(sync).await?;
    assert_eq!((&back["status"], &back["warnings"][0]["code"]), (&json!("failed"), &json!("RETRY_NOT_CLAIMED")));
    scene.clock.advance(Duration::hours(7));
    outbox(&scene, "withdrawn", 1).await?;
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_receiver_that_says_nothing_keeps_nobody_else_waiting() -> anyhow::Result<()> {
    let mut scene = still().await?;
    // Of two dispatchers, one has it.
    scene.another_worker().await?;
    let silent = Scripted::start(Act::Hang).await?;
    let (waits, _) = connect(&scene, &silent.url("/hooks")).await?;
    let (receiver, integration) = receiver(&scene).await?;
    retry(&scene, waits).await?;
    until("the silent one was asked", async || Ok((silent.requests() == 1).then_some(()))).await?;
    for _ in 0..5 {
        retry(&scene, integration).await?;
    }
    outbox(&scene, "delivered", 5).await?;
    let all = received(&receiver, 5).await?;
    let mut ids: Vec<&str> = all.iter().map(|webhook| webhook.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((all.len(), ids.len()), (5, 5));
    assert_eq!(silent.requests(), 1);
    let in_hand: i64 = scene.one("SELECT count(*) FROM webhook_queue WHERE locked_until IS NOT NULL").await?;
    assert_eq!(in_hand, 1, "the silent one is still waited for");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn many_messages_to_a_silent_receiver_are_tried_two_at_a_time() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    scene.another_worker().await?;
    let silent = Scripted::start(Act::Hang).await?;
    let (waits, _) = connect(&scene, &silent.url("/hooks")).await?;
    let (receiver, integration) = receiver(&scene).await?;
    // More than two workers have slots.
    for _ in 0..40 {
        retry(&scene, waits).await?;
    }
    until("the silent one was asked", async || Ok((silent.requests() >= 2).then_some(()))).await?;
    retry(&scene, integration).await?;
    outbox(&scene, "delivered", 1).await?;
    assert_eq!(received(&receiver, 1).await?.len(), 1);
    let under_way: i64 = scene.one("SELECT count(*) FROM webhook_queue WHERE locked_until > now()").await?;
    assert!(under_way <= 2, "{under_way}");
    // Its oldest came first.
    let younger: i64 = scene
        .one(
            "
            SELECT count(*) FROM webhook_outbox AS younger WHERE state = 'waiting' AND tries > 0 AND EXISTS (
                SELECT FROM webhook_outbox AS older
                WHERE older.state = 'waiting' AND older.tries = 0 AND older.created_at < younger.created_at
            )
            ",
        )
        .await?;
    assert_eq!(younger, 0);
    scene.stop().await;
    Ok(())
}
