//! Syncs and records as CSV files.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use serde_json::{Value, json};
use tests::client::{Answer, Client, items};
use tests::fill::Fill;
use tests::organization::merge;
use tests::server::TestServer;
use uuid::Uuid;

use crate::scene::{CLAIM, Scene, record};

/// A file's lines as objects of its columns.
#[track_caller]
fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8");
    parse(&answer.bytes)
}

fn parse(bytes: &[u8]) -> Vec<Value> {
    assert!(bytes.ends_with(b"\r\n"));
    let mut reader = csv::Reader::from_reader(bytes);
    let columns = reader.headers().unwrap().clone();
    reader.records().map(|cells| columns.iter().zip(&cells.unwrap()).collect()).collect()
}

async fn quiet() -> Scene {
    Scene::on(TestServer::without_worker().await, json!({})).await
}

/// Many syncs, of which every tenth has a message of so many characters.
async fn fill(scene: &Scene, syncs: i32, message_chars: i32) {
    let fill = Fill {
        organization: scene.organization.id,
        integrations: vec![(scene.integration, "xledger")],
        from: scene.now() - chrono::Duration::days(300),
        to: scene.now() - chrono::Duration::days(1),
        syncs,
        message_chars,
    };
    fill.run(&scene.server.superuser().await).await;
}

#[tokio::test]
async fn syncs_are_exported_as_they_are_listed() {
    let scene = quiet().await;
    fill(&scene, 150, 30).await;
    let before = scene.now();
    let file = scene.machine.get("/sync-logs/export").send().await;
    // A midnight may lie between the two.
    let names = [before, scene.now()].map(|at| format!("attachment; filename=\"syncs-{}.csv\"", at.format("%Y-%m-%d")));
    assert!(names.iter().any(|name| name == file.header("content-disposition")), "{:?}", file.headers);
    let list = scene.machine.get("/sync-logs?limit=200").send().await.expect(200);
    let (listed, exported) = (items(&list), lines(&file));
    assert_eq!(exported.len(), 150);
    for (sync, line) in listed.iter().zip(&exported) {
        assert!(sync["metadata"].is_object(), "a machine with the debug scope sees it in the list");
        assert!(line.get("metadata").is_none(), "and never in a file");
        for (column, cell) in line.as_object().unwrap() {
            let told = match &sync[column] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                Value::Array(warnings) if warnings.is_empty() => String::new(),
                other => other.to_string(),
            };
            assert_eq!(cell, &told, "{column} of {sync}");
        }
    }
    let columns: BTreeSet<&str> = exported[0].as_object().unwrap().keys().map(String::as_str).collect();
    let missing: Vec<&String> =
        listed[0].as_object().unwrap().keys().filter(|member| !columns.contains(member.as_str())).collect();
    assert_eq!(missing, ["attempt", "metadata"], "the attempt is the retry count");
}

#[tokio::test]
async fn a_file_has_the_filters_of_the_list() {
    let scene = quiet().await;
    fill(&scene, 150, 30).await;
    let (from, to) = (scene.at(-86_400 * 200), scene.at(-86_400 * 100));
    for query in [
        "status=failed,retried_failed".to_owned(),
        "status=pending,in_progress&triggered_by=manual".to_owned(),
        "sync_type=roster_sync&triggered_by=automatic".to_owned(),
        format!("from={from}&to={to}&retryable=true"),
        "source_record_type=members".to_owned(),
        format!("integration_config_id={}&connector_type=xledger", scene.integration),
        format!("integration_config_id={}", Uuid::now_v7()),
    ] {
        let list = scene.admin.get(&format!("/sync-logs?limit=200&{query}")).send().await.expect(200);
        let file = lines(&scene.machine.get(&format!("/sync-logs/export?{query}")).send().await);
        let exported: Vec<&Value> = file.iter().map(|line| &line["id"]).collect();
        assert_eq!(exported, items(&list).iter().map(|sync| &sync["id"]).collect::<Vec<_>>(), "{query}");
    }
    for query in ["cursor=x", "limit=10", "colour=red"] {
        let path = format!("/sync-logs/export?{query}");
        scene.machine.get(&path).send().await.problem(400, "invalid_parameter");
    }
}

#[tokio::test]
async fn a_long_file_has_every_sync_once_newest_first() {
    let scene = quiet().await;
    fill(&scene, 5_000, 30).await;
    let file = lines(&scene.machine.get("/sync-logs/export").send().await);
    assert_eq!(file.len(), 5_000);
    let text = |line: &Value, column: &str| line[column].as_str().unwrap().to_owned();
    let places: Vec<(String, String)> = file.iter().map(|line| (text(line, "started_at"), text(line, "id"))).collect();
    assert!(places.is_sorted_by(|newer, older| newer > older), "in the list's order, none twice");
}

#[tokio::test]
async fn no_cell_is_a_formula() {
    let scene = quiet().await;
    let mut failure = Scene::failure();
    let words = "=HYPERLINK(\"https://evil.example\",\"open\"), said \"it\"\r\nand went";
    merge(
        &mut failure,
        json!({ "error_message": words, "error_code": "@SUM(A1)", "external_reference_id": "+47", "client_run_id": "-1" }),
    );
    let sync = scene.finished(failure).await;
    let file = scene.machine.get("/sync-logs/export").send().await;
    let line = &lines(&file)[0];
    assert_eq!(line["error_message"], json!(format!("'{}", sync["error_message"].as_str().unwrap())));
    for (column, cell) in [("error_code", "'@SUM(A1)"), ("external_reference_id", "'+47"), ("client_run_id", "'-1")] {
        assert_eq!(line[column], cell);
    }
    assert_eq!(file.text().matches("\r\n").count(), 3, "one of them within a cell");
}

#[tokio::test]
async fn records_are_exported_with_what_went_wrong() {
    let scene =
        Scene::on(TestServer::without_worker().await, json!({ "record_url_template": "https://app.example/{id}" }))
            .await;
    let sync = scene.start(json!({})).await;
    let (good, bad, worse) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    let mut several = record(worse, "failed");
    merge(
        &mut several,
        json!({
            "label": "=1+1", "amount": "-12.5",
            "errors": [
                { "code": "PERIOD_CLOSED", "message": "The period is closed" },
                { "code": "INVALID_VALUE", "message": "No such project", "field": "/project", "field_name": "projectNo" },
            ],
        }),
    );
    scene.append(sync, 0, &[record(good, "succeeded"), record(bad, "failed"), several]).await.expect(200);
    scene.succeed(sync, 0).await.expect(200);
    let path = format!("/sync-logs/{sync}/records/export");
    let answer = scene.admin.get(&path).header("accept", "text/csv").send().await;
    assert_eq!(answer.header("content-disposition"), format!("attachment; filename=\"sync-{sync}-records.csv\""));
    let file = lines(&answer);
    let ids: Vec<&Value> = file.iter().map(|line| &line["source_record_id"]).collect();
    assert_eq!(ids, [&json!(good), &json!(bad), &json!(worse)]);
    let line = &file[2];
    for (column, cell) in [
        ("sync_id", sync.to_string().as_str()),
        ("source_record_type", CLAIM),
        ("label", "'=1+1"),
        ("amount", "-12.50"),
        ("currency", "NOK"),
        ("outcome", "failed"),
        ("error_code", "PERIOD_CLOSED; INVALID_VALUE"),
        ("error_field", "; /project"),
        ("error_field_name", "; projectNo"),
        ("error_message", "The period is closed; No such project"),
        ("http_status_code", "422"),
        ("state", "failed"),
        ("resolution", ""),
        ("record_url", format!("https://app.example/{worse}").as_str()),
    ] {
        assert_eq!(line[column], cell, "{column}");
    }
    assert_eq!((&file[0]["error_code"], &file[0]["error_field"]), (&json!(""), &json!("")));

    for (query, expected) in [
        ("outcome=failed", vec![bad, worse]),
        ("outcome=succeeded,warning", vec![good]),
        ("error_code=PERIOD_CLOSED", vec![worse]),
        ("outcome=failed&error_code=INVALID_VALUE", vec![bad, worse]),
        ("outcome=succeeded&error_code=INVALID_VALUE", vec![]),
        ("error_code=%25", vec![]),
    ] {
        let exported: Vec<Value> = lines(&scene.admin.get(&format!("{path}?{query}")).send().await)
            .iter()
            .map(|line| line["source_record_id"].clone())
            .collect();
        assert_eq!(exported, expected.iter().map(|id| json!(id)).collect::<Vec<_>>(), "{query}");
        let list = scene.admin.get(&format!("/sync-logs/{sync}/records?{query}")).send().await.expect(200);
        let listed: Vec<Value> = items(&list).iter().map(|item| item["source_record_id"].clone()).collect();
        assert_eq!(listed, exported, "{query}");
    }
    scene.admin.get(&format!("{path}?outcome=lost")).send().await.problem(400, "invalid_parameter");
    let unknown = format!("/sync-logs/{}/records/export", Uuid::now_v7());
    scene.admin.get(&unknown).send().await.problem(404, "not_found");
}

#[tokio::test]
async fn a_sync_of_very_many_records_is_exported_whole() {
    let scene = quiet().await;
    let sync = scene.start(json!({})).await;
    let mut all = BTreeSet::new();
    for _ in 0..3 {
        let reports: Vec<Value> = (0..900).map(|_| record(Uuid::new_v4(), "succeeded")).collect();
        all.extend(reports.iter().map(|report| report["source_record_id"].to_string()));
        scene.append(sync, 0, &reports).await.expect(200);
    }
    let file = lines(&scene.machine.get(&format!("/sync-logs/{sync}/records/export")).send().await);
    let exported: Vec<String> = file.iter().map(|line| line["source_record_id"].to_string()).collect();
    assert_eq!(exported, all.into_iter().collect::<Vec<_>>(), "each once, in order");
}

#[tokio::test]
async fn whoever_may_read_syncs_may_export_them() {
    let scene = quiet().await;
    let sync = scene.start(json!({})).await;
    let viewer = scene.organization.viewer().await;
    let blind = scene.organization.machine_with(&["integrations:read"]).await;
    for path in ["/sync-logs/export".to_owned(), format!("/sync-logs/{sync}/records/export")] {
        lines(&viewer.get(&path).send().await);
        blind.get(&path).send().await.problem(403, "forbidden");
        scene.server.anonymous().get(&path).send().await.problem(401, "unauthenticated");
    }
}

/// Syncs whose file is larger than what lies between server and reader on its own.
async fn large() -> Scene {
    let scene = quiet().await;
    fill(&scene, 60_000, 4_000).await;
    scene
}

async fn open(client: &Client, path: &str) -> reqwest::Response {
    let response = client.get(path).stream().await;
    assert_eq!(response.status(), 200);
    response
}

#[tokio::test]
async fn a_file_that_breaks_off_does_not_look_whole() {
    let scene = large().await;
    let mut response = open(&scene.machine, "/sync-logs/export?status=failed").await;
    let mut read = response.chunk().await.unwrap().unwrap().len();
    // Nothing more is read until the reader goes on; what is read then fails.
    let superuser = scene.server.superuser().await;
    sqlx::query("REVOKE SELECT ON sync_logs FROM syncwatch_app").execute(&superuser).await.unwrap();
    let end = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => read += chunk.len(),
            Ok(None) => break "whole",
            Err(_) => break "broken off",
        }
    };
    assert_eq!(end, "broken off", "after {read} bytes");
    assert!(read < 6_000 * 4_000, "{read}");
    scene.machine.get("/sync-logs/export").send().await.problem(500, "internal");
}

#[tokio::test]
async fn readers_who_stand_still_or_go_away_hold_no_connection() {
    let scene = large().await;
    assert!(scene.server.config.database.max_connections < 12);
    let path = "/sync-logs/export?status=failed";
    let mut readers = futures::future::join_all((0..12).map(|_| open(&scene.machine, path))).await;
    // All at once, more than there are connections, while twelve files are half read.
    let lists = futures::future::join_all((0..12).map(|_| scene.admin.get("/sync-logs?limit=1").send())).await;
    assert!(lists.iter().all(|list| list.status == 200));
    let patient = readers.pop().unwrap();
    drop(readers);
    let mut file = Vec::new();
    let mut body = patient.bytes_stream();
    while let Some(chunk) = body.next().await {
        file.extend_from_slice(&chunk.unwrap());
    }
    assert_eq!(parse(&file).len(), 6_000);
}
