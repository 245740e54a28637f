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
    assert_eq!((settings.idempotency_hours, settings.settle), (24, Duration::from_mins(1)));
    let asking = settings.asking();
    assert_eq!((asking.recognition, asking.look_up), (None, None));
}

#[test]
fn all_settings_are_read() {
    let all = json!({
        "url": "https://books.example/claims/batch?v=2", "method": "PUT", "headers": { "X-Tenant": "7" },
        "batch_size": 100, "batch_member": "items", "concurrency": 2, "timeout_ms": 500,
        "idempotency_header": "Idempotency-Key", "reference_pointer": "/id", "results_pointer": "/results",
        "health_url": "https://books.example/health", "idempotency_hours": 8760, "settle_seconds": 3600,
        "look_up": { "url": "https://books.example/claims?record={source_record_id}", "found_pointer": "/0" },
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
fn members_about_asking_are_refused_where_nobody_can_be_asked() {
    let url = "https://books.example/";
    let idle = json!({ "url": url, "idempotency_hours": 12, "settle_seconds": 5, "look_up": null });
    assert_eq!(
        refused(&idle),
        ["/settings/idempotency_hours invalid_format", "/settings/settle_seconds invalid_format"]
    );
    let look_up = json!({ "url": "https://books.example/{source_record_id}", "absent_status": [404] });
    let key = "Idempotency-Key";
    for (hours, seconds) in [(0, 0), (8_761, 3_600), (24, 3_601), (24, -1)] {
        let far = json!({
            "url": url, "idempotency_header": key, "idempotency_hours": hours, "settle_seconds": seconds,
            "look_up": look_up,
        });
        let name = if hours == 24 { "settle_seconds" } else { "idempotency_hours" };
        assert_eq!(refused(&far), [format!("/settings/{name} out_of_range")], "{far}");
    }
}

fn asking(settings: &Value) -> Asking {
    parse(settings, None, &OutboundPolicy::public_only()).unwrap().0.asking()
}

#[test]
fn a_repetition_is_recognised_only_by_what_the_system_was_told() {
    let by = |settings: &Value| asking(settings).recognition.map(|found| (found.by, found.remembers));
    let url = "https://books.example/claims";
    let with_id = "https://books.example/claims/{source_record_id}";
    let key = "Idempotency-Key";
    let header = |hours| Some(("idempotency-key".to_owned(), Some(TimeDelta::hours(hours))));
    assert_eq!(by(&json!({ "url": url, "idempotency_header": key })), header(24));
    assert_eq!(by(&json!({ "url": url, "idempotency_header": key, "idempotency_hours": 2 })), header(2));
    assert_eq!(by(&json!({ "url": with_id, "method": "PUT" })), Some(("put".to_owned(), None)));
    assert_eq!(by(&json!({ "url": with_id, "method": "PATCH" })), None);
    assert_eq!(by(&json!({ "url": url, "method": "PUT" })), None);
    // A retry puts other records together, so the batch's key would be another one.
    assert_eq!(by(&json!({ "url": url, "idempotency_header": key, "batch_size": 10 })), None);
}

#[test]
fn what_a_request_may_still_be_doing_is_waited_for() {
    let look_up = json!({ "url": "https://books.example/{source_record_id}", "absent_status": [404] });
    let waits_for = |mut settings: Value| {
        settings["url"] = json!("https://books.example/claims");
        settings["look_up"] = look_up.clone();
        asking(&settings).look_up
    };
    assert_eq!(waits_for(json!({})), Some(TimeDelta::seconds(75)));
    assert_eq!(waits_for(json!({ "settle_seconds": 0, "timeout_ms": 500 })), Some(TimeDelta::milliseconds(500)));
    assert_eq!(waits_for(json!({ "batch_size": 100 })), Some(TimeDelta::seconds(75)), "a batch is looked up as well");
}

#[test]
fn a_target_is_told_by_where_requests_go_and_as_whom() {
    let target = |settings: Value| asking(&settings).target;
    let (url, other) = ("https://books.example/claims", "https://books.example/v2/claims");
    let plain = target(json!({ "url": url }));
    assert_eq!(plain, target(json!({ "url": url, "timeout_ms": 500, "idempotency_header": "Idempotency-Key" })));
    assert_ne!(plain, target(json!({ "url": other })));
    assert_ne!(plain, target(json!({ "url": url, "method": "PATCH" })));
    let tenant = |number: u8| target(json!({ "url": url, "headers": { "X-B": "1", "X-Tenant": number.to_string() } }));
    assert_ne!(plain, tenant(7));
    assert_ne!(tenant(7), tenant(8));
    let same = json!({ "url": url, "headers": { "X-Tenant": "7", "X-B": "1" } });
    assert_eq!(tenant(7), target(same));
}

#[test]
fn a_rate_says_how_many_requests_in_how_many_seconds() {
    let with = |rate: Value| json!({ "url": "https://books.example/", "rate": rate });
    let rate = |rate: Value| -> Result<Option<Bucket>, Vec<String>> {
        let parsed = parse(&with(rate), None, &OutboundPolicy::public_only());
        parsed.map(|(settings, _)| settings.rate).map_err(|found| found.into_iter().map(|one| one.pointer).collect())
    };
    let wrong =
        |pointers: &[&str]| Err::<Option<Bucket>, Vec<String>>(pointers.iter().map(|p| (*p).to_owned()).collect());
    assert_eq!(rate(Value::Null), Ok(None));
    assert_eq!(rate(json!({ "requests": 20, "seconds": 5 })), Ok(Bucket::new(20, TimeDelta::seconds(5))));
    assert_eq!(rate(json!({ "requests": 20 })), wrong(&["/settings/rate/seconds"]));
    assert_eq!(rate(json!({ "requests": 0, "seconds": 1 })), wrong(&["/settings/rate/requests"]));
    assert_eq!(rate(json!({ "requests": 1, "seconds": 1, "burst": 2 })), wrong(&["/settings/rate/burst"]));
    assert_eq!(rate(json!(20)), wrong(&["/settings/rate"]));
}
