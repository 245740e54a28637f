//! `/integrations/{id}/records` and `/source-records`.

use serde_json::{Value, json};
use tests::client::id;
use tests::database::dump;
use tests::server::TestServer;
use uuid::Uuid;

use crate::scene::{CLAIM, Scene, assert_has, assert_members, record};

fn payload(cost_center: &str) -> Value {
    json!({
        "payload": { "claim_number": "1043", "cost_center": cost_center }, "label": "Claim 1043", "amount": "1250.00",
        "currency": "NOK",
    })
}

#[tokio::test]
async fn a_record_is_staged_and_staged_again() {
    let scene = Scene::on(TestServer::without_worker().await, json!({})).await;
    let managed = json!({
        "name": "Accounting", "connector_type": "generic_http", "sync_type": "accounting_push", "runner": "managed",
        "settings": { "url": "https://accounting.example/api/vouchers" },
    });
    let integration = id(&scene.admin.post("/integrations").json(&managed).send().await.expect(201));
    let path = format!("/integrations/{integration}/records/{CLAIM}/{}", Uuid::now_v7());
    scene.machine.get(&path).send().await.problem(404, "not_found");
    let staged = scene.machine.put(&path).json(&payload("1000")).send().await.expect(201);
    assert_members(&staged, &["state", "payload_hash", "label", "amount", "currency", "external_reference_id"]);
    assert_has(&staged, &json!({ "state": "staged", "label": "Claim 1043", "currency": "NOK" }));
    assert_eq!(staged["payload_hash"].as_str().unwrap().len(), 64);
    assert_eq!(scene.machine.put(&path).json(&payload("1000")).send().await.expect(200), staged);
    let reordered = json!({
        "payload": { "cost_center": "1000", "claim_number": "1043" }, "label": "Claim 1043", "amount": "1250.00",
        "currency": "NOK",
    });
    assert_eq!(scene.machine.put(&path).json(&reordered).send().await.expect(200), staged, "the hash is canonical");
    let newer = scene.machine.put(&path).json(&payload("2000")).send().await.expect(200);
    assert_ne!(newer["payload_hash"], staged["payload_hash"]);
    assert_eq!(scene.machine.get(&path).send().await.expect(200), newer);

    let stored = dump(&scene.server.superuser().await, None).await;
    assert!(!stored.values().flatten().any(|row| row.contains("claim_number")), "sealed at rest");
}

#[tokio::test]
async fn every_broken_rule_of_a_staged_record_is_named() {
    let scene = Scene::on(TestServer::without_worker().await, json!({})).await;
    let superuser = scene.server.superuser().await;
    let before = dump(&superuser, None).await;
    let put = async |kind: &str, member: &str, value: Value| {
        let mut body = payload("1000");
        body[member] = value;
        let path = format!("/integrations/{}/records/{kind}/{}", scene.integration, Uuid::now_v7());
        scene.machine.put(&path).json(&body).send().await
    };
    put(CLAIM, "payload", json!([])).await.violations(&[("invalid_format", "/payload")]);
    put(CLAIM, "label", json!("x".repeat(201))).await.violations(&[("too_long", "/label")]);
    put(CLAIM, "currency", json!("kroner")).await.violations(&[("invalid_format", "/currency")]);
    put(CLAIM, "currency", json!(null)).await.violations(&[("required", "/currency")]);
    put(CLAIM, "amount", json!("0.00001")).await.violations(&[("invalid_format", "/amount")]);
    put(CLAIM, "amount", json!("much")).await.violations(&[("invalid_format", "/amount")]);
    put(CLAIM, "colour", json!("red")).await.violations(&[("unknown_field", "/colour")]);
    put("two%20words", "label", json!("x")).await.violations(&[("invalid_format", "/source_record_type")]);
    assert_eq!(dump(&superuser, None).await, before);
}

#[tokio::test]
async fn a_delivered_record_takes_no_other_content() {
    let scene = Scene::on(TestServer::without_worker().await, json!({})).await;
    let claim = Uuid::now_v7();
    let path = format!("/integrations/{}/records/{CLAIM}/{claim}", scene.integration);
    let staged = scene.machine.put(&path).json(&payload("1000")).send().await.expect(201);
    let sync = scene.start(json!({})).await;
    let mut delivered = record(claim, "succeeded");
    delivered["request_payload_hash"] = staged["payload_hash"].clone();
    scene.append(sync, 0, &[delivered]).await.expect(200);
    scene.succeed(sync, 0).await.expect(200);
    assert_eq!(scene.machine.get(&path).send().await.expect(200)["state"], "delivered");
    scene.machine.put(&path).json(&payload("1000")).send().await.expect(200);
    scene.machine.put(&path).json(&payload("2000")).send().await.problem(409, "already_delivered");
    assert_eq!(scene.machine.get(&path).send().await.expect(200)["state"], "delivered");
}

#[tokio::test]
async fn a_records_journey_crosses_syncs() {
    let scene = Scene::new().await;
    let claim = Uuid::now_v7();
    let path = format!("/source-records/{CLAIM}/{claim}/journey");
    scene.admin.get(&path).send().await.problem(404, "not_found");
    let first = scene.start(json!({})).await;
    scene.append(first, 0, &[record(claim, "failed")]).await.expect(200);
    scene.succeed(first, 0).await.expect(200);
    scene.retry(first).await.expect(202);
    scene.claim(first).await.expect(201);
    scene.append(first, 1, &[record(claim, "failed")]).await.expect(200);
    scene.succeed(first, 1).await.expect(200);
    let second = scene.start(json!({})).await;
    let mut delivered = record(claim, "succeeded");
    delivered["external_reference_id"] = json!("V-1");
    scene.append(second, 0, &[delivered]).await.expect(200);
    let journey = scene.admin.get(&path).send().await.expect(200);
    assert_members(&journey, &["source_record_type", "source_record_id", "label", "items"]);
    assert_has(&journey, &json!({ "source_record_type": CLAIM, "source_record_id": claim, "label": "Claim 1043" }));
    let steps = journey["items"].as_array().unwrap();
    let members = [
        "sync_id",
        "integration_config_id",
        "integration_name",
        "attempt",
        "outcome",
        "errors",
        "http_status_code",
        "external_reference_id",
        "updated_at",
    ];
    assert_members(&steps[0], &members);
    let mut seen: Vec<_> = steps
        .iter()
        .map(|step| (step["sync_id"].as_str().unwrap().to_owned(), step["attempt"].as_u64(), step["outcome"].clone()))
        .collect();
    let mut expected = vec![
        (first.to_string(), Some(0), json!("failed")),
        (first.to_string(), Some(1), json!("failed")),
        (second.to_string(), Some(0), json!("succeeded")),
    ];
    // Oldest or newest first; not in disorder.
    if seen[0].0 == second.to_string() {
        seen.reverse();
    }
    expected.sort_by_key(|(sync, attempt, _)| (sync.clone(), *attempt));
    assert_eq!(seen, expected);
}
