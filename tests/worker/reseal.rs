//! `syncwatch reseal`: master keys are changed beside a running server, and nothing is lost by it.

use std::process::{Output, Stdio};

use serde_json::{Value, json};
use server::config::{MasterKey, Secret};
use server::vault::Vault;
use tests::peers::{Behaviour, Books};
use tests::story::{Claim, id_of};

use crate::scene::Scene;

/// More records than one transaction seals anew.
const RECORDS: usize = 250;
/// A record of the second transaction, and one behind it.
const MIDDLE: &str = "SELECT 1 FROM source_records WHERE source_record_id = (
    SELECT source_record_id FROM source_records ORDER BY source_record_id OFFSET 150 LIMIT 1
) FOR UPDATE";
const BEHIND: usize = 170;

/// A scene with a master key, and the keys after a change: the new one first, the former one still known.
async fn before_a_change() -> anyhow::Result<(Scene, String, String)> {
    let (former, new) = (Vault::generate_key(), Vault::generate_key());
    let given = MasterKey::Given(Secret::new(former.clone()));
    let scene = Scene::configured(|config| config.master_key = given).await?;
    Ok((scene, format!("{new},{former}"), new))
}

async fn restart(scene: &mut Scene, keys: &str) -> anyhow::Result<()> {
    scene.end().await;
    scene.set_master_keys(keys);
    scene.start_again().await
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Staged payloads that the key with this id has sealed.
async fn sealed_with(scene: &Scene, key: &str) -> anyhow::Result<usize> {
    let id = Vault::from_text(key)?.current_key_id().to_owned();
    let found: String = scene.one("SELECT coalesce(string_agg(payload_key_id, ','), '') FROM source_records").await?;
    Ok(found.split(',').filter(|sealed| *sealed == id).count())
}

fn bearer() -> Value {
    json!({ "credentials": { "type": "bearer", "token": "very secret token" } })
}

#[tokio::test]
async fn everything_is_sealed_anew_and_the_former_key_is_needed_no_more() -> anyhow::Result<()> {
    let (mut scene, both, new) = before_a_change().await?;
    let books = Books::fastapi().await?;
    let look_up = json!({
        "url": books.url("/claims?record={source_record_id}"), "found_pointer": "/items/0",
        "record_pointer": "/items/0/record_id", "reference_pointer": "/items/0/reference",
    });
    let settings = json!({ "url": books.url("/claims"), "look_up": look_up, "settle_seconds": 0 });
    let integration = scene.admin.connect(settings, bearer()).await?;
    let hook = json!({ "retry_webhook_url": "http://127.0.0.1:9/retries" });
    scene.admin.connect_external(hook).await?;
    // Sent and booked without an answer, and corrected since: two versions are kept.
    let doubtful = Claim::good(1);
    books
        .behave(Behaviour { status: Some(502), book_first: Some(true), times: Some(1), ..Behaviour::default() })
        .await?;
    scene.admin.stage_all(integration, std::slice::from_ref(&doubtful)).await?;
    let sync = id_of(&scene.admin.run(integration).await?)?;
    scene.admin.stage_all(integration, &[doubtful.clone().with("claim_number", "C-1 corrected")]).await?;
    let waiting = Claim::many(3);
    scene.admin.stage_all(integration, &waiting).await?;
    let version = scene.admin.get(&format!("/integrations/{integration}")).await?.headers["etag"].clone();

    restart(&mut scene, &both).await?;
    let output = scene.command("reseal", &both)?.output()?;
    assert!(output.status.success(), "{}", said(&output));
    // The signing key, the credentials, the webhook's secret, and five payloads.
    assert!(
        said(&output).contains("8 sealed anew") && said(&output).contains("is needed no more"),
        "{}",
        said(&output)
    );
    let again = scene.command("reseal", &both)?.output()?;
    assert!(again.status.success() && said(&again).contains("0 sealed anew"), "{}", said(&again));
    let doctor = scene.command("doctor", &both)?.output()?;
    assert!(said(&doctor).contains("is needed no more"), "{}", said(&doctor));
    let shown = scene.admin.get(&format!("/integrations/{integration}")).await?;
    assert_eq!(shown.headers["etag"], version, "the settings are as they were");

    // With the new key alone: what was in doubt went to the same target as the same account, and is found there.
    restart(&mut scene, &new).await?;
    assert_eq!(scene.admin.preview(sync).await?["asked"], 1);
    assert_eq!(scene.admin.retried(sync).await?["status"], "retried_success");
    assert_eq!(scene.admin.run(integration).await?["records_processed"], 3);
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (4, 0));
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn killed_half_way_it_is_run_again_and_what_is_written_meanwhile_stays() -> anyhow::Result<()> {
    let (mut scene, both, new) = before_a_change().await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(json!({ "url": books.url("/claims") }), json!({})).await?;
    let mut claims = Claim::many(RECORDS);
    claims.sort_by_key(|claim| claim.id);
    scene.admin.stage_all(integration, &claims).await?;
    restart(&mut scene, &both).await?;

    let held = scene.hold(MIDDLE).await?;
    let mut first = scene.command("reseal", &both)?.stdout(Stdio::null()).spawn()?;
    scene.until_waiting(1).await?;
    first.kill()?;
    first.wait()?;
    held.rollback().await?;
    assert_eq!(sealed_with(&scene, &new).await?, 100, "one transaction was whole");

    let held = scene.hold(MIDDLE).await?;
    let second = scene.command("reseal", &both)?.stdout(Stdio::piped()).spawn()?;
    scene.until_waiting(1).await?;
    // Read already, and not yet replaced.
    let corrected = claims[BEHIND].clone().with("claim_number", "corrected");
    scene.admin.stage(integration, &corrected).await?.ok()?;
    held.rollback().await?;
    let output = second.wait_with_output()?;
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("149 sealed anew"), "all that were left but the corrected one: {}", said(&output));
    assert_eq!(sealed_with(&scene, &new).await?, RECORDS);

    restart(&mut scene, &new).await?;
    assert_eq!(scene.admin.run(integration).await?["records_processed"], RECORDS);
    let log = books.log().await?;
    assert_eq!((log.accepted, log.duplicates), (RECORDS, 0));
    assert_eq!(log.records.iter().filter(|booking| booking.claim_number == "corrected").count(), 1);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn settings_that_are_saved_meanwhile_bring_no_former_seal_back() -> anyhow::Result<()> {
    let (mut scene, both, _) = before_a_change().await?;
    let integration = scene.admin.connect(json!({ "url": "http://127.0.0.1:9/claims" }), bearer()).await?;
    restart(&mut scene, &both).await?;
    let held = scene.hold("SELECT 1 FROM integration_configs FOR UPDATE").await?;
    let running = scene.command("reseal", &both)?.stdout(Stdio::piped()).spawn()?;
    scene.until_waiting(1).await?;
    let path = format!("/integrations/{integration}");
    let rarer = json!({ "freshness_hours": 12 });
    let (changed, waited) = tokio::join!(scene.admin.change(&path, &rarer), async {
        scene.until_waiting(2).await?;
        held.rollback().await?;
        Ok::<_, anyhow::Error>(())
    });
    waited?;
    assert_eq!(changed?["freshness_hours"], 12);
    let output = running.wait_with_output()?;
    assert!(output.status.success(), "{}", said(&output));
    let again = scene.command("reseal", &both)?.output()?;
    assert!(again.status.success() && said(&again).contains("0 sealed anew"), "{}", said(&again));
    assert_eq!(scene.admin.integration(integration).await?["has_credentials"], true);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_missing_key_is_told_of_where_the_database_is_embedded_too() -> anyhow::Result<()> {
    let (scene, both, new) = before_a_change().await?;
    // The signing key is sealed with the former one.
    for keys in [Some(new.as_str()), None] {
        let (mut command, _beside) = scene.command_beside("doctor", keys)?;
        let doctor = command.output()?;
        let told = said(&doctor);
        assert!(!doctor.status.success() && told.contains("which is missing here"), "{told}");
        assert_eq!(told.contains("no master key yet"), keys.is_none(), "{told}");
    }
    assert!(!scene.master_key_path().exists(), "looking makes none");
    let (mut command, _beside) = scene.command_beside("doctor", Some(&both))?;
    let told = said(&command.output()?);
    assert!(told.contains("run `syncwatch reseal`") && !told.contains("missing here"), "{told}");
    scene.stop().await;
    Ok(())
}
