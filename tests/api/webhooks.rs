//! `/integrations/{id}/webhook-secret`, and what of webhooks is seen without a receiver.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tests::client::{Answer, id, items};
use tests::database::dump;
use tests::organization::external_integration;
use tests::server::TestServer;
use uuid::Uuid;

use crate::scene::{Scene, assert_members};

const URL: &str = "https://runner.example/hooks";

async fn scene(more: Value) -> Scene {
    Scene::on(TestServer::without_worker().await, more).await
}

/// The bytes of a secret in the form that receivers take.
fn bytes(secret: &Value) -> Vec<u8> {
    let text = secret.as_str().unwrap_or_else(|| panic!("no secret, but {secret}"));
    let bytes = STANDARD.decode(text.strip_prefix("whsec_").expect("the prefix")).expect("base64");
    assert_eq!(bytes.len(), 32);
    bytes
}

async fn rotate(scene: &Scene, key: &str) -> Answer {
    scene.admin.post(&format!("/integrations/{}/webhook-secret", scene.integration)).key(key).send().await
}

/// Whether a secret stands anywhere in the database, as text or as bytes.
async fn is_kept(scene: &Scene, secret: &Value) -> bool {
    let hex = bytes(secret).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let text = secret.as_str().unwrap().trim_start_matches("whsec_").to_owned();
    let rows = dump(&scene.server.superuser().await, None).await;
    rows.values().flatten().any(|row| row.contains(&hex) || row.contains(&text))
}

#[tokio::test]
async fn the_secret_is_shown_with_the_first_address_and_never_again() {
    let scene = scene(json!({})).await;
    let body = external_integration(json!({ "retry_webhook_url": URL }));
    let made = scene.admin.post("/integrations").key("once").json(&body).send().await.expect(201);
    bytes(&made["retry_webhook_secret"]);
    assert!(!is_kept(&scene, &made["retry_webhook_secret"]).await, "sealed at rest, and in no stored answer");

    let again = scene.admin.post("/integrations").key("once").json(&body).send().await.expect(201);
    assert_eq!(id(&again), id(&made));
    assert_eq!(again["retry_webhook_secret"], Value::Null, "a repeated answer is without it");
    let path = format!("/integrations/{}", id(&made));
    let shown = scene.admin.get(&path).send().await;
    let etag = shown.header("etag").to_owned();
    assert!(!shown.expect(200).as_object().unwrap().contains_key("retry_webhook_secret"));
    let change = json!({ "retry_webhook_url": "https://other.example/hooks" });
    let changed = scene.admin.patch(&path).header("If-Match", &etag).json(&change).send().await.expect(200);
    assert_eq!(changed["retry_webhook_url"], "https://other.example/hooks");
    assert!(
        !changed.as_object().unwrap().contains_key("retry_webhook_secret"),
        "the secret stays with another address"
    );
}

#[tokio::test]
async fn an_address_that_is_set_later_gets_its_secret_then() {
    let scene = scene(json!({})).await;
    let path = format!("/integrations/{}", scene.integration);
    let set = async |change: Value, version: &str| {
        scene.admin.patch(&path).header("If-Match", version).json(&change).send().await.expect(200)
    };
    assert_eq!(set(json!({ "paused": false }), "\"1\"").await["retry_webhook_secret"], Value::Null);
    bytes(&set(json!({ "retry_webhook_url": URL }), "\"2\"").await["retry_webhook_secret"]);
    assert_eq!(set(json!({ "retry_webhook_url": null }), "\"3\"").await["retry_webhook_url"], Value::Null);
    assert_eq!(set(json!({ "retry_webhook_url": URL }), "\"4\"").await["retry_webhook_secret"], Value::Null);
}

#[tokio::test]
async fn an_address_without_a_secret_is_named_and_gets_one_with_the_address_alone() {
    let scene = scene(json!({ "retry_webhook_url": URL })).await;
    let superuser = scene.server.superuser().await;
    // As an address from before there were secrets.
    sqlx::query("DELETE FROM webhook_secrets").execute(&superuser).await.unwrap();
    let (sync, ..) = scene.half_failed().await;
    scene.retry(sync).await.expect(202);
    let messages = async || -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM webhook_outbox").fetch_one(&superuser).await.unwrap()
    };
    assert_eq!(messages().await, 0, "nobody could verify it");
    let database =
        store::Database::connect(&scene.server.database.app_url, 1, std::time::Duration::from_mins(1)).await.unwrap();
    let missing = async || {
        let mut tx = store::OrgTx::begin(&database, scene.organization.id).await.unwrap();
        store::webhook_secrets::missing(&mut tx).await.unwrap()
    };
    assert_eq!(missing().await, [scene.integration]);

    let path = format!("/integrations/{}", scene.integration);
    let change =
        async |change: Value| scene.admin.patch(&path).header("If-Match", "*").json(&change).send().await.expect(200);
    let renamed = change(json!({ "name": "Books of the year" })).await;
    assert_eq!(renamed["retry_webhook_secret"], Value::Null, "nobody looks for it there");
    assert_eq!(missing().await, [scene.integration]);
    bytes(&change(json!({ "retry_webhook_url": URL })).await["retry_webhook_secret"]);
    assert!(missing().await.is_empty());
    assert_eq!(messages().await, 1, "the retry that waits is told");
    change(json!({ "retry_webhook_url": URL })).await;
    assert_eq!(messages().await, 1, "once");
}

#[tokio::test]
async fn a_secret_is_replaced_once_by_each_request() {
    let scene = scene(json!({})).await;
    // Before there is an address: the receiver can be made ready first.
    let first = rotate(&scene, "first").await.expect(200);
    assert_members(&first, &["secret", "former_valid_until"]);
    bytes(&first["secret"]);
    assert_eq!(first["former_valid_until"], Value::Null);
    let second = rotate(&scene, "second").await.expect(200);
    assert_ne!(second["secret"], first["secret"]);
    let until: chrono::DateTime<chrono::Utc> = second["former_valid_until"].as_str().unwrap().parse().unwrap();
    let day = until - scene.now();
    assert!(day <= chrono::Duration::hours(24) && day > chrono::Duration::hours(23), "{day}");
    let again = rotate(&scene, "second").await.expect(200);
    assert_eq!(again, json!({ "former_valid_until": second["former_valid_until"] }));
    assert!(!is_kept(&scene, &first["secret"]).await && !is_kept(&scene, &second["secret"]).await);
    let superuser = scene.server.superuser().await;
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM webhook_secrets").fetch_one(&superuser).await.unwrap();
    assert_eq!(kept, 2);
    scene.server.clock.advance(chrono::Duration::hours(25));
    let admin = scene.organization.sign_in(&scene.organization.address("org_admin")).await;
    let path = format!("/integrations/{}/webhook-secret", scene.integration);
    admin.post(&path).send().await.expect(200);
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM webhook_secrets").fetch_one(&superuser).await.unwrap();
    assert_eq!(kept, 2, "what has expired is deleted");
}

#[tokio::test]
async fn of_many_who_replace_a_secret_at_once_each_gets_one_that_counts_or_none() {
    let scene = scene(json!({})).await;
    let path = format!("/integrations/{}/webhook-secret", scene.integration);
    let answers = futures::future::join_all((0..8).map(|_| scene.admin.post(&path).send())).await;
    for answer in answers {
        match answer.status {
            200 => drop(bytes(&answer.json["secret"])),
            _ => drop(answer.problem(409, "conflict")),
        }
    }
    let current = "SELECT count(*) FROM webhook_secrets WHERE expires_at IS NULL";
    let current: i64 = sqlx::query_scalar(current).fetch_one(&scene.server.superuser().await).await.unwrap();
    assert_eq!(current, 1);
}

#[tokio::test]
async fn only_administrators_replace_secrets_and_only_of_external_runners() {
    let scene = scene(json!({})).await;
    let path = format!("/integrations/{}/webhook-secret", scene.integration);
    scene.machine.post(&path).send().await.problem(403, "forbidden");
    let viewer = scene.organization.viewer().await;
    viewer.post(&path).send().await.problem(403, "forbidden");
    let nobody = format!("/integrations/{}/webhook-secret", Uuid::now_v7());
    scene.admin.post(&nobody).send().await.problem(404, "not_found");
    let managed = json!({
        "name": "Accounting", "connector_type": "generic_http", "sync_type": "accounting_push", "runner": "managed",
        "settings": { "url": "https://accounting.example/api/vouchers" },
    });
    let managed = id(&scene.admin.post("/integrations").json(&managed).send().await.expect(201));
    let path = format!("/integrations/{managed}/webhook-secret");
    scene.admin.post(&path).send().await.problem(409, "invalid_transition");
}

#[tokio::test]
async fn a_message_is_written_with_the_request_and_holds_no_record() {
    let scene = scene(json!({ "retry_webhook_url": URL })).await;
    let (sync, ..) = scene.half_failed().await;
    scene.retry(sync).await.expect(202);
    scene.retry(sync).await.problem(409, "already_active");
    let superuser = scene.server.superuser().await;
    let written: Vec<(String, String)> =
        sqlx::query_as("SELECT state, body FROM webhook_outbox").fetch_all(&superuser).await.unwrap();
    let [(state, body)] = written.as_slice() else { panic!("{written:?}") };
    assert_eq!(state, "waiting");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_members(&body, &["type", "timestamp", "data"]);
    assert_eq!(body["type"], "retry.requested");
    assert_eq!(
        body["data"],
        json!({
            "sync_id": sync, "integration_config_id": scene.integration, "connector_type": "xledger",
            "sync_type": "accounting_push", "attempt": 1, "records": 1,
        })
    );
    let queued: i64 = sqlx::query_scalar("SELECT count(*) FROM webhook_queue").fetch_one(&superuser).await.unwrap();
    assert_eq!(queued, 1);

    // Claimed, failed and asked for again: one message waits, and it is the new one.
    scene.claim(sync).await.expect(201);
    scene.fail(sync, 1).await.expect(200);
    scene.retry(sync).await.expect(202);
    let waiting = "SELECT attempt_number FROM webhook_outbox WHERE state = 'waiting'";
    let waiting: Vec<i16> = sqlx::query_scalar(waiting).fetch_all(&superuser).await.unwrap();
    assert_eq!(waiting, [2]);
    let queued: i64 = sqlx::query_scalar("SELECT count(*) FROM webhook_queue").fetch_one(&superuser).await.unwrap();
    assert_eq!(queued, 1);
}

#[tokio::test]
async fn without_an_address_nothing_is_written_and_the_retry_waits_all_the_same() {
    let scene = scene(json!({})).await;
    let (sync, ..) = scene.half_failed().await;
    scene.retry(sync).await.expect(202);
    let written = "SELECT count(*) FROM webhook_outbox";
    let written: i64 = sqlx::query_scalar(written).fetch_one(&scene.server.superuser().await).await.unwrap();
    assert_eq!(written, 0);
    let waiting = scene.machine.get("/sync-logs?status=pending").send().await.expect(200);
    assert_eq!(id(&items(&waiting)[0]), sync);
}
