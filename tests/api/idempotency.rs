//! `Idempotency-Key`: the same request, the same answer, done once.

use serde_json::{Value, json};
use tests::client::{Answer, id};

use crate::scene::Scene;

async fn count(scene: &Scene) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM sync_logs").fetch_one(&scene.server.superuser().await).await.unwrap()
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_ones_answer() {
    let scene = Scene::new().await;
    let body = scene.start_body(json!({}));
    let start = async |body: &Value| scene.machine.post("/sync-logs").key("once").json(body).send().await;
    let first = start(&body).await;
    scene.succeed(id(&first.json), 0).await.expect(200);
    let again = start(&body).await;
    assert_eq!(
        (first.status, &first.json, first.header("location")),
        (again.status, &again.json, again.header("location"))
    );
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
    start(&scene.start_body(json!({ "records_total": 7 }))).await.problem(422, "idempotency_mismatch");
    assert_eq!(count(&scene).await, 1);
    // A key is one principal's, for one operation.
    scene.admin.post("/sync-logs").key("once").json(&body).send().await.expect(201);
    scene
        .machine
        .post("/sync-logs/finished")
        .key("once")
        .json(&scene.finished_body(json!({})))
        .send()
        .await
        .expect(201);
    assert_eq!(count(&scene).await, 3);
}

#[tokio::test]
async fn a_refused_request_leaves_its_key_free() {
    let scene = Scene::new().await;
    let wrong = scene.start_body(json!({ "records_total": -1 }));
    let answer = scene.machine.post("/sync-logs").key("once").json(&wrong).send().await;
    answer.violations(&[("records_processed_non_negative", "/records_total")]);
    scene.machine.post("/sync-logs").key("once").json(&scene.start_body(json!({}))).send().await.expect(201);
}

#[tokio::test]
async fn of_many_at_once_one_is_done() {
    let scene = Scene::new().await;
    let body = scene.start_body(json!({}));
    let start = async || scene.machine.post("/sync-logs").key("once").json(&body).send().await;
    let answers: Vec<Answer> = futures::future::join_all((0..10).map(|_| start())).await;
    let ids: std::collections::BTreeSet<_> =
        answers.iter().filter(|answer| answer.status == 201).map(|answer| id(&answer.json)).collect();
    assert_eq!(ids.len(), 1);
    for answer in answers.into_iter().filter(|answer| answer.status != 201) {
        answer.problem(409, "idempotency_in_progress");
    }
    assert_eq!(count(&scene).await, 1);
}

#[tokio::test]
async fn imports_and_retries_need_a_key() {
    let scene = Scene::new().await;
    let body = json!({ "items": [scene.finished_body(json!({}))] });
    let import = || scene.machine.post("/sync-logs/import").json(&body);
    import().send().await.problem(400, "idempotency_key_required");
    let first = import().key("import-1").send().await.expect(200);
    let again = import().key("import-1").send().await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.expect(200), first);
    assert_eq!(count(&scene).await, 1);

    let (sync, ..) = scene.half_failed().await;
    let retry = || scene.admin.post(&format!("/sync-logs/{sync}/retries"));
    retry().send().await.problem(400, "idempotency_key_required");
    let first = retry().key("retry-1").send().await.expect(202);
    assert_eq!(retry().key("retry-1").send().await.expect(202), first, "a double click is one retry");
    retry().key("retry-2").send().await.problem(409, "already_active");
    // The same key for another sync is another request.
    let (other, ..) = scene.half_failed().await;
    scene.admin.post(&format!("/sync-logs/{other}/retries")).key("retry-1").send().await.expect(202);
}

#[tokio::test]
async fn a_key_has_a_form_and_may_be_quoted() {
    let scene = Scene::new().await;
    let body = scene.start_body(json!({}));
    for key in ["", &"x".repeat(256), "\"\""] {
        scene.machine.post("/sync-logs").key(key).json(&body).send().await.problem(400, "invalid_parameter");
    }
    scene.machine.post("/sync-logs").key("\"quoted\"").json(&body).send().await.expect(201);
    let again = scene.machine.post("/sync-logs").key("quoted").json(&body).send().await;
    assert_eq!(again.header("idempotent-replayed"), "true");
}
