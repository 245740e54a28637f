//! `/incidents`: opened by failures in a row, resolved by a success.

use serde_json::{Value, json};
use tests::client::items;
use tests::organization::merge;
use tests::story::until;

use crate::scene::{Scene, assert_has, assert_members};

/// A sync that failed so many seconds ago.
async fn failed(scene: &Scene, seconds: i64) -> Value {
    let mut body = Scene::failure();
    merge(&mut body, json!({ "started_at": scene.at(-seconds), "completed_at": scene.at(1 - seconds) }));
    scene.finished(body).await
}

async fn incidents(scene: &Scene, query: &str) -> Vec<Value> {
    items(&scene.admin.get(&format!("/incidents?{query}")).send().await.expect(200)).to_vec()
}

/// Kinds of e-mail in the outbox, by recipient.
async fn emails(scene: &Scene) -> Vec<(String, String)> {
    sqlx::query_as("SELECT u.email, kind FROM email_outbox e JOIN users u ON u.id = user_id ORDER BY 1, e.created_at")
        .fetch_all(&scene.server.superuser().await)
        .await
        .unwrap()
}

#[tokio::test]
async fn two_failures_open_one_incident_and_tell_each_administrator_once() {
    let scene = Scene::with(json!({ "name": "Xledger" })).await;
    scene.organization.person("second@example.org", "org_admin").await;
    let second = scene.organization.sign_in("second@example.org").await;
    let viewer = scene.organization.viewer().await;
    second.patch("/me").json(&json!({ "email_on_incident": false })).send().await.expect(200);

    failed(&scene, 500).await;
    assert!(incidents(&scene, "").await.is_empty(), "one failure is not yet an incident");
    let sync = failed(&scene, 400).await;
    let open = incidents(&scene, "open=true").await;
    assert_eq!(open.len(), 1);
    let members = [
        "id",
        "integration_config_id",
        "integration_name",
        "kind",
        "opened_at",
        "resolved_at",
        "acknowledged_at",
        "acknowledged_by",
        "sync_id",
        "error_message",
    ];
    assert_members(&open[0], &members);
    assert_has(
        &open[0],
        &json!({
            "integration_config_id": scene.integration, "integration_name": "Xledger", "kind": "consecutive_failures",
            "resolved_at": null, "acknowledged_at": null, "sync_id": sync["id"],
            "error_message": "12 of 40 vouchers were rejected",
        }),
    );
    assert_eq!(scene.integration().await["open_incident_id"], open[0]["id"]);
    for admin in [&scene.admin, &second] {
        let told = admin.get("/notifications").send().await.expect(200);
        assert_eq!((items(&told).len(), &told["unread"]), (1, &json!(1)));
        assert_has(
            &items(&told)[0],
            &json!({
                "kind": "incident_opened", "incident_kind": "consecutive_failures", "incident_id": open[0]["id"],
                "integration_config_id": scene.integration, "integration_name": "Xledger", "sync_id": sync["id"],
                "consecutive_failures": 2, "error_message": "12 of 40 vouchers were rejected", "read_at": null,
            }),
        );
    }
    assert_eq!(viewer.get("/notifications").send().await.expect(200)["items"], json!([]));
    let admin = scene.organization.address("org_admin");
    assert_eq!(emails(&scene).await, [(admin.clone(), "incident_opened".to_owned())], "who wants none gets none");

    failed(&scene, 300).await;
    assert_eq!(incidents(&scene, "").await.len(), 1, "the third is silent");
    assert_eq!(items(&scene.admin.get("/notifications").send().await.expect(200)).len(), 1);
    assert_eq!(emails(&scene).await.len(), 1);

    scene.finished(json!({ "started_at": scene.at(-200), "completed_at": scene.at(-190) })).await;
    assert!(incidents(&scene, "open=true").await.is_empty());
    let resolved = incidents(&scene, "open=false").await;
    assert!(resolved[0]["resolved_at"].is_string());
    assert_eq!(resolved[0]["id"], open[0]["id"]);
    let told = scene.admin.get("/notifications").send().await.expect(200);
    let kinds: Vec<_> = items(&told).iter().map(|notification| &notification["kind"]).collect();
    assert_eq!(kinds, ["incident_resolved", "incident_opened"]);
    let kinds: Vec<String> = emails(&scene).await.into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(kinds, ["incident_opened", "incident_resolved"]);
    let health = scene.integration().await["health"].clone();
    assert_eq!(health["light"], "green");

    // The next two open another one.
    failed(&scene, 100).await;
    failed(&scene, 50).await;
    assert_eq!(incidents(&scene, "").await.len(), 2);
}

#[tokio::test]
async fn e_mails_of_an_incident_make_a_thread_and_hold_no_personal_data() {
    let scene = Scene::with(json!({ "failure_threshold": 1 })).await;
    let mut body = Scene::failure();
    body["error_message"] = json!("Kari Nordmann <kari@example.org>, 01017010170, was refused");
    scene.finished(body).await;
    scene.finished(json!({ "started_at": scene.at(-40), "completed_at": scene.at(-30) })).await;
    let sent: Vec<(String, Option<String>, String, String)> = sqlx::query_as(
        "SELECT message_id, in_reply_to, subject, body_text || body_html FROM email_outbox ORDER BY created_at, id",
    )
    .fetch_all(&scene.server.superuser().await)
    .await
    .unwrap();
    assert_eq!(sent.len(), 2);
    assert_eq!((sent[0].1.as_ref(), sent[1].1.as_ref()), (None, Some(&sent[0].0)));
    for (_, _, subject, body) in &sent {
        assert!(!subject.is_empty());
        assert!(!body.contains("kari@example.org") && !body.contains("01017010170"), "{body}");
    }
}

#[tokio::test]
async fn many_failures_at_once_open_one_incident() {
    let scene = Scene::new().await;
    futures::future::join_all((0..8).map(|number| failed(&scene, 100 + number))).await;
    assert_eq!(incidents(&scene, "").await.len(), 1);
    assert_eq!(items(&scene.admin.get("/notifications").send().await.expect(200)).len(), 1);
    assert_eq!(emails(&scene).await.len(), 1);
    assert_eq!(scene.integration().await["consecutive_failures"], 8);
}

#[tokio::test]
async fn a_retry_within_a_sync_is_no_second_failure_and_heals_an_incident() {
    let scene = Scene::new().await;
    let (sync, _, bad) = scene.half_failed().await;
    scene.retry(sync).await.expect(202);
    scene.claim(sync).await.expect(201);
    scene.fail(sync, 1).await.expect(200);
    assert!(incidents(&scene, "").await.is_empty());
    let (other, ..) = scene.half_failed().await;
    assert_eq!(incidents(&scene, "open=true").await.len(), 1);
    assert_ne!(bad, other);
    scene.retry(other).await.expect(202);
    let claimed = scene.claim(other).await.expect(201);
    let reports: Vec<Value> = claimed["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| crate::scene::record(key["source_record_id"].as_str().unwrap().parse().unwrap(), "succeeded"))
        .collect();
    scene.append(other, 1, &reports).await.expect(200);
    assert_eq!(scene.succeed(other, 1).await.expect(200)["status"], "retried_success");
    assert!(incidents(&scene, "open=true").await.is_empty());
}

#[tokio::test]
async fn silence_opens_an_incident_too() {
    let scene = Scene::with(json!({ "freshness_hours": 1 })).await;
    scene.finished(json!({})).await;
    scene.server.clock.advance(chrono::Duration::minutes(70));
    let admin = scene.organization.sign_in(&scene.organization.address("org_admin")).await;
    let open = until("the stale integration is noticed", async || {
        let list = admin.get("/incidents?open=true").send().await.expect(200);
        Ok(items(&list).first().cloned())
    });
    assert_has(&open.await.unwrap(), &json!({ "kind": "stale", "integration_config_id": scene.integration }));
    let shown = admin.get(&format!("/integrations/{}", scene.integration)).send().await.expect(200);
    assert_eq!(shown["health"]["light"], "red");
}

#[tokio::test]
async fn an_incident_is_acknowledged_by_name_once() {
    let scene = Scene::with(json!({ "failure_threshold": 1 })).await;
    failed(&scene, 100).await;
    let incident = incidents(&scene, "").await.remove(0);
    let path = format!("/incidents/{}/acknowledge", incident["id"].as_str().unwrap());
    let viewer = scene.organization.viewer().await;
    viewer.post(&path).send().await.problem(403, "forbidden");
    let acknowledged = scene.admin.post(&path).send().await.expect(200);
    assert_eq!(acknowledged["acknowledged_by"], json!(scene.organization.address("org_admin")));
    let again = scene.organization.operator().await.post(&path).send().await.expect(200);
    assert_eq!(again["acknowledged_at"], acknowledged["acknowledged_at"], "who was first stays");
    scene
        .admin
        .post(&format!("/incidents/{}/acknowledge", uuid::Uuid::now_v7()))
        .send()
        .await
        .problem(404, "not_found");
}
