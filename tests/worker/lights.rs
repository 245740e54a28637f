//! What an ended sync makes of the light.

use serde_json::{Value, json};
use tests::peers::{Act, Books, Scripted};
use tests::story::{Claim, id_of};

use crate::scene::Scene;

#[tokio::test]
async fn where_partial_failures_are_warnings_the_light_is_yellow() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let lenient = json!({ "partial_failure": "warning" });
    let integration = scene.admin.connect(json!({ "url": books.url("/claims") }), lenient).await?;
    scene.admin.stage_all(integration, &[Claim::good(1), Claim::good(2), Claim::bad(3)]).await?;
    let sync = scene.admin.run(integration).await?;
    assert_eq!((&sync["status"], &sync["error_code"]), (&json!("success"), &Value::Null), "{sync}");
    assert_eq!((&sync["records_processed"], &sync["records_failed"]), (&json!(2), &json!(1)));
    assert_eq!(sync["retryable"], true);
    let health = scene.admin.integration(integration).await?["health"].clone();
    assert_eq!(health["light"], "yellow", "{health}");
    assert_eq!(health["reasons"][0], json!({ "code": "partial_failure", "count": 1 }));
    assert_eq!(books.log().await?.accepted, 2);

    scene.admin.stage_all(integration, &[Claim::bad(4)]).await?;
    let sync = scene.admin.run(integration).await?;
    assert_eq!(sync["error_code"], "ALL_RECORDS_FAILED", "nothing arrived at all");
    assert_eq!(scene.admin.integration(integration).await?["health"]["light"], "red");
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_sync_with_nothing_due_succeeds() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let books = Books::fastapi().await?;
    let integration = scene.admin.connect(json!({ "url": books.url("/claims") }), json!({})).await?;
    let sync = scene.admin.run(integration).await?;
    assert_eq!(sync["status"], "success", "{sync}");
    for count in ["records_total", "records_processed", "records_failed"] {
        assert_eq!(sync[count], 0, "{count}");
    }
    assert_eq!(sync["warnings"], json!([]));
    assert_eq!(scene.admin.integration(integration).await?["health"]["light"], "green");
    assert_eq!(books.log().await?.accepted, 0);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_system_that_takes_a_record_and_complains_makes_the_light_yellow() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let body = r#"{"reference": "V-1", "warnings": [{"code": "BUDGET", "message": "Over budget", "field": "amount"}]}"#;
    let system = Scripted::start(Act::answer("201 Created", "application/json", body)).await?;
    let settings = json!({ "url": system.url("/claims"), "reference_pointer": "/reference" });
    let integration = scene.admin.connect(settings, json!({})).await?;
    let claim = Claim::good(1);
    scene.admin.stage_all(integration, std::slice::from_ref(&claim)).await?;
    let sync = scene.admin.run(integration).await?;
    assert_eq!((&sync["status"], &sync["records_processed"]), (&json!("success"), &json!(1)), "{sync}");
    let outcome = scene.admin.outcome(id_of(&sync)?, claim.id).await?;
    assert_eq!((&outcome["outcome"], &outcome["errors"][0]["message"]), (&json!("warning"), &json!("Over budget")));
    assert_eq!(outcome["external_reference_id"], "V-1");
    let health = scene.admin.integration(integration).await?["health"].clone();
    assert_eq!((&health["light"], &health["reasons"][0]["code"]), (&json!("yellow"), &json!("last_sync_warnings")));
    scene.stop().await;
    Ok(())
}
