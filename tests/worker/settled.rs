//! What has arrived, or was booked by hand, is never sent again; and newer versions wait their turn.

use serde_json::json;
use tests::peers::{Behaviour, Books};
use tests::story::{Claim, id_of, until};

use crate::scene::{Scene, patient};

#[tokio::test]
async fn a_record_booked_by_hand_is_sent_by_nobody() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(json!({ "url": books.url("/claims") }), json!({})).await?;
    let claim = Claim::bad(1);
    scene.admin.stage_all(integration, std::slice::from_ref(&claim)).await?;
    let id = id_of(&scene.admin.run(integration).await?)?;
    // Corrected first, so that it would be due.
    scene.admin.stage_all(integration, &[claim.clone().with("cost_center", "1000")]).await?;
    let decision = json!({ "resolution": "handled_manually", "reason": "booked by hand", "reference": "voucher 2217" });
    let shown = scene.admin.resolve(id, claim.id, &decision).await?.ok()?;
    assert_eq!(shown["state"], "handled");
    assert_eq!(shown["resolution"]["reference"], "voucher 2217");

    assert_eq!(scene.admin.preview(id).await?["handled"], 1);
    let retry = scene.admin.retry(id).await?;
    assert_eq!((retry.status, retry.code()), (409, "nothing_to_retry"));
    let sync = scene.admin.run(integration).await?;
    assert_eq!((&sync["status"], &sync["records_total"]), (&json!("success"), &json!(0)), "{sync}");
    let staged = scene.admin.stage(integration, &claim.clone().with("cost_center", "3000")).await?;
    assert_eq!((staged.status, staged.code()), (409, "already_delivered"));
    assert_eq!(books.log().await?.accepted, 0);
    assert_eq!(scene.admin.integration(integration).await?["undelivered"]["records"], 0);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_delivered_record_takes_no_other_data() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(json!({ "url": books.url("/claims") }), json!({})).await?;
    let claim = Claim::good(1);
    scene.admin.stage_all(integration, std::slice::from_ref(&claim)).await?;
    scene.admin.run(integration).await?;

    let same = scene.admin.stage(integration, &claim).await?;
    assert_eq!((same.status, &same.body["state"]), (200, &json!("delivered")));
    let other = scene.admin.stage(integration, &claim.clone().with("amount", "1.00")).await?;
    assert_eq!((other.status, other.code()), (409, "already_delivered"));
    assert_eq!(scene.admin.run(integration).await?["records_total"], 0);
    assert_eq!(books.log().await?.accepted, 1);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn with_updates_allowed_other_data_is_sent_once_more() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let updates = json!({ "allow_updates": true });
    let integration = scene.admin.connect(json!({ "url": books.url("/claims") }), updates).await?;
    let claim = Claim::good(1);
    scene.admin.stage_all(integration, std::slice::from_ref(&claim)).await?;
    scene.admin.run(integration).await?;

    let same = scene.admin.stage(integration, &claim).await?;
    assert_eq!((same.status, &same.body["state"]), (200, &json!("delivered")));
    let other = scene.admin.stage(integration, &claim.clone().with("claim_number", "C-1 corrected")).await?;
    assert_eq!((other.status, &other.body["state"]), (200, &json!("staged")));
    assert_eq!(scene.admin.run(integration).await?["records_processed"], 1);
    assert_eq!(scene.admin.run(integration).await?["records_total"], 0);
    let log = books.log().await?;
    let numbers: Vec<&str> = log.records.iter().map(|booking| booking.claim_number.as_str()).collect();
    assert_eq!(numbers, ["C-1", "C-1 corrected"]);
    scene.stop().await;
    Ok(())
}

/// Stages a second version while the first one is on its way, and returns the scene after that sync's end.
async fn overtaken(first: &Claim, second: &Claim, allow_updates: bool) -> anyhow::Result<(Scene, Books, uuid::Uuid)> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(patient(&books), json!({ "allow_updates": allow_updates })).await?;
    scene.admin.stage_all(integration, std::slice::from_ref(first)).await?;
    books.behave(Behaviour { hold_after: Some(0), ..Behaviour::default() }).await?;
    let sync = scene.admin.trigger(integration).await?;
    until("the record is on its way", async || {
        Ok((scene.admin.staged(integration, first.id).await?["state"] == "sending").then_some(()))
    })
    .await?;
    let staged = scene.admin.stage(integration, second).await?;
    assert_eq!((staged.status, &staged.body["state"]), (200, &json!("sending")), "the new version waits");
    assert_eq!(scene.admin.sync(sync).await?["status"], "in_progress");
    books.behave(Behaviour::default()).await?;
    scene.admin.finished(sync).await?;
    Ok((scene, books, integration))
}

#[tokio::test]
async fn a_version_that_waited_is_sent_next_where_updates_are_allowed() -> anyhow::Result<()> {
    let claim = Claim::good(1);
    let second = claim.clone().with("claim_number", "C-1 corrected");
    let (scene, books, integration) = overtaken(&claim, &second, true).await?;
    assert_eq!(scene.admin.staged(integration, claim.id).await?["state"], "staged");
    assert_eq!(scene.admin.run(integration).await?["records_processed"], 1);
    let log = books.log().await?;
    let numbers: Vec<&str> = log.records.iter().map(|booking| booking.claim_number.as_str()).collect();
    assert_eq!(numbers, ["C-1", "C-1 corrected"]);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_version_that_waited_behind_a_delivered_one_is_not_sent() -> anyhow::Result<()> {
    let claim = Claim::good(1);
    let second = claim.clone().with("claim_number", "C-1 corrected");
    let (scene, books, integration) = overtaken(&claim, &second, false).await?;
    assert_eq!(scene.admin.staged(integration, claim.id).await?["state"], "delivered");
    assert_eq!(scene.admin.run(integration).await?["records_total"], 0);
    let again = scene.admin.stage(integration, &second).await?;
    assert_eq!((again.status, again.code()), (409, "already_delivered"));
    assert_eq!(books.log().await?.accepted, 1);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_version_that_waited_behind_a_refused_one_is_due() -> anyhow::Result<()> {
    let claim = Claim::bad(1);
    let second = claim.clone().with("cost_center", "1000");
    let (scene, books, integration) = overtaken(&claim, &second, false).await?;
    assert_eq!(scene.admin.staged(integration, claim.id).await?["state"], "failed");
    assert_eq!(scene.admin.run(integration).await?["records_processed"], 1);
    assert_eq!(books.log().await?.times(claim.id), 1);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn staged_data_is_sealed_and_goes_once_it_has_arrived() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(json!({ "url": books.url("/claims") }), json!({})).await?;
    let words = "Solveig Plaintext";
    let arriving = Claim::good(1).with("member", words);
    let refused = Claim::bad(2).with("member", words);
    scene.admin.stage_all(integration, &[arriving.clone(), refused.clone()]).await?;
    assert_eq!(scene.sealed_payloads().await?, 2);
    assert_eq!(scene.tables_that_hold(words).await?, Vec::<String>::new());
    // The search finds what is there.
    assert_ne!(scene.tables_that_hold("Claim C-1").await?, Vec::<String>::new());

    scene.admin.run(integration).await?;
    assert_eq!(scene.sealed_payloads().await?, 1, "the refused one's stays for the retry");
    assert_eq!(scene.tables_that_hold(words).await?, Vec::<String>::new());
    let staged = scene.admin.staged(integration, arriving.id).await?;
    assert_eq!(staged["state"], "delivered");
    assert_eq!(staged["payload_hash"].as_str().map(str::len), Some(64));
    scene.stop().await;
    Ok(())
}
