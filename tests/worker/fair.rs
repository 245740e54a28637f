//! Slots are shared out: a system that hangs keeps nobody else waiting.

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tests::peers::{Act, Books, Held, HeldRequest, Scripted};
use tests::story::{Caller, Claim, counts, id_of, until};
use uuid::Uuid;

use crate::scene::Scene;

/// The longest that a sync may wait for a free slot.
const AT_MOST: TimeDelta = TimeDelta::seconds(1);

/// An integration with a system of its own that never answers, and a sync that waits for it.
struct Hanging {
    held: Held,
    sync: Uuid,
    requests: Vec<HeldRequest>,
}

impl Hanging {
    async fn begin(admin: &Caller, number: usize) -> anyhow::Result<Self> {
        let held = Held::start().await?;
        let settings = json!({ "url": held.url("/claims"), "timeout_ms": 120_000 });
        let integration = admin.connect(settings, json!({})).await?;
        admin.stage_all(integration, &[Claim::good(number)]).await?;
        let sync = admin.trigger(integration).await?;
        Ok(Self { held, sync, requests: Vec::new() })
    }

    /// Waits until the system has the request.
    async fn hangs(&mut self) -> anyhow::Result<()> {
        let request = self.held.request().await?;
        self.requests.push(request);
        Ok(())
    }
}

fn taken() -> Act {
    Act::answer("201 Created", "application/json", "{}")
}

/// A sync with a system that answers at once, and how long it has waited for a slot.
async fn prompt(admin: &Caller, system: &Scripted) -> anyhow::Result<TimeDelta> {
    let integration = admin.connect(json!({ "url": system.url("/claims") }), json!({})).await?;
    admin.stage_all(integration, &[Claim::good(1)]).await?;
    let sync = admin.run(integration).await?;
    assert_eq!(sync["status"], "success", "{sync}");
    let begun = moment(&admin.attempts(id_of(&sync)?).await?[0])?;
    Ok(begun - moment(&sync)?)
}

fn moment(of: &Value) -> anyhow::Result<DateTime<Utc>> {
    Ok(of["started_at"].as_str().context("there is no started_at")?.parse()?)
}

#[tokio::test]
async fn while_eight_systems_hang_a_ninth_is_sent_to_at_once() -> anyhow::Result<()> {
    let scene = Scene::configured(|config| config.worker.concurrency = 64).await?;
    let mut hanging = Vec::new();
    for number in 0..8 {
        hanging.push(Hanging::begin(&scene.admin, number).await?);
    }
    for one in &mut hanging {
        one.hangs().await?;
    }
    let system = Scripted::start(taken()).await?;
    let waited = prompt(&scene.admin, &system).await?;
    assert!(waited <= AT_MOST, "waited {waited}");
    for one in &hanging {
        assert_eq!(scene.admin.sync(one.sync).await?["status"], "in_progress");
    }
    for one in hanging {
        for request in one.requests {
            request.answer(taken());
        }
        assert_eq!(scene.admin.finished(one.sync).await?["status"], "success");
    }
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn one_organizations_hanging_systems_leave_a_slot_to_others() -> anyhow::Result<()> {
    let scene = Scene::configured(|config| config.worker.concurrency = 4).await?;
    let mut hanging = Vec::new();
    for number in 0..6 {
        hanging.push(Hanging::begin(&scene.admin, number).await?);
    }
    // The oldest have three of four slots.
    let mut waiting = hanging.split_off(3);
    for one in &mut hanging {
        one.hangs().await?;
    }
    let stranger = scene.stranger("Idrettslag", "stranger@example.org").await?;
    let system = Scripted::start(taken()).await?;
    let waited = prompt(&stranger, &system).await?;
    assert!(waited <= AT_MOST, "waited {waited}");
    for one in &waiting {
        assert_eq!(scene.admin.sync(one.sync).await?["status"], "pending");
        assert!(one.held.is_quiet());
    }
    // One that ends makes room for the next.
    let first = hanging.remove(0);
    for request in first.requests {
        request.answer(taken());
    }
    waiting[0].hangs().await?;
    drop((hanging, waiting));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_sync_is_claimed_before_it_is_said_what_is_due_of_it() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(json!({ "url": books.url("/claims") }), json!({})).await?;
    scene.admin.stage_all(integration, &Claim::many(3)).await?;
    let held = scene.hold("LOCK TABLE sync_claims IN EXCLUSIVE MODE").await?;
    let id = scene.admin.trigger(integration).await?;
    let begun = until("the sync is claimed", async || {
        let sync = scene.admin.sync(id).await?;
        Ok((sync["status"] == "in_progress").then_some(sync))
    })
    .await?;
    assert_eq!(begun["records_total"], Value::Null, "nobody knows yet: {begun}");
    scene.until_waiting(1).await?;
    assert_eq!(books.log().await?.accepted, 0);
    held.rollback().await?;
    let sync = scene.admin.finished(id).await?;
    assert_eq!((&sync["status"], counts(&sync)), (&json!("success"), (3, 3, 0)), "{sync}");
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (3, 0));
    scene.stop().await;
    Ok(())
}
