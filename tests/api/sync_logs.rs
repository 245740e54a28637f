//! `/sync-logs`: starting, reporting, finishing and reading syncs.

mod lists;

use serde_json::{Value, json};
use tests::client::{id, items};
use tests::organization::{connect_external, merge};
use tests::story::until;
use uuid::Uuid;

use crate::scene::{CLAIM, Scene, assert_has, assert_members, record};

/// The 23 attributes, and what the API adds.
pub const MEMBERS: &[&str] = &[
    "id",
    "integration_config_id",
    "organization_id",
    "connector_type",
    "sync_type",
    "status",
    "records_processed",
    "records_failed",
    "records_total",
    "error_code",
    "error_message",
    "retry_count",
    "triggered_by",
    "triggered_by_user_id",
    "source_record_id",
    "source_record_type",
    "external_reference_id",
    "request_payload_hash",
    "http_status_code",
    "duration_ms",
    "started_at",
    "completed_at",
    "metadata",
    "warnings",
    "backfill",
    "client_run_id",
    "attempt",
    "retryable",
];

#[tokio::test]
async fn a_started_sync_is_in_progress_and_ends_with_success() {
    let scene = Scene::new().await;
    let body = scene.start_body(json!({ "records_total": 40, "metadata": { "host": "job-1" } }));
    let answer = scene.machine.post("/sync-logs").json(&body).send().await;
    let location = answer.header("location").to_owned();
    let sync = answer.expect(201);
    assert_members(&sync, MEMBERS);
    assert_eq!(location, format!("/api/v1/sync-logs/{}", id(&sync)));
    assert_has(
        &sync,
        &json!({
            "integration_config_id": scene.integration, "organization_id": scene.organization.id, "attempt": 0,
            "connector_type": "xledger", "sync_type": "accounting_push", "status": "in_progress", "retry_count": 0,
            "triggered_by": "automatic", "triggered_by_user_id": null, "records_total": 40, "records_processed": null,
            "records_failed": null, "error_code": null, "completed_at": null, "duration_ms": null, "warnings": [],
            "backfill": false, "retryable": false, "metadata": null,
        }),
    );
    // A UUIDv7 whose time is the start.
    let started_at: chrono::DateTime<chrono::Utc> = sync["started_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(domain::sync_log::started_at_of(id(&sync)), Some(started_at));

    let report = json!({ "attempt": 0, "records_done": 12 });
    let path = format!("/sync-logs/{}", id(&sync));
    let running = scene.machine.patch(&path).json(&report).send().await.expect(200);
    assert_eq!(running["progress"], json!({ "records_total": 40, "records_done": 12 }));
    assert_eq!((&running["records_processed"], &running["status"]), (&json!(null), &json!("in_progress")));
    assert_eq!(scene.sync(id(&sync)).await["progress"], running["progress"]);

    let end = json!({
        "attempt": 0, "records_processed": 40, "records_failed": 0, "external_reference_id": "batch-77",
        "request_payload_hash": "0".repeat(64), "http_status_code": 201,
        "warnings": [{ "code": "SLOW", "message": "it took long" }],
    });
    let ended = scene.machine.post(&format!("{path}/succeed")).json(&end).send().await.expect(200);
    assert_members(&ended, MEMBERS);
    assert_has(
        &ended,
        &json!({
            "status": "success", "records_total": 40, "records_processed": 40, "records_failed": 0, "retryable": false,
            "external_reference_id": "batch-77", "request_payload_hash": "0".repeat(64), "http_status_code": 201,
            "error_code": null, "error_message": null,
        }),
    );
    assert_eq!(ended["warnings"][0]["code"], "SLOW");
    let completed_at: chrono::DateTime<chrono::Utc> = ended["completed_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(ended["duration_ms"], (completed_at - started_at).num_milliseconds());
    let debug = scene.machine.get(&path).send().await.expect(200);
    assert_eq!(debug["metadata"], json!({ "host": "job-1" }), "for the debug scope alone");
    assert_eq!(scene.sync(id(&sync)).await["metadata"], json!(null));
}

#[tokio::test]
async fn a_sync_ends_with_failure_in_the_external_systems_words() {
    let scene = Scene::new().await;
    let sync = scene.start(json!({ "records_total": 40 })).await;
    let end = json!({
        "attempt": 0, "error_code": "PARTIAL_FAILURE", "error_message": "12 of 40 vouchers were rejected",
        "http_status_code": 422, "records_processed": 28, "records_failed": 12,
    });
    let ended = scene.machine.post(&format!("/sync-logs/{sync}/fail")).json(&end).send().await.expect(200);
    let mut expected = end.clone();
    merge(&mut expected, json!({ "status": "failed", "records_total": 40, "retryable": true, "warnings": [] }));
    assert_has(&ended, &expected);
}

#[tokio::test]
async fn a_long_message_is_cut_on_a_character_and_private_data_is_taken_out() {
    let scene = Scene::new().await;
    let sync = scene.start(json!({})).await;
    let message = format!("kari@example.org refused: {}", "ø".repeat(5000));
    let end = json!({ "attempt": 0, "error_code": "X", "error_message": message });
    let ended = scene.machine.post(&format!("/sync-logs/{sync}/fail")).json(&end).send().await.expect(200);
    let stored = ended["error_message"].as_str().unwrap();
    assert!(stored.chars().count() <= 4000 && stored.ends_with('ø'), "{}", stored.chars().count());
    assert!(!stored.contains("kari@example.org"), "{}", &stored[..60]);
}

#[tokio::test]
async fn a_person_starts_a_manual_sync_under_their_own_name() {
    let scene = Scene::new().await;
    let me = scene.admin.get("/me").send().await.expect(200);
    let body = scene.start_body(json!({ "triggered_by": "manual" }));
    let sync = scene.admin.post("/sync-logs").json(&body).send().await.expect(201);
    assert_eq!(sync["triggered_by_user_id"], me["id"]);
    // Whoever sends an organization or a person of their own choice is refused.
    for member in ["organization_id", "triggered_by_user_id"] {
        let body = scene.start_body(json!({ member: Uuid::now_v7() }));
        let answer = scene.admin.post("/sync-logs").json(&body).send().await;
        answer.violations(&[("unknown_field", &format!("/{member}"))]);
    }
}

#[tokio::test]
async fn a_queued_sync_waits_and_is_claimed_once() {
    let scene = Scene::new().await;
    let sync = scene.start(json!({ "queued": true })).await;
    assert_has(&scene.sync(sync).await, &json!({ "status": "pending", "attempt": 0 }));
    scene.succeed(sync, 0).await.problem(409, "invalid_transition");
    let mut statuses = futures::future::join_all((0..6).map(|_| async { scene.claim(sync).await.status })).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409]);
    assert_has(&scene.sync(sync).await, &json!({ "status": "in_progress", "attempt": 0 }));
    assert_eq!(scene.succeed(sync, 0).await.expect(200)["status"], "success");
}

#[tokio::test]
async fn a_finished_sync_is_recorded_in_one_call_with_its_records() {
    let scene = Scene::new().await;
    let (good, bad) = (Uuid::now_v7(), Uuid::now_v7());
    let mut more = Scene::failure();
    merge(
        &mut more,
        json!({
            "records_total": 2, "records_processed": 1, "records_failed": 1, "http_status_code": 422,
            "records": [record(good, "succeeded"), record(bad, "failed")], "client_run_id": "nightly-1",
        }),
    );
    let answer = scene.machine.post("/sync-logs/finished").json(&scene.finished_body(more.clone())).send().await;
    assert!(!answer.header("location").is_empty());
    let sync = answer.expect(201);
    assert_members(&sync, MEMBERS);
    assert_has(
        &sync,
        &json!({
            "status": "failed", "records_total": 2, "records_processed": 1, "records_failed": 1, "retryable": true,
            "duration_ms": 10_000, "client_run_id": "nightly-1",
        }),
    );
    let records = scene.admin.get(&format!("/sync-logs/{}/records?outcome=failed", id(&sync))).send().await.expect(200);
    assert_eq!(items(&records)[0]["source_record_id"], json!(bad));
    assert_eq!(scene.sync(id(&sync)).await, sync);
}

#[tokio::test]
async fn the_status_machine_refuses_everything_else() {
    let scene = Scene::new().await;
    let done = scene.start(json!({})).await;
    scene.succeed(done, 0).await.expect(200);
    let failed = scene.start(json!({})).await;
    scene.fail(failed, 0).await.expect(200);
    let running = scene.start(json!({})).await;
    let before = [scene.sync(done).await, scene.sync(failed).await, scene.sync(running).await];

    scene.fail(done, 0).await.problem(409, "invalid_transition");
    scene.succeed(failed, 0).await.problem(409, "invalid_transition");
    for sync in [done, failed, running] {
        scene.claim(sync).await.problem(409, "invalid_transition");
        scene.succeed(sync, 1).await.problem(409, "invalid_transition");
        scene.append(sync, 1, &[record(Uuid::now_v7(), "succeeded")]).await.problem(409, "invalid_transition");
    }
    for sync in [done, failed] {
        let report = json!({ "attempt": 0, "records_done": 1 });
        scene
            .machine
            .patch(&format!("/sync-logs/{sync}"))
            .json(&report)
            .send()
            .await
            .problem(409, "invalid_transition");
    }
    assert_eq!(scene.retry(running).await.problem(409, "already_active")["sync_id"], json!(running));
    scene.retry(done).await.problem(409, "nothing_to_retry");
    assert_eq!([scene.sync(done).await, scene.sync(failed).await, scene.sync(running).await], before);
}

#[tokio::test]
async fn a_report_that_comes_twice_changes_nothing() {
    let scene = Scene::new().await;
    let (done, failed) = (scene.start(json!({})).await, scene.start(json!({})).await);
    let first = [scene.succeed(done, 0).await.expect(200), scene.fail(failed, 0).await.expect(200)];
    let events: i64 = count(&scene, "SELECT count(*) FROM events").await;
    let again = [scene.succeed(done, 0).await.expect(200), scene.fail(failed, 0).await.expect(200)];
    assert_eq!(first, again);
    assert_eq!(count(&scene, "SELECT count(*) FROM events").await, events);
    assert_eq!(scene.integration().await["consecutive_failures"], 1);
}

async fn count(scene: &Scene, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(&scene.server.superuser().await).await.unwrap()
}

#[tokio::test]
async fn an_abandoned_attempt_is_closed_and_may_still_report() {
    let scene = Scene::new().await;
    let (late, dead) = (scene.start(json!({})).await, scene.start(json!({})).await);
    let (sending, queued) = (Uuid::now_v7(), Uuid::now_v7());
    scene.append(dead, 0, &[record(sending, "sending"), record(queued, "queued")]).await.expect(200);
    let long = scene.start(json!({ "lease_seconds": 3600 })).await;
    scene.server.clock.advance(chrono::Duration::seconds(130));
    for sync in [late, dead] {
        let closed = until("an abandoned attempt is closed", async || {
            Ok(Some(scene.sync(sync).await).filter(|sync| sync["status"] != "in_progress"))
        });
        assert_has(&closed.await.unwrap(), &json!({ "status": "failed", "error_code": "ATTEMPT_ABANDONED" }));
    }
    assert_eq!(scene.sync(long).await["status"], "in_progress", "its lease is longer");
    let records = scene.admin.get(&format!("/sync-logs/{dead}/records")).send().await.expect(200);
    for item in items(&records) {
        let outcome = if item["source_record_id"] == json!(sending) { "unknown" } else { "not_attempted" };
        assert_eq!(item["outcome"], outcome);
    }
    assert_has(&scene.succeed(late, 0).await.expect(200), &json!({ "status": "success", "error_code": null }));
    assert_eq!(scene.sync(late).await["status"], "success");
}

#[tokio::test]
async fn progress_extends_the_lease() {
    let scene = Scene::new().await;
    let lease = json!({ "lease_seconds": 150 });
    let (kept, lost) = (scene.start(lease.clone()).await, scene.start(lease).await);
    for _ in 0..3 {
        scene.server.clock.advance(chrono::Duration::seconds(100));
        let report = json!({ "attempt": 0, "records_done": 1 });
        scene.machine.patch(&format!("/sync-logs/{kept}")).json(&report).send().await.expect(200);
    }
    let closed = until("the other is closed", async || {
        Ok(Some(scene.sync(lost).await).filter(|sync| sync["status"] != "in_progress"))
    });
    assert_eq!(closed.await.unwrap()["error_code"], "ATTEMPT_ABANDONED");
    assert_eq!(scene.sync(kept).await["status"], "in_progress");
}

#[tokio::test]
async fn one_source_record_started_by_fifty_is_started_once() {
    let scene = Scene::new().await;
    let body = scene.start_body(json!({ "source_record_type": CLAIM, "source_record_id": Uuid::now_v7() }));
    let clients: Vec<_> = (0..50).map(|_| scene.server.anonymous().with_token(scene.machine.token())).collect();
    let answers =
        futures::future::join_all(clients.iter().map(|client| client.post("/sync-logs").json(&body).send())).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!((made.len(), refused.len()), (1, 49));
    let sync = id(&made[0].json);
    for answer in refused {
        assert_eq!(answer.problem(409, "already_active")["sync_id"], json!(sync));
    }
    assert_eq!(count(&scene, "SELECT count(*) FROM sync_logs").await, 1);

    // Another connector may have it under way at the same time, and afterwards it is free again.
    let other = connect_external(&scene.admin, json!({ "connector_type": "dynamics365" })).await;
    let mut elsewhere = body.clone();
    merge(&mut elsewhere, json!({ "integration_config_id": other, "connector_type": "dynamics365" }));
    scene.machine.post("/sync-logs").json(&elsewhere).send().await.expect(201);
    scene.succeed(sync, 0).await.expect(200);
    scene.machine.post("/sync-logs").json(&body).send().await.expect(201);
}

#[tokio::test]
async fn a_runners_own_name_for_a_run_stands_for_one_sync() {
    let scene = Scene::new().await;
    let body = scene.start_body(json!({ "client_run_id": "nightly-2026-11-20" }));
    let start = async |body: &Value| scene.machine.post("/sync-logs").json(body).send().await;
    let answers = futures::future::join_all((0..8).map(|_| start(&body))).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 7, "{statuses:?}");
    let first = id(&answers[0].json);
    assert!(answers.iter().all(|answer| id(&answer.json) == first));
    scene.succeed(first, 0).await.expect(200);
    let known = start(&body).await.expect(200);
    assert_has(&known, &json!({ "id": first, "status": "success" }));
    let finished = scene.finished_body(json!({ "client_run_id": "nightly-2026-11-20" }));
    assert_eq!(id(&scene.machine.post("/sync-logs/finished").json(&finished).send().await.expect(200)), first);
    // Another integration has names of its own.
    let other = connect_external(&scene.admin, json!({})).await;
    let mut elsewhere = body.clone();
    elsewhere["integration_config_id"] = json!(other);
    start(&elsewhere).await.expect(201);
}
