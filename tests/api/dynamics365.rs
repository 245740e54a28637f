//! Integrations with Dynamics 365 that Syncwatch runs itself.

use serde_json::{Value, json};
use tests::organization::merge;
use tests::server::TestServer;

use crate::scene::assert_has;

fn dynamics365(more: Value) -> Value {
    let mut body = json!({
        "name": "Dynamics 365", "connector_type": "dynamics365", "sync_type": "roster_sync", "runner": "managed",
        "settings": {
            "environment": "https://contoso.crm4.dynamics.com", "tenant": "contoso.onmicrosoft.com",
            "key_attribute": "sw_syncid",
            "mapping": {
                "entity": "contacts",
                "fields": {
                    "lastname": { "from": "/name", "as": "text", "required": true, "personal": true },
                    "parentcustomerid_account": {
                        "from": "/association", "as": "bind", "set": "accounts", "key": "accountnumber",
                    },
                },
            },
        },
        "credentials": { "type": "client_credentials", "client_id": "sync", "client_secret": "very-secret-text" },
    });
    merge(&mut body, more);
    body
}

#[tokio::test]
async fn an_integration_is_made_and_keeps_its_secret() {
    let server = TestServer::without_worker().await;
    let admin = server.organization("Forening").await.admin().await;
    let answer = admin.post("/integrations").json(&dynamics365(json!({}))).send().await;
    assert!(!answer.text().contains("very-secret-text"));
    let made = answer.expect(201);
    assert_has(&made, &json!({ "connector_type": "dynamics365", "runner": "managed", "has_credentials": true }));
}

#[tokio::test]
async fn everything_wrong_with_its_settings_is_named() {
    let server = TestServer::without_worker().await;
    let admin = server.organization("Forening").await.admin().await;
    let mut wrong = dynamics365(json!({ "credentials": { "type": "bearer", "client_id": "a", "client_secret": "b" } }));
    wrong["settings"]["environment"] = json!("http://169.254.169.254");
    wrong["settings"]["batch_size"] = json!(1_001);
    wrong["settings"]["token_url"] = json!("https://login.example/token");
    wrong["settings"]["mapping"]["fields"]["sw_syncid"] = json!({ "from": "/id", "as": "text" });
    let answer = admin.post("/integrations").json(&wrong).send().await;
    answer.violations(&[
        ("unknown_value", "/credentials/type"),
        ("out_of_range", "/settings/batch_size"),
        ("invalid_format", "/settings/environment"),
        ("invalid_format", "/settings/mapping/fields/sw_syncid"),
        ("invalid_format", "/settings/token_url"),
    ]);
}

#[tokio::test]
async fn what_is_only_created_is_not_updated() {
    let server = TestServer::without_worker().await;
    let admin = server.organization("Forening").await.admin().await;
    let answer = admin.post("/integrations").json(&dynamics365(json!({ "allow_updates": true }))).send().await;
    answer.violations(&[("invalid_format", "/allow_updates")]);
    let mut updates = dynamics365(json!({ "allow_updates": true }));
    updates["settings"]["write"] = json!("upsert");
    admin.post("/integrations").json(&updates).send().await.expect(201);
}
