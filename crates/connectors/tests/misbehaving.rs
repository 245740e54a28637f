//! Servers that misbehave, on real sockets: whatever they do becomes one answer per record.

#![expect(clippy::unwrap_used, reason = "a test stops where something is missing")]

use std::time::Duration;

use connectors::{Connector, OutboundPolicy, OutboundRecord, Permanence, RecordAnswer, build, validate_settings};
use domain::doubt::Certainty;
use domain::integration::ConnectorType;
use domain::record::RecordOutcome;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use uuid::Uuid;

fn loopback() -> OutboundPolicy {
    OutboundPolicy::parse("127.0.0.0/8").unwrap()
}

fn connector(url: &str, extra: &Value) -> Box<dyn Connector> {
    let mut settings = json!({ "url": url, "timeout_ms": 60_000 });
    for (name, value) in extra.as_object().unwrap() {
        settings[name] = value.clone();
    }
    let credentials = json!({ "type": "bearer", "token": "s3cret-token" });
    build(ConnectorType::GenericHttp, &settings, Some(&credentials), &loopback()).unwrap()
}

fn records(count: usize) -> Vec<OutboundRecord> {
    let record = |number: usize| OutboundRecord {
        source_record_type: "expense_claim".into(),
        source_record_id: Uuid::from_u128(number as u128),
        payload: json!({ "claim_number": format!("C-{number}"), "amount": "1.00" }),
        payload_hash: "0".repeat(64),
        idempotency_key: format!("key-{number}"),
        in_doubt: false,
    };
    (0..count).map(record).collect()
}

/// Reads one request: its head and as much body as its length says.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk).await.unwrap_or(0);
        if count == 0 {
            break;
        }
        read.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&read);
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok()).flatten()
            });
            if read.len() >= end + 4 + length.unwrap_or(0) {
                break;
            }
        }
    }
    String::from_utf8_lossy(&read).into_owned()
}

/// A server that answers its first request with these bytes and closes; returns its address and what it read.
async fn answering(bytes: Vec<u8>) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        // The client may stop reading early.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
        request
    });
    (address, served)
}

async fn answered(response: impl AsRef<[u8]>, extra: Value, count: usize) -> Vec<RecordAnswer> {
    let (address, _served) = answering(response.as_ref().to_vec()).await;
    connector(&address, &extra).send(&records(count)).await
}

async fn one(response: impl AsRef<[u8]>) -> RecordAnswer {
    let mut answers = answered(response, json!({}), 1).await;
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

fn code(answer: &RecordAnswer) -> &str {
    answer.errors.first().map_or("", |error| &error.code)
}

fn response(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn the_request_carries_what_it_should() {
    let (address, served) = answering(response("201 Created", "Location: /claims/9\r\n", "").into_bytes()).await;
    let settings = json!({ "idempotency_header": "Idempotency-Key", "headers": { "X-Tenant": "7" }, "method": "PUT" });
    let answers = connector(&format!("{address}/claims/{{source_record_id}}"), &settings).send(&records(1)).await;
    assert_eq!(answers[0].outcome, RecordOutcome::Succeeded);
    assert_eq!(answers[0].external_reference_id.as_deref(), Some("9"));
    let request = served.await.unwrap().to_lowercase();
    for part in [
        "put /claims/00000000-0000-0000-0000-000000000000 http/1.1",
        "idempotency-key: key-0",
        "x-tenant: 7",
        "authorization: bearer s3cret-token",
        "content-type: application/json",
        "user-agent: syncwatch/",
        "\r\n\r\n{\"amount\":\"1.00\",\"claim_number\":\"c-0\"}",
    ] {
        assert!(request.contains(part), "{part} in {request}");
    }
    let member = json!({ "batch_size": 3, "batch_member": "items" });
    for (settings, start) in [(member, "\r\n\r\n{\"items\":[{"), (json!({ "batch_size": 3 }), "\r\n\r\n[{")] {
        let (address, served) = answering(response("204 No Content", "", "").into_bytes()).await;
        assert_eq!(connector(&address, &settings).send(&records(2)).await.len(), 2);
        assert!(served.await.unwrap().contains(start));
    }
}

#[tokio::test]
async fn a_refused_connection_means_nothing_left() {
    // Bound and not listening, so that nobody else listens there meanwhile.
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = format!("http://{}", nobody.local_addr().unwrap());
    let answers = connector(&address, &json!({ "batch_size": 3 })).send(&records(3)).await;
    assert_eq!(answers.len(), 3);
    for answer in answers {
        assert_eq!((answer.outcome, answer.permanence), (RecordOutcome::Failed, Permanence::Transient));
        assert_eq!((answer.certainty, code(&answer)), (Certainty::NotTaken, "CONNECTION_REFUSED"));
        assert_eq!(answer.http_status_code, None);
    }
}

#[tokio::test]
async fn an_unknown_name_means_nothing_left() {
    // Longer than a label may be, so that no resolver asks anybody.
    let url = format!("http://{}.example/", "a".repeat(64));
    let answers = connector(&url, &json!({})).send(&records(1)).await;
    assert_eq!((answers[0].outcome, code(&answers[0])), (RecordOutcome::Failed, "DNS_FAILURE"));
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_at_connect_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
    let settings = json!({ "url": url });
    assert!(validate_settings(ConnectorType::GenericHttp, &settings, None, &OutboundPolicy::public_only()).is_empty());
    let public = build(ConnectorType::GenericHttp, &settings, None, &OutboundPolicy::public_only()).unwrap();
    let answers = public.send(&records(1)).await;
    assert_eq!((answers[0].outcome, code(&answers[0])), (RecordOutcome::Failed, "DESTINATION_REFUSED"));
    assert_eq!(answers[0].permanence, Permanence::Permanent);
    let tested = public.test().await;
    assert_eq!((tested.ok, tested.code.as_str()), (false, "DESTINATION_REFUSED"));
    let none = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(none.is_err(), "nothing may have connected");
    assert!(
        build(ConnectorType::GenericHttp, &json!({ "url": "http://127.0.0.1/" }), None, &OutboundPolicy::public_only())
            .is_err()
    );
}

#[tokio::test]
async fn a_server_without_tls_is_a_tls_failure() {
    // One that speaks plain HTTP, and one that hangs up.
    for said in ["HTTP/1.1 400 Bad Request\r\n\r\n", ""] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(said.as_bytes()).await;
        });
        let answers = connector(&address, &json!({})).send(&records(1)).await;
        assert_eq!((answers[0].outcome, code(&answers[0])), (RecordOutcome::Failed, "TLS_FAILURE"));
    }
}

#[tokio::test]
async fn a_handshake_that_hangs_means_nothing_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        while stream.read(&mut [0; 4096]).await.is_ok_and(|count| count > 0) {}
    });
    // Half of it is for connecting: the rest is what a machine may stand still for without mixing the two up.
    let answers = connector(&address, &json!({ "timeout_ms": 16_000 })).send(&records(1)).await;
    assert_eq!((answers[0].outcome, code(&answers[0])), (RecordOutcome::Failed, "CONNECT_TIMEOUT"));
}

#[tokio::test]
async fn silence_is_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let held = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        // Until the client gives up.
        let _ = stream.read(&mut [0; 1]).await;
        request
    });
    // The request has to leave within that time, too.
    let connector = connector(&address, &json!({ "timeout_ms": 10_000 }));
    let records = records(1);
    let answers = tokio::time::timeout(Duration::from_mins(1), connector.send(&records)).await.unwrap();
    assert_eq!((answers[0].outcome, code(&answers[0])), (RecordOutcome::Unknown, "TIMEOUT"));
    assert_eq!(answers[0].certainty, Certainty::Open);
    assert!(held.await.unwrap().contains("C-0"));
}

#[tokio::test]
async fn a_connection_that_goes_is_unknown() {
    // After reading.
    assert_eq!(code(&one("").await), "NO_ANSWER");
    // Before reading: the request was on its way, and nobody can say how far it came.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        drop(stream);
    });
    let answers = connector(&address, &json!({ "batch_size": 2 })).send(&records(2)).await;
    assert_eq!(answers.len(), 2);
    assert!(answers.iter().all(|answer| answer.outcome == RecordOutcome::Unknown && code(answer) == "NO_ANSWER"));
    // Nonsense in place of HTTP.
    assert_eq!(one("SSH-2.0-OpenSSH_9.2\r\n").await.outcome, RecordOutcome::Unknown);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_unknown_unless_it_was_a_refusal() {
    let chunked = "Transfer-Encoding: chunked\r\n\r\n20\r\n{\"id\": 1";
    let answer = one(format!("HTTP/1.1 200 OK\r\n{chunked}")).await;
    assert_eq!((answer.outcome, code(&answer)), (RecordOutcome::Unknown, "NO_ANSWER"));
    let short = "HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{\"id\":";
    assert_eq!(one(short).await.outcome, RecordOutcome::Unknown);
    let answer = one(format!("HTTP/1.1 422 Unprocessable Entity\r\n{chunked}")).await;
    assert_eq!((answer.outcome, code(&answer)), (RecordOutcome::Failed, "HTTP_422"));
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{").await.unwrap();
        let _ = stream.read(&mut [0; 1]).await;
    });
    let answers = connector(&address, &json!({ "timeout_ms": 10_000 })).send(&records(1)).await;
    assert_eq!((answers[0].outcome, code(&answers[0])), (RecordOutcome::Unknown, "NO_ANSWER"));
}

#[tokio::test]
async fn pages_and_empty_answers() {
    let page = response("200 OK", "Content-Type: text/html\r\n", "<html><title>Sign in</title></html>");
    let answer = one(page).await;
    assert_eq!((answer.outcome, code(&answer)), (RecordOutcome::Unknown, "NOT_JSON"));
    assert_eq!(one(response("200 OK", "", "")).await.outcome, RecordOutcome::Succeeded);
    assert_eq!(one(response("204 No Content", "", "")).await.outcome, RecordOutcome::Succeeded);
    let page = response("503 Service Unavailable", "Content-Type: text/html\r\n", "<html><h1>Down for the night</h1>");
    let answer = one(page).await;
    assert_eq!((answer.outcome, answer.errors[0].message.as_str()), (RecordOutcome::Unknown, "Down for the night"));
}

#[tokio::test]
async fn ten_megabytes_are_not_read() {
    let body = format!("{{\"note\": \"{}\"}}", "x".repeat(10 * 1024 * 1024));
    let answer = one(response("200 OK", "Content-Type: application/json\r\n", &body)).await;
    assert_eq!((answer.outcome, code(&answer)), (RecordOutcome::Unknown, "ANSWER_TOO_LARGE"));
    let answer = one(response("422 Unprocessable Entity", "Content-Type: application/json\r\n", &body)).await;
    assert_eq!((answer.outcome, code(&answer)), (RecordOutcome::Failed, "HTTP_422"));
    assert!(answer.errors[0].message.len() <= 4_000);
}

#[tokio::test]
async fn both_forms_of_retry_after() {
    let answer = one(response("429 Too Many Requests", "Retry-After: 7\r\n", "")).await;
    assert_eq!((answer.outcome, answer.permanence), (RecordOutcome::Failed, Permanence::Transient));
    assert_eq!(answer.retry_after, Some(Duration::from_secs(7)));
    let dated = "Date: Wed, 21 Oct 2026 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2026 07:28:30 GMT\r\n";
    let answer = one(response("503 Service Unavailable", dated, "")).await;
    assert_eq!((answer.outcome, answer.permanence), (RecordOutcome::Failed, Permanence::Transient));
    assert_eq!(answer.retry_after, Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let inside = format!("http://{}/secret", listener.local_addr().unwrap());
    let answer = one(response("307 Temporary Redirect", &format!("Location: {inside}?token=1\r\n"), "")).await;
    assert_eq!((answer.outcome, code(&answer)), (RecordOutcome::Failed, "HTTP_307"));
    assert!(answer.errors[0].message.contains(&inside) && !answer.errors[0].message.contains("token"));
    assert!(tokio::time::timeout(Duration::from_millis(50), listener.accept()).await.is_err());
}

#[tokio::test]
async fn a_connection_test_tells_what_it_found() {
    let (address, served) = answering(response("200 OK", "", "").into_bytes()).await;
    let tested = connector(&address, &json!({ "health_url": format!("{address}/health") })).test().await;
    assert_eq!((tested.ok, tested.code.as_str(), tested.http_status_code), (true, "OK", Some(200)));
    assert!(served.await.unwrap().starts_with("GET /health"));
    let (address, served) = answering(response("401 Unauthorized", "", "").into_bytes()).await;
    let tested = connector(&address, &json!({})).test().await;
    assert_eq!((tested.ok, tested.code.as_str()), (false, "CREDENTIALS_REFUSED"));
    assert!(served.await.unwrap().starts_with("OPTIONS / "));
}

#[test]
fn there_is_no_connector_for_other_systems() {
    let policy = OutboundPolicy::public_only();
    let found = validate_settings(ConnectorType::Other, &json!({}), None, &policy);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].pointer, "/connector_type");
    assert!(build(ConnectorType::Other, &json!({}), None, &policy).is_err());
}
