//! `ETag` and `If-Match` on an integration's settings.

use serde_json::{Value, json};

use crate::scene::Scene;

#[tokio::test]
async fn settings_are_changed_by_who_names_their_version() {
    let scene = Scene::new().await;
    let path = format!("/integrations/{}", scene.integration);
    let etag = async || scene.admin.get(&path).send().await.header("etag").to_owned();
    let change = async |tag: &str, hours: u32| {
        scene.admin.patch(&path).header("If-Match", tag).json(&json!({ "freshness_hours": hours })).send().await
    };
    let first = etag().await;
    assert!(first.starts_with('"') && first.ends_with('"'), "a strong tag: {first}");
    assert_eq!(etag().await, first, "reading changes nothing");
    let answer = change(&first, 10).await;
    let second = answer.header("etag").to_owned();
    answer.expect(200);
    assert_eq!(etag().await, second, "the answer to a change names the new version");
    // Any version; one of several; and one that a compressing proxy has weakened.
    change("*", 11).await.expect(200);
    let third = etag().await;
    change(&format!("\"0\", {third}"), 12).await.expect(200);
    change(&format!("W/{}", etag().await), 13).await.expect(200);
    for stale in [first.as_str(), second.as_str(), third.as_str(), "", "\"\"", "3", "\"*\"", "W/\"1\", \"0\""] {
        change(stale, 99).await.problem(412, "precondition_failed");
    }
    let unnamed = scene.admin.patch(&path).json(&json!({ "freshness_hours": 99 })).send().await;
    unnamed.problem(428, "precondition_required");
    assert_eq!(scene.integration().await["freshness_hours"], 13);
    // Who may not change anything is told so first; what is not there has no version.
    let viewer = scene.organization.viewer().await;
    viewer.patch(&path).header("If-Match", "*").json(&json!({})).send().await.problem(403, "forbidden");
    let nowhere = format!("/integrations/{}", uuid::Uuid::now_v7());
    scene.admin.patch(&nowhere).header("If-Match", "*").json(&json!({})).send().await.problem(404, "not_found");
}

#[tokio::test]
async fn a_refused_change_leaves_the_version_as_it_was() {
    let scene = Scene::new().await;
    let path = format!("/integrations/{}", scene.integration);
    let before = scene.admin.get(&path).send().await;
    let tag = before.header("etag").to_owned();
    for wrong in [json!({ "freshness_hours": 0 }), json!({ "colour": "red" }), json!({ "name": "" })] {
        let answer = scene.admin.patch(&path).header("If-Match", &tag).json(&wrong).send().await;
        answer.problem(422, "validation_failed");
    }
    let after = scene.admin.get(&path).send().await;
    let settings = |answer: &tests::client::Answer| -> Value { answer.json["freshness_hours"].clone() };
    assert_eq!((after.header("etag"), settings(&after)), (tag.as_str(), settings(&before)));
}
