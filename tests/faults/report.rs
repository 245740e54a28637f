//! `syncwatch report`: the job notices nothing, and the report arrives once.

mod away;
mod retries;
mod scene;

use std::process::Stdio;

use anyhow::Context as _;
use serde_json::json;
use tests::story::until;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use uuid::Uuid;

use scene::{CLAIM, Done, Scene, done, files, line, prepared};

#[tokio::test]
async fn a_job_that_succeeds_is_a_sync_and_its_streams_are_its_own() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let lines: Vec<String> = (0..3).map(|_| line("succeeded", &json!({}))).collect();
    prepared(&scene.path("lines"), &lines).await?;
    let script = "cat; echo words >&2; cat lines >> \"$SYNCWATCH_OUTCOMES_FILE\"; echo \"$0 $1\"";
    let mut command = scene.report_command(
        &["--client-run-id", "nightly-1", "--sync-type", "roster_sync"],
        &["/bin/sh", "-c", script, "a job's", "own -- arguments"],
    )?;
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("no standard input")?;
    input.write_all(b"from \xff outside\n").await?;
    drop(input);
    let output = child.wait_with_output().await?;
    assert_eq!(output.stdout, b"from \xff outside\na job's own -- arguments\n");
    assert_eq!((output.stderr.as_slice(), output.status.code()), (b"words\n".as_slice(), Some(0)));

    let sync = scene.only_sync().await;
    let expected = json!({
        "status": "success", "integration_config_id": scene.integration, "sync_type": "roster_sync",
        "connector_type": "xledger", "triggered_by": "automatic", "client_run_id": "nightly-1", "records_total": 3,
        "records_processed": 3, "records_failed": 0, "warnings": [], "error_code": null, "backfill": false,
    });
    for (name, value) in expected.as_object().context("an object")? {
        assert_eq!(&sync[name], value, "{name}");
    }
    assert_eq!(scene.outcomes(&sync, "succeeded").await.len(), 3);
    // Nothing is left behind, and nothing of the arguments is told.
    assert_eq!(files(scene.directory.path()), [scene.path("lines")]);
    let metadata = "SELECT count(*) FROM sync_logs WHERE metadata->>'program' = 'sh' AND metadata::text !~ 'arguments'";
    assert_eq!(scene.number(metadata).await, 1);
    // The same name is the same sync.
    scene.run(&["--client-run-id", "nightly-1"], "true").await?;
    assert_eq!(scene.syncs().await.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_job_that_fails_says_why_with_its_last_words() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let script = "echo Traceback >&2; echo 'ValueError: kari@example.org has no account' >&2; echo >&2; exit 3";
    scene.run(&[], script).await?.quiet(3);
    let sync = scene.only_sync().await;
    assert_eq!((&sync["status"], &sync["error_code"]), (&json!("failed"), &json!("EXIT_STATUS")));
    let message = sync["error_message"].as_str().unwrap_or_default();
    assert!(message.starts_with("ValueError: ") && message.ends_with(" has no account"), "{message}");
    assert!(!message.contains("kari@"), "redacted by the server: {message}");

    scene.run(&[], "exit 4").await?.quiet(4);
    assert_eq!(scene.syncs().await[0]["error_message"], "exit status 4");
    // As a shell says it.
    let missing = scene.report_command(&[], &["/does/not/exist"])?.output().await?;
    Done::of(missing)?.says(127, "cannot be started");
    assert_eq!(scene.syncs().await[0]["error_code"], "EXIT_STATUS");
    assert_eq!(scene.syncs().await.len(), 3);
    Ok(())
}

#[tokio::test]
async fn signals_are_handed_over_and_a_killed_job_is_told() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    scene.run(&[], "echo working >&2; kill -9 $$").await?.quiet(137);
    let sync = scene.only_sync().await;
    let expected = ("failed", "EXIT_STATUS", "killed by signal 9; before: working");
    let found = |name: &str| sync[name].as_str().unwrap_or_default().to_owned();
    assert_eq!((&*found("status"), &*found("error_code"), &*found("error_message")), expected);

    for (signal, status) in [("TERM", 9), ("INT", 10), ("QUIT", 11), ("USR1", 12), ("USR2", 13)] {
        let script =
            format!("trap 'echo stopping >&2; exit {status}' {signal}; echo ready; while :; do sleep 0.05; done");
        let mut child = scene.report(&[], &script)?.spawn()?;
        let mut output = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut ready = String::new();
        output.read_line(&mut ready).await?;
        let wrapper = child.id().context("the wrapper has ended")?.to_string();
        let told = tokio::process::Command::new("kill").args(["-s", signal, &wrapper]).status().await?;
        assert!(told.success());
        output.read_to_string(&mut ready).await?;
        done(child).await?.quiet(status);
        let sync = &scene.syncs().await[0];
        assert_eq!((&sync["status"], &sync["error_message"]), (&json!("failed"), &json!("stopping")), "{signal}");
    }
    Ok(())
}

#[tokio::test]
async fn words_that_are_still_on_their_way_when_the_job_has_ended_are_heard() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    // For longer than a silence lasts, and never silent for nearly as long.
    let script = "(for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.25; echo word $i >&2; done) & exit 3";
    let done = scene.run(&[], script).await?.quiet(3);
    assert!(done.stderr.ends_with("word 12\n"), "{}", done.stderr);
    assert_eq!(scene.only_sync().await["error_message"], "word 12");
    Ok(())
}

#[tokio::test]
async fn failed_records_of_a_job_that_says_all_is_well_make_it_a_failure() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let record = Uuid::now_v7();
    // One record on two lines: it is told once, by what says most.
    let same = json!({ "source_record_id": record, "label": "Claim 1043" });
    let lines =
        [line("sending", &same), line("failed", &json!({})), line("succeeded", &json!({ "source_record_id": record }))];
    prepared(&scene.path("lines"), &lines).await?;
    scene.run(&["--records-file", "outcomes.jsonl"], "cp lines outcomes.jsonl").await?.quiet(0);
    let sync = scene.only_sync().await;
    assert_eq!((&sync["status"], &sync["error_code"]), (&json!("failed"), &json!("PARTIAL_FAILURE")), "{sync}");
    assert_eq!((&sync["records_total"], &sync["records_processed"]), (&json!(2), &json!(1)));
    assert_eq!(sync["error_message"], "Invalid cost center code: 9999");
    assert_eq!(scene.outcomes(&sync, "succeeded").await[0]["label"], "Claim 1043");
    assert!(scene.path("outcomes.jsonl").exists(), "the caller's file stays");

    // The next run begins anew: what is there is not its own.
    scene.run(&["--records-file", "outcomes.jsonl"], "cp lines unrelated").await?.says(0, "no file of outcomes");
    let sync = &scene.syncs().await[0];
    assert_eq!((&sync["status"], &sync["records_total"]), (&json!("success"), &json!(null)));
    assert_eq!(sync["warnings"][0]["code"], "OUTCOMES_FILE_MISSING", "no false green");
    assert!(scene.path("outcomes.jsonl.old").exists());
    Ok(())
}

#[tokio::test]
async fn lines_that_cannot_be_taken_are_told_by_number_and_kept() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let lines = [
        line("succeeded", &json!({})),
        "not JSON".to_owned(),
        // Of the right shape, and against the ledger's rules.
        line("failed", &json!({ "errors": [] })),
        line("succeeded", &json!({ "amount": "12.00" })),
        line("succeeded", &json!({ "colour": "red" })),
        line("failed", &json!({})),
    ];
    prepared(&scene.path("lines"), &lines).await?;
    let done = scene.run(&[], "cat lines > \"$SYNCWATCH_OUTCOMES_FILE\"").await?;
    for number in 2..=5 {
        assert!(done.stderr.contains(&format!("outcomes, line {number}: ")), "{done:?}");
    }
    assert_eq!(done.status, 0);
    let sync = scene.only_sync().await;
    assert_eq!((&sync["records_total"], &sync["records_failed"]), (&json!(2), &json!(1)), "{sync}");
    let warnings: Vec<&str> =
        sync["warnings"].as_array().into_iter().flatten().filter_map(|warning| warning["message"].as_str()).collect();
    for number in 2..=5 {
        let told = warnings.iter().filter(|warning| warning.starts_with(&format!("line {number}: "))).count();
        assert_eq!(told, 1, "{warnings:?}");
    }
    // The lines themselves are not lost.
    let kept = scene.spooled("jsonl");
    assert_eq!(std::fs::read_to_string(kept.first().context("nothing was kept")?)?, lines.join("\n") + "\n");
    Ok(())
}

#[tokio::test]
async fn more_outcomes_than_a_call_holds_arrive_while_the_job_runs() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let lines: Vec<String> = (0..2_500).map(|_| line("succeeded", &json!({}))).collect();
    prepared(&scene.path("lines"), &lines).await?;
    let script = "cat lines >> \"$SYNCWATCH_OUTCOMES_FILE\"; while [ ! -e go ]; do sleep 0.05; done";
    let child = scene.report(&[], script)?.spawn()?;
    until("all outcomes have arrived before the job has ended", async || {
        let arrived = scene.number("SELECT count(*) FROM sync_record_outcomes").await;
        Ok((arrived == 2_500).then_some(()))
    })
    .await?;
    assert_eq!(scene.only_sync().await["status"], "in_progress");
    tokio::fs::write(scene.path("go"), "").await?;
    done(child).await?.quiet(0);
    let sync = scene.only_sync().await;
    assert_eq!((&sync["status"], &sync["records_processed"]), (&json!("success"), &json!(2_500)));
    let kinds = "SELECT count(DISTINCT source_record_type) FROM sync_record_outcomes";
    assert_eq!((scene.number(kinds).await, CLAIM), (1, "expense_claims"));
    Ok(())
}

#[tokio::test]
async fn a_record_that_another_sync_has_under_way_is_told() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let record = json!({ "source_record_id": Uuid::now_v7() });
    prepared(&scene.path("lines"), &[line("sending", &record)]).await?;
    let script = "cat lines >> \"$SYNCWATCH_OUTCOMES_FILE\"; while [ ! -e go ]; do sleep 0.05; done";
    let first = scene.report(&[], script)?.spawn()?;
    until("the first has it under way", async || {
        let sending = scene.number("SELECT count(*) FROM sync_record_outcomes WHERE outcome = 'sending'").await;
        Ok((sending == 1).then_some(()))
    })
    .await?;
    let second = scene.run(&[], "cat lines >> \"$SYNCWATCH_OUTCOMES_FILE\"").await?;
    let second = second.says(0, "1 of the job's records must not be sent by it");
    let id = record["source_record_id"].as_str().context("no id")?;
    assert!(second.stderr.contains(&format!("{CLAIM} {id}")), "{}", second.stderr);
    tokio::fs::write(scene.path("go"), "").await?;
    done(first).await?.quiet(0);
    Ok(())
}

#[tokio::test]
async fn a_name_that_the_ledger_refuses_starts_no_job() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    for name in [" ", "x".repeat(201).as_str()] {
        let done = scene.run(&["--client-run-id", name], "echo ran").await?.says(2, "200 characters");
        assert_eq!(done.stdout, "");
    }
    Ok(())
}

#[tokio::test]
async fn signs_of_life_keep_a_short_lease() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    // Long enough to outlive a machine that stands still for a while between two signs.
    let child = scene.report(&["--lease", "24"], "while [ ! -e go ]; do sleep 0.05; done")?.spawn()?;
    // With the second sign it lives on beyond its first lease by more than half of another.
    until("the lease was extended again and again", async || {
        let lease = "SELECT extract(epoch FROM lease_expires_at - created_at)::bigint FROM active_syncs";
        Ok((scene.number(lease).await >= 38).then_some(()))
    })
    .await?;
    assert_eq!(scene.only_sync().await["status"], "in_progress");
    tokio::fs::write(scene.path("go"), "").await?;
    done(child).await?.quiet(0);
    assert_eq!(scene.only_sync().await["status"], "success");
    Ok(())
}

#[tokio::test]
async fn a_key_may_stand_in_a_file_and_a_wrong_one_stops_no_job() -> anyhow::Result<()> {
    let scene = Scene::new().await?;
    let (id, secret) = scene.organization.key(&["syncs:write", "integrations:read"]).await;
    let key = json!({ "client_id": id, "client_secret": secret, "organization_id": scene.organization.id });
    std::fs::write(scene.path("key.json"), key.to_string())?;
    scene.run(&["--credentials", "key.json"], "true").await?.quiet(0);
    assert_eq!(scene.syncs().await.len(), 1);

    std::fs::write(scene.path("key.json"), json!({ "client_id": id, "client_secret": "wrong" }).to_string())?;
    let done = scene.run(&["--credentials", "key.json"], "echo worked; exit 5").await?;
    assert_eq!(done.stdout, "worked\n");
    done.says(5, "the next run hands it over");
    let done = scene.run(&["--credentials", "not-there.json"], "echo worked").await?;
    assert_eq!(done.stdout, "worked\n");
    done.says(0, "not-there.json cannot be read");
    assert_eq!((scene.syncs().await.len(), scene.spooled("json").len()), (1, 2));
    // Mended, everything arrives; no secret was written anywhere.
    for path in scene.spooled("json") {
        assert!(!std::fs::read_to_string(path)?.contains("secret"));
    }
    scene.run(&[], "true").await?.quiet(0);
    assert_eq!((scene.syncs().await.len(), scene.spooled("json").len()), (4, 0));
    Ok(())
}
