//! Nobody answers: the job runs all the same, and the report comes later, once.

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tests::story::until;

use super::scene::{Scene, done, line, prepared};

#[tokio::test]
async fn a_report_that_finds_nobody_waits_and_arrives_once_with_the_next() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    scene.gate.set_open(false);
    prepared(&scene.path("lines"), &[line("succeeded", &json!({})), line("failed", &json!({}))]).await?;
    let script = "cat lines > \"$SYNCWATCH_OUTCOMES_FILE\"; echo 'went wrong' >&2; exit 3";
    let options = ["--patience", "0", "--client-run-id", "monday"];
    scene.run(&options, script).await?.says(3, "the next run hands it over");
    scene.run(&["--patience", "0", "--client-run-id", "tuesday"], "true").await?.says(0, "the next run hands it over");
    assert_eq!((scene.syncs().await.len(), scene.spooled("json").len()), (0, 2));
    // As if they had waited for a while: their own times are what counts.
    for path in scene.spooled("json") {
        let mut waiting: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        for moment in ["/completed_at", "/target/run/started_at"] {
            let at = waiting.pointer_mut(moment).context("a moment")?;
            let earlier = at.as_str().unwrap_or_default().parse::<DateTime<Utc>>()? - TimeDelta::minutes(10);
            *at = json!(earlier);
        }
        std::fs::write(&path, waiting.to_string())?;
    }
    let copies: Vec<_> = scene.spooled("json").into_iter().map(|path| (std::fs::read(&path), path)).collect();

    scene.gate.set_open(true);
    scene.run(&["--client-run-id", "wednesday"], "true").await?.quiet(0);
    assert!(scene.spooled("json").is_empty() && scene.spooled("refused").is_empty());
    let syncs = scene.syncs().await;
    let named = |name: &str| syncs.iter().find(|sync| sync["client_run_id"] == name).cloned().unwrap_or_default();
    assert_eq!(syncs.len(), 3);
    let monday = named("monday");
    let told = ["status", "error_code", "error_message", "records_total", "records_processed", "records_failed"];
    let found: Vec<&Value> = told.iter().map(|name| &monday[*name]).collect();
    let expected = [json!("failed"), json!("EXIT_STATUS"), json!("went wrong"), json!(2), json!(1), json!(1)];
    assert_eq!(found, expected.iter().collect::<Vec<_>>());
    assert_eq!((&named("tuesday")["status"], &named("wednesday")["status"]), (&json!("success"), &json!("success")));
    // Its own times, not those of the delivery.
    assert!(monday["started_at"].as_str() < named("tuesday")["started_at"].as_str());
    assert!(
        // Ten minutes is what it waited.
        monday["duration_ms"].as_i64() < Some(300_000)
            && monday["completed_at"].as_str() < named("wednesday")["started_at"].as_str()
    );

    // The same reports once more, as after a kill between delivery and clearing up.
    let before = scene.number("SELECT sum(hashtext(t::text)::bigint)::bigint FROM sync_logs t").await;
    for (bytes, path) in copies {
        std::fs::write(path, bytes?)?;
    }
    scene.run(&["--client-run-id", "wednesday"], "true").await?.quiet(0);
    assert!(scene.spooled("json").is_empty());
    assert_eq!(scene.number("SELECT sum(hashtext(t::text)::bigint)::bigint FROM sync_logs t").await, before);
    assert_eq!(scene.number("SELECT count(*) FROM sync_record_outcomes").await, 2);
    Ok(())
}

#[tokio::test]
async fn many_outcomes_that_waited_are_counted_and_told_one_by_one() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    scene.gate.set_open(false);
    let mut lines: Vec<String> = (0..1_380).map(|_| line("succeeded", &json!({}))).collect();
    for (outcome, count) in [("failed", 10), ("unknown", 5), ("not_attempted", 5), ("skipped", 100)] {
        lines.extend((0..count).map(|_| line(outcome, &json!({}))));
    }
    prepared(&scene.path("lines"), &lines).await?;
    let script = "cat lines > \"$SYNCWATCH_OUTCOMES_FILE\"";
    scene.run(&["--patience", "0"], script).await?.says(0, "the next run hands it over");
    // As if it had waited for hours.
    let path = scene.spooled("json").pop().unwrap_or_default();
    let mut waiting: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
    let now = scene.server.clock.now();
    let hours_ago = |hours| now - TimeDelta::hours(hours);
    waiting["completed_at"] = json!(hours_ago(2));
    waiting["target"]["run"]["started_at"] = json!(hours_ago(3));
    std::fs::write(&path, waiting.to_string())?;
    scene.gate.set_open(true);
    scene.run(&[], "true").await?.quiet(0);
    let syncs = scene.syncs().await;
    let late = &syncs[1];
    assert_eq!((&late["status"], &late["error_code"]), (&json!("failed"), &json!("PARTIAL_FAILURE")), "{late}");
    assert_eq!(late["duration_ms"], 3_600_000);
    let counts = [&late["records_total"], &late["records_processed"], &late["records_failed"]];
    assert_eq!(counts, [&json!(1_400), &json!(1_380), &json!(20)], "what was left out on purpose is not in scope");
    assert_eq!(late["warnings"], json!([]), "they add up");
    assert_eq!(scene.number("SELECT count(*) FROM sync_record_outcomes").await, 1_500);
    assert_eq!(scene.outcomes(late, "failed").await.len(), 10);
    Ok(())
}

#[tokio::test]
async fn a_server_that_comes_back_in_time_gets_the_report_at_once() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    scene.gate.set_open(false);
    let child = scene.report(&[], "exit 3")?.spawn()?;
    until("the wrapper has tried in vain", async || Ok((scene.gate.tried() >= 3).then_some(()))).await?;
    scene.gate.set_open(true);
    assert_eq!(done(child).await?.status, 3);
    assert_eq!((scene.only_sync().await["status"].as_str(), scene.spooled("json").len()), (Some("failed"), 0));
    Ok(())
}

#[tokio::test]
async fn an_attempt_that_was_given_up_for_lost_reports_late() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    prepared(&scene.path("lines"), &[line("succeeded", &json!({}))]).await?;
    let script = "while [ ! -e go ]; do sleep 0.05; done; cat lines > \"$SYNCWATCH_OUTCOMES_FILE\"";
    let child = scene.report(&["--patience", "0", "--lease", "2"], script)?.spawn()?;
    until("the sync has begun", async || Ok((!scene.syncs().await.is_empty()).then_some(()))).await?;
    scene.gate.set_open(false);
    until("the attempt was given up", async || {
        Ok((scene.only_sync().await["error_code"] == "ATTEMPT_ABANDONED").then_some(()))
    })
    .await?;
    tokio::fs::write(scene.path("go"), "").await?;
    done(child).await?.says(0, "the job goes on without being reported");
    assert_eq!((scene.spooled("json").len(), scene.only_sync().await["status"].as_str()), (1, Some("failed")));

    scene.gate.set_open(true);
    scene.run(&[], "true").await?.quiet(0);
    let syncs = scene.syncs().await;
    assert_eq!((syncs.len(), scene.spooled("json").len()), (2, 0));
    let late = &syncs[1];
    assert_eq!((&late["status"], &late["records_processed"]), (&json!("success"), &json!(1)), "{late}");
    Ok(())
}

#[tokio::test]
async fn a_wrapper_that_is_told_to_stop_keeps_the_report_and_ends() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    scene.gate.set_open(false);
    let child = scene.report(&["--patience", "600"], "exit 3")?.spawn()?;
    until("the wrapper has tried in vain", async || Ok((scene.gate.tried() >= 3).then_some(()))).await?;
    let wrapper = child.id().unwrap_or_default().to_string();
    assert!(tokio::process::Command::new("kill").arg(&wrapper).status().await?.success());
    done(child).await?.says(3, "told to stop");
    assert_eq!(scene.spooled("json").len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_report_that_is_refused_for_good_is_put_aside_and_told() -> anyhow::Result<()> {
    let mut scene = Scene::new().await?;
    let good = scene.integration;
    scene.integration = uuid::Uuid::now_v7();
    scene.run(&[], "exit 3").await?.says(3, "is refused and is kept as");
    assert_eq!((scene.spooled("refused").len(), scene.spooled("json").len()), (1, 0));
    // One that waited, too, stands in nobody's way.
    scene.gate.set_open(false);
    scene.run(&["--patience", "0"], "true").await?.says(0, "the next run hands it over");
    scene.gate.set_open(true);
    scene.integration = good;
    scene.run(&[], "true").await?.says(0, "is refused and put aside");
    assert_eq!((scene.spooled("refused").len(), scene.spooled("json").len()), (2, 0));
    assert_eq!(scene.only_sync().await["status"], "success");
    Ok(())
}
