//! Moments at every edge: zones, leap seconds, years that no sync began in, and the ledger's own first moment.

use chrono::{DateTime, Datelike as _, Duration, FixedOffset, Months, NaiveTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use tests::client::{Answer, id};
use tests::server::TestServer;

use crate::scene::{Scene, moment};

async fn quiet() -> Scene {
    Scene::on(TestServer::without_worker().await, json!({})).await
}

async fn start_at(scene: &Scene, started_at: &str) -> Answer {
    scene.machine.post("/sync-logs").json(&scene.start_body(json!({ "started_at": started_at }))).send().await
}

#[track_caller]
fn begun(sync: &Value) -> DateTime<Utc> {
    sync["started_at"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_moment_is_the_same_in_every_zone() {
    let scene = quiet().await;
    let at = scene.now() - Duration::hours(40);
    for minutes in [0, 60, 840, -720, 345, -210, 1_439, -1_439] {
        let zone = FixedOffset::east_opt(minutes * 60).unwrap();
        let text = at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Millis, false);
        let sync = start_at(&scene, &text).await.expect(201);
        assert_eq!(sync["started_at"], json!(moment(at)), "{text}");
        assert_eq!(scene.sync(id(&sync)).await["started_at"], json!(moment(at)));
    }
    let precise = at.to_rfc3339_opts(SecondsFormat::Secs, true).replace('Z', ".123999999Z");
    let sync = start_at(&scene, &precise).await.expect(201);
    assert_eq!(begun(&sync).timestamp_subsec_nanos(), 123_000_000, "whole milliseconds, never later than it was");
    assert_eq!(scene.sync(id(&sync)).await["started_at"], sync["started_at"]);
}

#[tokio::test]
async fn what_is_no_moment_is_named() {
    let scene = quiet().await;
    for text in [
        "",
        "now",
        "2026-11-20",
        "2026-11-20T05:00:00",
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-11-20T24:00:00Z",
        "2026-11-20T23:60:00Z",
        "2026-11-20T23:59:61Z",
        "2026-11-20T05:00:00+24:00",
        "2026-11-20T05:00:00+01:60",
        "2026-11-20T05:00:00 CET",
        "99999999-01-01T00:00:00Z",
        "1763614800",
    ] {
        start_at(&scene, text).await.violations(&[("invalid_format", "/started_at")]);
    }
}

#[tokio::test]
async fn years_in_which_no_sync_began_are_out_of_range() {
    let scene = quiet().await;
    for past in ["0001-01-01T00:00:00Z", "-0001-12-31T00:00:00Z", "-9999-01-01T00:00:00Z", "1969-12-31T23:59:60Z"] {
        start_at(&scene, past).await.violations(&[("started_at_out_of_range", "/started_at")]);
    }
    for future in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:60Z", "+12026-01-01T00:00:00Z", "+262142-12-31T23:59:59Z"]
    {
        start_at(&scene, future).await.violations(&[("started_at_not_in_future", "/started_at")]);
        let body = scene.finished_body(json!({ "completed_at": future }));
        let answer = scene.machine.post("/sync-logs/finished").json(&body).send().await;
        answer.violations(&[("completed_at_must_follow_started_at", "/completed_at")]);
    }
    let body = scene.finished_body(json!({ "completed_at": "0001-01-01T00:00:00Z" }));
    let answer = scene.machine.post("/sync-logs/finished").json(&body).send().await;
    answer.violations(&[("completed_at_must_follow_started_at", "/completed_at")]);
}

#[tokio::test]
async fn the_ledger_begins_thirteen_months_back_to_the_millisecond() {
    let scene = quiet().await;
    let month = scene.now().date_naive().with_day(1).unwrap().and_time(NaiveTime::MIN).and_utc();
    let first = month - Months::new(13);
    let sync = start_at(&scene, &moment(first)).await.expect(201);
    assert_eq!(begun(&scene.sync(id(&sync)).await), first);
    let before = moment(first - Duration::milliseconds(1));
    start_at(&scene, &before).await.violations(&[("started_at_out_of_range", "/started_at")]);
    // From there to now is more milliseconds than 32 bits hold.
    let body = scene.finished_body(json!({ "started_at": moment(first) }));
    let sync = scene.machine.post("/sync-logs/finished").json(&body).send().await.expect(201);
    assert!(sync["duration_ms"].as_i64().unwrap() > i64::from(u32::MAX), "{sync}");
}

#[tokio::test]
async fn an_end_before_the_beginning_is_told_within_the_skew_of_clocks_too() {
    let scene = quiet().await;
    let finished = async |started: i64, completed: i64| {
        let moments = json!({ "started_at": scene.at(started), "completed_at": scene.at(completed) });
        scene.machine.post("/sync-logs/finished").json(&scene.finished_body(moments)).send().await
    };
    let told = [("completed_at_must_follow_started_at", "/completed_at")];
    finished(4, 1).await.violations(&told);
    finished(2, -1).await.violations(&told);
    let sync = finished(1, 4).await.expect(201);
    assert!(begun(&sync) <= scene.now(), "never later than now");
    assert!(sync["duration_ms"].as_i64().unwrap() >= 0, "{sync}");
}

#[tokio::test]
async fn a_leap_second_is_kept_as_the_second_after_it() {
    let scene = quiet().await;
    let day = (scene.now() - Duration::days(3)).date_naive();
    let next = moment((day + chrono::Days::new(1)).and_time(NaiveTime::MIN).and_utc() + Duration::milliseconds(250));
    let sync = start_at(&scene, &format!("{day}T23:59:60.250Z")).await.expect(201);
    assert_eq!(sync["started_at"], json!(next));
    assert_eq!(scene.sync(id(&sync)).await["started_at"], json!(next), "it is found by its id");
    let list = scene.admin.get(&format!("/sync-logs?from={next}")).send().await.expect(200);
    assert_eq!(list["items"][0]["id"], sync["id"]);

    let body = scene.finished_body(json!({
        "started_at": format!("{day}T23:59:59.250Z"), "completed_at": format!("{day}T23:59:60.250Z"),
    }));
    let ended = scene.machine.post("/sync-logs/finished").json(&body).send().await.expect(201);
    assert_eq!((&ended["completed_at"], &ended["duration_ms"]), (&json!(next), &json!(1_000)));
}
