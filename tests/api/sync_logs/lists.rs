//! Lists of syncs and their filters.

use serde_json::json;
use tests::client::{id, items};
use tests::organization::{connect_external, merge};
use tests::server::TestServer;
use uuid::Uuid;

use crate::scene::{CLAIM, Scene};

#[tokio::test]
async fn lists_are_filtered_by_everything_documented() {
    let scene = Scene::on(TestServer::without_worker().await, json!({})).await;
    let record = Uuid::now_v7();
    let old = id(&scene.finished(json!({ "started_at": scene.at(-86_400), "completed_at": scene.at(-86_000) })).await);
    let mut failure = Scene::failure();
    merge(
        &mut failure,
        json!({
            "source_record_type": CLAIM, "source_record_id": record, "started_at": scene.at(-300), "triggered_by": "webhook",
        }),
    );
    let failed = id(&scene.finished(failure).await);
    let crm =
        connect_external(&scene.admin, json!({ "connector_type": "dynamics365", "sync_type": "roster_sync" })).await;
    let running = id(&scene
        .machine
        .post("/sync-logs")
        .json(&scene.start_body(json!({
            "integration_config_id": crm, "connector_type": "dynamics365", "sync_type": "roster_sync",
        })))
        .send()
        .await
        .expect(201));
    let queued = scene.start(json!({ "queued": true })).await;
    let list = async |query: String| -> Vec<Uuid> {
        let list = scene.machine.get(&format!("/sync-logs?{query}")).send().await.expect(200);
        items(&list).iter().map(id).collect()
    };
    let (at, before) = (scene.at(-3600), scene.at(-200));
    let cases = [
        (String::new(), vec![queued, running, failed, old]),
        (format!("integration_config_id={crm}"), vec![running]),
        ("status=failed".to_owned(), vec![failed]),
        ("status=pending,in_progress".to_owned(), vec![queued, running]),
        ("connector_type=dynamics365".to_owned(), vec![running]),
        ("sync_type=accounting_push".to_owned(), vec![queued, failed, old]),
        ("triggered_by=webhook".to_owned(), vec![failed]),
        (format!("source_record_type={CLAIM}"), vec![failed]),
        (format!("source_record_type={CLAIM}&source_record_id={record}"), vec![failed]),
        (format!("source_record_id={}", Uuid::now_v7()), vec![]),
        (format!("from={at}"), vec![queued, running, failed]),
        (format!("to={at}"), vec![old]),
        (format!("from={at}&to={before}"), vec![failed]),
        ("retryable=true".to_owned(), vec![failed]),
        ("retryable=false".to_owned(), vec![queued, running, old]),
        (format!("integration_config_id={}", Uuid::now_v7()), vec![]),
    ];
    for (query, expected) in cases {
        assert_eq!(list(query.clone()).await, expected, "{query}");
    }
    for query in [
        "status=broken",
        "connector_type=sap",
        "triggered_by=me",
        "from=yesterday",
        "retryable=perhaps",
        "integration_config_id=7",
        "colour=red",
    ] {
        let problem = scene.machine.get(&format!("/sync-logs?{query}")).send().await.problem(400, "invalid_parameter");
        let name = query.split_once('=').unwrap().0;
        assert_eq!(problem["errors"][0]["pointer"], format!("?{name}"), "{problem}");
    }
}

#[tokio::test]
async fn unknown_syncs_are_not_found() {
    let scene = Scene::on(TestServer::without_worker().await, json!({})).await;
    for unknown in [Uuid::now_v7().to_string(), Uuid::new_v4().to_string(), "7".to_owned(), "%00".to_owned()] {
        scene.admin.get(&format!("/sync-logs/{unknown}")).send().await.problem(404, "not_found");
    }
}
