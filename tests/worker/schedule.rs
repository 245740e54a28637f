//! Schedules: what is due runs once, joins nothing that takes the same records, and is made up for after an outage.

use chrono::{DateTime, Duration, DurationRound as _, Utc};
use serde_json::{Value, json};
use tests::peers::{Behaviour, Books};
use tests::story::{CLAIM, Claim, id_of, until};
use uuid::Uuid;

use crate::scene::{Scene, days_ago, patient};

fn daily() -> Value {
    json!({ "schedule": { "cron": "0 6 * * *", "time_zone": "UTC" } })
}

fn every_minute() -> Value {
    json!({ "schedule": { "cron": "* * * * *", "time_zone": "UTC" } })
}

/// Seven in the morning, so many days ago: its own day's run is over.
fn morning(days: i64) -> anyhow::Result<DateTime<Utc>> {
    Ok(days_ago(days).duration_trunc(Duration::days(1))? + Duration::hours(7))
}

/// The sync of everything that is under way beside another one, once it has begun.
async fn beside(scene: &Scene, integration: Uuid, other: Uuid) -> anyhow::Result<Uuid> {
    let other = other.to_string();
    until("the sync that is due has begun", async || {
        let syncs = scene.admin.syncs(integration).await?;
        syncs.iter().find(|sync| sync["id"] != other).map(id_of).transpose()
    })
    .await
}

/// Asks for a sync of everything, which is refused for another's sake.
async fn assert_refused_for(scene: &Scene, integration: Uuid, other: Uuid) -> anyhow::Result<()> {
    let path = format!("/integrations/{integration}/syncs");
    let refused = scene.admin.request(reqwest::Method::POST, &path, None).await?;
    assert_eq!((refused.status, refused.code(), &refused.body["sync_id"]), (409, "already_active", &json!(other)));
    Ok(())
}

/// The latest of an integration's syncs, once there are so many.
async fn begun(scene: &Scene, integration: Uuid, count: usize) -> anyhow::Result<Uuid> {
    until("the sync that is due has begun", async || {
        let syncs = scene.admin.syncs(integration).await?;
        assert!(syncs.len() <= count, "more syncs than were due: {syncs:?}");
        (syncs.len() == count).then(|| id_of(&syncs[0])).transpose()
    })
    .await
}

#[tokio::test]
async fn of_two_workers_one_starts_the_sync_that_is_due() -> anyhow::Result<()> {
    let mut scene = Scene::standing_still_at(morning(6)?).await?;
    scene.another_worker().await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(json!({ "url": books.url("/claims") }), daily()).await?;
    for day in 1..=4 {
        scene.admin.stage_all(integration, &[Claim::good(day)]).await?;
        let due = scene.clock.now().duration_trunc(Duration::days(1))? + Duration::hours(30);
        scene.clock.set(due);
        scene.sign_in_again().await?;
        let sync = scene.admin.finished(begun(&scene, integration, day).await?).await?;
        assert_eq!((&sync["status"], &sync["records_total"]), (&json!("success"), &json!(1)), "{sync}");
        assert_eq!((&sync["triggered_by"], &sync["triggered_by_user_id"]), (&json!("automatic"), &Value::Null));
    }
    assert_eq!(scene.admin.syncs(integration).await?.len(), 4);
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (4, 0));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_sync_that_is_due_does_not_join_one_under_way() -> anyhow::Result<()> {
    let books = Books::fastapi().await?;
    let scene = Scene::standing_still_at(days_ago(1).duration_trunc(Duration::minutes(1))?).await?;
    let integration = scene.admin.connect(patient(&books), every_minute()).await?;
    let claim = Claim::good(1);
    scene.admin.stage_all(integration, std::slice::from_ref(&claim)).await?;
    let due: DateTime<Utc> = scene.one("SELECT next_run_at FROM integration_timers").await?;
    books.behave(Behaviour { hold_after: Some(0), ..Behaviour::default() }).await?;
    // Moved before the sync begins, so that its lease is not moved over.
    scene.clock.set(due - Duration::seconds(2));
    let first = scene.admin.trigger(integration).await?;
    until("the record is on its way", async || {
        Ok((scene.admin.staged(integration, claim.id).await?["state"] == "sending").then_some(()))
    })
    .await?;
    scene.clock.set(due);
    until("the due moment has passed", async || {
        let next: DateTime<Utc> = scene.one("SELECT next_run_at FROM integration_timers").await?;
        Ok((next > due).then_some(()))
    })
    .await?;
    assert_eq!(scene.admin.syncs(integration).await?.len(), 1);
    assert_refused_for(&scene, integration, first).await?;
    books.behave(Behaviour::default()).await?;
    assert_eq!(scene.admin.finished(first).await?["status"], "success");
    assert_eq!((books.log().await?.accepted, scene.admin.syncs(integration).await?.len()), (1, 1));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_sync_that_is_due_runs_beside_one_of_a_single_record() -> anyhow::Result<()> {
    let books = Books::fastapi().await?;
    let scene = Scene::standing_still_at(days_ago(1).duration_trunc(Duration::minutes(1))?).await?;
    let integration = scene.admin.connect(patient(&books), every_minute()).await?;
    let claims = Claim::many(3);
    scene.admin.stage_all(integration, &claims).await?;
    let due: DateTime<Utc> = scene.one("SELECT next_run_at FROM integration_timers").await?;
    books.behave(Behaviour { hold_after: Some(0), ..Behaviour::default() }).await?;
    // Moved before the sync begins, so that its lease is not moved over.
    scene.clock.set(due - Duration::seconds(2));
    let one = json!({ "source_record_type": CLAIM, "source_record_id": claims[0].id });
    let single = id_of(&scene.admin.post(&format!("/integrations/{integration}/syncs"), &one).await?.ok()?)?;
    until("the record is on its way", async || {
        Ok(scene.admin.all_are("sending", integration, &claims[..1]).await?.then_some(()))
    })
    .await?;
    scene.clock.set(due);
    let whole = beside(&scene, integration, single).await?;
    until("the others are on their way", async || {
        Ok(scene.admin.all_are("sending", integration, &claims[1..]).await?.then_some(()))
    })
    .await?;
    assert_refused_for(&scene, integration, whole).await?;
    books.behave(Behaviour::default()).await?;
    for (sync, records) in [(single, 1), (whole, 2)] {
        let sync = scene.admin.finished(sync).await?;
        assert_eq!((&sync["status"], &sync["records_total"]), (&json!("success"), &json!(records)), "{sync}");
    }
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates, scene.admin.syncs(integration).await?.len()), (3, 0, 2));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_sync_that_is_due_runs_beside_a_retry() -> anyhow::Result<()> {
    let books = Books::fastapi().await?;
    let scene = Scene::standing_still_at(days_ago(1).duration_trunc(Duration::minutes(1))?).await?;
    let integration = scene.admin.connect(patient(&books), every_minute()).await?;
    let (failed, new) = (Claim::bad(1), Claim::good(2));
    scene.admin.stage_all(integration, std::slice::from_ref(&failed)).await?;
    let first = id_of(&scene.admin.run(integration).await?)?;
    scene.admin.stage_all(integration, &[failed.clone().with("cost_center", "1000"), new.clone()]).await?;
    let due: DateTime<Utc> = scene.one("SELECT next_run_at FROM integration_timers").await?;
    books.behave(Behaviour { hold_after: Some(0), ..Behaviour::default() }).await?;
    scene.clock.set(due - Duration::seconds(2));
    scene.admin.retry(first).await?.ok()?;
    until("the record is on its way", async || {
        Ok((scene.admin.staged(integration, failed.id).await?["state"] == "sending").then_some(()))
    })
    .await?;
    scene.clock.set(due);
    let second = beside(&scene, integration, first).await?;
    until("the new one is on its way", async || {
        Ok((scene.admin.staged(integration, new.id).await?["state"] == "sending").then_some(()))
    })
    .await?;
    books.behave(Behaviour::default()).await?;
    assert_eq!(scene.admin.finished(first).await?["status"], "retried_success");
    let second = scene.admin.finished(second).await?;
    assert_eq!((&second["status"], &second["records_total"]), (&json!("success"), &json!(1)), "{second}");
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (2, 0));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn after_an_outage_one_run_is_made_up_for() -> anyhow::Result<()> {
    let start = morning(9)?;
    let mut scene = Scene::standing_still_at(start).await?;
    scene.another_worker().await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(json!({ "url": books.url("/claims") }), daily()).await?;
    // Three runs are missed, and then comes the next day's.
    let next = start + Duration::days(4) - Duration::hours(1);
    for (number, moment) in [start + Duration::days(3), next].into_iter().enumerate() {
        scene.admin.stage_all(integration, &[Claim::good(number)]).await?;
        scene.clock.set(moment);
        scene.sign_in_again().await?;
        let sync = scene.admin.finished(begun(&scene, integration, number + 1).await?).await?;
        assert_eq!((&sync["status"], &sync["records_total"]), (&json!("success"), &json!(1)), "{sync}");
        let timer: DateTime<Utc> = scene.one("SELECT next_run_at FROM integration_timers").await?;
        assert_eq!(timer, next + Duration::days(i64::from(number > 0)));
    }
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (2, 0));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_came_due_during_a_pause_is_not_made_up_for() -> anyhow::Result<()> {
    let start = morning(9)?;
    let mut scene = Scene::standing_still_at(start).await?;
    let books = Books::fastapi().await?;
    let settings = json!({ "url": books.url("/claims") });
    let paused = scene.admin.connect(settings.clone(), daily()).await?;
    let other = scene.admin.connect(settings, daily()).await?;
    scene.admin.stage_all(paused, &[Claim::good(1)]).await?;
    let path = format!("/integrations/{paused}");
    let shown = scene.admin.change(&path, &json!({ "paused": true })).await?;
    assert_eq!((&shown["health"]["light"], &shown["health"]["next_expected_at"]), (&json!("grey"), &Value::Null));

    scene.clock.set(start + Duration::days(2));
    scene.sign_in_again().await?;
    // The worker has looked: it saw what is due of the other one.
    begun(&scene, other, 1).await?;
    assert_eq!(scene.admin.syncs(paused).await?.len(), 0);
    scene.admin.change(&path, &json!({ "paused": false })).await?;
    let next = start + Duration::days(3) - Duration::hours(1);
    let timer: DateTime<Utc> = scene.one("SELECT min(next_run_at) FROM integration_timers").await?;
    assert_eq!(timer, next);

    scene.clock.set(next);
    scene.sign_in_again().await?;
    let sync = scene.admin.finished(begun(&scene, paused, 1).await?).await?;
    assert_eq!((&sync["status"], &sync["records_total"]), (&json!("success"), &json!(1)), "{sync}");
    assert_eq!((books.log().await?.accepted, scene.admin.syncs(paused).await?.len()), (1, 1));
    scene.stop().await;
    Ok(())
}
