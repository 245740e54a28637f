//! `/sync-logs/{id}/retries` and its preview.

use serde_json::json;
use tests::client::items;
use tests::story::until;
use uuid::Uuid;

use crate::scene::{CLAIM, Scene, assert_has, assert_members, record};

#[tokio::test]
async fn a_preview_says_what_would_be_sent() {
    let scene = Scene::new().await;
    let sync = scene.start(json!({})).await;
    let (since, unsent) = (Uuid::now_v7(), Uuid::now_v7());
    let reports = [
        record(Uuid::now_v7(), "succeeded"),
        record(Uuid::now_v7(), "failed"),
        record(since, "failed"),
        record(unsent, "not_attempted"),
        record(Uuid::now_v7(), "unknown"),
    ];
    scene.append(sync, 0, &reports).await.expect(200);
    scene.succeed(sync, 0).await.expect(200);
    // Delivered by another sync in the meantime.
    let other = scene.start(json!({})).await;
    scene.append(other, 0, &[record(since, "succeeded")]).await.expect(200);
    scene.succeed(other, 0).await.expect(200);
    let preview = scene.admin.get(&format!("/sync-logs/{sync}/retry-preview")).send().await.expect(200);
    let members =
        ["records", "changed", "unchanged", "asked", "unknown", "handled", "delivered_since", "active", "gone"];
    assert_members(&preview, &members);
    // Of what others send, only they and a person can say what became of it.
    let counts = json!({ "records": 2, "asked": 0, "unknown": 1, "handled": 0, "delivered_since": 1, "active": 0 });
    assert_has(&preview, &counts);

    scene.retry(sync).await.expect(202);
    let claimed = scene.claim(sync).await.expect(201);
    let sent: Vec<_> = claimed["records"].as_array().unwrap().iter().map(|key| &key["source_record_id"]).collect();
    assert_eq!(sent.len(), 2);
    assert!(!sent.contains(&&json!(since)), "delivered elsewhere: never sent again");
}

#[tokio::test]
async fn a_record_that_is_sent_again_while_its_fate_is_unknown_stays_in_doubt() {
    let scene = Scene::new().await;
    let (first, claim) = (scene.start(json!({})).await, Uuid::now_v7());
    scene.append(first, 0, &[record(claim, "unknown")]).await.expect(200);
    scene.succeed(first, 0).await.expect(200);
    let second = scene.start(json!({})).await;
    scene.append(second, 0, &[record(claim, "sending")]).await.expect(200);
    scene.append(second, 0, &[record(claim, "failed")]).await.expect(200);
    scene.succeed(second, 0).await.expect(200);
    let preview =
        async |sync: Uuid| scene.admin.get(&format!("/sync-logs/{sync}/retry-preview")).send().await.expect(200);
    for sync in [first, second] {
        assert_has(&preview(sync).await, &json!({ "records": 0, "unknown": 1 }));
    }
    // What the first request became is known after all.
    scene.append(first, 0, &[record(claim, "succeeded")]).await.expect(200);
    assert_has(&preview(second).await, &json!({ "records": 0, "unknown": 0, "delivered_since": 1 }));
}

#[tokio::test]
async fn of_many_who_ask_at_once_one_retry_comes() {
    let scene = Scene::new().await;
    let (sync, ..) = scene.half_failed().await;
    let answers = futures::future::join_all((0..10).map(|_| scene.retry(sync))).await;
    let (taken, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 202);
    assert_eq!((taken.len(), refused.len()), (1, 9));
    for answer in refused {
        assert_eq!(answer.problem(409, "already_active")["sync_id"], json!(sync));
    }
    assert_eq!(scene.sync(sync).await["retry_count"], 0, "it rises when the attempt is claimed");
}

#[tokio::test]
async fn the_tenth_failed_retry_is_final() {
    let scene = Scene::new().await;
    let sync = scene.start(json!({ "records_total": 1 })).await;
    let claim = Uuid::now_v7();
    scene.append(sync, 0, &[record(claim, "failed")]).await.expect(200);
    scene.fail(sync, 0).await.expect(200);
    for attempt in 1..=10_u16 {
        let shown = scene.sync(sync).await;
        assert_eq!(shown["retryable"], true, "{shown}");
        scene.retry(sync).await.expect(202);
        assert_eq!(scene.claim(sync).await.expect(201)["attempt"], attempt);
        scene.append(sync, attempt, &[record(claim, "failed")]).await.expect(200);
        assert_has(
            &scene.fail(sync, attempt).await.expect(200),
            &json!({ "status": "retried_failed", "retry_count": attempt, "records_failed": 1 }),
        );
    }
    scene.retry(sync).await.problem(409, "retry_limit_reached");
    let last = scene.sync(sync).await;
    assert_has(&last, &json!({ "status": "retried_failed", "retry_count": 10, "retryable": false }));
    let retryable = scene.admin.get("/sync-logs?retryable=true").send().await.expect(200);
    assert!(items(&retryable).is_empty());
    let attempts = scene.admin.get(&format!("/sync-logs/{sync}/attempts")).send().await.expect(200);
    assert_eq!(items(&attempts).len(), 11);
    let consecutive = &scene.integration().await["consecutive_failures"];
    assert_eq!(consecutive, 1, "a retry within a sync is not another sync");
}

#[tokio::test]
async fn a_retry_that_nobody_claims_is_taken_back() {
    let scene = Scene::new().await;
    let (sync, ..) = scene.half_failed().await;
    let before = scene.sync(sync).await;
    scene.retry(sync).await.expect(202);
    scene.server.clock.advance(chrono::Duration::hours(25));
    let admin = scene.organization.sign_in(&scene.organization.address("org_admin")).await;
    let back = until("the retry is taken back", async || {
        let sync = admin.get(&format!("/sync-logs/{sync}")).send().await.expect(200);
        Ok(Some(sync).filter(|sync| sync["status"] != "pending"))
    });
    let back = back.await.unwrap();
    assert_eq!(back["warnings"][0]["code"], "RETRY_NOT_CLAIMED", "{back}");
    for member in ["status", "retry_count", "error_code", "records_failed", "duration_ms", "completed_at"] {
        assert_eq!(back[member], before[member], "{member}");
    }
}

#[tokio::test]
async fn a_sync_that_failed_before_any_record_can_be_retried() {
    let scene = Scene::new().await;
    let sync = scene.start(json!({})).await;
    scene.fail(sync, 0).await.expect(200);
    scene.retry(sync).await.expect(202);
    let claimed = scene.claim(sync).await.expect(201);
    assert_eq!(claimed, json!({ "attempt": 1, "whole": true, "records": [] }));
}

#[tokio::test]
async fn a_retry_that_waits_without_the_claim_on_its_record_takes_it_when_it_is_claimed() {
    let scene = Scene::new().await;
    let own = json!({ "source_record_type": CLAIM, "source_record_id": Uuid::now_v7() });
    let sync = scene.start(own.clone()).await;
    scene.fail(sync, 0).await.expect(200);
    scene.retry(sync).await.expect(202);
    // As retries waited before a sync had to hold it.
    let superuser = scene.server.superuser().await;
    sqlx::query("DELETE FROM sync_claims WHERE sync_id = $1").bind(sync).execute(&superuser).await.unwrap();

    let other = scene.start(own).await;
    assert_eq!(scene.claim(sync).await.problem(409, "already_active")["sync_id"], json!(other));
    assert_has(&scene.sync(sync).await, &json!({ "status": "pending", "retry_count": 0 }));
    scene.succeed(other, 0).await.expect(200);
    scene.claim(sync).await.expect(201);
    let claims = "SELECT sync_id FROM sync_claims";
    let holder: Uuid = sqlx::query_scalar(claims).fetch_one(&superuser).await.unwrap();
    assert_eq!(holder, sync);
}
