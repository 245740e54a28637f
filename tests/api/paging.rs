//! Cursors: forward and back, tampered with, and with other filters.

use serde_json::{Value, json};
use tests::client::items;
use tests::server::TestServer;
use uuid::Uuid;

use crate::scene::{CLAIM, Scene, record};

/// The pages from a list's beginning to its end, and from there back again, as ids.
async fn walk(scene: &Scene, path: &str, key: &str) -> (Vec<Vec<Value>>, Vec<Vec<Value>>) {
    let keys = |page: &Value| items(page).iter().map(|item| item[key].clone()).collect::<Vec<Value>>();
    let get = async |cursor: &str| scene.admin.get(&format!("{path}&cursor={cursor}")).send().await.expect(200);
    let mut page = scene.admin.get(path).send().await.expect(200);
    assert_eq!(page["prev_cursor"], json!(null));
    let mut forward = vec![keys(&page)];
    while let Some(next) = page["next_cursor"].as_str().map(str::to_owned) {
        page = get(&next).await;
        forward.push(keys(&page));
        assert!(forward.len() < 20, "it ends");
    }
    let mut back = vec![keys(&page)];
    while let Some(previous) = page["prev_cursor"].as_str().map(str::to_owned) {
        page = get(&previous).await;
        back.push(keys(&page));
        assert!(back.len() < 20, "it ends");
    }
    (forward, back)
}

fn check(forward: &[Vec<Value>], back: &[Vec<Value>], sizes: &[usize]) {
    assert_eq!(forward.iter().map(Vec::len).collect::<Vec<_>>(), sizes);
    let there: Vec<&Value> = forward.iter().flatten().collect();
    let again: Vec<&Value> = back.iter().rev().flatten().collect();
    assert_eq!(there, again, "the way back is the way there");
    let different: std::collections::BTreeSet<String> = there.iter().map(ToString::to_string).collect();
    assert_eq!(different.len(), there.len(), "none twice");
}

#[tokio::test]
async fn syncs_are_paged_even_where_many_start_at_once() {
    let scene = Scene::on(TestServer::without_worker().await, json!({})).await;
    let same: Vec<Value> = (0..4).map(|_| scene.finished_body(json!({}))).collect();
    let others = (1..4).map(|number| {
        scene.finished_body(json!({ "started_at": scene.at(-100 * number), "completed_at": scene.at(-50 * number) }))
    });
    let all: Vec<Value> = same.into_iter().chain(others).collect();
    scene.machine.post("/sync-logs/import").once().json(&json!({ "items": all })).send().await.expect(200);
    let (forward, back) = walk(&scene, "/sync-logs?limit=3", "id").await;
    check(&forward, &back, &[3, 3, 1]);
    let (forward, back) = walk(&scene, "/sync-logs?limit=7", "id").await;
    check(&forward, &back, &[7]);

    // A sync that comes in between moves nothing.
    let first = scene.admin.get("/sync-logs?limit=3").send().await.expect(200);
    scene.start(json!({})).await;
    let next = format!("/sync-logs?limit=3&cursor={}", first["next_cursor"].as_str().unwrap());
    let second = scene.admin.get(&next).send().await.expect(200);
    let (forward, _) = walk(&scene, "/sync-logs?limit=8", "id").await;
    assert_eq!(items(&second)[0]["id"], forward[0][4]);
}

#[tokio::test]
async fn records_are_paged() {
    let scene = Scene::on(TestServer::without_worker().await, json!({})).await;
    let sync = scene.start(json!({})).await;
    let reports: Vec<Value> = (0..7).map(|_| record(Uuid::new_v4(), "succeeded")).collect();
    scene.append(sync, 0, &reports).await.expect(200);
    let (forward, back) = walk(&scene, &format!("/sync-logs/{sync}/records?limit=2"), "source_record_id").await;
    check(&forward, &back, &[2, 2, 2, 1]);
}

#[tokio::test]
async fn incidents_and_notifications_are_paged() {
    let scene = Scene::on(TestServer::without_worker().await, json!({ "failure_threshold": 1 })).await;
    for number in (1..=3).rev() {
        let mut body = Scene::failure();
        body["started_at"] = json!(scene.at(-20 * number));
        body["completed_at"] = json!(scene.at(-20 * number + 1));
        scene.finished(body).await;
        let fine = json!({ "started_at": scene.at(-20 * number + 5), "completed_at": scene.at(-20 * number + 6) });
        scene.finished(fine).await;
    }
    let (forward, back) = walk(&scene, "/incidents?limit=2", "id").await;
    check(&forward, &back, &[2, 1]);
    let (forward, back) = walk(&scene, "/notifications?limit=4", "id").await;
    check(&forward, &back, &[4, 2]);
}

#[tokio::test]
async fn a_cursor_fits_its_own_list_alone() {
    let scene = Scene::on(TestServer::without_worker().await, json!({})).await;
    for number in 1..=3 {
        scene.finished(json!({ "started_at": scene.at(-100 * number), "completed_at": scene.at(-90 * number) })).await;
    }
    let page = scene.admin.get("/sync-logs?limit=1").send().await.expect(200);
    let cursor = page["next_cursor"].as_str().unwrap();
    let other_limit = scene.admin.get(&format!("/sync-logs?limit=2&cursor={cursor}")).send().await.expect(200);
    assert_eq!(items(&other_limit).len(), 2, "another size is no other list");
    let mut tampered = cursor.to_owned();
    tampered.replace_range(4..6, if tampered[4..6] == *"AA" { "BB" } else { "AA" });
    let queries = [
        format!("status=success&cursor={cursor}"),
        format!("integration_config_id={}&cursor={cursor}", scene.integration),
        format!("cursor={tampered}"),
        format!("cursor={}", &cursor[..cursor.len() - 3]),
        format!("cursor={}", "A".repeat(1000)),
        "cursor=".to_owned(),
        "cursor=%20".to_owned(),
    ];
    for query in queries {
        scene.admin.get(&format!("/sync-logs?{query}")).send().await.problem(400, "invalid_cursor");
    }
    scene.admin.get(&format!("/incidents?cursor={cursor}")).send().await.problem(400, "invalid_cursor");
    let stranger = scene.server.organization("Other").await.admin().await;
    stranger.get(&format!("/sync-logs?cursor={cursor}")).send().await.problem(400, "invalid_cursor");
    for limit in ["0", "201", "-1", "many"] {
        for path in ["/sync-logs", "/incidents", "/notifications"] {
            let problem =
                scene.admin.get(&format!("{path}?limit={limit}")).send().await.problem(400, "invalid_parameter");
            assert_eq!(problem["errors"][0]["pointer"], "?limit");
        }
    }
    let alone = format!("/sync-logs/{}/records?source_record_type={CLAIM}", items(&page)[0]["id"].as_str().unwrap());
    scene.admin.get(&alone).send().await.problem(400, "invalid_parameter");
}
