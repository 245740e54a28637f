use serde_json::json;

use super::*;

fn credentials() -> Value {
    json!({ "type": "client_credentials", "client_id": "sync", "client_secret": "s3cret-text" })
}

fn least() -> Value {
    json!({
        "environment": "https://contoso.crm4.dynamics.com", "tenant": "contoso.onmicrosoft.com",
        "key_attribute": "sw_syncid",
        "mapping": { "entity": "sw_claims", "fields": { "sw_amount": { "from": "/amount", "as": "decimal" } } },
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut settings = least();
    settings[name] = value;
    settings
}

fn parsed(settings: &Value) -> Settings {
    parse(settings, Some(&credentials()), &OutboundPolicy::public_only()).unwrap().0
}

fn refused(settings: &Value) -> Vec<String> {
    let found = parse(settings, Some(&credentials()), &OutboundPolicy::public_only()).err().unwrap_or_default();
    let mut found: Vec<String> = found.iter().map(|one| format!("{} {}", one.pointer, one.rule)).collect();
    found.sort();
    found
}

#[test]
fn the_least_settings_have_the_defaults() {
    let settings = parsed(&least());
    assert_eq!(settings.root.as_str(), "https://contoso.crm4.dynamics.com/api/data/v9.2/");
    assert_eq!(
        settings.token_url.as_str(),
        "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/token"
    );
    assert_eq!(settings.scope, "https://contoso.crm4.dynamics.com/.default");
    assert_eq!((settings.write, settings.batch_size, settings.concurrency), (Write::Create, 1, 4));
    assert_eq!((settings.timeout, settings.settle), (Duration::from_secs(30), Duration::from_mins(1)));
    let mut elsewhere = least();
    elsewhere["tenant"] = Value::Null;
    elsewhere["token_url"] = json!("https://login.example/token");
    elsewhere["scope"] = json!("api://books/.default");
    let settings = parsed(&elsewhere);
    assert_eq!(
        (settings.token_url.as_str(), settings.scope.as_str()),
        ("https://login.example/token", "api://books/.default")
    );
}

#[test]
fn everything_wrong_is_said_at_once() {
    let wrong = json!({
        "environment": "https://contoso.crm4.dynamics.com/main.aspx", "tenant": "a/b", "key_attribute": "7 ids",
        "batch_size": 1_001, "concurrency": 53, "write": "replace", "colour": "red",
        "mapping": {
            "entity": "sw_claims", "lines": "/lines",
            "fields": {
                "sw_amount": { "from": "/amount", "as": "decimal", "per_line": true },
                "owner.name": { "from": "/owner", "as": "text" },
            },
        },
    });
    let expected = [
        "/settings/batch_size out_of_range",
        "/settings/colour unknown_field",
        "/settings/concurrency out_of_range",
        "/settings/environment invalid_format",
        "/settings/key_attribute invalid_format",
        "/settings/mapping/fields/owner.name invalid_format",
        "/settings/mapping/lines invalid_format",
        "/settings/tenant invalid_format",
        "/settings/write unknown_value",
    ];
    assert_eq!(refused(&wrong), expected);
    let nothing = [
        "/settings/environment required",
        "/settings/key_attribute required",
        "/settings/mapping required",
        "/settings/tenant required",
    ];
    assert_eq!(refused(&json!({})), nothing);
    let both = with("token_url", json!("https://login.example/token"));
    assert_eq!(refused(&both), ["/settings/token_url invalid_format"]);
    for inside in ["http://169.254.169.254", "https://10.0.0.1"] {
        assert_eq!(refused(&with("environment", json!(inside))), ["/settings/environment invalid_format"], "{inside}");
    }
}

#[test]
fn the_key_is_nobody_elses_to_set() {
    let mut settings = least();
    settings["mapping"]["fields"]["SW_SyncId"] = json!({ "from": "/id", "as": "text" });
    assert_eq!(refused(&settings), ["/settings/mapping/fields/SW_SyncId invalid_format"]);
}

#[test]
fn rows_that_are_created_are_asked_for_by_their_key() {
    let settings = with("settle_seconds", json!(30));
    let asking = parsed(&settings).asking();
    let settled = TimeDelta::seconds(30 + 2 * 30);
    assert_eq!(asking.look_up, Some(settled));
    let recognition = asking.recognition.unwrap();
    assert_eq!((recognition.by.as_str(), recognition.remembers), ("if-none-match", Some(settled + REPEAT_MARGIN)));
    // What is changed may have been there before: only the same again is harmless.
    let asking = parsed(&with("write", json!("upsert"))).asking();
    let overwrites = Recognition { by: "overwritten".to_owned(), remembers: None };
    assert_eq!((asking.look_up, asking.recognition), (None, Some(overwrites)));
    let mut settings = with("write", json!("update"));
    settings["settle_seconds"] = json!(1);
    assert_eq!(refused(&settings), ["/settings/settle_seconds invalid_format"]);
}

#[test]
fn another_place_is_another_target() {
    let target = |settings: &Value| parsed(settings).asking().target;
    let own = target(&least());
    for (name, value) in [("environment", "https://other.crm4.dynamics.com"), ("key_attribute", "sw_other")] {
        assert_ne!(target(&with(name, json!(value))), own, "{name}");
    }
    assert_eq!(target(&with("concurrency", json!(9))), own);
    // A row that may have been changed may have been there before: that it is there would say nothing of the change.
    let changed = target(&with("write", json!("update")));
    assert_ne!(changed, own);
    assert_eq!(target(&with("write", json!("upsert"))), changed);
}

#[test]
fn what_was_doubted_is_repeated_at_first_and_looked_up_later() {
    use domain::asking::{Doubt, Way};
    let asking = parsed(&least()).asking();
    let since = chrono::DateTime::UNIX_EPOCH;
    let doubt = Doubt {
        target: Some(asking.target.clone()),
        recognised_by: Some("if-none-match".to_owned()),
        since,
        given_up: since + TimeDelta::seconds(30),
    };
    assert_eq!(asking.way(&doubt, since + TimeDelta::seconds(119)), Way::Repeat);
    assert_eq!(asking.way(&doubt, since + TimeDelta::seconds(120)), Way::LookUp);
    assert!(asking.believes_absence(&doubt, since + TimeDelta::seconds(150)));
}
