//! SIGKILL between a webhook and the record that it was taken.

use anyhow::Context as _;
use serde_json::json;
use tests::peers::{WebhookAnswers, WebhookReceiver};
use tests::story::{id_of, until};

use crate::installation::Installation;

#[tokio::test]
async fn a_webhook_whose_answer_was_lost_is_sent_again_under_its_id_and_claimed_once() -> anyhow::Result<()> {
    let mut installation = Installation::start(None).await?;
    let admin = installation.sign_in().await?;
    let receiver = WebhookReceiver::start().await?;
    let body = json!({
        "name": "Roster", "connector_type": "other", "sync_type": "roster_sync", "runner": "external",
        "retry_webhook_url": receiver.url("/hooks"),
    });
    let integration = admin.post("/integrations", &body).await?.ok()?;
    receiver.verify_with(&[integration["retry_webhook_secret"].as_str().context("no secret was shown")?]).await?;
    let start = json!({
        "integration_config_id": id_of(&integration)?, "connector_type": "other", "sync_type": "roster_sync",
        "triggered_by": "automatic",
    });
    let sync = id_of(&admin.post("/sync-logs", &start).await?.ok()?)?;
    let failure = json!({ "attempt": 0, "error_code": "TIMEOUT", "error_message": "The roster did not answer" });
    admin.post(&format!("/sync-logs/{sync}/fail"), &failure).await?.ok()?;

    // It has the message, and says so too late.
    receiver.answer(&WebhookAnswers { hold: Some(true), ..WebhookAnswers::default() }).await?;
    admin.retry(sync).await?.ok()?;
    until("the webhook has arrived", async || Ok((receiver.received().await?.len() == 1).then_some(()))).await?;
    installation.kill().await?;
    receiver.answer(&WebhookAnswers::default()).await?;
    installation.serve().await?;
    let all = until("it has arrived again", async || {
        Ok(Some(receiver.received().await?).filter(|received| received.len() == 2))
    })
    .await?;
    assert!(all.iter().all(|webhook| webhook.verified == [true]), "{all:?}");
    assert_eq!(all[0].id, all[1].id);
    assert_eq!(all[0].body, all[1].body);
    until("it is recorded", async || {
        let delivered = "SELECT count(*) FROM webhook_outbox WHERE state = 'delivered'";
        Ok((installation.number(delivered).await? == 1).then_some(()))
    })
    .await?;
    assert_eq!(installation.number("SELECT count(*) FROM webhook_queue").await?, 0);

    // Two messages, one claim.
    let path = format!("/sync-logs/{sync}/attempts");
    let claim = json!({ "lease_seconds": 300 });
    assert_eq!(admin.post(&path, &claim).await?.ok()?["attempt"], 1);
    assert_eq!(admin.post(&path, &claim).await?.status, 409);
    installation.stop().await
}
