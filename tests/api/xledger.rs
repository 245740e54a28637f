//! Integrations with Xledger that Syncwatch runs itself.

use serde_json::{Value, json};
use tests::organization::merge;
use tests::server::TestServer;

use crate::scene::assert_has;

fn xledger(more: Value) -> Value {
    let mut body = json!({
        "name": "Xledger", "connector_type": "xledger", "sync_type": "accounting_push", "runner": "managed",
        "settings": {
            "endpoint": "production",
            "mapping": {
                "entity": "addGLImportItems",
                "fields": {
                    "account.code": { "value": "7140" },
                    "amount": { "from": "/amount", "as": "money", "required": true },
                },
            },
        },
        "credentials": { "type": "token", "token": "very-secret-token" },
    });
    merge(&mut body, more);
    body
}

#[tokio::test]
async fn an_integration_is_made_and_keeps_its_token() {
    let server = TestServer::without_worker().await;
    let admin = server.organization("Forening").await.admin().await;
    let answer = admin.post("/integrations").json(&xledger(json!({}))).send().await;
    assert!(!answer.text().contains("very-secret-token"));
    let made = answer.expect(201);
    assert_has(&made, &json!({ "connector_type": "xledger", "runner": "managed", "has_credentials": true }));
}

#[tokio::test]
async fn everything_wrong_with_its_settings_is_named() {
    let server = TestServer::without_worker().await;
    let admin = server.organization("Forening").await.admin().await;
    let mut wrong = xledger(json!({ "credentials": { "type": "bearer", "token": "x" } }));
    wrong["settings"]["endpoint"] = json!("http://169.254.169.254/graphql");
    wrong["settings"]["batch_size"] = json!(501);
    wrong["settings"]["mapping"]["fields"]["extIdentifier"] = json!({ "from": "/id", "as": "text" });
    wrong["settings"]["mapping"]["fields"]["colour"] = json!({ "value": "red" });
    let answer = admin.post("/integrations").json(&wrong).send().await;
    answer.violations(&[
        ("unknown_value", "/credentials/type"),
        ("out_of_range", "/settings/batch_size"),
        ("invalid_format", "/settings/endpoint"),
        ("unknown_field", "/settings/mapping/fields/colour"),
        ("unknown_field", "/settings/mapping/fields/extIdentifier"),
    ]);
    let mut bare = xledger(json!({ "settings": {} }));
    if let Some(body) = bare.as_object_mut() {
        body.remove("credentials");
        body["settings"] = json!({});
    }
    let answer = admin.post("/integrations").json(&bare).send().await;
    answer.violations(&[
        ("required", "/credentials"),
        ("required", "/settings/endpoint"),
        ("required", "/settings/mapping"),
    ]);
}

#[tokio::test]
async fn a_second_posting_is_no_update() {
    let server = TestServer::without_worker().await;
    let admin = server.organization("Forening").await.admin().await;
    let answer = admin.post("/integrations").json(&xledger(json!({ "allow_updates": true }))).send().await;
    answer.violations(&[("invalid_format", "/allow_updates")]);
    let mut updates = xledger(json!({ "allow_updates": true }));
    updates["settings"]["mapping"] = json!({
        "entity": "updateSuppliers",
        "fields": { "dbId": { "from": "/id", "as": "id" }, "email": { "from": "/email", "as": "text" } },
    });
    admin.post("/integrations").json(&updates).send().await.expect(201);
}
