//! SIGKILL while e-mails wait.

use serde_json::json;
use tests::peers::{MailServer, Port, smtp_url};
use tests::story::until;

use crate::installation::{ADMIN, Installation};

#[tokio::test]
async fn emails_that_waited_are_sent_once_after_the_restart() -> anyhow::Result<()> {
    let port = Port::reserve()?;
    let mut installation = Installation::start(Some(smtp_url(&port))).await?;
    let admin = installation.sign_in().await?;
    let integration = admin.connect_external(json!({ "name": "Roster" })).await?;
    let now = admin.integration(integration).await?["created_at"].clone();
    for run in ["first", "second"] {
        let finished = json!({
            "integration_config_id": integration, "connector_type": "other", "sync_type": "accounting_push",
            "triggered_by": "automatic", "client_run_id": run, "started_at": now, "completed_at": now,
            "status": "failed", "error_code": "LOGIN_FAILED", "error_message": "The password has expired",
        });
        admin.post("/sync-logs/finished", &finished).await?.ok()?;
    }
    until("the e-mail was tried in vain", async || {
        let waiting = "SELECT count(*) FROM email_outbox WHERE state = 'waiting' AND tries > 0";
        Ok((installation.number(waiting).await? == 1).then_some(()))
    })
    .await?;
    installation.kill().await?;
    let server = MailServer::on(port).await?;
    installation.serve().await?;
    until("the e-mail was sent", async || {
        let sent = "SELECT count(*) FROM email_outbox WHERE state = 'sent'";
        Ok((installation.number(sent).await? == 1).then_some(()))
    })
    .await?;
    let mails = server.at_least(1).await?;
    assert_eq!((mails.len(), mails[0].recipient()), (1, ADMIN));
    assert!(mails[0].text.contains("The password has expired"), "{}", mails[0].text);
    assert_eq!(installation.number("SELECT count(*) FROM email_queue").await?, 0);
    installation.stop().await
}
