//! The tokens of Dynamics 365, by a mock and by a certified provider.

use reqwest::Method;
use serde_json::json;
use tests::peers::{Books, DataverseBehaviour, TOKEN_SECRET, Tokens};
use tests::story::{Claim, counts, id_of};

use super::{Dynamics, connect, said, settings};
use crate::scene::Scene;

#[tokio::test]
async fn a_certified_provider_lets_in_who_it_knows() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let tokens = Tokens::provider().await?;
    let books = Books::dataverse(&tokens).await?;
    let wrong = "nobody-knows-this-secret";
    for (secret, outcome, code) in [(wrong, "failed", "invalid_client"), (TOKEN_SECRET, "succeeded", "")] {
        let integration = connect(&scene, settings(&books.url(""), &tokens.url(), json!({})), secret).await?;
        let path = format!("/integrations/{integration}/test");
        let tested = scene.admin.request(Method::POST, &path, None).await?.ok()?;
        assert_eq!(tested["ok"], code.is_empty(), "{tested}");
        let claim = Claim::good(1);
        scene.admin.stage_all(integration, std::slice::from_ref(&claim)).await?;
        let id = id_of(&scene.admin.run(integration).await?)?;
        assert_eq!(said(&scene, id, &claim).await?, (outcome.to_owned(), code.to_owned()));
        if !code.is_empty() {
            let outcome = scene.admin.outcome(id, claim.id).await?;
            let words = outcome["errors"][0]["message"].as_str().unwrap_or_default();
            assert!(words.starts_with("The token service does not accept the client's id or its secret."), "{words}");
        }
        assert_eq!(scene.tables_that_hold(secret).await?, Vec::<String>::new());
    }
    assert_eq!(books.log().await?.accepted, 1);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_token_of_old_keys_is_renewed_once() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let dynamics = Dynamics::start(&scene, json!({ "concurrency": 1 })).await?;
    let rotates = DataverseBehaviour { rotate_after: Some(3), ..DataverseBehaviour::default() };
    dynamics.books.behave(rotates).await?;
    scene.admin.stage_all(dynamics.integration, &Claim::many(6)).await?;
    let sync = scene.admin.run(dynamics.integration).await?;
    assert_eq!((&sync["status"], counts(&sync)), (&json!("success"), (6, 6, 0)), "{sync}");
    assert_eq!(dynamics.tokens.requests().await?, 2);
    assert_eq!(dynamics.rows().await?, 6);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_token_that_has_run_out_is_asked_for_anew() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let dynamics = Dynamics::start(&scene, json!({ "concurrency": 1 })).await?;
    dynamics.tokens.expire_in(0).await?;
    scene.admin.stage_all(dynamics.integration, &Claim::many(3)).await?;
    let sync = scene.admin.run(dynamics.integration).await?;
    assert_eq!((&sync["status"], counts(&sync)), (&json!("success"), (3, 3, 0)), "{sync}");
    assert_eq!(dynamics.tokens.requests().await?, 3);
    scene.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_secret_that_has_expired_is_told_in_plain_words() -> anyhow::Result<()> {
    let scene = Scene::start().await?;
    let dynamics = Dynamics::start(&scene, json!({})).await?;
    let described = "AADSTS7000222: The provided client secret keys for app 'syncwatch' are expired.";
    let refusal = json!({ "error": "invalid_client", "error_description": described, "error_codes": [7_000_222] });
    dynamics.tokens.refuse(401, &refusal).await?;
    let claims = Claim::many(20);
    scene.admin.stage_all(dynamics.integration, &claims).await?;
    let sync = scene.admin.run(dynamics.integration).await?;
    assert_eq!(counts(&sync), (20, 0, 20), "{sync}");
    let outcome = scene.admin.outcome(id_of(&sync)?, claims[0].id).await?;
    let words = outcome["errors"][0]["message"].as_str().unwrap_or_default();
    assert!(words.starts_with("The client's secret has expired") && words.contains(described), "{words}");
    assert_eq!(dynamics.tokens.requests().await?, 1, "who goes on asking is locked out");
    // A new secret, and all is well.
    dynamics.tokens.expire_in(3_600).await?;
    assert_eq!(scene.admin.retried(id_of(&sync)?).await?["status"], "retried_success");
    assert_eq!(dynamics.rows().await?, 20);
    scene.stop().await;
    Ok(())
}
