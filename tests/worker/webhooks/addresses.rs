//! Addresses that are set, replaced, gone and enabled again while retries wait.

use serde_json::{Value, json};
use tests::peers::{WebhookAnswers, WebhookReceiver};
use tests::story::items;

use super::{outbox, received, receiver, retry, tried};
use crate::scene::Scene;

#[tokio::test]
async fn an_address_that_is_gone_is_disabled_until_it_is_set_again() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let (receiver, integration) = receiver(&scene).await?;
    receiver.answer(&WebhookAnswers { status: Some(410), ..WebhookAnswers::default() }).await?;
    retry(&scene, integration).await?;
    outbox(&scene, "gone", 1).await?;
    let shown = scene.admin.integration(integration).await?;
    assert!(shown["retry_webhook_disabled_at"].is_string(), "{shown}");
    assert_eq!(shown["retry_webhook_url"], receiver.url("/hooks"));
    let told = items(&scene.admin.get("/notifications").await?.ok()?)?;
    let told: Vec<&Value> = told.iter().filter(|one| one["kind"] == "webhook_disabled").collect();
    let [told] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((&told["integration_config_id"], &told["incident_id"]), (&json!(integration), &Value::Null));

    retry(&scene, integration).await?;
    let written: i64 = scene.one("SELECT count(*) FROM webhook_outbox").await?;
    assert_eq!(written, 1, "nothing more is sent there");
    receiver.answer(&WebhookAnswers::default()).await?;
    let path = format!("/integrations/{integration}");
    let again = json!({ "retry_webhook_url": receiver.url("/hooks") });
    let changed = scene.admin.change(&path, &again).await?;
    assert_eq!(changed["retry_webhook_disabled_at"], Value::Null);
    // Both retries still wait, and are told now; once.
    outbox(&scene, "delivered", 2).await?;
    scene.admin.change(&path, &again).await?;
    retry(&scene, integration).await?;
    outbox(&scene, "delivered", 3).await?;
    assert_eq!(received(&receiver, 4).await?.len(), 4);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_retry_that_waits_is_told_at_the_first_address() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let receiver = WebhookReceiver::start().await?;
    let integration =
        scene.admin.connect_external(json!({ "connector_type": "xledger", "sync_type": "accounting_push" })).await?;
    let sync = retry(&scene, integration).await?;
    let address = json!({ "retry_webhook_url": receiver.url("/hooks") });
    scene.admin.change(&format!("/integrations/{integration}"), &address).await?;
    let all = received(&receiver, 1).await?;
    assert_eq!(all[0].body["data"]["sync_id"], json!(sync));
    outbox(&scene, "delivered", 1).await?;
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_address_that_was_replaced_while_it_was_tried_is_not_what_is_gone() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let (receiver, integration) = receiver(&scene).await?;
    let gone = WebhookAnswers { status: Some(410), hold: Some(true), ..WebhookAnswers::default() };
    receiver.answer(&gone).await?;
    retry(&scene, integration).await?;
    received(&receiver, 1).await?;
    let elsewhere = json!({ "retry_webhook_url": receiver.url("/elsewhere") });
    scene.admin.change(&format!("/integrations/{integration}"), &elsewhere).await?;
    // The answer that was held comes now.
    receiver.answer(&WebhookAnswers::default()).await?;
    outbox(&scene, "delivered", 1).await?;
    let all = received(&receiver, 2).await?;
    assert_eq!(all.iter().map(|webhook| webhook.path.as_str()).collect::<Vec<_>>(), ["/hooks", "/elsewhere"]);
    assert_eq!(all[0].id, all[1].id);
    let shown = scene.admin.integration(integration).await?;
    assert_eq!(shown["retry_webhook_disabled_at"], Value::Null);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_new_address_is_not_left_for_the_pause_that_the_former_one_earned() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let (receiver, integration) = receiver(&scene).await?;
    let busy = WebhookAnswers { status: Some(429), retry_after: Some(1_800), ..WebhookAnswers::default() };
    receiver.answer(&busy).await?;
    retry(&scene, integration).await?;
    tried(&scene, 1).await?;
    receiver.answer(&WebhookAnswers::default()).await?;
    let elsewhere = json!({ "retry_webhook_url": receiver.url("/elsewhere") });
    scene.admin.change(&format!("/integrations/{integration}"), &elsewhere).await?;
    outbox(&scene, "delivered", 1).await?;
    let all = received(&receiver, 2).await?;
    assert_eq!((all.len(), &all[0].id), (2, &all[1].id));
    scene.stop().await;
    Ok(())
}
