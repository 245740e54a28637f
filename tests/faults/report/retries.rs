//! `--claim-retries`: what people ask for is taken up by the job.

use anyhow::Context as _;
use serde_json::{Value, json};
use tests::client::Answer;
use tests::story::until;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Command;

use super::scene::{CLAIM, Done, Scene, done, line, prepared};

async fn half_failed(scene: &Scene) -> anyhow::Result<Value> {
    prepared(&scene.path("lines"), &[line("succeeded", &json!({})), line("failed", &json!({}))]).await?;
    scene.run(&[], "cat lines > \"$SYNCWATCH_OUTCOMES_FILE\"").await?.quiet(0);
    Ok(scene.only_sync().await)
}

async fn ask(scene: &Scene, sync: &Value) -> Answer {
    let id = sync["id"].as_str().unwrap_or_default();
    scene.admin.post(&format!("/sync-logs/{id}/retries")).once().send().await
}

/// A sync that waits for its first attempt.
async fn announce(scene: &Scene) {
    let announced = json!({
        "integration_config_id": scene.integration, "connector_type": "xledger", "sync_type": "accounting_push",
        "triggered_by": "automatic", "queued": true,
    });
    scene.admin.post("/sync-logs").json(&announced).send().await.expect(201);
}

#[tokio::test]
async fn a_retry_is_claimed_and_the_job_gets_what_to_send_again() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    // Nothing waits: the job does not run.
    let done = scene.run(&["--claim-retries"], "echo ran").await?.quiet(0);
    assert_eq!(done.stdout, "");

    let sync = half_failed(&scene).await?;
    let failed = scene.outcomes(&sync, "failed").await[0]["source_record_id"].clone();
    ask(&scene, &sync).await.expect(202);
    // A sync that only was announced is nobody's retry.
    announce(&scene).await;

    // It fails once more, then succeeds.
    let told = "echo \"$SYNCWATCH_SYNC_ID $SYNCWATCH_ATTEMPT\"; cat \"$SYNCWATCH_RECORDS_FILE\"";
    let done = scene.run(&["--claim-retries"], &format!("{told}; echo 'still down' >&2; exit 7")).await?.quiet(7);
    let (first, record) = done.stdout.split_once('\n').unwrap_or_default();
    assert_eq!(first, format!("{} 1", sync["id"].as_str().unwrap_or_default()));
    let record: Value = serde_json::from_str(record)?;
    assert_eq!(record, json!({ "source_record_type": CLAIM, "source_record_id": failed }));
    let shown = scene.admin.get(&format!("/sync-logs/{}", sync["id"].as_str().unwrap_or_default()));
    let again = shown.send().await.expect(200);
    assert_eq!(
        (&again["status"], &again["error_message"]),
        (&json!("retried_failed"), &json!("still down")),
        "{again}"
    );

    ask(&scene, &sync).await.expect(202);
    let script = "sed 's/}$/,\"outcome\":\"succeeded\"}/' \"$SYNCWATCH_RECORDS_FILE\" > \"$SYNCWATCH_OUTCOMES_FILE\"";
    scene.run(&["--claim-retries"], script).await?.quiet(0);
    let shown = scene.admin.get(&format!("/sync-logs/{}", sync["id"].as_str().unwrap_or_default()));
    let mended = shown.send().await.expect(200);
    let expected = (json!("retried_success"), json!(2), json!(0));
    assert_eq!(
        (&mended["status"], &mended["records_processed"], &mended["records_failed"]),
        (&expected.0, &expected.1, &expected.2)
    );
    let waiting = scene.admin.get("/sync-logs?status=pending").send().await.expect(200);
    assert_eq!(waiting["items"].as_array().map(Vec::len), Some(1), "the announced one waits on");
    Ok(())
}

#[tokio::test]
async fn a_retry_of_what_is_not_known_record_by_record_is_about_everything() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    scene.run(&[], "exit 3").await?.quiet(3);
    let failed = scene.only_sync().await;
    ask(&scene, &failed).await.expect(202);
    // What the caller happens to have under this name is no list of the attempt's.
    let told = "echo \"$SYNCWATCH_ATTEMPT ${SYNCWATCH_RECORDS_FILE-everything}\"";
    let mut command = scene.report(&["--claim-retries"], told)?;
    let done = Done::of(command.env("SYNCWATCH_RECORDS_FILE", "another").output().await?)?.quiet(0);
    assert_eq!(done.stdout, "1 everything\n");
    assert_eq!(scene.only_sync().await["status"], "retried_success");
    Ok(())
}

#[tokio::test]
async fn a_retry_of_a_sync_whose_start_nobody_claimed_is_taken_up() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    announce(&scene).await;
    let run_out = "UPDATE active_syncs SET lease_expires_at = now() - interval '1 minute' RETURNING 1::bigint";
    assert_eq!(scene.number(run_out).await, 1);
    until("its start was given up", async || {
        Ok((scene.only_sync().await["error_code"] == "START_NOT_CLAIMED").then_some(()))
    })
    .await?;
    ask(&scene, &scene.only_sync().await).await.expect(202);
    let done = scene.run(&["--claim-retries"], "echo \"$SYNCWATCH_ATTEMPT\"").await?.quiet(0);
    assert_eq!(done.stdout, "1\n");
    assert_eq!(scene.only_sync().await["status"], "retried_success");
    Ok(())
}

#[tokio::test]
async fn a_retry_behind_more_than_a_page_of_others_is_found() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    scene.run(&[], "exit 3").await?.quiet(3);
    ask(&scene, &scene.only_sync().await).await.expect(202);
    // Newer ones come first.
    for _ in 0..200 {
        announce(&scene).await;
    }
    let done = scene.run(&["--claim-retries"], "echo ran").await?.quiet(0);
    assert_eq!(done.stdout, "ran\n");
    Ok(())
}

#[tokio::test]
async fn who_is_told_to_stop_starts_no_further_job() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    for name in ["monday", "tuesday"] {
        scene.run(&["--client-run-id", name], "exit 3").await?.quiet(3);
    }
    for sync in scene.syncs().await {
        ask(&scene, &sync).await.expect(202);
    }
    // It ends as it likes when it is told to.
    let script = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let mut child = scene.report(&["--claim-retries"], script)?.spawn()?;
    let mut output = BufReader::new(child.stdout.take().context("no standard output")?);
    let mut words = String::new();
    output.read_line(&mut words).await?;
    let wrapper = child.id().context("the wrapper has ended")?.to_string();
    assert!(Command::new("kill").arg(&wrapper).status().await?.success());
    output.read_to_string(&mut words).await?;
    done(child).await?.says(1, "no further retry could be taken up");
    assert_eq!(words, "ready\n", "one job");
    let waiting = scene.admin.get("/sync-logs?status=pending").send().await.expect(200);
    assert_eq!(waiting["items"].as_array().map(Vec::len), Some(1), "the other waits on");
    Ok(())
}

#[tokio::test]
async fn without_a_server_no_retry_is_taken_up() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    scene.gate.set_open(false);
    let done = scene.run(&["--claim-retries"], "echo ran").await?.says(1, "no retry could be taken up");
    assert_eq!(done.stdout, "");
    Ok(())
}
