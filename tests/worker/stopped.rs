//! A worker that is to send no more: what it has marked and not sent is not in doubt, and does not leave.

use std::time::Duration;

use serde_json::json;
use tests::peers::{Act, Held, HeldRequest};
use tests::story::{Claim, until};
use uuid::Uuid;

use crate::scene::Scene;

/// Seconds of a lease that is to run out.
const LEASE: u32 = 2;
/// Seconds of one whose heartbeats, four to its length, leave a sweep the time to come between them.
const LONGER_LEASE: u32 = 12;

/// Refuses marks that a crash of the database could take back.
const DURABLE_MARKS: &str = "
CREATE FUNCTION refuse_volatile_marks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('synchronous_commit') <> 'on' THEN
        RAISE EXCEPTION 'a request is about to leave, and its mark may be forgotten';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER refuse_volatile_marks BEFORE UPDATE ON source_records
    FOR EACH ROW WHEN (NEW.state = 'sending') EXECUTE FUNCTION refuse_volatile_marks();
";

fn booking() -> Act {
    Act::answer("201 Created", "application/json", "{\"reference\": \"V-1\"}")
}

/// A sync of three records whose system takes one at a time and no repetition: the first is on its way, the second is
/// marked, and the third waits.
async fn under_way(scene: &Scene, system: &mut Held) -> anyhow::Result<(Uuid, HeldRequest)> {
    let settings = json!({ "url": system.url("/claims"), "timeout_ms": 120_000, "concurrency": 1 });
    let integration = scene.admin.connect(settings, json!({})).await?;
    scene.admin.stage_all(integration, &Claim::many(3)).await?;
    let sync = scene.admin.trigger(integration).await?;
    let first = system.request().await?;
    until("the second record is marked", async || {
        let marked: i64 = scene.one("SELECT count(*) FROM source_records WHERE state = 'sending'").await?;
        Ok((marked == 2).then_some(()))
    })
    .await?;
    Ok((sync, first))
}

/// What is said of the sync's records, in the order of the alphabet.
async fn outcomes(scene: &Scene, sync: Uuid) -> anyhow::Result<Vec<String>> {
    let all = scene.admin.outcomes(sync).await?;
    let mut said: Vec<String> =
        all.iter().map(|outcome| outcome["outcome"].as_str().unwrap_or_default().to_owned()).collect();
    said.sort();
    Ok(said)
}

async fn until_said(scene: &Scene, sync: Uuid, expected: [&str; 3]) -> anyhow::Result<()> {
    until("the records have these outcomes", async || Ok((outcomes(scene, sync).await? == expected).then_some(())))
        .await
}

/// Nobody has to look for the two that did not leave: a retry sends them, and nothing else.
async fn a_retry_sends_the_other_two(scene: &Scene, system: &mut Held, sync: Uuid) -> anyhow::Result<()> {
    assert!(system.is_quiet(), "something left");
    let preview = scene.admin.preview(sync).await?;
    assert_eq!((&preview["records"], &preview["unknown"]), (&json!(2), &json!(0)), "{preview}");
    scene.admin.retry(sync).await?.ok()?;
    for _ in 0..2 {
        system.request().await?.answer(booking());
    }
    let ended = scene.admin.finished(sync).await?;
    assert_eq!((&ended["status"], &ended["records_processed"]), (&json!("retried_success"), &json!(3)), "{ended}");
    assert!(system.is_quiet(), "something left twice");
    Ok(())
}

#[tokio::test]
async fn a_stop_leaves_no_doubt_about_what_was_marked_and_not_sent() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let mut system = Held::start().await?;
    let (sync, first) = under_way(&scene, &mut system).await?;
    let ending = scene.end();
    let answering = async {
        // At once: nobody knows how long the answer takes.
        until("the marked record is written off", async || {
            let unsent: i64 =
                scene.one("SELECT count(*) FROM sync_record_outcomes WHERE outcome = 'not_attempted'").await?;
            Ok((unsent == 1).then_some(()))
        })
        .await?;
        first.answer(booking());
        anyhow::Ok(())
    };
    let ((), answered) = tokio::join!(ending, answering);
    answered?;

    scene.start_again().await?;
    let ended = scene.admin.sync(sync).await?;
    assert_eq!((&ended["status"], &ended["error_code"]), (&json!("failed"), &json!("WORKER_STOPPED")), "{ended}");
    assert_eq!(outcomes(&scene, sync).await?, ["not_attempted", "not_attempted", "succeeded"]);
    assert_eq!((scene.claims().await?, scene.active_syncs().await?), (0, 0));
    a_retry_sends_the_other_two(&scene, &mut system, sync).await?;
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn nothing_leaves_under_a_lease_that_may_have_run_out() -> anyhow::Result<()> {
    // The ledger's clock stands still, so that only the worker itself thinks that the lease is over.
    let scene = Scene::standing_still(|config| config.worker.lease_seconds = LEASE).await?;
    let mut system = Held::start().await?;
    let (sync, first) = under_way(&scene, &mut system).await?;
    let held = scene.hold_leases().await?;
    // Nothing happens when a lease runs out; time passes.
    tokio::time::sleep(Duration::from_secs(LEASE.into())).await;
    first.answer(booking());
    // The heartbeat, and the sync itself before it sends another record.
    scene.until_waiting(2).await?;
    assert_eq!(outcomes(&scene, sync).await?, ["queued", "sending", "succeeded"]);
    assert!(system.is_quiet(), "a record left without a lease");

    held.rollback().await?;
    for _ in 0..2 {
        system.request().await?.answer(booking());
    }
    let ended = scene.admin.finished(sync).await?;
    assert_eq!((&ended["status"], &ended["records_processed"]), (&json!("success"), &json!(3)), "{ended}");
    assert!(system.is_quiet(), "something left twice");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_an_attempt_taken_for_dead_never_sent_is_not_in_doubt() -> anyhow::Result<()> {
    let mut scene = Scene::standing_still(|config| config.worker.lease_seconds = LONGER_LEASE).await?;
    // The database has a clock of its own, and takes no sync from the future.
    scene.clock.advance(chrono::Duration::minutes(-2));
    scene.sign_in_again().await?;
    let mut system = Held::start().await?;
    let (sync, first) = under_way(&scene, &mut system).await?;
    // A heartbeat that comes too late, and behind it the sweep that closes the attempt.
    let held = scene.hold_leases().await?;
    scene.until_waiting(1).await?;
    scene.clock.advance(chrono::Duration::seconds(i64::from(LONGER_LEASE) + 1));
    scene.until_waiting(2).await?;
    held.rollback().await?;
    let closed = scene.admin.finished(sync).await?;
    assert_eq!(closed["error_code"], "ATTEMPT_ABANDONED", "{closed}");
    until_said(&scene, sync, ["failed", "not_attempted", "unknown"]).await?;
    let all = scene.admin.outcomes(sync).await?;
    assert!(all.iter().any(|outcome| outcome["errors"][0]["code"] == "NEVER_SENT"), "{all:?}");

    first.answer(booking());
    until_said(&scene, sync, ["failed", "not_attempted", "succeeded"]).await?;
    until("the attempt has told of its end", async || {
        Ok((scene.admin.sync(sync).await?["error_code"] == "PARTIAL_FAILURE").then_some(()))
    })
    .await?;
    a_retry_sends_the_other_two(&scene, &mut system, sync).await?;
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_mark_is_durable_whatever_the_operator_has_set() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let set: String = scene.one("SELECT current_setting('synchronous_commit')").await?;
    assert_eq!(set, "off", "the database for tests is as an operator's may be");
    scene.execute(DURABLE_MARKS).await?;
    let mut system = Held::start().await?;
    let integration = scene.admin.connect(json!({ "url": system.url("/claims") }), json!({})).await?;
    scene.admin.stage_all(integration, &[Claim::good(1)]).await?;
    let sync = scene.admin.trigger(integration).await?;
    system.request().await?.answer(booking());
    assert_eq!(scene.admin.finished(sync).await?["status"], "success");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_sync_that_is_being_claimed_at_a_stop_goes_on_waiting() -> anyhow::Result<()> {
    let mut scene = Scene::start().await?;
    let mut system = Held::start().await?;
    let integration = scene.admin.connect(json!({ "url": system.url("/claims") }), json!({})).await?;
    scene.admin.stage_all(integration, &[Claim::good(1)]).await?;
    // No attempt can begin.
    let held = scene.hold("LOCK TABLE sync_attempts IN SHARE MODE").await?;
    let sync = scene.admin.trigger(integration).await?;
    scene.until_waiting(1).await?;
    let ending = scene.end();
    let releasing = async {
        // The first step of both is taken at once: by this answer the worker was told.
        scene.until_waiting(1).await?;
        anyhow::Ok(held.rollback().await?)
    };
    let ((), released) = tokio::join!(ending, releasing);
    released?;
    let attempts: i64 = scene.one("SELECT count(*) FROM sync_attempts").await?;
    assert_eq!((attempts, scene.active_syncs().await?, scene.claims().await?), (0, 1, 0));
    assert!(system.is_quiet(), "something left after the stop");

    scene.start_again().await?;
    system.request().await?.answer(booking());
    let ended = scene.admin.finished(sync).await?;
    assert_eq!((&ended["status"], &ended["records_processed"]), (&json!("success"), &json!(1)), "{ended}");
    assert!(system.is_quiet(), "something left twice");
    scene.stop().await;
    Ok(())
}
