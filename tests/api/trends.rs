//! `/integrations/{id}/trends`.

use chrono::{Duration, DurationRound as _};
use serde_json::{Value, json};
use tests::organization::merge;
use tests::server::TestServer;

use crate::scene::{Scene, assert_has, assert_members, moment};

#[tokio::test]
async fn syncs_are_counted_by_day_and_by_hour_with_their_durations() {
    let scene = Scene::on(TestServer::without_worker().await, json!({})).await;
    let now = scene.now();
    let noon = now.duration_trunc(Duration::days(1)).unwrap() - Duration::hours(36);
    for (minutes, seconds, failed) in [(0, 10, false), (1, 20, false), (2, 30, true)] {
        let start = noon + Duration::minutes(minutes);
        let mut body = if failed { Scene::failure() } else { json!({}) };
        merge(
            &mut body,
            json!({ "started_at": moment(start), "completed_at": moment(start + Duration::seconds(seconds)) }),
        );
        scene.finished(body).await;
    }
    let (from, to) = (moment(noon - Duration::days(2)), moment(now));
    let trends = async |bucket: &str| {
        let path = format!("/integrations/{}/trends?from={from}&to={to}&bucket={bucket}", scene.integration);
        scene.admin.get(&path).send().await.expect(200)
    };
    let days = trends("day").await;
    assert_members(&days, &["bucket", "items"]);
    let items = days["items"].as_array().unwrap();
    assert!((4..=5).contains(&items.len()), "empty days are there too: {days}");
    let members = [
        "start",
        "syncs",
        "failed_syncs",
        "records_processed",
        "records_failed",
        "p50_duration_ms",
        "p95_duration_ms",
        "gap",
    ];
    assert_members(&items[0], &members);
    let busy: Vec<&Value> = items.iter().filter(|bucket| bucket["syncs"] != 0).collect();
    assert_eq!(busy.len(), 1);
    let expected = json!({
        "syncs": 3, "failed_syncs": 1, "records_processed": 108, "records_failed": 12, "p50_duration_ms": 20_000,
        "p95_duration_ms": 30_000, "gap": false,
    });
    assert_has(busy[0], &expected);
    let hours = trends("hour").await;
    let busy: Vec<&Value> = hours["items"].as_array().unwrap().iter().filter(|bucket| bucket["syncs"] != 0).collect();
    assert_eq!(busy.len(), 1);
    assert_has(busy[0], &expected);
}

#[tokio::test]
async fn an_impossible_period_is_refused() {
    let scene = Scene::on(TestServer::without_worker().await, json!({})).await;
    let (now, before) = (scene.at(0), scene.at(-400 * 86_400));
    let later = scene.at(2 * 86_400);
    for query in [
        format!("from={later}&to={now}"),
        format!("from={before}&bucket=hour"),
        "bucket=week".to_owned(),
        "from=noon".to_owned(),
    ] {
        let path = format!("/integrations/{}/trends?{query}", scene.integration);
        scene.admin.get(&path).send().await.problem(400, "invalid_parameter");
    }
}
