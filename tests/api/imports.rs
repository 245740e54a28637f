//! `/sync-logs/import`: many finished syncs in one call, each with its own result.

use serde_json::{Value, json};
use tests::client::{id, items};
use tests::organization::{connect_external, merge};
use uuid::Uuid;

use crate::scene::{CLAIM, Scene, assert_has, record};

/// Imports finished syncs with these members, and returns the results.
async fn import(scene: &Scene, each: &[Value]) -> Vec<Value> {
    let bodies: Vec<Value> = each.iter().map(|more| scene.finished_body(more.clone())).collect();
    let answer = scene.machine.post("/sync-logs/import").once().json(&json!({ "items": bodies })).send().await;
    items(&answer.expect(200)).to_vec()
}

fn statuses(results: &[Value]) -> Vec<u64> {
    results.iter().map(|result| result["status"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_thousand_syncs_are_imported_as_if_each_had_been_recorded() {
    let scene = Scene::new().await;
    let each: Vec<Value> = (0..1_000)
        .map(|n| {
            let mut more = if n % 100 == 50 { Scene::failure() } else { json!({}) };
            let began = -4_000 - 60 * n;
            merge(
                &mut more,
                json!({
                    "started_at": scene.at(began), "completed_at": scene.at(began + 7),
                    "client_run_id": format!("run-{n}"), "metadata": { "n": n }, "records_total": 40,
                }),
            );
            more
        })
        .collect();
    let results = import(&scene, &each).await;
    assert!(statuses(&results).iter().all(|status| *status == 201), "{:?}", results[0]);
    assert!(results.iter().enumerate().all(|(index, result)| result["index"] == index));

    let recorded = scene.finished(json!({ "client_run_id": "alone" })).await;
    let imported = scene.sync(id(&results[0])).await;
    assert_has(&imported, &json!({ "status": "success", "duration_ms": 7_000, "records_processed": 40 }));
    let members = |sync: &Value| sync.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(members(&imported), members(&recorded));
    let attempts = |sync: Uuid| {
        let admin = &scene.admin;
        async move { items(&admin.get(&format!("/sync-logs/{sync}/attempts")).send().await.expect(200)).to_vec() }
    };
    let (one, other) = (attempts(id(&results[0])).await, attempts(id(&recorded)).await);
    assert_eq!(one.len(), 1);
    assert_has(&one[0], &json!({ "attempt": 0, "status": "success", "duration_ms": 7_000, "records_processed": 40 }));
    assert_eq!(members(&one[0]), members(&other[0]));
    let failed = scene.sync(id(&results[50])).await;
    assert_has(&failed, &json!({ "status": "failed", "error_code": "PARTIAL_FAILURE", "retryable": true }));
    assert_eq!(attempts(id(&results[50])).await[0]["error_code"], "PARTIAL_FAILURE");

    let shown = scene.integration().await;
    assert_eq!(shown["recent"].as_array().unwrap().len(), 30);
    assert_eq!(shown["last_sync"]["id"], recorded["id"], "which began last");
    assert_eq!(shown["recent"][1]["id"], results[0]["id"]);
}

#[tokio::test]
async fn a_runners_own_name_is_taken_once_in_a_call_and_for_good() {
    let scene = Scene::new().await;
    let other = connect_external(&scene.admin, json!({})).await;
    scene.finished(json!({ "client_run_id": "known" })).await;
    let named = |name: &str| json!({ "client_run_id": name });
    let elsewhere = json!({ "client_run_id": "a", "integration_config_id": other });
    // The first one named `b` breaks a rule, and so does not have the name.
    let broken = json!({ "client_run_id": "b", "records_processed": -1 });
    let each = [named("a"), named("known"), broken, named("b"), named("a"), named("b"), elsewhere, json!({})];
    let results = import(&scene, &each).await;
    assert_eq!(statuses(&results), [201, 200, 422, 201, 200, 200, 201, 201]);
    assert_eq!((&results[4]["id"], &results[5]["id"]), (&results[0]["id"], &results[3]["id"]));
    let known = scene.machine.post("/sync-logs/finished").json(&scene.finished_body(named("known"))).send().await;
    assert_eq!(known.expect(200)["id"], results[1]["id"]);

    let again = import(&scene, &each).await;
    assert_eq!(statuses(&again), [200, 200, 422, 200, 200, 200, 200, 201]);
    let ids = |results: &[Value]| results[..7].iter().map(|result| result["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&results));
    assert_eq!(items(&scene.admin.get("/sync-logs").send().await.expect(200)).len(), 6);
}

#[tokio::test]
async fn calls_with_the_same_names_make_each_sync_once() {
    let scene = Scene::new().await;
    let mut names: Vec<Value> = (0..50).map(|n| json!({ "client_run_id": format!("run-{n}") })).collect();
    let forwards = names.clone();
    names.reverse();
    let answers = futures::future::join_all([
        import(&scene, &forwards),
        import(&scene, &names),
        import(&scene, &forwards),
        import(&scene, &names),
    ])
    .await;
    let made = answers.iter().flatten().filter(|result| result["status"] == 201).count();
    assert_eq!(made, 50);
    assert!(answers.iter().flatten().all(|result| result["status"] == 201 || result["status"] == 200));
    let ids = |results: &[Value]| results.iter().map(|result| id(result)).collect::<Vec<_>>();
    let mut backwards = ids(&answers[1]);
    backwards.reverse();
    assert_eq!(ids(&answers[0]), backwards);
}

#[tokio::test]
async fn a_record_of_several_imported_syncs_stands_as_the_last_one_left_it() {
    let scene = Scene::new().await;
    let (late, gone, open) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    let failed = |records: &[Value]| {
        let mut more = Scene::failure();
        merge(&mut more, json!({ "records": records }));
        more
    };
    let each = [
        failed(&[record(late, "failed"), record(open, "failed")]),
        json!({ "records_total": 2, "records": [record(late, "succeeded"), record(gone, "succeeded")] }),
        failed(&[record(gone, "failed"), record(open, "unknown")]),
    ];
    let results = import(&scene, &each).await;
    assert_eq!(statuses(&results), [201, 201, 201]);
    let journey = async |record: Uuid| {
        items(&scene.admin.get(&format!("/source-records/{CLAIM}/{record}/journey")).send().await.expect(200)).len()
    };
    assert_eq!([journey(late).await, journey(gone).await, journey(open).await], [2, 2, 2]);
    // What has arrived stays so; the other one is all that is missing.
    let shown = scene.integration().await;
    assert_eq!(shown["undelivered"]["records"], 1, "{}", shown["undelivered"]);
    assert_eq!(shown["undelivered"]["amounts"][0]["amount"], "1250.00");
    let preview = scene.admin.get(&format!("/sync-logs/{}/retry-preview", id(&results[2]))).send().await.expect(200);
    assert_has(&preview, &json!({ "delivered_since": 1 }));
}
