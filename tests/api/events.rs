//! `/events`: what changes, as it happens.

use serde_json::json;
use tests::events::Events;
use tests::organization::connect_external;

use crate::scene::Scene;

#[tokio::test]
async fn a_change_arrives_and_a_stream_resumes_where_it_broke() {
    let scene = Scene::new().await;
    let mut events = Events::open(&scene.admin, None).await;
    let sync = scene.start(json!({})).await;
    let started = events.next_of("sync.changed").await;
    assert_eq!(started.data, json!({ "sync_id": sync, "integration_config_id": scene.integration }));
    drop(events);

    scene.succeed(sync, 0).await.expect(200);
    let missed = scene.start(json!({})).await;
    let mut resumed = Events::open(&scene.admin, Some(started.id)).await;
    let ended = resumed.next().await;
    assert_eq!((ended.kind.as_str(), &ended.data["sync_id"]), ("sync.changed", &json!(sync)));
    assert!(ended.id > started.id);
    let mut last = ended.id;
    loop {
        let event = resumed.next().await;
        assert!(event.id > last, "in order, none twice");
        last = event.id;
        if event.kind == "sync.changed" {
            assert_eq!(event.data["sync_id"], json!(missed));
            break;
        }
        assert_eq!(event.data, json!({ "integration_config_id": scene.integration }));
    }
}

#[tokio::test]
async fn nothing_of_another_organization_or_another_person_is_heard() {
    let scene = Scene::with(json!({ "failure_threshold": 1 })).await;
    let other = scene.server.organization("Other").await;
    let (stranger, viewer) = (other.admin().await, scene.organization.viewer().await);
    let mut theirs = Events::open(&stranger, None).await;
    let mut viewers = Events::open(&viewer, None).await;
    let mut mine = Events::open(&scene.admin, None).await;
    let sync = scene.finished(Scene::failure()).await;
    let told = mine.next_of("notification.created").await;
    assert_eq!(told.data["integration_config_id"], json!(scene.integration));
    // The viewer hears of the sync, then of the next one, and of nobody's notification in between.
    let next = scene.start(json!({})).await;
    let mut heard = Vec::new();
    loop {
        let event = viewers.next().await;
        assert_ne!(event.kind, "notification.created", "told to administrators alone");
        heard.push(event.data["sync_id"].clone());
        if event.data["sync_id"] == json!(next) {
            break;
        }
    }
    assert!(heard.contains(&sync["id"]));
    // The stranger's first event is their own.
    let integration = connect_external(&stranger, json!({})).await;
    assert_eq!(theirs.next().await.data, json!({ "integration_config_id": integration }));
}

#[tokio::test]
async fn a_stream_needs_a_token_and_a_sensible_position() {
    let scene = Scene::new().await;
    scene.server.anonymous().get("/events").send().await.problem(401, "unauthenticated");
    scene.organization.machine_with(&["syncs:write"]).await.get("/events").send().await.problem(403, "forbidden");
    for position in ["yesterday", "-1"] {
        let answer = scene.admin.get("/events").header("Last-Event-ID", position).send().await;
        answer.problem(400, "invalid_parameter");
    }
    // A position that never was does not silence the stream.
    let mut events = Events::open(&scene.admin, Some(1_000_000_000)).await;
    let sync = scene.start(json!({})).await;
    assert_eq!(events.next_of("sync.changed").await.data["sync_id"], json!(sync));
}
