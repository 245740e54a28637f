use serde_json::json;

use super::*;

fn refused(settings: &Value) -> Vec<String> {
    let policy = OutboundPolicy::public_only();
    let found = parse(settings, None, &policy).err().unwrap_or_default();
    found.iter().map(|one| format!("{} {}", one.pointer, one.rule)).collect()
}

#[test]
fn the_least_settings_have_the_defaults() {
    let policy = OutboundPolicy::public_only();
    let (settings, credentials) = parse(&json!({ "url": "https://books.example/claims" }), None, &policy).unwrap();
    assert_eq!(credentials, Credentials::None);
    assert_eq!((settings.batch_size, settings.concurrency), (1, 4));
    assert_eq!(settings.timeout, Duration::from_secs(15));
    assert_eq!(settings.method, Method::Post);
    assert!(!settings.repeat_safe());
}

#[test]
fn all_settings_are_read() {
    let all = json!({
        "url": "https://books.example/claims/batch?v=2", "method": "PUT", "headers": { "X-Tenant": "7" },
        "batch_size": 100, "batch_member": "items", "concurrency": 2, "timeout_ms": 500,
        "idempotency_header": "Idempotency-Key", "reference_pointer": "/id", "results_pointer": "/results",
        "health_url": "https://books.example/health",
    });
    assert_eq!(refused(&all), Vec::<String>::new());
}

#[test]
fn everything_wrong_is_said_at_once() {
    let wrong = json!({
        "url": "ftp://books.example", "method": "DELETE", "batch_size": 0, "concurrency": 65, "timeout_ms": "1 s",
        "headers": { "Authorization": "x", "Connection": "close", "X-A": "a\r\nX-B: b", "x y": "1", "X-N": 1 },
        "idempotency_header": "Content-Length", "reference_pointer": "id", "colour": "red",
        "health_url": "http://u:p@books.example/",
    });
    let mut found = refused(&wrong);
    found.sort();
    assert_eq!(
        found,
        [
            "/settings/batch_size out_of_range",
            "/settings/colour unknown_field",
            "/settings/concurrency out_of_range",
            "/settings/headers/Authorization invalid_format",
            "/settings/headers/Connection invalid_format",
            "/settings/headers/X-A invalid_format",
            "/settings/headers/X-N invalid_format",
            "/settings/headers/x y invalid_format",
            "/settings/health_url invalid_format",
            "/settings/idempotency_header invalid_format",
            "/settings/method unknown_value",
            "/settings/reference_pointer invalid_format",
            "/settings/timeout_ms invalid_format",
            "/settings/url invalid_format",
        ]
    );
    assert_eq!(refused(&json!([])), ["/settings invalid_format"]);
    assert_eq!(refused(&json!({})), ["/settings/url required"]);
}

#[test]
fn addresses_are_checked() {
    for url in [
        "http://127.0.0.1/x",
        "http://[::1]/",
        "http://169.254.169.254/latest",
        "http://0x7f000001/",
        "https://",
        "https://u@books.example/",
        "https://books.example/#a",
        "https://books.example/{other}",
        "https://{source_record_id}.example/",
        "https://books.example:{source_record_id}/",
        "https://a b/",
        "books",
    ] {
        assert_eq!(refused(&json!({ "url": url })), ["/settings/url invalid_format"], "{url}");
    }
    for url in [
        "https://books.example/{source_record_type}/{source_record_id}",
        "http://books.example:8080/a?id={source_record_id}",
    ] {
        assert_eq!(refused(&json!({ "url": url })), Vec::<String>::new(), "{url}");
        assert_eq!(refused(&json!({ "url": url, "batch_size": 2 })), ["/settings/url invalid_format"], "{url}");
    }
    let loopback = OutboundPolicy::parse("127.0.0.0/8").unwrap();
    assert!(parse(&json!({ "url": "http://127.0.0.1:1/" }), None, &loopback).is_ok());
}

#[test]
fn members_that_need_a_batch_are_refused_without_one() {
    let single = json!({ "url": "https://books.example/", "batch_member": "items", "results_pointer": "/results" });
    assert_eq!(refused(&single), ["/settings/batch_member invalid_format", "/settings/results_pointer invalid_format"]);
}

#[test]
fn repetition_is_safe_only_where_the_system_can_recognise_it() {
    let policy = OutboundPolicy::public_only();
    let safe = |settings: &Value| parse(settings, None, &policy).unwrap().0.repeat_safe();
    let url = "https://books.example/claims";
    let with_id = "https://books.example/claims/{source_record_id}";
    assert!(safe(&json!({ "url": url, "idempotency_header": "Idempotency-Key" })));
    assert!(safe(&json!({ "url": with_id, "method": "PUT" })));
    assert!(!safe(&json!({ "url": with_id, "method": "PATCH" })));
    assert!(!safe(&json!({ "url": url, "method": "PUT" })));
    // A retry puts other records together, so the batch's key would be another one.
    assert!(!safe(&json!({ "url": url, "idempotency_header": "Idempotency-Key", "batch_size": 10 })));
}
