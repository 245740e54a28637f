//! `/notifications`: one's own, read one by one or all at once.

use serde_json::json;
use tests::client::items;
use tests::organization::{connect_external, merge};
use uuid::Uuid;

use crate::scene::{Scene, assert_members};

/// A scene in which each administrator has been told of so many incidents.
async fn told(number: usize) -> Scene {
    let scene = Scene::new().await;
    for _ in 0..number {
        let integration = connect_external(&scene.admin, json!({ "failure_threshold": 1 })).await;
        let mut body = Scene::failure();
        merge(&mut body, json!({ "integration_config_id": integration }));
        scene.finished(body).await;
    }
    scene
}

#[tokio::test]
async fn notifications_are_listed_counted_and_read() {
    let scene = told(3).await;
    let list = scene.admin.get("/notifications").send().await.expect(200);
    assert_members(&list, &["items", "next_cursor", "prev_cursor", "unread"]);
    let members = [
        "id",
        "kind",
        "incident_kind",
        "incident_id",
        "integration_config_id",
        "integration_name",
        "sync_id",
        "error_message",
        "consecutive_failures",
        "created_at",
        "read_at",
    ];
    assert_members(&items(&list)[0], &members);
    assert_eq!((items(&list).len(), &list["unread"]), (3, &json!(3)));

    let path = format!("/notifications/{}/read", items(&list)[1]["id"].as_str().unwrap());
    for _ in 0..2 {
        assert_eq!(scene.admin.post(&path).send().await.status, 204, "reading twice is harmless");
    }
    let list = scene.admin.get("/notifications?unread=true").send().await.expect(200);
    assert_eq!((items(&list).len(), &list["unread"]), (2, &json!(2)));
    assert_eq!(scene.admin.post("/notifications/read-all").send().await.status, 204);
    let list = scene.admin.get("/notifications").send().await.expect(200);
    assert_eq!((items(&list).len(), &list["unread"]), (3, &json!(0)));
    assert!(items(&list).iter().all(|notification| notification["read_at"].is_string()));
    scene.admin.post(&format!("/notifications/{}/read", Uuid::now_v7())).send().await.problem(404, "not_found");
}

#[tokio::test]
async fn a_colleagues_notifications_are_their_own() {
    let scene = Scene::new().await;
    scene.organization.person("second@example.org", "org_admin").await;
    let second = scene.organization.sign_in("second@example.org").await;
    let integration = connect_external(&scene.admin, json!({ "failure_threshold": 1 })).await;
    let mut body = Scene::failure();
    merge(&mut body, json!({ "integration_config_id": integration }));
    scene.finished(body).await;
    let mine = scene.admin.get("/notifications").send().await.expect(200);
    let path = format!("/notifications/{}/read", items(&mine)[0]["id"].as_str().unwrap());
    second.post(&path).send().await.problem(404, "not_found");
    assert_eq!(second.post("/notifications/read-all").send().await.status, 204);
    assert_eq!(scene.admin.get("/notifications").send().await.expect(200)["unread"], 1);
    scene.machine.get("/notifications").send().await.problem(403, "forbidden");
}
