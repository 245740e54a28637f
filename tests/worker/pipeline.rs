//! Marking, sending and recording go on beside each other: requests leave while answers wait for the database, few at a
//! time, and nothing is counted before it is written.

use serde_json::json;
use tests::peers::{Act, Held};
use tests::story::{Claim, counts, until};

use crate::scene::Scene;

/// Requests at once.
const SLOTS: i64 = 2;
const RECORDS: usize = 10;
/// What recording waits for, and marking does not.
const ATTEMPTS: &str = "SELECT 1 FROM sync_attempts FOR NO KEY UPDATE";

fn booking() -> Act {
    Act::answer("201 Created", "application/json", "{\"reference\": \"V-1\"}")
}

/// Records that are marked, and of which nothing else is written.
async fn marked(scene: &Scene) -> anyhow::Result<i64> {
    scene.one("SELECT count(*) FROM source_records WHERE state = 'sending'").await
}

#[tokio::test]
async fn requests_leave_while_answers_are_written_and_few_records_are_in_between() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let mut system = Held::start().await?;
    let settings = json!({ "url": system.url("/claims"), "timeout_ms": 120_000, "concurrency": SLOTS });
    let integration = scene.admin.connect(settings, json!({})).await?;
    scene.admin.stage_all(integration, &Claim::many(RECORDS)).await?;
    let sync = scene.admin.trigger(integration).await?;
    let first = [system.request().await?, system.request().await?];
    until("the next are marked", async || Ok((marked(&scene).await? == 2 * SLOTS).then_some(()))).await?;

    let held = scene.hold(ATTEMPTS).await?;
    for request in first {
        request.answer(booking());
    }
    // What was marked ahead leaves, although nothing can be written.
    let next = [system.request().await?, system.request().await?];
    scene.until_waiting(1).await?;
    assert_eq!(marked(&scene).await?, 2 * SLOTS, "no more are marked than a killed worker may leave in doubt");
    assert_eq!(scene.one::<i64>("SELECT sum(records_done) FROM sync_attempts").await?, 0, "counted too early");
    for request in next {
        request.answer(booking());
    }
    assert!(system.is_quiet(), "something left unmarked");

    held.rollback().await?;
    for _ in 4..RECORDS {
        system.request().await?.answer(booking());
    }
    let ended = scene.admin.finished(sync).await?;
    assert_eq!((&ended["status"], counts(&ended)), (&json!("success"), (10, 10, 0)), "{ended}");
    assert!(system.is_quiet(), "something left twice");
    scene.stop().await;
    Ok(())
}
