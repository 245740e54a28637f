//! Incidents by e-mail, as a real mail server receives them.

use serde_json::json;
use server::config::Secret;
use tests::peers::{Books, MailServer, Port, Received, smtp_url};
use tests::story::{Claim, until};
use uuid::Uuid;

use crate::scene::Scene;

const KARI: &str = "kari@example.org";
const OLA: &str = "ola@example.org";
const ADMIN: &str = Scene::ADMIN;

async fn scene(smtp_url: String) -> anyhow::Result<Scene> {
    Scene::configured(|config| config.mail.smtp_url = Some(Secret::new(smtp_url))).await
}

/// A sync with one more record that is refused.
async fn fail(scene: &Scene, integration: Uuid) -> anyhow::Result<()> {
    scene.admin.stage_all(integration, &[Claim::bad(1)]).await?;
    assert_eq!(scene.admin.run(integration).await?["status"], "failed");
    Ok(())
}

fn to<'a>(mails: &'a [Received], recipient: &str) -> Vec<&'a Received> {
    mails.iter().filter(|mail| mail.recipient() == recipient).collect()
}

#[tokio::test]
async fn an_incident_is_told_once_in_each_ones_language_and_so_is_its_end() -> anyhow::Result<()> {
    let server = MailServer::start().await?;
    let scene = scene(server.smtp_url()).await?;
    scene.person(KARI, "nb").await?;
    scene.person(OLA, "nn").await?;
    let books = Books::fastapi().await?;
    let name = json!({ "name": "Xledger Nord" });
    let integration = scene.admin.connect(json!({ "url": books.url("/claims") }), name).await?;
    fail(&scene, integration).await?;
    let written: i64 = scene.one("SELECT count(*) FROM email_outbox").await?;
    assert_eq!(written, 0, "one failure is not yet an incident");
    fail(&scene, integration).await?;
    let first = server.at_least(3).await?;

    let english = to(&first, ADMIN)[0];
    assert_eq!(english.subject, "Xledger Nord: the last 2 syncs failed");
    let norwegian = to(&first, KARI)[0];
    assert_eq!(norwegian.subject, "Xledger Nord: de 2 siste synkroniseringene feilet");
    let nynorsk = to(&first, OLA)[0];
    assert_eq!(nynorsk.subject, "Xledger Nord: dei 2 siste synkroniseringane feila");
    for (mail, language) in [(english, "en"), (norwegian, "nb"), (nynorsk, "nn")] {
        assert_eq!(mail.header("auto-submitted"), "auto-generated");
        assert_eq!(mail.header("content-language"), language);
        assert!(mail.header("message-id").starts_with('<'), "{}", mail.header("message-id"));
        assert_eq!((mail.header("in-reply-to"), mail.header("references")), ("", ""));
        for part in [&mail.text, &mail.html] {
            assert!(part.contains("Invalid cost center code: 9999") && part.contains("cost_center"), "{part}");
            assert!(!part.contains("Kari N."), "no personal data: {part}");
        }
        let source = server.source(mail).await?;
        let parts = ["multipart/alternative", "text/plain", "text/html"].map(|kind| source.find(kind));
        assert!(parts.iter().all(Option::is_some) && parts.is_sorted(), "text before HTML: {source}");
    }
    assert!(english.text.contains("has been failing since"), "{}", english.text);
    assert!(norwegian.text.contains("har feilet siden"), "{}", norwegian.text);
    assert!(nynorsk.text.contains("har feila sidan"), "{}", nynorsk.text);

    fail(&scene, integration).await?;
    let sync = scene.admin.run(integration).await?;
    assert_eq!(sync["status"], "success", "nothing is due, and that is a success");
    let all = server.at_least(6).await?;
    for (recipient, words) in [(ADMIN, "working again"), (KARI, "virker igjen"), (OLA, "verkar igjen")] {
        let thread = to(&all, recipient);
        assert_eq!(thread.len(), 2, "{:?}", thread.iter().map(|mail| &mail.subject).collect::<Vec<_>>());
        let (opened, resolved) = (thread[0], thread[1]);
        assert!(resolved.subject.contains(words), "{}", resolved.subject);
        assert_eq!(resolved.header("in-reply-to"), opened.header("message-id"));
        assert_eq!(resolved.header("references"), opened.header("message-id"));
        assert_ne!(resolved.header("message-id"), opened.header("message-id"));
    }
    until("the outbox knows", async || Ok((scene.emails("sent").await? == 6).then_some(()))).await?;
    let written: i64 = scene.one("SELECT count(*) FROM email_outbox").await?;
    assert_eq!((written, server.at_least(6).await?.len()), (6, 6));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_email_waits_for_a_mail_server_that_is_away_and_is_sent_once() -> anyhow::Result<()> {
    let port = Port::reserve()?;
    let scene = scene(smtp_url(&port)).await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(json!({ "url": books.url("/claims") }), json!({})).await?;
    fail(&scene, integration).await?;
    fail(&scene, integration).await?;
    until("the e-mail was tried in vain", async || {
        let tries: i32 = scene.one("SELECT coalesce(max(tries), 0) FROM email_outbox WHERE state = 'waiting'").await?;
        Ok((tries >= 1).then_some(()))
    })
    .await?;
    let server = MailServer::on(port).await?;
    until("the e-mail was sent", async || Ok((scene.emails("sent").await? == 1).then_some(()))).await?;
    let mails = server.at_least(1).await?;
    assert_eq!((mails.len(), mails[0].recipient()), (1, ADMIN));
    let queued: i64 = scene.one("SELECT count(*) FROM email_queue").await?;
    assert_eq!(queued, 0);
    scene.stop().await;
    Ok(())
}
