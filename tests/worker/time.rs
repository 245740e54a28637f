//! What time alone brings about: stale lights, leases that run out.

use chrono::{DateTime, Duration, DurationRound as _, Utc};
use serde_json::{Value, json};
use tests::story::{CLAIM, id_of, items, until};
use uuid::Uuid;

use crate::scene::{Scene, days_ago};

#[tokio::test]
async fn an_integration_that_went_stale_opens_an_incident() -> anyhow::Result<()> {
    let start = days_ago(10);
    let mut scene = Scene::standing_still_at(start).await?;
    let integration = scene.admin.connect_external(json!({ "freshness_hours": 1 })).await?;
    let looked: i64 = scene.one("SELECT count(*) FROM events WHERE kind = 'integration.changed'").await?;
    // At the very moment nothing is stale yet, and the worker has looked.
    scene.clock.set(start + Duration::hours(1));
    until("the worker has looked", async || {
        let now: i64 = scene.one("SELECT count(*) FROM events WHERE kind = 'integration.changed'").await?;
        Ok((now > looked).then_some(()))
    })
    .await?;
    scene.sign_in_again().await?;
    assert_eq!(scene.admin.integration(integration).await?["health"]["light"], "grey");
    scene.clock.advance(Duration::seconds(1));
    let incident = until("an incident has opened", async || Ok(scene.incidents(integration).await?.pop())).await?;
    assert_eq!((&incident["kind"], &incident["resolved_at"]), (&json!("stale"), &Value::Null));
    let shown = scene.admin.integration(integration).await?;
    assert_eq!(shown["health"]["light"], "red");
    assert_eq!(shown["health"]["reasons"][0], json!({ "code": "stale", "hours": 1 }));
    let told = items(&scene.admin.get("/notifications").await?.ok()?)?;
    assert_eq!((told.len(), &told[0]["kind"]), (1, &json!("incident_opened")));

    let id = begin(&scene, integration, json!({})).await?;
    let end = json!({ "attempt": 0, "records_processed": 3, "records_failed": 0 });
    scene.admin.post(&format!("/sync-logs/{id}/succeed"), &end).await?.ok()?;
    assert_ne!(scene.incidents(integration).await?[0]["resolved_at"], Value::Null);
    assert_eq!(scene.admin.integration(integration).await?["health"]["light"], "green");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_first_sync_that_never_came_is_noticed_on_its_day() -> anyhow::Result<()> {
    let start = days_ago(10);
    let mut scene = Scene::standing_still_at(start).await?;
    let due = start.duration_trunc(Duration::days(1))? + Duration::days(5);
    let cron = due.format("0 0 %-d * *").to_string();
    let monthly = json!({ "schedule": { "cron": cron, "time_zone": "UTC" }, "freshness_hours": 1 });
    let integration = scene.admin.connect_external(monthly).await?;
    scene.clock.set(start + Duration::hours(2));
    until("the worker has looked", async || {
        let timer: Option<DateTime<Utc>> = scene.one("SELECT stale_at FROM integration_timers").await?;
        Ok(timer.is_none_or(|at| at > scene.clock.now()).then_some(()))
    })
    .await?;
    scene.sign_in_again().await?;
    assert_eq!(scene.admin.integration(integration).await?["health"]["light"], "grey");
    assert_eq!(scene.incidents(integration).await?.len(), 0);
    scene.clock.set(due + Duration::seconds(1));
    scene.sign_in_again().await?;
    let incident = until("an incident has opened", async || Ok(scene.incidents(integration).await?.pop())).await?;
    assert_eq!(incident["kind"], "stale");
    scene.stop().await;
    Ok(())
}

/// Begins a sync as its external runner does.
async fn begin(scene: &Scene, integration: Uuid, more: Value) -> anyhow::Result<Uuid> {
    let mut body = json!({
        "integration_config_id": integration, "connector_type": "other", "sync_type": "accounting_push",
        "triggered_by": "automatic",
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    id_of(&scene.admin.post("/sync-logs", &body).await?.ok()?)
}

async fn report(scene: &Scene, sync: Uuid, attempt: u16, outcomes: &[(Uuid, &str)]) -> anyhow::Result<()> {
    let records: Vec<Value> = outcomes
        .iter()
        .map(|(id, outcome)| {
            let mut record = json!({ "source_record_type": CLAIM, "source_record_id": id, "outcome": outcome });
            if *outcome == "failed" {
                record["errors"] = json!([{ "code": "INVALID_VALUE", "message": "Invalid cost center code: 9999" }]);
            }
            record
        })
        .collect();
    let body = json!({ "attempt": attempt, "records": records });
    scene.admin.post(&format!("/sync-logs/{sync}/records"), &body).await?.ok()?;
    Ok(())
}

/// A sync whose runner went silent after one record, with its three records.
async fn abandoned(scene: &mut Scene) -> anyhow::Result<(Uuid, [Uuid; 3])> {
    let integration = scene.admin.connect_external(json!({})).await?;
    let id = begin(scene, integration, json!({ "lease_seconds": 60 })).await?;
    let records = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
    report(scene, id, 0, &[(records[0], "succeeded"), (records[1], "sending"), (records[2], "queued")]).await?;
    assert_eq!(scene.claims().await?, 2);
    scene.clock.advance(Duration::seconds(61));
    let sync = scene.admin.finished(id).await?;
    assert_eq!((&sync["status"], &sync["error_code"]), (&json!("failed"), &json!("ATTEMPT_ABANDONED")), "{sync}");
    let mut said = Vec::new();
    for record in records {
        said.push(scene.admin.outcome(id, record).await?["outcome"].clone());
    }
    assert_eq!(said, ["succeeded", "unknown", "not_attempted"]);
    let attempt = &scene.admin.attempts(id).await?[0];
    let figures = ["records_total", "records_processed", "records_unknown", "records_not_attempted"];
    assert_eq!(figures.map(|figure| attempt[figure].clone()), [json!(3), json!(1), json!(1), json!(1)]);
    assert_eq!((scene.claims().await?, scene.active_syncs().await?), (0, 0));
    Ok((id, records))
}

#[tokio::test]
async fn a_silent_runners_attempt_is_abandoned_and_its_late_report_is_taken() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let (id, records) = abandoned(&mut scene).await?;
    report(&scene, id, 0, &[(records[1], "succeeded"), (records[2], "succeeded")]).await?;
    let sync = scene.admin.post(&format!("/sync-logs/{id}/succeed"), &json!({ "attempt": 0 })).await?.ok()?;
    assert_eq!((&sync["status"], &sync["records_processed"]), (&json!("success"), &json!(3)), "{sync}");
    assert_eq!((&sync["error_code"], &sync["retry_count"]), (&Value::Null, &json!(0)));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_late_report_of_an_attempt_with_a_successor_is_refused_and_its_outcomes_kept() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let (id, records) = abandoned(&mut scene).await?;
    scene.admin.retry(id).await?.ok()?;
    let claimed = scene.admin.post(&format!("/sync-logs/{id}/attempts"), &json!({})).await?.ok()?;
    assert_eq!(claimed["attempt"], 1);
    let scope: Vec<&Value> = items_of(&claimed["records"]).map(|record| &record["source_record_id"]).collect();
    assert_eq!(scope, [&json!(records[2])], "what is unknown waits");
    let late = json!({ "attempt": 0, "records": [
        { "source_record_type": CLAIM, "source_record_id": records[1], "outcome": "succeeded" },
    ] });
    let late = scene.admin.post(&format!("/sync-logs/{id}/records"), &late).await?;
    assert_eq!((late.status, late.code()), (409, "attempt_superseded"), "{}", late.body);
    let end = scene.admin.post(&format!("/sync-logs/{id}/succeed"), &json!({ "attempt": 0 })).await?;
    assert_eq!((end.status, end.code()), (409, "attempt_superseded"));
    assert_eq!(scene.admin.outcome(id, records[1]).await?["outcome"], "succeeded");

    report(&scene, id, 1, &[(records[2], "succeeded")]).await?;
    let sync = scene.admin.post(&format!("/sync-logs/{id}/succeed"), &json!({ "attempt": 1 })).await?.ok()?;
    assert_eq!((&sync["status"], &sync["records_processed"]), (&json!("retried_success"), &json!(3)), "{sync}");
    scene.stop().await;
    Ok(())
}

fn items_of(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

#[tokio::test]
async fn a_report_keeps_the_attempt_alive() -> anyhow::Result<()> {
    let scene = Scene::standing_still_at(days_ago(1)).await?;
    let silent = scene.admin.connect_external(json!({})).await?;
    let talking = scene.admin.connect_external(json!({})).await?;
    let (silent, talking) = (begin(&scene, silent, json!({})).await?, begin(&scene, talking, json!({})).await?);
    for _ in 0..3 {
        scene.clock.advance(Duration::seconds(40));
        let progress = json!({ "attempt": 0, "records_done": 1 });
        scene.admin.request(reqwest::Method::PATCH, &format!("/sync-logs/{talking}"), Some(&progress)).await?.ok()?;
    }
    assert_eq!(scene.admin.finished(silent).await?["error_code"], "ATTEMPT_ABANDONED");
    assert_eq!(scene.admin.sync(talking).await?["status"], "in_progress");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_retry_that_nobody_claims_gives_the_sync_its_former_status_back() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let integration = scene.admin.connect_external(json!({})).await?;
    let id = begin(&scene, integration, json!({})).await?;
    let (good, bad) = (Uuid::now_v7(), Uuid::now_v7());
    report(&scene, id, 0, &[(good, "succeeded"), (bad, "failed")]).await?;
    let before = scene.admin.post(&format!("/sync-logs/{id}/succeed"), &json!({ "attempt": 0 })).await?.ok()?;
    assert_eq!(before["status"], "failed", "a record that did not leave is a failure: {before}");

    scene.admin.retry(id).await?.ok()?;
    assert_eq!(scene.admin.sync(id).await?["status"], "pending");
    scene.clock.advance(Duration::hours(24) + Duration::seconds(1));
    scene.sign_in_again().await?;
    let after = scene.admin.finished(id).await?;
    let warnings: Vec<&Value> = items_of(&after["warnings"]).map(|warning| &warning["code"]).collect();
    assert_eq!(warnings, ["RETRY_NOT_CLAIMED"]);
    for member in [
        "status",
        "error_code",
        "error_message",
        "completed_at",
        "duration_ms",
        "records_processed",
        "records_failed",
        "retry_count",
    ] {
        assert_eq!(after[member], before[member], "{member}");
    }
    assert_eq!(after["retryable"], true);
    assert_eq!((scene.claims().await?, scene.active_syncs().await?), (0, 0));
    scene.admin.retry(id).await?.ok()?;
    let claimed = scene.admin.post(&format!("/sync-logs/{id}/attempts"), &json!({})).await?.ok()?;
    assert_eq!(claimed["records"][0]["source_record_id"], json!(bad));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_announced_sync_that_nobody_claims_fails() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let integration = scene.admin.connect_external(json!({})).await?;
    let id = begin(&scene, integration, json!({ "queued": true })).await?;
    scene.clock.advance(Duration::hours(24) + Duration::seconds(1));
    scene.sign_in_again().await?;
    let sync = scene.admin.finished(id).await?;
    assert_eq!((&sync["status"], &sync["error_code"]), (&json!("failed"), &json!("START_NOT_CLAIMED")), "{sync}");
    scene.stop().await;
    Ok(())
}
