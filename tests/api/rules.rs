//! Every rule of the ledger broken one by one and all at once, on every way a sync comes in.

mod counts;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tests::database::dump;
use tests::organization::merge;
use uuid::Uuid;

use crate::scene::{Scene, assert_has, moment, record};

/// Everything stored, but for events and answers to requests with a key, which are no part of the ledger.
async fn stored(scene: &Scene) -> BTreeMap<String, Vec<String>> {
    dump(&scene.server.superuser().await, None).await
}

/// Rule, members that break it, where it is told. All of them can be broken by a sync that begins.
fn broken_starts(scene: &Scene) -> Vec<(&'static str, Value, &'static str)> {
    let two_years = moment(scene.now() - chrono::Duration::days(730));
    vec![
        (
            "integration_config_id_must_exist",
            json!({ "integration_config_id": Uuid::now_v7() }),
            "/integration_config_id",
        ),
        ("connector_type_must_match_integration_config", json!({ "connector_type": "dynamics365" }), "/connector_type"),
        (
            "started_at_not_in_future",
            json!({ "started_at": scene.at(3600), "completed_at": scene.at(3601) }),
            "/started_at",
        ),
        ("started_at_out_of_range", json!({ "started_at": two_years }), "/started_at"),
        ("records_processed_non_negative", json!({ "records_total": -1 }), "/records_total"),
        ("out_of_range", json!({ "records_total": 2_147_483_648_i64 }), "/records_total"),
        ("triggered_by_user_id_required_for_manual", json!({ "triggered_by": "manual" }), "/triggered_by"),
        (
            "source_record_type_required_when_id_present",
            json!({ "source_record_id": Uuid::now_v7() }),
            "/source_record_type",
        ),
        ("invalid_format", json!({ "source_record_type": "two words" }), "/source_record_type"),
        ("out_of_range", json!({ "lease_seconds": 0 }), "/lease_seconds"),
        ("out_of_range", json!({ "lease_seconds": 86_401 }), "/lease_seconds"),
        ("invalid_format", json!({ "client_run_id": "  " }), "/client_run_id"),
        ("too_long", json!({ "client_run_id": "x".repeat(201) }), "/client_run_id"),
        ("unknown_value", json!({ "sync_type": "payroll" }), "/sync_type"),
        ("unknown_value", json!({ "triggered_by": "chance" }), "/triggered_by"),
        ("invalid_format", json!({ "started_at": "yesterday" }), "/started_at"),
        ("invalid_format", json!({ "source_record_id": "claim 7" }), "/source_record_id"),
    ]
}

/// The same for a sync that has ended.
fn broken_ends(scene: &Scene) -> Vec<(&'static str, Value, &'static str)> {
    let failure = |more: Value| {
        let mut failure = Scene::failure();
        merge(&mut failure, more);
        failure
    };
    let failed_without_word = record_with(json!({ "outcome": "failed", "errors": [] }));
    vec![
        ("completed_at_must_follow_started_at", json!({ "completed_at": scene.at(-61) }), "/completed_at"),
        ("completed_at_must_follow_started_at", json!({ "completed_at": scene.at(60) }), "/completed_at"),
        ("error_fields_required_on_failure", failure(json!({ "error_code": null })), "/error_code"),
        ("error_fields_required_on_failure", failure(json!({ "error_code": " " })), "/error_code"),
        ("error_fields_required_on_failure", failure(json!({ "error_message": null })), "/error_message"),
        ("error_fields_required_on_failure", json!({ "error_code": "X" }), "/error_code"),
        ("error_fields_required_on_failure", json!({ "error_message": "x" }), "/error_message"),
        ("too_long", failure(json!({ "error_code": "x".repeat(201) })), "/error_code"),
        ("records_processed_non_negative", json!({ "records_processed": -1 }), "/records_processed"),
        ("records_processed_non_negative", json!({ "records_failed": -1 }), "/records_failed"),
        ("http_status_code_range", json!({ "http_status_code": 99 }), "/http_status_code"),
        ("http_status_code_range", json!({ "http_status_code": 600 }), "/http_status_code"),
        ("http_status_code_range", json!({ "http_status_code": -200 }), "/http_status_code"),
        ("http_status_code_range", json!({ "http_status_code": 1_000_000 }), "/http_status_code"),
        ("request_payload_hash_format", json!({ "request_payload_hash": "A".repeat(64) }), "/request_payload_hash"),
        ("request_payload_hash_format", json!({ "request_payload_hash": "a".repeat(63) }), "/request_payload_hash"),
        ("request_payload_hash_format", json!({ "request_payload_hash": "g".repeat(64) }), "/request_payload_hash"),
        ("too_long", json!({ "external_reference_id": "x".repeat(501) }), "/external_reference_id"),
        ("unknown_field", json!({ "organization_id": Uuid::now_v7() }), "/organization_id"),
        ("unknown_value", json!({ "status": "pending" }), "/status"),
        ("unknown_value", json!({ "status": "done" }), "/status"),
        ("required", json!({ "records": [failed_without_word] }), "/records/0/errors"),
        (
            "http_status_code_range",
            json!({ "records": [record_with(json!({ "http_status_code": 99 }))] }),
            "/records/0/http_status_code",
        ),
    ]
}

fn record_with(more: Value) -> Value {
    let mut record = record(Uuid::now_v7(), "succeeded");
    merge(&mut record, more);
    record
}

/// What a rule breaks beside itself: where the status is told twice over, the error fields are too.
fn also(code: &str, members: &Value) -> Vec<(&'static str, &'static str)> {
    match (code, members["status"].as_str()) {
        // As neither success nor failure, it is judged as a failure.
        ("unknown_value", Some("pending")) => vec![
            ("error_fields_required_on_failure", "/error_code"),
            ("error_fields_required_on_failure", "/error_message"),
        ],
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn a_sync_that_begins_breaks_each_rule_alone() {
    let scene = Scene::new().await;
    let before = stored(&scene).await;
    for (code, mut members, pointer) in broken_starts(&scene) {
        members.as_object_mut().unwrap().remove("completed_at");
        let answer = scene.machine.post("/sync-logs").json(&scene.start_body(members)).send().await;
        answer.violations(&[(code, pointer)]);
    }
    assert_eq!(stored(&scene).await, before);
}

#[tokio::test]
async fn a_finished_sync_breaks_each_rule_alone() {
    let scene = Scene::new().await;
    let before = stored(&scene).await;
    for (code, members, pointer) in broken_starts(&scene).into_iter().chain(broken_ends(&scene)) {
        let mut expected = vec![(code, pointer)];
        expected.extend(also(code, &members));
        if code == "started_at_not_in_future" {
            // What begins in the future ends there too.
            expected.push(("completed_at_must_follow_started_at", "/completed_at"));
        }
        if pointer == "/records_total" {
            // Told where the sync begins and where it ends.
            expected.push((code, pointer));
        }
        let answer = scene.machine.post("/sync-logs/finished").json(&scene.finished_body(members)).send().await;
        answer.violations(&expected);
    }
    assert_eq!(stored(&scene).await, before);
}

#[tokio::test]
async fn one_request_names_every_broken_rule() {
    let scene = Scene::new().await;
    let before = stored(&scene).await;
    let everything = scene.finished_body(json!({
        "integration_config_id": Uuid::now_v7(), "started_at": scene.at(3600), "completed_at": scene.at(7200),
        "status": "failed", "records_processed": -1, "records_failed": -1, "http_status_code": 99,
        "triggered_by": "manual", "source_record_id": Uuid::now_v7(), "request_payload_hash": "no hash",
        "lease_seconds": 0, "client_run_id": "x".repeat(201), "external_reference_id": "x".repeat(501),
        "records": [record_with(json!({ "outcome": "failed", "errors": [], "currency": "kr" }))],
    }));
    let answer = scene.machine.post("/sync-logs/finished").json(&everything).send().await;
    answer.violations(&[
        ("integration_config_id_must_exist", "/integration_config_id"),
        ("started_at_not_in_future", "/started_at"),
        ("completed_at_must_follow_started_at", "/completed_at"),
        ("error_fields_required_on_failure", "/error_code"),
        ("error_fields_required_on_failure", "/error_message"),
        ("records_processed_non_negative", "/records_processed"),
        ("records_processed_non_negative", "/records_failed"),
        ("http_status_code_range", "/http_status_code"),
        ("triggered_by_user_id_required_for_manual", "/triggered_by"),
        ("source_record_type_required_when_id_present", "/source_record_type"),
        ("request_payload_hash_format", "/request_payload_hash"),
        ("out_of_range", "/lease_seconds"),
        ("too_long", "/client_run_id"),
        ("too_long", "/external_reference_id"),
        ("required", "/records/0/errors"),
        ("invalid_format", "/records/0/currency"),
    ]);
    let matched = scene.finished_body(json!({ "connector_type": "other", "started_at": "2001-01-01T00:00:00Z" }));
    let answer = scene.machine.post("/sync-logs/finished").json(&matched).send().await;
    answer.violations(&[
        ("connector_type_must_match_integration_config", "/connector_type"),
        ("started_at_out_of_range", "/started_at"),
    ]);
    assert_eq!(stored(&scene).await, before);
}

#[tokio::test]
async fn an_attempt_that_ends_breaks_each_rule_alone() {
    let scene = Scene::new().await;
    let sync = scene.start(json!({})).await;
    let before = stored(&scene).await;
    let body_members = [
        "error_code",
        "error_message",
        "records_processed",
        "records_failed",
        "http_status_code",
        "request_payload_hash",
        "external_reference_id",
        "status",
    ];
    for (code, members, pointer) in broken_ends(&scene) {
        let known = members.as_object().unwrap().keys().all(|member| body_members.contains(&member.as_str()));
        if !known || code == "unknown_value" {
            continue;
        }
        let end = if members["status"] == "failed" { "fail" } else { "succeed" };
        let mut body = json!({ "attempt": 0 });
        merge(&mut body, members);
        body.as_object_mut().unwrap().remove("status");
        let answer = scene.machine.post(&format!("/sync-logs/{sync}/{end}")).json(&body).send().await;
        let told = if end == "succeed" && pointer.starts_with("/error_") { "unknown_field" } else { code };
        answer.violations(&[(told, pointer)]);
    }
    let path = format!("/sync-logs/{sync}");
    for member in ["records_total", "records_done"] {
        let answer = scene.machine.patch(&path).json(&json!({ "attempt": 0, member: -1 })).send().await;
        answer.violations(&[("records_processed_non_negative", &format!("/{member}"))]);
        let answer = scene.machine.patch(&path).json(&json!({ "attempt": 0, member: 2_147_483_648_i64 })).send().await;
        answer.violations(&[("out_of_range", &format!("/{member}"))]);
    }
    assert_eq!(stored(&scene).await, before);
    assert_eq!(scene.sync(sync).await["status"], "in_progress");
}

#[tokio::test]
async fn an_import_has_a_result_for_each_sync_and_keeps_the_good_ones() {
    let scene = Scene::new().await;
    let mut items = vec![scene.finished_body(json!({ "client_run_id": "good-1" }))];
    let broken: Vec<_> = broken_ends(&scene)
        .into_iter()
        .chain(broken_starts(&scene))
        .filter(|(code, members, pointer)| also(code, members).is_empty() && *pointer != "/records_total")
        // A wrong shape, unlike a broken rule, is the whole request's.
        .filter(|(code, members, _)| {
            !code.starts_with("unknown")
                && members["started_at"] != "yesterday"
                && members["source_record_id"] != "claim 7"
        })
        .collect();
    items.extend(broken.iter().map(|(_, members, _)| scene.finished_body(members.clone())));
    items.push(scene.finished_body(json!({ "client_run_id": "good-2" })));
    items.push(scene.finished_body(json!({ "client_run_id": "good-1" })));
    let answer =
        scene.machine.post("/sync-logs/import").once().json(&json!({ "items": items })).send().await.expect(200);
    let results = answer["items"].as_array().unwrap();
    assert_eq!(results.len(), items.len());
    let last = results.len() - 1;
    assert_has(&results[0], &json!({ "index": 0, "status": 201 }));
    assert_has(&results[last - 1], &json!({ "index": last - 1, "status": 201 }));
    assert_has(&results[last], &json!({ "index": last, "status": 200, "id": results[0]["id"] }));
    for (index, (code, _, pointer)) in broken.iter().enumerate() {
        let result = &results[index + 1];
        assert_has(result, &json!({ "index": index + 1, "status": 422 }));
        assert_eq!(result["problem"]["code"], "validation_failed");
        let told = result["problem"]["errors"].as_array().unwrap();
        assert!(told.iter().any(|error| error["code"] == *code && error["pointer"] == *pointer), "{code}: {result}");
    }
    let listed = scene.admin.get("/sync-logs").send().await.expect(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    let empty = scene.machine.post("/sync-logs/import").once().json(&json!({ "items": [] })).send().await;
    empty.violations(&[("required", "/items")]);
}

#[tokio::test]
async fn a_little_clock_skew_is_let_through_and_clamped() {
    let scene = Scene::new().await;
    let body = scene.start_body(json!({ "started_at": scene.at(3) }));
    let sync = scene.machine.post("/sync-logs").json(&body).send().await.expect(201);
    let started_at: chrono::DateTime<chrono::Utc> = sync["started_at"].as_str().unwrap().parse().unwrap();
    assert!(started_at <= scene.now());
    let body = scene.start_body(json!({ "started_at": scene.at(30) }));
    let answer = scene.machine.post("/sync-logs").json(&body).send().await;
    answer.violations(&[("started_at_not_in_future", "/started_at")]);
}
