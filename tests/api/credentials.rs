//! Credentials go only to the hosts that they were given for.

use serde_json::{Value, json};
use tests::client::{Answer, Client, id};
use tests::server::TestServer;
use uuid::Uuid;

const BOOKS: &str = "https://books.example/api/claims";

fn bearer() -> Value {
    json!({ "type": "bearer", "token": "very secret token" })
}

async fn connect(admin: &Client, connector_type: &str, settings: &Value, credentials: &Value) -> Uuid {
    let mut body = json!({
        "name": format!("Books {}", Uuid::now_v7().simple()), "connector_type": connector_type,
        "sync_type": "accounting_push", "runner": "managed", "settings": settings,
    });
    if !credentials.is_null() {
        body["credentials"] = credentials.clone();
    }
    id(&admin.post("/integrations").json(&body).send().await.expect(201))
}

async fn change(admin: &Client, integration: Uuid, patch: &Value) -> Answer {
    admin.patch(&format!("/integrations/{integration}")).header("If-Match", "*").json(patch).send().await
}

/// A change that wants credentials again, here and nowhere else.
#[track_caller]
fn wants_again(answer: Answer, pointer: &str) {
    let problem = answer.problem(422, "credentials_required");
    let errors = problem["errors"].as_array().unwrap();
    let named: Vec<_> = errors.iter().map(|error| (&error["code"], &error["pointer"])).collect();
    assert_eq!(named, [(&json!("required"), &json!(pointer))], "{problem}");
}

#[tokio::test]
async fn another_host_needs_them_again() {
    let server = TestServer::without_worker().await;
    let admin = server.organization("Forening").await.admin().await;
    let integration = connect(&admin, "generic_http", &json!({ "url": BOOKS }), &bearer()).await;
    let path = format!("/integrations/{integration}");
    let before = admin.get(&path).send().await.expect(200);
    for elsewhere in [
        json!({ "url": "https://elsewhere.example/api/claims" }),
        json!({ "url": "http://books.example/api/claims" }),
        json!({ "url": "https://books.example:8443/api/claims" }),
        json!({ "url": BOOKS, "health_url": "https://elsewhere.example/" }),
        json!({ "url": BOOKS, "look_up": {
            "url": "https://elsewhere.example/{source_record_id}", "absent_status": [404],
        } }),
    ] {
        wants_again(change(&admin, integration, &json!({ "settings": elsewhere })).await, "/credentials");
    }
    assert_eq!(admin.get(&path).send().await.expect(200), before, "nothing was kept");
    // Beside what else is wrong it is one thing among others.
    let wrong = json!({ "settings": { "url": "https://elsewhere.example/", "colour": "red" } });
    let answer = change(&admin, integration, &wrong).await;
    answer.violations(&[("unknown_field", "/settings/colour"), ("required", "/credentials")]);

    let elsewhere = json!({ "url": "https://elsewhere.example/api/claims" });
    let again = json!({ "settings": elsewhere, "credentials": bearer() });
    let changed = change(&admin, integration, &again).await.expect(200);
    assert_eq!((&changed["settings"], &changed["has_credentials"]), (&elsewhere, &json!(true)));
}

#[tokio::test]
async fn on_the_same_host_they_are_kept() {
    let server = TestServer::without_worker().await;
    let admin = server.organization("Forening").await.admin().await;
    let integration = connect(&admin, "generic_http", &json!({ "url": BOOKS }), &bearer()).await;
    for same in [
        json!({ "url": "https://books.example/v2/{source_record_id}", "method": "PUT" }),
        json!({ "url": "https://BOOKS.example:443/v3", "health_url": "https://books.example/health" }),
    ] {
        let changed = change(&admin, integration, &json!({ "settings": same })).await.expect(200);
        assert_eq!((&changed["settings"], &changed["has_credentials"]), (&same, &json!(true)));
    }
    let marks = "SELECT credentials_mark FROM integration_configs WHERE id = $1";
    let superuser = server.superuser().await;
    let mark = async || -> Uuid { sqlx::query_scalar(marks).bind(integration).fetch_one(&superuser).await.unwrap() };
    let before = mark().await;
    change(&admin, integration, &json!({ "settings": { "url": BOOKS } })).await.expect(200);
    assert_eq!(mark().await, before, "the very same");
}

#[tokio::test]
async fn where_there_are_none_nothing_is_asked_for() {
    let server = TestServer::without_worker().await;
    let admin = server.organization("Forening").await.admin().await;
    for nothing in [json!(null), json!({ "type": "none" })] {
        let integration = connect(&admin, "generic_http", &json!({ "url": BOOKS }), &nothing).await;
        let elsewhere = json!({ "settings": { "url": "https://elsewhere.example/" } });
        change(&admin, integration, &elsewhere).await.expect(200);
    }
}

#[tokio::test]
async fn a_source_has_its_own() {
    let server = TestServer::without_worker().await;
    let admin = server.organization("Forening").await.admin().await;
    let read_from = |host: &str| {
        json!({ "url": BOOKS, "source": {
            "kind": "http", "type": "expense_claims", "list_url": format!("https://{host}/claims"),
            "fetch_url": format!("https://{host}/claims/{{source_record_id}}"), "id_pointer": "/id",
        } })
    };
    let both = json!({ "target": bearer(), "source": bearer() });
    let integration = connect(&admin, "generic_http", &read_from("app.example"), &both).await;
    let elsewhere = read_from("elsewhere.example");
    wants_again(change(&admin, integration, &json!({ "settings": elsewhere })).await, "/credentials/source");
    let target = json!({ "settings": elsewhere, "credentials": { "target": bearer() } });
    wants_again(change(&admin, integration, &target).await, "/credentials/source");
    // Taken away and put back elsewhere, it is another one.
    change(&admin, integration, &json!({ "settings": { "url": BOOKS } })).await.expect(200);
    wants_again(change(&admin, integration, &json!({ "settings": elsewhere })).await, "/credentials/source");
    let source = json!({ "settings": elsewhere, "credentials": { "source": bearer() } });
    change(&admin, integration, &source).await.expect(200);

    let mut moved = elsewhere;
    moved["url"] = json!("https://elsewhere.example/api/claims");
    wants_again(change(&admin, integration, &json!({ "settings": moved })).await, "/credentials/target");
}

#[tokio::test]
async fn a_token_service_is_a_host_like_any_other() {
    let server = TestServer::without_worker().await;
    let admin = server.organization("Forening").await.admin().await;
    let secret = json!({ "type": "client_credentials", "client_id": "sync", "client_secret": "very secret text" });
    let mut settings = json!({
        "environment": "https://contoso.crm4.dynamics.com", "token_url": "https://login.example/contoso/token",
        "key_attribute": "sw_syncid",
        "mapping": { "entity": "contacts", "fields": { "lastname": { "from": "/name", "as": "text" } } },
    });
    let integration = connect(&admin, "dynamics365", &settings, &secret).await;
    settings["token_url"] = json!("https://login.example/fabrikam/token");
    change(&admin, integration, &json!({ "settings": settings })).await.expect(200);
    for member in ["token_url", "environment"] {
        let mut elsewhere = settings.clone();
        elsewhere[member] = json!("https://elsewhere.example");
        wants_again(change(&admin, integration, &json!({ "settings": elsewhere })).await, "/credentials");
        let again = json!({ "settings": elsewhere, "credentials": secret });
        change(&admin, integration, &again).await.expect(200);
        change(&admin, integration, &json!({ "settings": settings, "credentials": secret })).await.expect(200);
    }

    let token = json!({ "type": "token", "token": "very-secret-token" });
    let mut settings = json!({
        "endpoint": "production",
        "mapping": {
            "entity": "addGLImportItems",
            "fields": { "account.code": { "value": "7140" }, "amount": { "from": "/amount", "as": "money" } },
        },
    });
    let integration = connect(&admin, "xledger", &settings, &token).await;
    settings["endpoint"] = json!("demonstration");
    wants_again(change(&admin, integration, &json!({ "settings": settings })).await, "/credentials");
    settings["endpoint"] = json!("https://www.xledger.net/graphql");
    change(&admin, integration, &json!({ "settings": settings })).await.expect(200);
}
