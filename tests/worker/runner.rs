//! The shortest runner there is: a script with nothing but the operations of the OpenAPI document.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::json;
use tests::client::id;
use tests::organization::external_integration;
use tests::peers::{Port, python};
use tests::server::TestServer;
use tests::story::counts;
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// How long the script may take for its next word.
const PATIENCE: Duration = Duration::from_mins(1);
const SCRIPT: &str = include_str!("../runner/report.py");

#[tokio::test]
async fn a_script_reports_a_sync_with_failed_records_and_completes_it_by_webhook() -> anyhow::Result<()> {
    assert!(SCRIPT.lines().count() < 40, "a runner is a small thing to write");
    let server = TestServer::start().await;
    let organization = server.organization("Forening").await;
    let admin = organization.admin().await;
    let (key, secret) = organization.key(&["syncs:write", "retries:claim"]).await;
    let port = Port::reserve()?;
    let address = format!("http://127.0.0.1:{}/", port.number());
    let body = external_integration(json!({ "retry_webhook_url": address }));
    let integration = admin.post("/integrations").json(&body).send().await.expect(201);
    let webhook_secret = integration["retry_webhook_secret"].as_str().context("no secret was shown")?;
    let mut script = python("runner/report.py")?
        .env("SYNCWATCH_URL", server.base())
        .env("KEY", key.to_string())
        .env("KEY_SECRET", secret)
        .env("INTEGRATION_ID", id(&integration).to_string())
        .env("WEBHOOK_SECRET", webhook_secret)
        .env("PORT", port.number().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(script.stdout.take().context("no output")?).lines();
    let mut word = async || -> anyhow::Result<String> {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.context("the script says nothing")??;
        line.context("the script ended")
    };

    let line = word().await?;
    let sync = line.strip_prefix("failed ").context("the sync did not fail")?.to_owned();
    let failed = admin.get(&format!("/sync-logs/{sync}")).send().await.expect(200);
    assert_eq!((&failed["status"], counts(&failed)), (&json!("failed"), (3, 1, 2)), "{failed}");
    admin.post(&format!("/sync-logs/{sync}/retries")).once().send().await.expect(202);
    assert_eq!(word().await?, "retried_success");
    ensure!(script.wait().await?.success(), "the script failed");

    let retried = admin.get(&format!("/sync-logs/{sync}")).send().await.expect(200);
    assert_eq!((&retried["status"], counts(&retried)), (&json!("retried_success"), (3, 3, 0)), "{retried}");
    assert_eq!(retried["retry_count"], 1);
    Ok(())
}
