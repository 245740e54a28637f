use serde_json::json;

use super::*;

fn bearer() -> Value {
    json!({ "type": "bearer", "token": "t" })
}

fn generic(url: &str) -> Value {
    json!({ "url": url })
}

/// Where something has to be given again.
fn again(former: &Value, new: &Value, kept: &Value, given: Option<&Value>) -> Vec<String> {
    let found = to_be_given_again(ConnectorType::GenericHttp, former, new, Some(kept), given);
    assert!(found.iter().all(|one| one.rule == Rule::Required));
    found.into_iter().map(|one| one.pointer).collect()
}

#[test]
fn a_host_is_the_same_whatever_its_path() {
    let are_same = |former: &str, new: &str| {
        let (former, new) = (generic(former), generic(new));
        same_origin(ConnectorType::GenericHttp, &former, &new, CredentialSet::Target)
    };
    let is_same = |url: &str| are_same("https://books.example/claims/{source_record_id}", url);
    for same in [
        "https://books.example/",
        "https://books.example",
        "HTTPS://Books.Example:443/members?company=2",
        "https://books.example?kind=1",
        "https://books.example\\claims",
    ] {
        assert!(is_same(same), "{same}");
    }
    for other in [
        "http://books.example/claims",
        "https://books.example:8443/claims",
        "https://books.example.evil.example/claims",
        "https://evil.example/https://books.example/",
        "https://evil.example\\@books.example/",
        "https://books.example@evil.example/",
        "https:///books.example/claims",
        "https:evil.example/",
        "https:\\\\evil.example/",
        "https://evil.example#books.example/",
        "books.example",
        "",
    ] {
        assert!(!is_same(other), "{other}");
    }
    assert!(are_same("http://books.example:80/", "http://books.example/x"));
    assert!(!are_same("http://books.example:80/", "http://books.example:443/"));
}

#[test]
fn whatever_is_shown_them_counts() {
    let former = json!({ "url": "https://books.example/claims", "health_url": "https://status.example/" });
    let with = |name: &str, value: Value| {
        let mut changed = former.clone();
        changed[name] = value;
        again(&former, &changed, &bearer(), None)
    };
    assert_eq!(with("look_up", json!({ "url": "https://books.example/x" })), Vec::<String>::new());
    assert_eq!(with("look_up", json!({ "url": "https://evil.example/x" })), ["/credentials"]);
    assert_eq!(with("health_url", json!("https://evil.example/")), ["/credentials"]);
    assert_eq!(with("health_url", Value::Null), Vec::<String>::new());
    assert_eq!(with("url", json!("https://status.example/claims")), Vec::<String>::new(), "it is shown them already");
    assert_eq!(with("concurrency", json!(2)), Vec::<String>::new());
}

#[test]
fn each_connector_has_addresses_of_its_own() {
    let same = |kind, former: Value, new: Value| same_origin(kind, &former, &new, CredentialSet::Target);
    let xledger = |former: &str, new: &str| {
        let (former, new) = (json!({ "endpoint": former }), json!({ "endpoint": new }));
        same(ConnectorType::Xledger, former, new)
    };
    assert!(xledger("production", "https://www.xledger.net/graphql/v2"));
    assert!(!xledger("production", "demonstration") && !xledger("demonstration", "https://evil.example/graphql"));
    let contoso = json!({ "environment": "https://contoso.crm4.dynamics.com", "tenant": "contoso" });
    let dynamics = |name: &str, value: &str| {
        let mut changed = contoso.clone();
        changed[name] = json!(value);
        same(ConnectorType::Dynamics365, contoso.clone(), changed)
    };
    assert!(dynamics("tenant", "fabrikam") && dynamics("key_attribute", "sw_id"));
    assert!(dynamics("token_url", "https://login.microsoftonline.com/contoso/oauth2/token"));
    assert!(!dynamics("token_url", "https://evil.example/token") && !dynamics("environment", "https://evil.example"));
    // The environment is shown tokens, and never the secret.
    assert!(!dynamics("token_url", "https://contoso.crm4.dynamics.com/token"));
    assert!(same(ConnectorType::Other, json!({}), json!({ "url": "https://evil.example" })));
}

#[test]
fn a_source_is_a_matter_of_its_own() {
    let kept = json!({ "target": bearer(), "source": bearer() });
    let http = |url: &str| {
        let source = json!({ "kind": "http", "list_url": url, "fetch_url": "https://app.example/{source_record_id}" });
        json!({ "url": "https://books.example/", "source": source })
    };
    let former = http("https://app.example/list?since={since}");
    assert_eq!(again(&former, &http("https://app.example/"), &kept, None), Vec::<String>::new());
    assert_eq!(again(&former, &http("https://evil.example/"), &kept, None), ["/credentials/source"]);
    // A source that is taken away and put back elsewhere is another one.
    let without = generic("https://books.example/");
    assert_eq!(again(&former, &without, &kept, None), Vec::<String>::new());
    assert_eq!(again(&without, &former, &kept, None), ["/credentials/source"]);
    assert_eq!(again(&without, &former, &bearer(), None), Vec::<String>::new(), "it has none");

    let database = |more: &[(&str, Value)]| {
        let mut source = json!({ "kind": "postgresql", "host": "db.example", "list_query": "SELECT 1" });
        for (name, value) in more {
            source[*name] = value.clone();
        }
        json!({ "url": "https://books.example/", "source": source })
    };
    let former = database(&[]);
    for same in [("port", json!(5_432)), ("host", json!("DB.example")), ("list_query", json!("SELECT 2"))] {
        assert_eq!(again(&former, &database(&[same]), &kept, None), Vec::<String>::new());
    }
    let plain = ("tls", json!("disable"));
    for other in [("port", json!(5_433)), ("host", json!("evil.example")), plain.clone()] {
        assert_eq!(again(&former, &database(&[other]), &kept, None), ["/credentials/source"]);
    }
    let open = database(&[plain]);
    assert_eq!(again(&open, &former, &kept, None), Vec::<String>::new(), "encrypted from now on");
    // Whoever names the authority may stand in between.
    let vouched = |pem: Value| database(&[("ca_certificate", pem)]);
    let (own, others) = (vouched(json!("own")), vouched(json!("another's")));
    for (before, after) in [(&own, &own), (&former, &vouched(Value::Null)), (&open, &own)] {
        assert_eq!(again(before, after, &kept, None), Vec::<String>::new(), "{before} {after}");
    }
    for (before, after) in [(&former, &own), (&own, &others), (&own, &former), (&own, &open)] {
        assert_eq!(again(before, after, &kept, None), ["/credentials/source"], "{before} {after}");
    }
    assert_eq!(again(&http("https://db.example/"), &former, &kept, None), ["/credentials/source"]);
}

#[test]
fn what_is_given_or_is_no_secret_need_not_be_given_again() {
    let (former, new) = (generic("https://books.example/"), generic("https://evil.example/"));
    let none = Vec::<String>::new();
    assert_eq!(again(&former, &new, &bearer(), None), ["/credentials"]);
    assert_eq!(again(&former, &new, &bearer(), Some(&bearer())), none);
    assert_eq!(again(&former, &new, &bearer(), Some(&json!({ "target": bearer() }))), none);
    assert_eq!(again(&former, &new, &bearer(), Some(&json!({ "source": bearer() }))), ["/credentials/target"]);
    assert_eq!(again(&former, &new, &json!({ "target": bearer(), "source": null }), None), ["/credentials/target"]);
    for nothing in [json!({ "type": "none" }), json!(null), json!({ "target": null, "source": bearer() })] {
        assert_eq!(again(&former, &new, &nothing, None), none, "{nothing}");
    }
    assert!(to_be_given_again(ConnectorType::GenericHttp, &former, &new, None, None).is_empty());
}
