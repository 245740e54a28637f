//! `/sync-logs/{id}/attempts`: claiming, fencing, and what each attempt keeps.

use serde_json::json;
use tests::client::items;
use uuid::Uuid;

use crate::scene::{CLAIM, Scene, assert_has, assert_members, record};

#[tokio::test]
async fn a_retry_is_claimed_reported_and_kept_beside_the_first_attempt() {
    let scene = Scene::new().await;
    let (sync, _, bad) = scene.half_failed().await;
    let asked = scene.retry(sync).await.expect(202);
    assert_has(&asked, &json!({ "status": "pending", "retry_count": 0, "completed_at": null, "duration_ms": null }));
    let answer = scene.claim(sync).await;
    assert_eq!(answer.header("location"), format!("/api/v1/sync-logs/{sync}/attempts"));
    let claimed = answer.expect(201);
    assert_members(&claimed, &["attempt", "whole", "records"]);
    assert_eq!((&claimed["attempt"], &claimed["whole"]), (&json!(1), &json!(false)));
    assert_eq!(claimed["records"], json!([{ "source_record_type": CLAIM, "source_record_id": bad }]));
    assert_has(
        &scene.sync(sync).await,
        &json!({
            "status": "in_progress", "retry_count": 1, "attempt": 1, "records_processed": null, "records_failed": null,
            "error_code": null, "error_message": null,
        }),
    );
    scene.append(sync, 1, &[record(bad, "succeeded")]).await.expect(200);
    assert_has(
        &scene.succeed(sync, 1).await.expect(200),
        &json!({ "status": "retried_success", "records_total": 2, "records_processed": 2, "records_failed": 0 }),
    );
    let attempts = scene.admin.get(&format!("/sync-logs/{sync}/attempts")).send().await.expect(200);
    let [first, second] = items(&attempts) else { panic!("{attempts}") };
    let members = [
        "attempt",
        "status",
        "started_at",
        "completed_at",
        "duration_ms",
        "records_total",
        "records_processed",
        "records_failed",
        "records_skipped",
        "records_unknown",
        "records_not_attempted",
        "error_code",
        "error_message",
        "http_status_code",
        "triggered_by_user_id",
    ];
    assert_members(first, &members);
    assert_has(
        first,
        &json!({ "attempt": 0, "status": "failed", "records_total": 2, "records_processed": 1, "records_failed": 1 }),
    );
    assert_has(
        second,
        &json!({
            "attempt": 1, "status": "success", "records_total": 1, "records_processed": 1, "records_failed": 0,
            "error_code": null,
        }),
    );
    let me = scene.admin.get("/me").send().await.expect(200);
    assert_eq!(second["triggered_by_user_id"], me["id"]);
}

#[tokio::test]
async fn a_failed_retry_is_retried_failed() {
    let scene = Scene::new().await;
    let (sync, _, bad) = scene.half_failed().await;
    scene.retry(sync).await.expect(202);
    scene.claim(sync).await.expect(201);
    scene.append(sync, 1, &[record(bad, "failed")]).await.expect(200);
    assert_has(
        &scene.succeed(sync, 1).await.expect(200),
        &json!({ "status": "retried_failed", "records_total": 2, "records_processed": 1, "records_failed": 1 }),
    );
}

#[tokio::test]
async fn an_attempt_with_a_successor_is_fenced_off_but_its_outcomes_are_kept() {
    let scene = Scene::new().await;
    let (sync, _, bad) = scene.half_failed().await;
    scene.retry(sync).await.expect(202);
    scene.claim(sync).await.expect(201);
    let late = Uuid::now_v7();
    scene.append(sync, 0, &[record(late, "succeeded")]).await.problem(409, "attempt_superseded");
    let path = format!("/sync-logs/{sync}");
    let report = json!({ "attempt": 0, "records_done": 1 });
    scene.machine.patch(&path).json(&report).send().await.problem(409, "attempt_superseded");
    scene.succeed(sync, 0).await.problem(409, "attempt_superseded");
    scene.fail(sync, 0).await.problem(409, "attempt_superseded");
    assert_has(&scene.sync(sync).await, &json!({ "status": "in_progress", "attempt": 1 }));
    let records = scene.admin.get(&format!("{path}/records?source_record_type={CLAIM}&source_record_id={late}"));
    let kept = records.send().await.expect(200);
    assert_has(&items(&kept)[0], &json!({ "outcome": "succeeded", "attempt": 0 }));

    // The late success of a record that the retry has queued says what really happened.
    scene.append(sync, 1, &[record(bad, "succeeded")]).await.expect(200);
    let ended = scene.succeed(sync, 1).await.expect(200);
    assert_has(&ended, &json!({ "status": "retried_success", "records_processed": 3, "records_failed": 0 }));
}

#[tokio::test]
async fn a_lease_has_its_limits() {
    let scene = Scene::new().await;
    let sync = scene.start(json!({ "queued": true })).await;
    let path = format!("/sync-logs/{sync}/attempts");
    for lease in [0, -1, 86_401] {
        let answer = scene.machine.post(&path).json(&json!({ "lease_seconds": lease })).send().await;
        answer.violations(&[("out_of_range", "/lease_seconds")]);
    }
    assert_eq!(scene.sync(sync).await["status"], "pending");
    scene.machine.post(&path).json(&json!({ "lease_seconds": 86_400 })).send().await.expect(201);
}
