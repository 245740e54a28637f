//! Clocks: the server's against the database's, and what a week does to an idempotency key.

use chrono::Duration;
use serde_json::{Value, json};
use tests::client::{Client, id};
use tests::server::TestServer;

use crate::scene::Scene;

async fn quiet() -> Scene {
    Scene::on(TestServer::without_worker().await, json!({})).await
}

async fn count(scene: &Scene, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(&scene.server.superuser().await).await.unwrap()
}

#[tokio::test]
async fn a_server_ahead_of_its_database_says_so_and_keeps_nothing() {
    let scene = quiet().await;
    let body = scene.start_body(json!({ "client_run_id": "nightly" }));
    let start = async |body: &Value| scene.machine.post("/sync-logs").key("once").json(body).send().await;
    scene.server.clock.advance(Duration::seconds(60));
    let answer = start(&body).await;
    assert_eq!(answer.header("retry-after"), "5");
    answer.problem(503, "clock_skew");
    let imported =
        json!({ "items": [scene.finished_body(json!({ "started_at": scene.at(-1), "completed_at": scene.at(0) }))] });
    scene.machine.post("/sync-logs/import").once().json(&imported).send().await.problem(503, "clock_skew");
    assert_eq!(count(&scene, "SELECT count(*) FROM sync_logs").await, 0);
    // What began in the past by both clocks is taken.
    let past = scene.start_body(json!({ "started_at": scene.at(-120) }));
    scene.machine.post("/sync-logs").json(&past).send().await.expect(201);
    // Once they agree, the same request is done.
    scene.server.clock.advance(Duration::seconds(-60));
    start(&body).await.expect(201);
    // Five seconds are nothing.
    scene.server.clock.advance(Duration::seconds(4));
    scene.machine.post("/sync-logs").json(&scene.start_body(json!({}))).send().await.expect(201);
}

#[tokio::test]
async fn an_idempotency_key_is_kept_for_seven_days() {
    let scene = quiet().await;
    // The database takes no sync from the future, so the story begins in the past.
    let begin = scene.now() - Duration::days(20);
    let sign_in_at = async |after: Duration| {
        scene.server.clock.set(begin + after);
        scene.organization.sign_in(&scene.organization.address("org_admin")).await
    };
    let body = scene.start_body(json!({}));
    let start = async |client: &Client, key: &str| client.post("/sync-logs").key(key).json(&body).send().await;
    let first = start(&sign_in_at(Duration::zero()).await, "once").await.expect(201);

    let again = start(&sign_in_at(Duration::days(7) - Duration::seconds(30)).await, "once").await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.expect(201), first);

    let client = sign_in_at(Duration::days(7) + Duration::seconds(30)).await;
    let answer = start(&client, "once").await;
    assert_eq!(answer.header("idempotent-replayed"), "");
    let second = answer.expect(201);
    assert_ne!(id(&second), id(&first), "the key is free again");
    assert_eq!(start(&client, "once").await.expect(201), second, "and stands for the new request now");
    start(&client, "another").await.expect(201);
    let keys = "SELECT count(*) FROM idempotency_keys";
    assert_eq!((count(&scene, keys).await, count(&scene, "SELECT count(*) FROM sync_logs").await), (2, 3));

    // Those that have outlived their week go with the next that comes.
    start(&sign_in_at(Duration::days(15)).await, "later").await.expect(201);
    assert_eq!(count(&scene, keys).await, 1);
}
