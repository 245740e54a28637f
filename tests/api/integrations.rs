//! `/integrations`.

use serde_json::{Value, json};
use tests::client::{id, items};
use tests::database::dump;
use tests::organization::{external_integration, merge};
use tests::peers::{Act, Scripted};
use tests::server::TestServer;
use uuid::Uuid;

use crate::scene::{Scene, assert_has, assert_members};

const SUMMARY: &[&str] = &[
    "id",
    "name",
    "connector_type",
    "sync_type",
    "runner",
    "paused",
    "health",
    "last_sync",
    "consecutive_failures",
    "undelivered",
    "recent",
    "active_sync_id",
];
const SETTINGS: &[&str] = &[
    "settings",
    "has_credentials",
    "lineage_job",
    "schedule",
    "freshness_hours",
    "business_days_only",
    "failure_threshold",
    "partial_failure",
    "allow_updates",
    "record_url_template",
    "retry_webhook_url",
    "retry_webhook_disabled_at",
    "created_at",
    "updated_at",
    "open_incident_id",
];

fn managed(more: Value) -> Value {
    let mut body = json!({
        "name": "Accounting", "connector_type": "generic_http", "sync_type": "accounting_push", "runner": "managed",
        "settings": { "url": "https://accounting.example/api/vouchers" },
    });
    merge(&mut body, more);
    body
}

#[tokio::test]
async fn an_integration_is_made_read_and_listed() {
    let server = TestServer::without_worker().await;
    let admin = server.organization("Forening").await.admin().await;
    let body = managed(json!({
        "credentials": { "type": "bearer", "token": "very secret token" }, "failure_threshold": 3,
        "schedule": { "cron": "0 6 * * 1-5", "time_zone": "Europe/Oslo" }, "partial_failure": "warning",
        "record_url_template": "https://app.example/claims/{id}", "freshness_hours": 24, "allow_updates": true,
    }));
    let answer = admin.post("/integrations").json(&body).send().await;
    let (etag, location) = (answer.header("etag").to_owned(), answer.header("location").to_owned());
    assert!(!answer.text().contains("very secret token"), "credentials are written, never read");
    let made = answer.expect(201);
    assert_members(&made, &[SUMMARY, SETTINGS].concat());
    assert_eq!(location, format!("/api/v1/integrations/{}", id(&made)));
    let sent = [
        "name",
        "connector_type",
        "sync_type",
        "runner",
        "schedule",
        "failure_threshold",
        "partial_failure",
        "record_url_template",
        "freshness_hours",
        "allow_updates",
        "settings",
    ];
    for member in sent {
        assert_eq!(made[member], body[member], "{member}");
    }
    assert_has(
        &made,
        &json!({ "paused": false, "has_credentials": true, "last_sync": null, "consecutive_failures": 0 }),
    );
    assert_eq!(made["health"]["light"], "grey");
    assert_members(&made["health"], &["light", "since", "reasons", "next_expected_at"]);

    let read = admin.request_at(reqwest::Method::GET, &location).send().await;
    assert_eq!(read.header("etag"), etag);
    assert_eq!(read.expect(200), made);
    let list = admin.get("/integrations").send().await;
    assert!(!list.text().contains("very secret token"));
    let list = list.expect(200);
    assert_members(&list, &["items", "next_cursor", "prev_cursor"]);
    assert_members(&items(&list)[0], SUMMARY);

    let stored: Vec<u8> = sqlx::query_scalar("SELECT credentials_sealed FROM integration_configs")
        .fetch_one(&server.superuser().await)
        .await
        .unwrap();
    assert!(!String::from_utf8_lossy(&stored).contains("secret"), "sealed at rest");
}

#[tokio::test]
async fn defaults_are_the_documented_ones() {
    let scene = Scene::new().await;
    assert_has(
        &scene.integration().await,
        &json!({
            "freshness_hours": 48, "failure_threshold": 2, "partial_failure": "error", "allow_updates": false,
            "business_days_only": false, "schedule": null, "has_credentials": false, "record_url_template": null,
        }),
    );
}

#[tokio::test]
async fn the_last_sync_is_shown() {
    let scene = Scene::new().await;
    let sync = scene.finished(Scene::failure()).await;
    let list = scene.admin.get("/integrations").send().await.expect(200);
    let shown = &items(&list)[0];
    assert_has(
        &shown["last_sync"],
        &json!({
            "id": sync["id"], "status": "failed", "started_at": sync["started_at"], "records_total": 40,
            "records_processed": 28, "records_failed": 12, "duration_ms": 10_000,
        }),
    );
    assert_eq!((&shown["health"]["light"], &shown["consecutive_failures"]), (&json!("red"), &json!(1)));
    assert_eq!(shown["health"]["reasons"][0]["code"], "last_sync_failed");
    assert_eq!(shown["recent"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn every_broken_rule_of_an_integration_is_named_and_nothing_is_stored() {
    let server = TestServer::without_worker().await;
    let admin = server.organization("Forening").await.admin().await;
    let superuser = server.superuser().await;
    let before = dump(&superuser, None).await;
    let long = "x".repeat(121);
    let cases: Vec<(Value, &str, &str)> = vec![
        (json!({ "name": "  " }), "required", "/name"),
        (json!({ "name": long }), "too_long", "/name"),
        (json!({ "name": "two\nlines" }), "invalid_format", "/name"),
        (json!({ "freshness_hours": 0 }), "out_of_range", "/freshness_hours"),
        (json!({ "freshness_hours": 8785 }), "out_of_range", "/freshness_hours"),
        (json!({ "failure_threshold": 0 }), "out_of_range", "/failure_threshold"),
        (json!({ "failure_threshold": 31 }), "out_of_range", "/failure_threshold"),
        (json!({ "schedule": { "cron": "whenever", "time_zone": "Europe/Oslo" } }), "invalid_format", "/schedule/cron"),
        (json!({ "schedule": { "cron": "0 6 * * *", "time_zone": "Mars" } }), "unknown_value", "/schedule/time_zone"),
        (json!({ "record_url_template": "javascript:alert(1)" }), "invalid_format", "/record_url_template"),
        (json!({ "retry_webhook_url": "ftp://runner.example" }), "invalid_format", "/retry_webhook_url"),
        (json!({ "retry_webhook_url": "https://runner.example:99999" }), "invalid_format", "/retry_webhook_url"),
        (json!({ "retry_webhook_url": "http://169.254.169.254/hooks" }), "invalid_format", "/retry_webhook_url"),
        (json!({ "retry_webhook_url": "http://[::1]/hooks" }), "invalid_format", "/retry_webhook_url"),
        (json!({ "settings": [] }), "invalid_format", "/settings"),
        (json!({ "connector_type": "sap" }), "unknown_value", "/connector_type"),
        (json!({ "sync_type": "payroll" }), "unknown_value", "/sync_type"),
        (json!({ "partial_failure": "ignore" }), "unknown_value", "/partial_failure"),
        (json!({ "organization_id": Uuid::now_v7() }), "unknown_field", "/organization_id"),
    ];
    for (more, code, pointer) in cases {
        let answer = admin.post("/integrations").json(&external_integration(more)).send().await;
        answer.violations(&[(code, pointer)]);
    }
    let answer = admin.post("/integrations").json(&managed(json!({ "connector_type": "other" }))).send().await;
    answer.violations(&[("invalid_format", "/runner"), ("unknown_value", "/connector_type")]);
    let answer =
        admin.post("/integrations").json(&managed(json!({ "settings": { "url": "no address" } }))).send().await;
    let problem = answer.problem(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], "/settings/url", "{problem}");
    let body = managed(json!({ "settings": { "url": "http://169.254.169.254/latest" } }));
    let problem = admin.post("/integrations").json(&body).send().await.problem(422, "validation_failed");
    assert_eq!(problem["errors"][0]["pointer"], "/settings/url", "{problem}");
    let everything = external_integration(json!({ "name": "", "freshness_hours": 0, "failure_threshold": 99 }));
    let answer = admin.post("/integrations").json(&everything).send().await;
    answer.violations(&[
        ("required", "/name"),
        ("out_of_range", "/freshness_hours"),
        ("out_of_range", "/failure_threshold"),
    ]);
    assert_eq!(dump(&superuser, None).await, before);
}

#[tokio::test]
async fn a_name_is_taken_once() {
    let scene = Scene::with(json!({ "name": "Books" })).await;
    let again = external_integration(json!({ "name": "BOOKS" }));
    scene.admin.post("/integrations").json(&again).send().await.problem(409, "conflict");
    // Another organization may use it.
    let other = scene.server.organization("Other").await.admin().await;
    other.post("/integrations").json(&again).send().await.expect(201);
}

#[tokio::test]
async fn settings_change_only_in_the_version_that_was_read() {
    let scene = Scene::new().await;
    let path = format!("/integrations/{}", scene.integration);
    let etag = scene.admin.get(&path).send().await.header("etag").to_owned();
    let settings = json!({ "freshness_hours": 72, "paused": true });
    scene.admin.patch(&path).json(&settings).send().await.problem(428, "precondition_required");
    let change =
        async |etag: &str, body: &Value| scene.admin.patch(&path).header("If-Match", etag).json(body).send().await;
    change("\"99\"", &settings).await.problem(412, "precondition_failed");
    let answer = change(&etag, &settings).await;
    let newer = answer.header("etag").to_owned();
    assert_ne!(newer, etag);
    let changed = answer.expect(200);
    assert_has(&changed, &settings);
    assert_eq!(changed["health"]["light"], "grey", "paused");
    change(&etag, &json!({ "freshness_hours": 24 })).await.problem(412, "precondition_failed");
    change(&newer, &json!({ "freshness_hours": 0 })).await.violations(&[("out_of_range", "/freshness_hours")]);
    change(&newer, &json!({ "connector_type": "other" })).await.violations(&[("unknown_field", "/connector_type")]);
    assert_eq!(scene.integration().await["freshness_hours"], 72);
}

#[tokio::test]
async fn of_two_administrators_at_once_one_is_told_to_look_again() {
    let scene = Scene::new().await;
    let path = format!("/integrations/{}", scene.integration);
    let etag = scene.admin.get(&path).send().await.header("etag").to_owned();
    let change = async |hours: u32| {
        let settings = json!({ "freshness_hours": hours });
        scene.admin.patch(&path).header("If-Match", &etag).json(&settings).send().await.status
    };
    let mut statuses = <[u16; 4]>::from(tokio::join!(change(10), change(20), change(30), change(40)));
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412]);
}

#[tokio::test]
async fn members_are_cleared_with_null_and_kept_when_left_out() {
    let scene = Scene::with(json!({ "record_url_template": "https://app.example/{id}" })).await;
    let path = format!("/integrations/{}", scene.integration);
    let change = async |settings: Value| {
        let etag = scene.admin.get(&path).send().await.header("etag").to_owned();
        scene.admin.patch(&path).header("If-Match", &etag).json(&settings).send().await.expect(200)
    };
    let schedule = json!({ "cron": "0 6 * * 1-5", "time_zone": "Europe/Oslo" });
    let changed = change(json!({ "schedule": schedule })).await;
    assert_eq!(
        (&changed["schedule"], &changed["record_url_template"]),
        (&schedule, &json!("https://app.example/{id}"))
    );
    let changed = change(json!({ "schedule": null, "record_url_template": null })).await;
    assert_eq!((&changed["schedule"], &changed["record_url_template"]), (&json!(null), &json!(null)));
}

#[tokio::test]
async fn a_connection_is_tested_in_plain_words() {
    let server = TestServer::without_worker().await;
    let admin = server.organization("Forening").await.admin().await;
    // Bound and not listened to after the drop: nobody answers there.
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let body = managed(json!({ "settings": { "url": format!("http://127.0.0.1:{port}/vouchers") } }));
    let integration = id(&admin.post("/integrations").json(&body).send().await.expect(201));
    let found = admin.post(&format!("/integrations/{integration}/test")).send().await.expect(200);
    assert_members(&found, &["ok", "code", "message", "http_status_code", "duration_ms"]);
    assert_eq!((&found["ok"], &found["http_status_code"]), (&json!(false), &json!(null)));
    assert_eq!(found["code"], "CONNECTION_REFUSED");
    assert!(!found["message"].as_str().unwrap().is_empty());
    let external = id(&admin.post("/integrations").json(&external_integration(json!({}))).send().await.expect(201));
    admin.post(&format!("/integrations/{external}/test")).send().await.problem(409, "invalid_transition");
}

#[tokio::test]
async fn credentials_are_tried_before_they_are_kept() {
    let server = TestServer::without_worker().await;
    let admin = server.organization("Forening").await.admin().await;
    let refusing = Scripted::start(Act::answer("401 Unauthorized", "application/json", "{}")).await.unwrap();
    let body = managed(json!({ "settings": { "url": refusing.url("/vouchers") } }));
    let integration = id(&admin.post("/integrations").json(&body).send().await.expect(201));
    let path = format!("/integrations/{integration}/test");
    let bearer = json!({ "credentials": { "type": "bearer", "token": "very secret token" } });
    let found = admin.post(&path).json(&bearer).send().await.expect(200);
    assert_has(&found, &json!({ "ok": false, "code": "CREDENTIALS_REFUSED", "http_status_code": 401 }));
    assert_eq!(refusing.requests(), 1);
    // What breaks a rule is not tried, and nothing is kept of what was.
    let half = json!({ "credentials": { "type": "basic", "username": "sync" } });
    admin.post(&path).json(&half).send().await.violations(&[("required", "/credentials/password")]);
    admin.post(&path).json(&json!({ "url": "x" })).send().await.violations(&[("unknown_field", "/url")]);
    assert_eq!(refusing.requests(), 1);
    let shown = admin.get(&format!("/integrations/{integration}")).send().await.expect(200);
    assert_eq!(shown["has_credentials"], false);
}

#[tokio::test]
async fn a_managed_sync_is_asked_for_once() {
    let server = TestServer::without_worker().await;
    let organization = server.organization("Forening").await;
    let (admin, machine) = (organization.admin().await, organization.machine().await);
    let integration = id(&admin.post("/integrations").json(&managed(json!({}))).send().await.expect(201));
    let path = format!("/integrations/{integration}/syncs");
    let answer = admin.post(&path).send().await;
    let location = answer.header("location").to_owned();
    let sync = answer.expect(202);
    assert_eq!(location, format!("/api/v1/sync-logs/{}", id(&sync)));
    assert_has(&sync, &json!({ "status": "pending", "triggered_by": "manual", "attempt": 0, "completed_at": null }));
    assert!(sync["triggered_by_user_id"].is_string());
    let problem = machine.post(&path).send().await.problem(409, "already_active");
    assert_eq!(problem["sync_id"], sync["id"]);
    let shown = admin.get(&format!("/integrations/{integration}")).send().await.expect(200);
    assert_eq!(shown["active_sync_id"], sync["id"]);

    // One record is another matter, and a machine's sync is automatic.
    let one = json!({ "source_record_type": "expense_claims", "source_record_id": Uuid::now_v7() });
    let single = machine.post(&path).json(&one).send().await.expect(202);
    assert_has(&single, &json!({ "triggered_by": "automatic", "triggered_by_user_id": null }));
    assert_eq!(single["source_record_id"], one["source_record_id"]);
    assert_eq!(machine.post(&path).send().await.problem(409, "already_active")["sync_id"], sync["id"]);
    let problem = machine.post(&path).json(&one).send().await.problem(409, "already_active");
    assert_eq!(problem["sync_id"], single["id"]);
    let rule = "source_record_type_required_when_id_present";
    let answer = admin.post(&path).json(&json!({ "source_record_id": Uuid::now_v7() })).send().await;
    answer.violations(&[(rule, "/source_record_type")]);
    let answer = admin.post(&path).json(&json!({ "source_record_type": "claims" })).send().await;
    answer.violations(&[("required", "/source_record_id")]);
    // Only Syncwatch's own worker takes what waits for it.
    machine.post(&format!("/sync-logs/{}/attempts", id(&sync))).send().await.problem(409, "invalid_transition");

    let external = id(&admin.post("/integrations").json(&external_integration(json!({}))).send().await.expect(201));
    admin.post(&format!("/integrations/{external}/syncs")).send().await.problem(409, "invalid_transition");
}

#[tokio::test]
async fn of_many_who_ask_for_a_sync_at_once_one_gets_it() {
    let server = TestServer::without_worker().await;
    let admin = server.organization("Forening").await.admin().await;
    let integration = id(&admin.post("/integrations").json(&managed(json!({}))).send().await.expect(201));
    let ask = async || admin.post(&format!("/integrations/{integration}/syncs")).send().await.status;
    let mut statuses = futures::future::join_all((0..8).map(|_| ask())).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [202, 409, 409, 409, 409, 409, 409, 409]);
}
