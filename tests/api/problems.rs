//! Bad input of every kind is a problem answer, and nothing is stored.

use reqwest::Method;
use serde_json::json;
use tests::database::dump;

use crate::scene::Scene;

#[tokio::test]
async fn bodies_that_are_no_json_are_told_apart_and_store_nothing() {
    let scene = Scene::new().await;
    let superuser = scene.server.superuser().await;
    let before = dump(&superuser, None).await;
    let whole = scene.start_body(json!({})).to_string();
    let json_type = "application/json";
    let deep = format!("{{\"metadata\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let large = format!("{{\"client_run_id\":\"{}\"}}", "x".repeat(1024 * 1024));
    let cases: Vec<(&str, &str, Vec<u8>, u16, &str)> = vec![
        ("nothing", json_type, Vec::new(), 400, "malformed_body"),
        ("no JSON", json_type, b"integration_config_id=1".to_vec(), 400, "malformed_body"),
        ("cut short", json_type, whole.as_bytes()[..whole.len() - 5].to_vec(), 400, "malformed_body"),
        ("two values", json_type, format!("{whole}{whole}").into_bytes(), 400, "malformed_body"),
        ("not UTF-8", json_type, b"{\"client_run_id\":\"\xff\xfe\"}".to_vec(), 400, "malformed_body"),
        ("half a character", json_type, b"{\"client_run_id\":\"\xc3\"}".to_vec(), 400, "malformed_body"),
        ("endlessly deep", json_type, deep.into_bytes(), 400, "malformed_body"),
        ("too large", json_type, large.into_bytes(), 413, "body_too_large"),
        ("a list", json_type, b"[]".to_vec(), 422, "validation_failed"),
        ("a text", json_type, b"\"text\"".to_vec(), 422, "validation_failed"),
        ("null", json_type, b"null".to_vec(), 422, "validation_failed"),
        ("a form", "application/x-www-form-urlencoded", b"a=b".to_vec(), 415, "unsupported_media_type"),
        ("XML", "text/xml", b"<sync/>".to_vec(), 415, "unsupported_media_type"),
        (
            "another charset",
            "application/json; charset=utf-16",
            whole.clone().into_bytes(),
            415,
            "unsupported_media_type",
        ),
    ];
    for (what, media_type, body, status, code) in cases {
        let answer = scene.machine.post("/sync-logs").body(media_type, body).send().await;
        assert_eq!((answer.status, &answer.json["code"]), (status, &json!(code)), "{what}: {}", answer.text());
        answer.problem(status, code);
    }
    let compressed = scene.machine.post("/sync-logs").header("Content-Encoding", "gzip").body(json_type, whole);
    compressed.send().await.problem(415, "unsupported_media_type");
    assert_eq!(dump(&superuser, None).await, before);
}

#[tokio::test]
async fn every_wrong_member_of_a_body_is_named_at_once() {
    let scene = Scene::new().await;
    let answer = scene.machine.post("/sync-logs").json(&json!({ "colour": "red" })).send().await;
    answer.violations(&[
        ("unknown_field", "/colour"),
        ("required", "/integration_config_id"),
        ("required", "/connector_type"),
        ("required", "/sync_type"),
        ("required", "/triggered_by"),
    ]);
    let body = scene.start_body(json!({
        "integration_config_id": "7", "connector_type": "sap", "records_total": "many", "backfill": 1,
    }));
    let answer = scene.machine.post("/sync-logs").json(&body).send().await;
    answer.violations(&[
        ("invalid_format", "/integration_config_id"),
        ("unknown_value", "/connector_type"),
        ("invalid_format", "/records_total"),
        ("invalid_format", "/backfill"),
    ]);
    let answer =
        scene.machine.post("/sync-logs").json(&scene.start_body(json!({ "client_run_id": "a\0b" }))).send().await;
    answer.violations(&[("invalid_format", "/client_run_id")]);
}

#[tokio::test]
async fn unknown_addresses_and_methods_are_told() {
    let scene = Scene::new().await;
    for path in ["/api/v1/nothing", "/api/v2/sync-logs", "/api", "/.well-known/nothing"] {
        scene.admin.request_at(Method::GET, path).send().await.problem(404, "not_found");
    }
    let answer = scene.admin.request(Method::DELETE, "/sync-logs").send().await;
    let allowed: Vec<String> = answer.header("allow").split(", ").map(str::to_owned).collect();
    assert!(allowed.contains(&"GET".to_owned()) && allowed.contains(&"POST".to_owned()), "{allowed:?}");
    answer.problem(405, "method_not_allowed");
    scene.admin.request(Method::PUT, "/me").send().await.problem(405, "method_not_allowed");
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_safety_headers() {
    let scene = Scene::new().await;
    for path in ["/me", "/nothing"] {
        let answer = scene.admin.get(path).send().await;
        assert!(!answer.header("x-request-id").is_empty());
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{:?}", answer.headers);
    }
    let answer = scene.admin.get("/nothing").header("X-Request-Id", "<script>").send().await;
    assert!(!answer.text().contains("<script>"));
}

#[tokio::test]
async fn operators_read_whether_it_lives() {
    let scene = Scene::new().await;
    for path in ["/healthz", "/readyz", "/metrics", "/api/openapi.json"] {
        let answer = scene.server.anonymous().request_at(Method::GET, path).send().await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
}
