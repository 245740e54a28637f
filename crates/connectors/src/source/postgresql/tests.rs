use domain::integration::ConnectorType;
use rust_decimal::Decimal;
use serde_json::json;

use super::*;
use crate::connector::validate_settings;
use crate::source::{build_source, has_source};

const LIST: &str = "SELECT id, label, amount, currency, note FROM claims WHERE changed_at >= $1";
const FETCH: &str = "SELECT id, label, amount, currency, note FROM claims WHERE id = $1";

fn source() -> Value {
    json!({
        "kind": "postgresql", "host": "db.example", "database": "claims", "type": "expense_claims",
        "list_query": LIST, "fetch_query": FETCH,
    })
}

fn login() -> Value {
    json!({ "source": { "type": "basic", "username": "reader", "password": "a password" } })
}

fn settings(source: &Value) -> Value {
    json!({ "url": "https://books.example/claims", "source": source })
}

fn refused(source: &Value, credentials: &Value) -> Vec<String> {
    let policy = OutboundPolicy::public_only();
    let found = validate_settings(ConnectorType::GenericHttp, &settings(source), Some(credentials), &policy);
    found.iter().map(|one| format!("{} {}", one.pointer, one.rule)).collect()
}

fn built(page_size: usize) -> PostgresqlSource {
    let mut source = source();
    source["page_size"] = json!(page_size);
    PostgresqlSource::build(&source, login().get("source"), &OutboundPolicy::public_only()).unwrap()
}

fn row(id: u128) -> Line {
    let record = record::record(Uuid::from_u128(id), None, None, None, json!({}));
    Line { id: Some(record.id), record: Ok(record) }
}

const NOBODY: fn() -> Line = || Line { id: None, record: Err(NoRecord::Id) };

#[test]
fn a_database_is_a_source_beside_what_its_records_go_to() {
    assert_eq!(refused(&source(), &login()), Vec::<String>::new());
    let settings = settings(&source());
    assert!(has_source(&settings));
    let built = build_source(&settings, Some(&login()), &OutboundPolicy::public_only()).unwrap().unwrap();
    assert_eq!((built.record_type(), built.concurrency()), ("expense_claims", 4));
}

#[test]
fn everything_wrong_is_said_at_once() {
    let wrong = json!({
        "kind": "postgresql", "host": "db.example:5432", "port": 0, "database": "a\nb", "tls": "prefer",
        "ca_certificate": "none", "type": "expense claims", "list_query": "SELECT $2",
        "fetch_query": "SELECT 1", "page_size": 10_001, "list_url": "x",
    });
    let expected = [
        "/settings/source/host invalid_format",
        "/settings/source/port out_of_range",
        "/settings/source/database invalid_format",
        "/settings/source/tls unknown_value",
        "/settings/source/ca_certificate invalid_format",
        "/settings/source/type invalid_format",
        "/settings/source/list_query invalid_format",
        "/settings/source/fetch_query invalid_format",
        "/settings/source/page_size out_of_range",
        "/settings/source/list_url unknown_field",
    ];
    assert_eq!(refused(&wrong, &login()), expected);
    let expected = ["host", "database", "type", "list_query", "fetch_query"]
        .map(|name| format!("/settings/source/{name} required"));
    assert_eq!(refused(&json!({ "kind": "postgresql" }), &login()), expected);
}

#[test]
fn only_one_query_that_reads_is_saved() {
    let wrong = [
        "DELETE FROM claims",
        "SELECT 1; SELECT 2",
        "SELECT $1;",
        "SELECT '$1",
        "COPY claims TO PROGRAM 'x'",
        "SELECT id FROM claims WHERE id = $1) AS q, (SELECT 1",
    ];
    for query in wrong {
        let mut source = source();
        source["list_query"] = json!(query);
        source["fetch_query"] = json!(query);
        let expected = ["/settings/source/list_query invalid_format", "/settings/source/fetch_query invalid_format"];
        assert_eq!(refused(&source, &login()), expected, "{query}");
    }
}

#[test]
fn a_list_is_not_cut_short_where_it_would_not_go_on() {
    let mut source = source();
    source["list_query"] = json!(format!("{LIST} ORDER BY changed_at LIMIT 100"));
    source["fetch_query"] = json!(format!("{FETCH} LIMIT 1"));
    assert_eq!(refused(&source, &login()), ["/settings/source/list_query invalid_format"]);
}

#[test]
fn a_host_is_a_name_or_an_address_outside() {
    let accepted = ["db.example", "DB-1.internal.example", "8.8.8.8", "2606:4700:4700::1111"];
    let inside = ["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1"];
    let no_hosts = ["/var/run/postgresql", "a b", "[::1]", "2130706433", "0x7f.1", "db.example,127.0.0.1", "user@db"];
    let refused = |host: &str| {
        let mut source = source();
        source["host"] = json!(host);
        refused(&source, &login())
    };
    for host in accepted {
        assert_eq!(refused(host), Vec::<String>::new(), "{host}");
    }
    for host in inside.into_iter().chain(no_hosts) {
        assert_eq!(refused(host), ["/settings/source/host invalid_format"], "{host}");
    }
}

#[test]
fn a_role_and_its_password_are_needed() {
    let token = json!({ "type": "bearer", "token": "t" });
    for credentials in [Value::Null, token.clone(), json!({ "source": token }), json!({ "target": token })] {
        assert_eq!(refused(&source(), &credentials), ["/credentials/source required"], "{credentials}");
    }
    let wrong = json!({ "source": { "type": "basic", "username": "reader" } });
    assert_eq!(refused(&source(), &wrong), ["/credentials/source/password required"]);
}

#[test]
fn nobody_shows_a_certificate_where_nothing_is_encrypted() {
    let mut source = source();
    source["tls"] = json!("disable");
    assert_eq!(refused(&source, &login()), Vec::<String>::new());
    source["ca_certificate"] = json!("-----BEGIN CERTIFICATE-----");
    assert_eq!(refused(&source, &login()), ["/settings/source/ca_certificate invalid_format"]);
}

#[test]
fn no_private_key_is_kept_among_settings() {
    let certificate = include_str!("../../../tests/databases/tls/authority.pem");
    let mut source = source();
    source["ca_certificate"] = json!(certificate);
    assert_eq!(refused(&source, &login()), Vec::<String>::new());
    let key = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n";
    source["ca_certificate"] = json!(format!("{certificate}{key}"));
    assert_eq!(refused(&source, &login()), ["/settings/source/ca_certificate invalid_format"]);
}

#[test]
fn a_list_goes_on_behind_its_last_record_and_ends() {
    let source = built(2);
    let ids = |page: &Page| page.records.iter().map(|record| record.id.as_u128()).collect::<Vec<_>>();
    let next = |page: &Page| page.next.as_ref().map(|Cursor(id)| Uuid::try_parse(id).unwrap().as_u128());
    let page = source.page(vec![row(1), row(2), row(3)], None).unwrap();
    assert_eq!((ids(&page), next(&page)), (vec![1, 2], Some(2)));
    let page = source.page(vec![row(3), row(4)], Some(Uuid::from_u128(2))).unwrap();
    assert_eq!((ids(&page), next(&page)), (vec![3, 4], None));
    let page = source.page(vec![row(1), NOBODY(), NOBODY()], None).unwrap();
    assert_eq!((ids(&page), next(&page), page.unusable.without_id), (vec![1], None, 1));
    let page = source.page(vec![], Some(Uuid::from_u128(2))).unwrap();
    assert_eq!((ids(&page), next(&page)), (vec![], None));
}

#[test]
fn a_record_that_comes_twice_or_again_ends_the_reading() {
    let source = built(2);
    let twice = [
        source.page(vec![row(1), row(1)], None),
        source.page(vec![row(1), row(2), row(2)], None),
        source.page(vec![row(2)], Some(Uuid::from_u128(2))),
        source.page(vec![row(1)], Some(Uuid::from_u128(2))),
    ];
    for page in twice {
        let trouble = page.unwrap_err();
        assert_eq!(trouble.code, "SOURCE_UNCLEAR");
        assert!(trouble.message.contains("more than once"), "{}", trouble.message);
    }
}

#[test]
fn amounts_keep_their_digits() {
    let told = |amount: &str| {
        let [amount, currency] = [amount, "NOK"].map(|text| Some(text.to_owned()));
        record::record(Uuid::nil(), None, amount, currency, json!({})).amount
    };
    assert_eq!(told("1250.00"), Some(Decimal::new(125_000, 2)));
    assert_eq!(told("123456789012.3456"), Some(Decimal::new(1_234_567_890_123_456, 4)));
    assert_eq!(told("NaN"), None);
}
