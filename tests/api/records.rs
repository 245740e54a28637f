//! `/sync-logs/{id}/records` and what is made of them.

use serde_json::{Value, json};
use tests::client::items;
use tests::organization::merge;
use uuid::Uuid;

use crate::scene::{CLAIM, Scene, assert_has, assert_members, error, record};

const MEMBERS: &[&str] = &[
    "source_record_type",
    "source_record_id",
    "label",
    "amount",
    "currency",
    "outcome",
    "attempt",
    "errors",
    "http_status_code",
    "external_reference_id",
    "request_payload_hash",
    "updated_at",
    "state",
    "changed_since_failure",
    "resolution",
    "record_url",
];

async fn records(scene: &Scene, sync: Uuid, query: &str) -> Vec<Value> {
    let list = scene.admin.get(&format!("/sync-logs/{sync}/records?{query}")).send().await.expect(200);
    items(&list).to_vec()
}

#[tokio::test]
async fn outcomes_are_appended_and_read_back() {
    let scene = Scene::with(json!({ "record_url_template": "https://app.example/{id}" })).await;
    let sync = scene.start(json!({})).await;
    let (good, bad) = (Uuid::now_v7(), Uuid::now_v7());
    let mut delivered = record(good, "succeeded");
    merge(&mut delivered, json!({ "external_reference_id": "V-2217", "request_payload_hash": "a".repeat(64) }));
    let taken = scene.append(sync, 0, &[delivered, record(bad, "failed")]).await.expect(200);
    assert_eq!(taken, json!({ "accepted": 2, "unchanged": 0, "already_active": [] }));

    let failed = records(&scene, sync, "outcome=failed").await;
    assert_eq!(failed.len(), 1);
    assert_members(&failed[0], MEMBERS);
    assert_has(
        &failed[0],
        &json!({
            "source_record_type": CLAIM, "source_record_id": bad, "label": "Claim 1043", "currency": "NOK",
            "outcome": "failed", "attempt": 0, "http_status_code": 422, "state": "failed", "resolution": null,
            "record_url": format!("https://app.example/{bad}"),
        }),
    );
    assert_has(&failed[0]["errors"][0], &error("Invalid cost center code: 9999"));
    let amount: f64 = failed[0]["amount"].as_str().unwrap().parse().unwrap();
    assert!((amount - 1250.0).abs() < f64::EPSILON);
    let delivered = records(&scene, sync, &format!("source_record_type={CLAIM}&source_record_id={good}")).await;
    assert_has(
        &delivered[0],
        &json!({ "state": "delivered", "external_reference_id": "V-2217", "request_payload_hash": "a".repeat(64) }),
    );
}

#[tokio::test]
async fn the_same_outcome_twice_is_known_and_less_than_known_is_ignored() {
    let scene = Scene::new().await;
    let sync = scene.start(json!({})).await;
    let claim = Uuid::now_v7();
    let report = async |outcome: &str| {
        let taken = scene.append(sync, 0, &[record(claim, outcome)]).await.expect(200);
        (taken["accepted"].as_u64().unwrap(), taken["unchanged"].as_u64().unwrap())
    };
    assert_eq!(report("queued").await, (1, 0));
    assert_eq!(report("sending").await, (1, 0));
    assert_eq!(report("queued").await, (0, 1));
    assert_eq!(report("succeeded").await, (1, 0));
    for outcome in ["succeeded", "failed", "unknown", "sending", "skipped"] {
        assert_eq!(report(outcome).await, (0, 1), "{outcome}");
    }
    assert_eq!(records(&scene, sync, "").await[0]["outcome"], "succeeded");
}

#[tokio::test]
async fn a_record_under_way_elsewhere_is_skipped_and_named() {
    let scene = Scene::new().await;
    let (first, second) = (scene.start(json!({})).await, scene.start(json!({})).await);
    let (shared, own) = (Uuid::now_v7(), Uuid::now_v7());
    scene.append(first, 0, &[record(shared, "sending")]).await.expect(200);
    let taken = scene.append(second, 0, &[record(shared, "queued"), record(own, "queued")]).await.expect(200);
    assert_eq!(taken["already_active"], json!([{ "source_record_type": CLAIM, "source_record_id": shared }]));
    let skipped = records(&scene, second, "outcome=skipped").await;
    assert_eq!(skipped[0]["source_record_id"], json!(shared));
    assert_eq!(skipped[0]["errors"][0]["code"], "ALREADY_ACTIVE");
    assert_eq!(records(&scene, second, "outcome=queued").await[0]["source_record_id"], json!(own));
}

#[tokio::test]
async fn every_broken_rule_of_a_record_is_named_and_nothing_is_kept() {
    let scene = Scene::new().await;
    let sync = scene.start(json!({})).await;
    let claim = Uuid::now_v7();
    let cases: Vec<(Value, &str, &str)> = vec![
        (json!({ "source_record_type": "two words" }), "invalid_format", "source_record_type"),
        (json!({ "source_record_type": "" }), "invalid_format", "source_record_type"),
        (json!({ "http_status_code": 99 }), "http_status_code_range", "http_status_code"),
        (json!({ "http_status_code": 600 }), "http_status_code_range", "http_status_code"),
        (json!({ "http_status_code": 70_000 }), "http_status_code_range", "http_status_code"),
        (json!({ "request_payload_hash": "A".repeat(64) }), "request_payload_hash_format", "request_payload_hash"),
        (json!({ "outcome": "failed" }), "required", "errors"),
        (json!({ "label": "x".repeat(201) }), "too_long", "label"),
        (json!({ "external_reference_id": "x".repeat(501) }), "too_long", "external_reference_id"),
        (json!({ "currency": "kr" }), "invalid_format", "currency"),
        (json!({ "amount": "1.00001" }), "invalid_format", "amount"),
        (json!({ "amount": "100000000000000" }), "out_of_range", "amount"),
        (json!({ "currency": null }), "required", "currency"),
        (json!({ "outcome": "lost" }), "unknown_value", "outcome"),
        (json!({ "colour": "red" }), "unknown_field", "colour"),
    ];
    for (more, code, member) in cases {
        let mut broken = record(claim, "succeeded");
        merge(&mut broken, more);
        let answer = scene.append(sync, 0, &[record(Uuid::now_v7(), "succeeded"), broken]).await;
        answer.violations(&[(code, &format!("/records/1/{member}"))]);
    }
    let twice = [record(claim, "succeeded"), record(claim, "succeeded")];
    scene.append(sync, 0, &twice).await.violations(&[("duplicate", "/records/1/source_record_id")]);
    let many: Vec<Value> = (0..1001).map(|_| record(Uuid::now_v7(), "succeeded")).collect();
    scene.append(sync, 0, &many).await.violations(&[("too_long", "/records")]);
    assert!(records(&scene, sync, "").await.is_empty());
    scene.append(sync, 0, &many[..1000]).await.expect(200);
}

#[tokio::test]
async fn failed_records_are_grouped_by_what_went_wrong() {
    let scene = Scene::new().await;
    let sync = scene.start(json!({})).await;
    let mut reports: Vec<Value> = (0..9).map(|_| record(Uuid::now_v7(), "failed")).collect();
    for _ in 0..3 {
        let mut other = record(Uuid::now_v7(), "failed");
        other["errors"] = json!([{ "code": "PERIOD_CLOSED", "message": "The period is closed" }]);
        reports.push(other);
    }
    reports.push(record(Uuid::now_v7(), "succeeded"));
    scene.append(sync, 0, &reports).await.expect(200);
    let ended = scene.succeed(sync, 0).await.expect(200);
    assert_has(&ended, &json!({ "status": "failed", "error_code": "PARTIAL_FAILURE", "http_status_code": 422 }));
    let message = ended["error_message"].as_str().unwrap();
    assert!(message.contains("Invalid cost center code: 9999 (9 records)"), "{message}");
    assert!(message.contains("The period is closed (3 records)"), "{message}");

    let groups = scene.admin.get(&format!("/sync-logs/{sync}/error-groups")).send().await.expect(200);
    let [first, second] = items(&groups) else { panic!("{groups}") };
    assert_members(first, &["code", "field", "field_name", "message", "class", "fingerprint", "count", "sample"]);
    assert_has(
        first,
        &json!({
            "code": "INVALID_VALUE", "field": "/cost_center", "field_name": "costCenter", "count": 9,
            "message": "Invalid cost center code: 9999", "class": "value",
        }),
    );
    assert_members(&first["sample"], MEMBERS);
    assert_has(second, &json!({ "code": "PERIOD_CLOSED", "field": null, "count": 3, "class": "closed_period" }));
    for (group, number) in [(first, 9), (second, 3)] {
        let fingerprint = group["fingerprint"].as_str().unwrap();
        let members = records(&scene, sync, &format!("error_fingerprint={fingerprint}")).await;
        assert_eq!(members.len(), number);
        for member in &members {
            assert_eq!(member["errors"][0]["fingerprint"], group["fingerprint"]);
            assert_eq!(member["errors"][0]["class"], group["class"]);
        }
        // Part by part they are the same, forwards and backwards.
        let path = format!("/sync-logs/{sync}/records?limit=2&error_fingerprint={fingerprint}");
        let part = scene.admin.get(&path).send().await.expect(200);
        assert_eq!(items(&part), &members[..2]);
        let cursor = part["next_cursor"].as_str().unwrap();
        let next = scene.admin.get(&format!("{path}&cursor={cursor}")).send().await.expect(200);
        assert_eq!(items(&next), &members[2..4.min(number)]);
        let cursor = next["prev_cursor"].as_str().unwrap();
        let back = scene.admin.get(&format!("{path}&cursor={cursor}")).send().await.expect(200);
        assert_eq!(items(&back), &members[..2]);
    }
    let path = format!("/sync-logs/{sync}/records?error_fingerprint=9999");
    let problem = scene.admin.get(&path).send().await.problem(400, "invalid_parameter");
    assert_eq!(problem["errors"][0]["pointer"], "?error_fingerprint");
}

#[tokio::test]
async fn what_a_hint_tells_of_somebody_is_not_kept() {
    let scene = Scene::new().await;
    let sync = scene.start(json!({})).await;
    let mut report = record(Uuid::now_v7(), "failed");
    report["errors"] = json!([{
        "code": "UNKNOWN_PAYEE", "message": "No such payee", "field": "/payees/kari@example.org",
        "field_name": "kari@example.org", "hints": ["ola@example.org", "1000"],
    }]);
    scene.append(sync, 0, &[report]).await.expect(200);
    let failed = records(&scene, sync, "outcome=failed").await;
    assert_has(
        &failed[0]["errors"][0],
        &json!({ "field": "/payees/[e-mail]", "field_name": "[e-mail]", "hints": ["[e-mail]", "1000"] }),
    );
}

#[tokio::test]
async fn a_record_booked_by_hand_is_settled() {
    let scene = Scene::new().await;
    let (sync, good, bad) = scene.half_failed().await;
    let resolve = async |record: Uuid, body: Value| {
        let path = format!("/sync-logs/{sync}/records/{CLAIM}/{record}/resolution");
        scene.admin.post(&path).json(&body).send().await
    };
    let by_hand = json!({ "resolution": "handled_manually", "reason": "booked by hand", "reference": "voucher 2217" });
    resolve(bad, json!({ "resolution": "handled_manually", "reason": " " }))
        .await
        .violations(&[("required", "/reason")]);
    resolve(bad, json!({ "resolution": "handled_manually", "reason": "x".repeat(1001) }))
        .await
        .violations(&[("too_long", "/reason")]);
    resolve(bad, json!({ "resolution": "delivered", "reason": "it arrived" }))
        .await
        .violations(&[("required", "/reference")]);
    resolve(bad, json!({ "resolution": "send_again", "reason": "try" })).await.problem(409, "invalid_transition");
    resolve(good, by_hand.clone()).await.problem(409, "already_delivered");
    resolve(Uuid::now_v7(), by_hand.clone()).await.problem(404, "not_found");

    let resolved = resolve(bad, by_hand.clone()).await.expect(200);
    assert_members(&resolved, MEMBERS);
    assert_eq!(resolved["state"], "handled");
    assert_members(&resolved["resolution"], &["resolution", "reason", "reference", "resolved_by", "resolved_at"]);
    assert_has(&resolved["resolution"], &by_hand);
    assert_eq!(resolved["resolution"]["resolved_by"], json!(scene.organization.address("org_admin")));
    resolve(bad, by_hand).await.problem(409, "invalid_transition");
    scene.retry(sync).await.problem(409, "nothing_to_retry");
    let preview = scene.admin.get(&format!("/sync-logs/{sync}/retry-preview")).send().await.expect(200);
    assert_has(&preview, &json!({ "records": 0, "handled": 1 }));
    assert_eq!(scene.integration().await["undelivered"]["records"], 0);
}
