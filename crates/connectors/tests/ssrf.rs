//! Addresses that lead inside, however one comes to them: nothing connects to them.
//!
//! The operator of these tests allows 127.0.0.1, where the external system listens; 127.0.0.2 is the inside.

#![expect(clippy::unwrap_used, reason = "a test stops where something is missing")]

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connectors::generic_http::GenericHttp;
use connectors::generic_http::settings::parse;
use connectors::guard::{Unconnected, connect_with_names};
use connectors::{
    Connector, Fetched, GuardedClient, OutboundPolicy, OutboundRecord, build, build_source, validate_settings,
};
use domain::integration::ConnectorType;
use reqwest::Method;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;
use uuid::Uuid;

/// Each class of addresses that are nobody's public server: its ends, or its best known members.
const INSIDE: &[(&str, &[&str])] = &[
    ("this network", &["0.0.0.0", "0.1.2.3", "0.255.255.255"]),
    ("unspecified", &["::"]),
    ("loopback", &["127.0.0.1", "127.0.0.2", "127.255.255.255", "::1"]),
    ("private", &["10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255"]),
    ("unique local", &["fc00::1", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"]),
    ("site-local", &["fec0::1"]),
    ("link-local", &["169.254.0.0", "169.254.255.255", "fe80::1", "febf::1"]),
    ("carrier-grade NAT", &["100.64.0.0", "100.127.255.255"]),
    ("metadata", &["169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192"]),
    ("metadata by IPv6", &["fd00:ec2::254", "fd20:ce::254", "fd00:c1::a9fe:a9fe"]),
    ("protocol assignments", &["192.0.0.0", "192.0.0.255", "2001:1::1", "2001:1ff:ffff::1"]),
    ("documentation", &["192.0.2.1", "198.51.100.7", "203.0.113.9", "2001:db8::1", "3fff::1", "3fff:fff:ffff::1"]),
    ("benchmarks", &["198.18.0.0", "198.19.255.255", "2001:2::1"]),
    ("multicast", &["224.0.0.1", "239.255.255.255", "ff02::1"]),
    ("reserved and broadcast", &["240.0.0.0", "255.255.255.254", "255.255.255.255"]),
    ("IPv4 mapped into IPv6", &["::ffff:127.0.0.1", "::ffff:127.0.0.2", "::ffff:10.0.0.1", "::ffff:169.254.169.254"]),
    ("IPv4 translated", &["::ffff:0:127.0.0.1"]),
    ("IPv4 compatible", &["::127.0.0.1", "::169.254.169.254"]),
    ("NAT64", &["64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::808:808", "64:ff9b:1::a00:1"]),
    ("6to4", &["192.88.99.1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:808:808::1"]),
    ("Teredo", &["2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"]),
    ("discard", &["100::1"]),
    ("segment routing", &["5f00::1"]),
];

const REFUSED: &str = "DESTINATION_REFUSED";

/// A source of names that answers what it was told to, once each and whatever the name.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<VecDeque<Vec<SocketAddr>>>>);

impl Names {
    fn will_say(&self, answers: [&[SocketAddr]; 2]) {
        self.0.lock().unwrap().extend(answers.map(<[SocketAddr]>::to_vec));
    }

    fn said_all(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}

impl Resolve for Names {
    fn resolve(&self, _: Name) -> Resolving {
        let answer = self.0.lock().unwrap().pop_front();
        Box::pin(async move {
            let addresses = answer.ok_or("nobody should have asked")?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// A server inside: it notices whoever connects.
struct Inside(TcpListener);

impl Inside {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.2:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    fn is_untouched(&self) -> bool {
        self.0.accept().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

/// An external system that answers one request per connection, always the same.
async fn external_system(status_and_headers: &str) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = format!("HTTP/1.1 {status_and_headers}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut chunk = [0; 4096];
                let _ = stream.read(&mut chunk).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                // Until the client closes: closing with something unread would take the answer back.
                while stream.read(&mut chunk).await.is_ok_and(|count| count > 0) {}
            });
        }
    });
    address
}

fn client(allowed: &str, names: &Names) -> GuardedClient {
    let policy = OutboundPolicy::parse(allowed).unwrap();
    GuardedClient::with_names(Duration::from_mins(1), &policy, names.clone()).unwrap()
}

/// A connector whose settings were taken while every address was allowed, so that only its client can refuse.
fn connector(url: &str, client: &GuardedClient) -> GenericHttp {
    let anywhere = OutboundPolicy::parse("0.0.0.0/0, ::/0").unwrap();
    let (settings, credentials) = parse(&json!({ "url": url }), None, &anywhere).unwrap();
    GenericHttp::new(settings, credentials, client.clone())
}

/// The codes that sending a record and then testing the connection end with; a record that arrived has none.
async fn codes(connector: &GenericHttp) -> [String; 2] {
    let record = OutboundRecord {
        source_record_type: "expense_claim".to_owned(),
        source_record_id: Uuid::nil(),
        payload: json!({ "amount": "1.00" }),
        payload_hash: "0".repeat(64),
        idempotency_key: "key".to_owned(),
        in_doubt: false,
    };
    let answers = connector.send(&[record]).await;
    let sent = answers[0].errors.first().map_or("", |error| &error.code);
    [sent.to_owned(), connector.test().await.code]
}

#[tokio::test]
async fn each_class_is_refused_as_a_literal_and_behind_a_name() {
    let policy = OutboundPolicy::public_only();
    let names = Names::default();
    let client = client("", &names);
    for (class, addresses) in INSIDE {
        for address in *addresses {
            let at = SocketAddr::new(address.parse().unwrap(), 8080);
            let url = format!("http://{at}/");
            let settings = json!({ "url": url, "health_url": url });
            let found = validate_settings(ConnectorType::GenericHttp, &settings, None, &policy);
            let pointers: Vec<&str> = found.iter().map(|violation| violation.pointer.as_str()).collect();
            assert_eq!(pointers, ["/settings/url", "/settings/health_url"], "{class}: {at}");
            assert!(build(ConnectorType::GenericHttp, &settings, None, &policy).is_err(), "{class}: {at}");
            assert_eq!(codes(&connector(&url, &client)).await, [REFUSED; 2], "{class}: {at}");
            names.will_say([&[at], &[at]]);
            assert_eq!(
                codes(&connector("http://books.example/", &client)).await,
                [REFUSED; 2],
                "{class}: a name of {at}"
            );
            assert!(names.said_all());
        }
    }
}

#[tokio::test]
async fn a_literal_is_refused_however_it_is_written() {
    let client = client("", &Names::default());
    let request = |url: &str| client.request(Method::GET, Url::parse(url).unwrap());
    let refused = [
        "http://127.0.0.1./",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://１２７.0.0.1/",
        "http://%31%32%37.0.0.1/",
        "https://user@[0:0:0:0:0:0:0:1]/",
        "http://[::ffff:7f00:1]/",
        "http://[64:ff9b::a9fe:a9fe]/",
    ];
    for url in refused {
        assert!(request(url).is_err(), "{url}");
    }
    assert!(request("https://books.example/").is_ok());
    // Where the address of another scheme leads is not asked: there is no such request.
    let other_scheme = request("gopher://127.0.0.1/").unwrap().send().await;
    assert!(other_scheme.unwrap_err().is_builder());
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let inside = Inside::start();
    let client = client("127.0.0.1", &Names::default());
    for status in [300, 301, 302, 303, 304, 305, 306, 307, 308] {
        for target in [inside.address().to_string(), "inside.example".to_owned()] {
            let system = external_system(&format!("{status} Elsewhere\r\nLocation: http://{target}/")).await;
            let url = format!("http://{system}/");
            let expected = format!("HTTP_{status}");
            assert_eq!(codes(&connector(&url, &client)).await, [expected.as_str(); 2], "to {target}");
            let request = client.request(Method::POST, Url::parse(&url).unwrap()).unwrap();
            assert_eq!(request.send().await.unwrap().status().as_u16(), status, "to {target}");
        }
    }
    assert!(inside.is_untouched());
}

#[tokio::test]
async fn each_connection_asks_once_and_goes_where_the_checked_answer_leads() {
    let inside = Inside::start();
    let (good, bad) = (external_system("204 No Content").await, inside.address());
    let names = Names::default();
    // One client for all, as it is kept between requests.
    let connector = connector("http://books.example/", &client("127.0.0.1", &names));
    let rebindings: [([&[SocketAddr]; 2], [&str; 2]); 4] = [
        ([&[good], &[bad]], ["", REFUSED]),
        ([&[bad], &[good]], [REFUSED, "REACHED"]),
        ([&[bad, good], &[good, bad]], ["", "REACHED"]),
        ([&[bad], &[bad, bad]], [REFUSED; 2]),
    ];
    for (answers, expected) in rebindings {
        names.will_say(answers);
        assert_eq!(codes(&connector).await, expected, "{answers:?}");
        assert!(names.said_all());
    }
    assert!(inside.is_untouched());
}

#[tokio::test]
async fn the_operator_opens_a_range_and_nothing_beside_it() {
    let inside = Inside::start();
    let system = external_system("204 No Content").await;
    let policy = OutboundPolicy::parse("127.0.0.1/32").unwrap();
    let client = GuardedClient::new(Duration::from_mins(1), &policy).unwrap();
    for url in [format!("http://{system}/"), format!("http://localhost:{}/", system.port())] {
        assert_eq!(codes(&connector(&url, &client)).await, ["", "REACHED"], "{url}");
    }
    assert_eq!(codes(&connector(&format!("http://{}/", inside.address()), &client)).await, [REFUSED; 2]);
    assert!(inside.is_untouched());
    for address in INSIDE.iter().flat_map(|(_, addresses)| *addresses) {
        let address: IpAddr = address.parse().unwrap();
        assert_eq!(policy.allows(address), address.to_canonical() == system.ip(), "{address}");
    }
}

/// Each setting of a connector that leads somewhere, leading to an address: with its credentials, and its pointer.
fn leading_to(base: &str) -> [(ConnectorType, Value, Value, &'static str); 5] {
    let none = json!({ "type": "none" });
    let client = json!({ "type": "client_credentials", "client_id": "sync", "client_secret": "s3cret-text" });
    let amount = json!({ "from": "/amount", "as": "text" });
    let mapping = |entity: &str| json!({ "entity": entity, "fields": { "amount": amount } });
    let look_up = json!({ "url": format!("{base}{{source_record_id}}"), "found_pointer": "/items/0" });
    let rows = |environment: &str, token_url: &str| {
        json!({
            "environment": environment, "token_url": token_url, "key_attribute": "sw_syncid",
            "mapping": mapping("sw_claims"),
        })
    };
    let books = "https://books.example/";
    [
        (ConnectorType::GenericHttp, json!({ "url": base }), none.clone(), "/settings/url"),
        (ConnectorType::GenericHttp, json!({ "url": books, "look_up": look_up }), none, "/settings/look_up/url"),
        (
            ConnectorType::Xledger,
            json!({ "endpoint": base, "mapping": mapping("addGLImportItems") }),
            json!({ "type": "token", "token": "xledger-token" }),
            "/settings/endpoint",
        ),
        (ConnectorType::Dynamics365, rows(base, books), client.clone(), "/settings/environment"),
        (ConnectorType::Dynamics365, rows(books, base), client, "/settings/token_url"),
    ]
}

#[tokio::test]
async fn no_connector_is_led_inside() {
    let (policy, anywhere) = (OutboundPolicy::public_only(), OutboundPolicy::parse("0.0.0.0/0, ::/0").unwrap());
    for (class, addresses) in INSIDE {
        for address in *addresses {
            let at = SocketAddr::new(address.parse().unwrap(), 8080);
            for (connector, settings, credentials, pointer) in leading_to(&format!("http://{at}/")) {
                let found = validate_settings(connector, &settings, Some(&credentials), &policy);
                let pointers: Vec<&str> = found.iter().map(|violation| violation.pointer.as_str()).collect();
                assert_eq!(pointers, [pointer], "{class}: {at}");
                assert!(build(connector, &settings, Some(&credentials), &policy).is_err(), "{class}: {at}");
                let found = validate_settings(connector, &settings, Some(&credentials), &anywhere);
                assert_eq!(found, [], "{connector}: nothing else is wrong with it");
            }
        }
    }
    // A name can be judged only once it is asked for. A test comes to the environment with a token alone, and looks
    // nothing up.
    for (connector, settings, credentials, pointer) in leading_to("http://localhost:8080/") {
        let connector = build(connector, &settings, Some(&credentials), &policy).unwrap();
        if !matches!(pointer, "/settings/environment" | "/settings/look_up/url") {
            assert_eq!(connector.test().await.code, REFUSED, "{pointer}");
        }
    }
}

/// Settings of an integration whose records are read from an address.
fn reading(address: &str) -> Value {
    json!({ "url": "https://books.example/", "source": {
        "kind": "http", "type": "expense_claim", "list_url": format!("{address}claims"),
        "fetch_url": format!("{address}claims/{{source_record_id}}"), "id_pointer": "/id",
    } })
}

/// The codes that reading a list, reading a record and testing end with.
async fn reading_codes(address: &str, policy: &OutboundPolicy) -> [String; 3] {
    let source = build_source(&reading(address), None, policy).unwrap().unwrap();
    let listed = source.list(None, None).await.err().map_or_else(String::new, |trouble| trouble.code);
    let fetched = match source.fetch(Uuid::nil()).await {
        Fetched::Unreadable(trouble) => trouble.code,
        Fetched::Found(_) | Fetched::Gone => String::new(),
    };
    [listed, fetched, source.test().await.code]
}

/// Settings of an integration whose records are read from a database.
fn reading_database(host: &str, port: u16) -> Value {
    json!({ "url": "https://books.example/", "source": {
        "kind": "postgresql", "type": "expense_claim", "host": host, "port": port, "database": "claims",
        "tls": "disable", "list_query": "SELECT 1", "fetch_query": "SELECT $1", "timeout_ms": 60_000,
    } })
}

/// The role that a database is read as.
fn reader() -> Value {
    json!({ "source": { "type": "basic", "username": "reader", "password": "a password" } })
}

#[tokio::test]
async fn databases_are_read_as_guarded_as_records_are_sent() {
    let policy = OutboundPolicy::public_only();
    for (class, addresses) in INSIDE {
        for address in *addresses {
            let settings = reading_database(address, 5432);
            let found = validate_settings(ConnectorType::GenericHttp, &settings, Some(&reader()), &policy);
            let pointers: Vec<&str> = found.iter().map(|violation| violation.pointer.as_str()).collect();
            assert_eq!(pointers, ["/settings/source/host"], "{class}: {address}");
            assert!(build_source(&settings, Some(&reader()), &policy).is_err(), "{class}: {address}");
        }
    }
    let inside = Inside::start();
    let source = build_source(&reading_database("localhost", 5432), Some(&reader()), &policy).unwrap().unwrap();
    assert_eq!(source.list(None, None).await.unwrap_err().code, REFUSED);
    assert!(matches!(source.fetch(Uuid::nil()).await, Fetched::Unreadable(trouble) if trouble.code == REFUSED));
    assert_eq!(source.test().await.code, REFUSED);

    // A name whose address changes after it was checked, and one with an address of either kind.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (outside, port) = (listener.local_addr().unwrap(), inside.address().port());
    let policy = OutboundPolicy::parse("127.0.0.1/32").unwrap();
    let names = Names::default();
    names.will_say([&[outside], &[inside.address()]]);
    let connect = |port| connect_with_names(&policy, "db.example", port, Duration::from_mins(1), names.clone());
    assert_eq!(connect(outside.port()).await.unwrap().peer_addr().unwrap(), outside);
    assert!(matches!(connect(port).await, Err(Unconnected::Refused(_))));
    names.will_say([&[inside.address(), outside], &[]]);
    assert_eq!(connect(outside.port()).await.unwrap().peer_addr().unwrap(), outside);
    assert!(matches!(connect(port).await, Err(Unconnected::Refused(_))), "a name without an address");
    assert!(matches!(connect(port).await, Err(Unconnected::Name)), "no name");
    assert!(names.said_all() && inside.is_untouched());
}

#[tokio::test]
async fn what_answers_in_a_databases_place_is_told_apart() {
    let policy = OutboundPolicy::parse("127.0.0.1/32").unwrap();
    let code = async |settings: &Value| {
        let source = build_source(settings, Some(&reader()), &policy).unwrap().unwrap();
        source.test().await.code
    };
    let web_server = external_system("204 No Content").await;
    let mut settings = reading_database("127.0.0.1", web_server.port());
    settings["source"]["tls"] = json!("verify-full");
    assert_eq!(code(&settings).await, "TLS_FAILURE");
    // It says that much more is to come, and says no more.
    settings = reading_database("127.0.0.1", web_server.port());
    settings["source"]["timeout_ms"] = json!(1_000);
    assert_eq!(code(&settings).await, "TIMEOUT");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(code(&reading_database("127.0.0.1", nobody.port())).await, "CONNECTION_REFUSED");
}

#[tokio::test]
async fn sources_are_read_as_guarded_as_records_are_sent() {
    let policy = OutboundPolicy::public_only();
    for (class, addresses) in INSIDE {
        for address in *addresses {
            let at = SocketAddr::new(address.parse().unwrap(), 8080);
            let settings = reading(&format!("http://{at}/"));
            let found = validate_settings(ConnectorType::GenericHttp, &settings, None, &policy);
            let pointers: Vec<&str> = found.iter().map(|violation| violation.pointer.as_str()).collect();
            assert_eq!(pointers, ["/settings/source/list_url", "/settings/source/fetch_url"], "{class}: {at}");
            assert!(build_source(&settings, None, &policy).is_err(), "{class}: {at}");
        }
    }
    let inside = Inside::start();
    assert_eq!(reading_codes("http://localhost:8080/", &policy).await, [REFUSED; 3]);
    let policy = OutboundPolicy::parse("127.0.0.1/32").unwrap();
    for status in [301, 302, 303, 307, 308] {
        let system = external_system(&format!("{status} Elsewhere\r\nLocation: http://{}/", inside.address())).await;
        let expected = format!("HTTP_{status}");
        assert_eq!(reading_codes(&format!("http://{system}/"), &policy).await, [expected.as_str(); 3]);
    }
    assert!(inside.is_untouched());
}
