//! What counts say: warnings, partial failures, and the light they give.

use serde_json::{Value, json};
use tests::client::{id, items};
use tests::organization::merge;
use uuid::Uuid;

use crate::scene::{CLAIM, Scene, assert_has, record};

async fn light(scene: &Scene) -> Value {
    scene.integration().await["health"]["light"].clone()
}

#[tokio::test]
async fn more_failures_than_records_are_a_warning_and_a_yellow_light() {
    let scene = Scene::new().await;
    let sync = scene.finished(json!({ "records_total": 10, "records_processed": 10, "records_failed": 12 })).await;
    assert_has(&sync, &json!({ "status": "success", "records_total": 10, "records_failed": 12 }));
    let codes: Vec<_> = sync["warnings"].as_array().unwrap().iter().map(|warning| &warning["code"]).collect();
    assert!(codes.contains(&&json!("records_failed_not_exceed_total")), "{sync}");
    assert_eq!(light(&scene).await, "yellow");
}

#[tokio::test]
async fn counts_that_do_not_add_up_are_a_warning_and_a_yellow_light() {
    let scene = Scene::new().await;
    let sync = scene.finished(json!({ "records_total": 40, "records_processed": 30, "records_failed": 0 })).await;
    assert_eq!(sync["status"], "success");
    assert_eq!(sync["warnings"][0]["code"], "counts_must_add_up", "{sync}");
    assert_eq!(light(&scene).await, "yellow");
    let fine = scene.finished(json!({ "started_at": scene.at(-40), "completed_at": scene.at(-30) })).await;
    assert_eq!(fine["warnings"], json!([]));
    assert_eq!(light(&scene).await, "green");
}

#[tokio::test]
async fn nothing_where_something_is_expected_is_a_warning() {
    let scene = Scene::new().await;
    let nothing = json!({ "records_total": 0, "records_processed": 0 });
    let first = scene.finished(nothing.clone()).await;
    assert_eq!(first["warnings"], json!([]), "nothing was ever expected");
    scene.finished(json!({ "started_at": scene.at(-40), "completed_at": scene.at(-35) })).await;
    let sync = scene.start(json!({ "records_total": 0 })).await;
    let end = json!({ "attempt": 0, "records_processed": 0, "records_failed": 0 });
    let ended = scene.machine.post(&format!("/sync-logs/{sync}/succeed")).json(&end).send().await.expect(200);
    assert_eq!(ended["warnings"][0]["code"], "zero_records", "{ended}");
    assert_eq!(light(&scene).await, "yellow");
}

#[tokio::test]
async fn some_failed_records_are_a_failure_unless_the_integration_says_otherwise() {
    let some = json!({ "records_total": 40, "records_processed": 28, "records_failed": 12 });
    let scene = Scene::new().await;
    let sync = scene.finished(some.clone()).await;
    assert_has(&sync, &json!({ "status": "failed", "error_code": "PARTIAL_FAILURE", "retryable": true }));
    assert!(sync["error_message"].as_str().is_some_and(|message| !message.is_empty()));
    assert_eq!(light(&scene).await, "red");

    let scene = Scene::with(json!({ "partial_failure": "warning" })).await;
    let sync = scene.finished(some).await;
    assert_has(&sync, &json!({ "status": "success", "error_code": null, "records_failed": 12, "retryable": true }));
    assert_eq!(light(&scene).await, "yellow");
    // None delivered is no partial failure.
    let none = json!({
        "records_total": 40, "records_processed": 0, "records_failed": 40, "started_at": scene.at(-40),
        "completed_at": scene.at(-30),
    });
    assert_has(&scene.finished(none).await, &json!({ "status": "failed", "error_code": "ALL_RECORDS_FAILED" }));
    assert_eq!(light(&scene).await, "red");
}

#[tokio::test]
async fn a_tolerated_record_of_unknown_fate_is_a_warning_and_a_yellow_light() {
    let scene = Scene::with(json!({ "partial_failure": "warning" })).await;
    let sync = scene.start(json!({ "records_total": 2 })).await;
    let records = [record(Uuid::now_v7(), "succeeded"), record(Uuid::now_v7(), "unknown")];
    scene.append(sync, 0, &records).await.expect(200);
    let end = json!({ "attempt": 0 });
    let ended = scene.machine.post(&format!("/sync-logs/{sync}/succeed")).json(&end).send().await.expect(200);
    assert_has(&ended, &json!({ "status": "success", "error_code": null, "records_failed": 0, "retryable": true }));
    assert_eq!(ended["warnings"][0]["code"], "RECORDS_NOT_ARRIVED", "{ended}");
    assert_eq!(light(&scene).await, "yellow");
    for (wanted, found) in [(true, vec![ended["id"].clone()]), (false, vec![])] {
        let listed = scene.admin.get(&format!("/sync-logs?retryable={wanted}")).send().await.expect(200);
        assert_eq!(items(&listed).iter().map(|sync| sync["id"].clone()).collect::<Vec<_>>(), found);
    }
}

#[tokio::test]
async fn a_backfilled_sync_changes_no_light() {
    let scene = Scene::new().await;
    scene.finished(json!({})).await;
    let mut old = Scene::failure();
    merge(&mut old, json!({ "backfill": true }));
    let sync = scene.finished(old).await;
    assert_eq!(sync["backfill"], true);
    let shown = scene.integration().await;
    assert_has(&shown, &json!({ "consecutive_failures": 0 }));
    assert_ne!(shown["last_sync"]["id"], sync["id"]);
    assert_eq!(shown["health"]["light"], "green");
}

#[tokio::test]
async fn a_source_records_type_alone_is_enough() {
    let scene = Scene::new().await;
    let body = scene.start_body(json!({ "source_record_type": CLAIM }));
    let sync = scene.machine.post("/sync-logs").json(&body).send().await.expect(201);
    assert_has(&scene.sync(id(&sync)).await, &json!({ "source_record_type": CLAIM, "source_record_id": null }));
}

#[tokio::test]
async fn that_records_are_left_is_the_ledgers_own_word() {
    let scene = Scene::new().await;
    let warnings = json!([
        { "code": "AWAITING_POSTING", "message": "accepted" },
        { "code": "RECORDS_NOT_ARRIVED", "message": "lost" },
    ]);
    let sync = scene.finished(json!({ "warnings": warnings })).await;
    assert_has(&sync, &json!({ "status": "success", "retryable": false }));
    assert_eq!(sync["warnings"][0]["code"], "REPORTED_AWAITING_POSTING", "{sync}");
    assert_eq!(sync["warnings"][1]["code"], "REPORTED_RECORDS_NOT_ARRIVED", "{sync}");

    let sync = scene.start(json!({ "started_at": scene.at(-40) })).await;
    let mut unknown = record(Uuid::now_v7(), "unknown");
    merge(&mut unknown, json!({ "errors": [{ "code": "AWAITING_POSTING", "message": "accepted" }] }));
    scene.append(sync, 0, &[unknown]).await.expect(200);
    let end = json!({ "attempt": 0, "warnings": warnings });
    let ended = scene.machine.post(&format!("/sync-logs/{sync}/succeed")).json(&end).send().await.expect(200);
    assert_has(&ended, &json!({ "status": "failed", "error_code": "ALL_RECORDS_FAILED" }));
    assert_eq!(ended["warnings"][0]["code"], "REPORTED_AWAITING_POSTING", "{ended}");
    assert_eq!(light(&scene).await, "red");
}
