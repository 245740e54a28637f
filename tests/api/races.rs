//! Runners that report at once, die, and come back late.

use chrono::Duration;
use serde_json::{Value, json};
use tests::client::id;
use tests::server::TestServer;
use tests::story::until;
use uuid::Uuid;

use crate::scene::{CLAIM, Scene, assert_has, record};

/// The sync once its attempt runs no more.
async fn ended(scene: &Scene, sync: Uuid) -> Value {
    until("the attempt is closed", async || {
        Ok(Some(scene.sync(sync).await).filter(|sync| sync["status"] != "in_progress"))
    })
    .await
    .unwrap()
}

async fn count(scene: &Scene, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(&scene.server.superuser().await).await.unwrap()
}

#[tokio::test]
async fn of_success_and_failure_reported_at_once_one_counts() {
    let scene = Scene::new().await;
    for _ in 0..4 {
        let sync = scene.start(json!({})).await;
        let (good, bad) = tokio::join!(
            futures::future::join_all((0..6).map(|_| scene.succeed(sync, 0))),
            futures::future::join_all((0..6).map(|_| scene.fail(sync, 0))),
        );
        let status = scene.sync(sync).await["status"].clone();
        let (taken, refused) = if status == "success" { (good, bad) } else { (bad, good) };
        for answer in taken {
            assert_eq!(answer.expect(200)["status"], status);
        }
        for answer in refused {
            answer.problem(409, "invalid_transition");
        }
    }
    assert_eq!(count(&scene, "SELECT count(*) FROM active_syncs").await, 0);
}

#[tokio::test]
async fn a_record_claimed_by_fifty_batches_belongs_to_one() {
    let scene = Scene::new().await;
    let shared = Uuid::now_v7();
    let syncs = futures::future::join_all((0..50).map(|_| scene.start(json!({})))).await;
    let answers = futures::future::join_all(syncs.iter().map(|sync| async {
        let records = [record(shared, "queued"), record(Uuid::now_v7(), "queued")];
        scene.append(*sync, 0, &records).await.expect(200)
    }))
    .await;
    let winners: Vec<&Value> = answers.iter().filter(|answer| answer["already_active"] == json!([])).collect();
    assert_eq!(winners.len(), 1);
    let elsewhere = json!([{ "source_record_type": CLAIM, "source_record_id": shared }]);
    assert_eq!(answers.iter().filter(|answer| answer["already_active"] == elsewhere).count(), 49);
    let holders = "SELECT count(*) FROM sync_claims WHERE source_record_type = 'expense_claims'";
    assert_eq!(count(&scene, holders).await, 51, "the shared one once, and each batch's own");
}

#[tokio::test]
async fn many_who_claim_a_retry_get_one_attempt() {
    let scene = Scene::new().await;
    let (sync, ..) = scene.half_failed().await;
    scene.retry(sync).await.expect(202);
    let answers = futures::future::join_all((0..20).map(|_| scene.claim(sync))).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 19, "{statuses:?}");
    assert_has(&scene.sync(sync).await, &json!({ "status": "in_progress", "retry_count": 1 }));
}

#[tokio::test]
async fn a_runner_that_dies_in_its_last_retry_may_still_report_late() {
    let scene = Scene::new().await;
    let sync = scene.start(json!({})).await;
    let claim = Uuid::now_v7();
    scene.append(sync, 0, &[record(claim, "failed")]).await.expect(200);
    scene.fail(sync, 0).await.expect(200);
    for attempt in 1..=10_u16 {
        scene.retry(sync).await.expect(202);
        assert_eq!(scene.claim(sync).await.expect(201)["attempt"], attempt);
        if attempt < 10 {
            scene.append(sync, attempt, &[record(claim, "failed")]).await.expect(200);
            scene.fail(sync, attempt).await.expect(200);
        }
    }
    scene.append(sync, 10, &[record(claim, "sending")]).await.expect(200);
    scene.server.clock.advance(Duration::seconds(130));
    let dead = ended(&scene, sync).await;
    assert_has(
        &dead,
        &json!({ "status": "retried_failed", "error_code": "ATTEMPT_ABANDONED", "retry_count": 10, "retryable": false }),
    );
    scene.retry(sync).await.problem(409, "retry_limit_reached");
    // Earlier attempts are closed for good; the abandoned one says what became of it.
    scene.succeed(sync, 9).await.problem(409, "attempt_superseded");
    scene.append(sync, 10, &[record(claim, "succeeded")]).await.expect(200);
    assert_has(
        &scene.succeed(sync, 10).await.expect(200),
        &json!({ "status": "retried_success", "records_processed": 1, "records_failed": 0, "error_code": null }),
    );
    scene.fail(sync, 10).await.problem(409, "invalid_transition");
    scene.retry(sync).await.problem(409, "retry_limit_reached");
    let attempts = scene.admin.get(&format!("/sync-logs/{sync}/attempts")).send().await.expect(200);
    assert_eq!(attempts["items"].as_array().unwrap().len(), 11);
}

#[tokio::test]
async fn what_a_dead_runner_held_is_free_for_the_next() {
    // The database takes no sync from the future, so the story begins in the past.
    let server = TestServer::start().await;
    server.clock.advance(Duration::hours(-1));
    let scene = Scene::on(server, json!({})).await;
    let body = scene.start_body(json!({ "source_record_type": CLAIM, "source_record_id": Uuid::now_v7() }));
    let start = async || scene.machine.post("/sync-logs").json(&body).send().await;
    let dead = id(&start().await.expect(201));
    assert_eq!(start().await.problem(409, "already_active")["sync_id"], json!(dead));
    scene.server.clock.advance(Duration::seconds(70));
    assert_eq!(ended(&scene, dead).await["error_code"], "ATTEMPT_ABANDONED");
    let next = id(&start().await.expect(201));
    // The dead one comes back while its successor works: its end is taken, its claim is not given back.
    scene.succeed(dead, 0).await.expect(200);
    assert_eq!(start().await.problem(409, "already_active")["sync_id"], json!(next));
    assert_ne!(dead, next);
    scene.succeed(next, 0).await.expect(200);
    start().await.expect(201);
}

#[tokio::test]
async fn a_report_out_of_order_changes_nothing_that_is_known() {
    let scene = Scene::new().await;
    let sync = scene.start(json!({})).await;
    let claim = Uuid::now_v7();
    scene.append(sync, 0, &[record(claim, "succeeded")]).await.expect(200);
    let ended = scene.succeed(sync, 0).await.expect(200);
    // What was sent before the end arrives after it, and again.
    for outcome in ["queued", "sending", "unknown", "failed"] {
        let taken = scene.append(sync, 0, &[record(claim, outcome)]).await.expect(200);
        assert_eq!((&taken["accepted"], &taken["unchanged"]), (&json!(0), &json!(1)), "{outcome}");
    }
    let progress = json!({ "attempt": 0, "records_done": 1 });
    let late = scene.machine.patch(&format!("/sync-logs/{sync}")).json(&progress).send().await;
    late.problem(409, "invalid_transition");
    assert_eq!(scene.sync(sync).await, ended);
}
