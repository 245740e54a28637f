use std::time::Duration;

use domain::asking::Asked;
use domain::doubt::Certainty;
use domain::record::RecordOutcome;
use serde_json::{Value, json};
use uuid::Uuid;

use super::served::{Served, granted, json_response, response};
use super::*;
use crate::guard::OutboundPolicy;

fn connector(served: &Served, more: &Value) -> Dynamics365 {
    let mut settings = json!({
        "environment": served.address, "token_url": format!("{}/token", served.address), "key_attribute": "sw_syncid",
        "timeout_ms": 60_000,
        "mapping": {
            "entity": "sw_claims", "fields": { "sw_amount": { "from": "/amount", "as": "decimal", "required": true } },
        },
    });
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    built(&settings, "127.0.0.1/32")
}

/// A connector whose settings were taken while every address was allowed, so that only its client can refuse.
fn built(settings: &Value, allowed: &str) -> Dynamics365 {
    let credentials = json!({ "type": "client_credentials", "client_id": "sync", "client_secret": "s3cret-text" });
    let anywhere = OutboundPolicy::parse("0.0.0.0/0, ::/0").unwrap();
    let (settings, credentials) = settings::parse(settings, Some(&credentials), &anywhere).unwrap();
    let client = GuardedClient::new(settings.timeout, &OutboundPolicy::parse(allowed).unwrap()).unwrap();
    Dynamics365::new(settings, credentials, client)
}

fn record(number: u128) -> OutboundRecord {
    OutboundRecord {
        source_record_type: "expense_claims".to_owned(),
        source_record_id: Uuid::from_u128(number),
        payload: json!({ "amount": format!("{number}.50") }),
        payload_hash: "0".repeat(64),
        idempotency_key: format!("{number:032x}"),
        in_doubt: false,
    }
}

/// A token for who asks for one; to anybody else what a function says.
async fn environment(answers: impl Fn(&str) -> String + Send + Sync + 'static) -> Served {
    Served::start(move |number, request| {
        if request.starts_with("POST /token ") { granted(&format!("t0ken-{number}"), 3_600) } else { answers(request) }
    })
    .await
}

fn made() -> String {
    let id = "OData-EntityId: http://contoso/api/data/v9.2/sw_claims(11111111-2222-3333-4444-555555555555)\r\n";
    response("204 No Content", id, "")
}

fn refused(status: &str, code: &str) -> String {
    json_response(status, &json!({ "error": { "code": code, "message": "no" } }))
}

fn short(answer: &RecordAnswer) -> String {
    let code = answer.errors.first().map_or("", |error| error.code.as_str());
    format!("{} {code}", answer.outcome).trim().to_owned()
}

#[tokio::test]
async fn a_record_becomes_a_row() {
    let served = environment(|_| made()).await;
    let answers = connector(&served, &json!({})).send(&[record(1), record(2)]).await;
    assert_eq!(answers.iter().map(short).collect::<Vec<_>>(), ["succeeded", "succeeded"]);
    assert_eq!(answers[0].external_reference_id.as_deref(), Some("11111111-2222-3333-4444-555555555555"));
    let requests = served.requests();
    assert_eq!(requests.len(), 3, "one token is enough for both");
    let key = "sw_syncid='00000000-0000-0000-0000-000000000001'";
    assert!(requests[1].starts_with(&format!("PATCH /api/data/v9.2/sw_claims({key}) HTTP/1.1\r\n")), "{}", requests[1]);
    for part in ["authorization: Bearer t0ken-0\r\n", "if-none-match: *\r\n", "\r\n\r\n{\"sw_amount\":1.5}"] {
        assert!(requests[1].contains(part), "{part} in {}", requests[1]);
    }
}

#[tokio::test]
async fn what_the_mapping_cannot_write_does_not_leave() {
    let served = environment(|_| made()).await;
    let unwritable = OutboundRecord { payload: json!({}), ..record(1) };
    let answers =
        connector(&served, &json!({ "batch_size": 3 })).send(&[unwritable.clone(), record(2), unwritable]).await;
    let shorts: Vec<String> = answers.iter().map(short).collect();
    assert_eq!(shorts, ["failed MAPPING_MISSING_VALUE", "succeeded", "failed MAPPING_MISSING_VALUE"]);
    assert_eq!(served.requests().len(), 2);
    assert!(served.requests()[1].starts_with("PATCH "), "one alone needs no batch");
}

#[tokio::test]
async fn a_refused_token_is_renewed_and_the_request_leaves_once_more() {
    let served =
        environment(
            |request| {
                if request.contains("Bearer t0ken-0\r\n") { response("401 Unauthorized", "", "") } else { made() }
            },
        )
        .await;
    let connector = connector(&served, &json!({}));
    assert_eq!(short(&connector.send(&[record(1)]).await[0]), "succeeded");
    let lines: Vec<String> = served.requests().iter().map(|request| request[..5].to_owned()).collect();
    assert_eq!(lines, ["POST ", "PATCH", "POST ", "PATCH"]);
    // Who is not let in at all is not asked for token after token.
    let closed = environment(|_| refused("401 Unauthorized", "0x80072560")).await;
    let connector = connector_of(&closed);
    for _ in 0..3 {
        let answer = connector.send(&[record(1)]).await.remove(0);
        assert_eq!((short(&answer).as_str(), answer.certainty), ("failed 0x80072560", Certainty::NotTaken));
    }
    let tokens = closed.requests().iter().filter(|request| request.starts_with("POST /token ")).count();
    assert_eq!((tokens, closed.requests().len()), (2, 2 + 4));
}

fn connector_of(served: &Served) -> Dynamics365 {
    connector(served, &json!({}))
}

#[tokio::test]
async fn without_a_token_nothing_leaves() {
    let body = json!({ "error": "invalid_client", "error_description": "AADSTS7000215: s3cret-text" });
    let served = Served::start(move |_, _| json_response("401 Unauthorized", &body)).await;
    for batch_size in [1, 3] {
        let answers = connector(&served, &json!({ "batch_size": batch_size })).send(&[record(1), record(2)]).await;
        for answer in answers {
            let said = (answer.outcome, answer.certainty, answer.permanence, answer.http_status_code);
            assert_eq!(said, (RecordOutcome::Failed, Certainty::NotTaken, Permanence::Permanent, None));
            let error = &answer.errors[0];
            assert_eq!(error.code, "invalid_client");
            assert!(
                error.message.contains("secret is wrong") && !error.message.contains("s3cret"),
                "{}",
                error.message
            );
        }
    }
    assert!(served.requests().iter().all(|request| request.starts_with("POST /token ")));
}

fn row(number: u128) -> String {
    let row = Uuid::from_u128(number + 100);
    let body = json!({ "@odata.etag": "W/\"1\"", "sw_syncid": Uuid::from_u128(number), "sw_claimid": row });
    json_response("200 OK", &body)
}

#[tokio::test]
async fn a_row_that_is_there_is_the_records_own_if_it_was_in_doubt() {
    let there = environment(|request| {
        if request.starts_with("GET ") { row(1) } else { refused("412 Precondition Failed", "0x80040237") }
    })
    .await;
    let doubted = OutboundRecord { in_doubt: true, ..record(1) };
    let answer = connector_of(&there).send(std::slice::from_ref(&doubted)).await.remove(0);
    assert_eq!(
        (short(&answer).as_str(), answer.external_reference_id),
        ("succeeded", Some(Uuid::from_u128(101).to_string()))
    );
    let answer = connector_of(&there).send(&[record(1)]).await.remove(0);
    assert_eq!((short(&answer).as_str(), answer.certainty), ("failed ALREADY_THERE", Certainty::NotTaken));
    assert!(answer.errors[0].message.contains(&Uuid::from_u128(101).to_string()));

    let absent = environment(|request| match request {
        get if get.starts_with("GET ") => refused("404 Not Found", "0x80060891"),
        _ => refused("500 Internal Server Error", "0x80040333"),
    })
    .await;
    let answer = connector_of(&absent).send(&[doubted]).await.remove(0);
    assert_eq!((short(&answer).as_str(), answer.permanence), ("failed 0x80040333", Permanence::Permanent));
}

/// The answer to a batch: a part for each text.
fn parts(parts: &[String]) -> String {
    let parts: Vec<String> = parts
        .iter()
        .map(|part| {
            let part = part.replace("Connection: close\r\n", "");
            format!("--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n{part}\r\n")
        })
        .collect();
    response("200 OK", "Content-Type: multipart/mixed; boundary=b\r\n", &format!("{}--b--\r\n", parts.concat()))
}

#[tokio::test]
async fn several_leave_in_a_batch() {
    let served = environment(|request| {
        assert!(request.starts_with("POST /api/data/v9.2/$batch HTTP/1.1\r\n"), "{request}");
        if request.contains("\r\nGET ") {
            return parts(&[row(3), refused("404 Not Found", "0x80060891")]);
        }
        let duplicate = || refused("412 Precondition Failed", "0x80060892");
        parts(&[made(), refused("400 Bad Request", "0x80044331"), duplicate(), duplicate()])
    })
    .await;
    let connector = connector(&served, &json!({ "batch_size": 10 }));
    let records = [record(1), record(2), OutboundRecord { in_doubt: true, ..record(3) }, record(4)];
    assert_eq!(connector.batches(&records).len(), 1);
    let answers = connector.send(&records).await;
    let shorts: Vec<String> = answers.iter().map(short).collect();
    assert_eq!(shorts, ["succeeded", "failed 0x80044331", "succeeded", "failed 0x80060892"]);
    assert_eq!(answers[2].external_reference_id, Some(Uuid::from_u128(103).to_string()));
    assert_eq!(served.requests().len(), 3, "a token, the batch, and one look-up for both duplicates");
}

#[tokio::test]
async fn records_are_looked_up_together_and_by_themselves_where_that_says_nothing() {
    let served = environment(|request| {
        if request.starts_with("POST ") {
            // Stops at the first failure.
            parts(&[row(1), refused("404 Not Found", "0x80060891")])
        } else if request.contains("000000000003'") {
            row(3)
        } else {
            refused("404 Not Found", "0x80060891")
        }
    })
    .await;
    let connector = connector(&served, &json!({ "batch_size": 10 }));
    let said = connector.ask(&[record(1), record(2), record(3), record(4)]).await.said;
    let found = |number: u128| Asked::Found { reference: Some(Uuid::from_u128(number + 100).to_string()) };
    assert_eq!(said, [found(1), Asked::Absent, found(3), Asked::Absent]);
    assert_eq!(served.requests().len(), 4);
}

#[tokio::test]
async fn a_look_up_that_is_too_much_says_when_to_come_back() {
    let served = environment(|request| {
        let wait = if request.starts_with("POST ") { 3 } else { 7 };
        response("429 Too Many Requests", &format!("Retry-After: {wait}\r\n"), "")
    })
    .await;
    let connector = connector(&served, &json!({ "batch_size": 10 }));
    assert_eq!(connector.ask(&[record(1)]).await.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(connector.ask(&[record(1), record(2)]).await.retry_after, Some(Duration::from_secs(3)));
}

#[tokio::test]
async fn a_system_that_does_not_answer_is_not_asked_on_and_on() {
    let served = environment(|request| if request.starts_with("POST ") { parts(&[]) } else { String::new() }).await;
    let connector = connector(&served, &json!({ "batch_size": 10 }));
    let said = connector.ask(&[record(1), record(2), record(3)]).await.said;
    let codes: Vec<String> = said
        .iter()
        .map(|said| match said {
            Asked::Unclear(error) => error.code.clone(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(codes, ["NO_ANSWER", "LOOK_UP_INCOMPLETE", "LOOK_UP_INCOMPLETE"]);
    assert_eq!(served.requests().len(), 3);
}

#[tokio::test]
async fn a_system_that_wants_to_be_left_alone_is_not_asked_on_and_on() {
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        let served = environment(move |request| match request {
            post if post.starts_with("POST ") => parts(&[]),
            get if get.starts_with("GET ") => response(status, "Retry-After: 7\r\n", ""),
            _ => refused("412 Precondition Failed", "0x80060892"),
        })
        .await;
        let connector = connector(&served, &json!({ "batch_size": 10 }));
        let LookedUp { said, retry_after } = connector.ask(&[record(1), record(2), record(3)]).await;
        assert!(said.iter().all(|said| matches!(said, Asked::Unclear(_))), "{said:?}");
        assert_eq!((said.len(), served.requests().len()), (3, 3), "{status}: a token, the batch, and one alone");
        let wait = Some(Duration::from_secs(7));
        assert_eq!(retry_after, wait, "{status}");
        // What is said to a look-up by the way is told with the record that it was for.
        let answer = connector.send(&[record(1)]).await.remove(0);
        assert_eq!((short(&answer).as_str(), answer.retry_after), ("failed 0x80060892", wait), "{status}");
    }
}

#[tokio::test]
async fn what_is_too_much_for_one_request_leaves_in_several() {
    let served = environment(|_| made()).await;
    let connector = connector(&served, &json!({ "batch_size": 3 }));
    let large = OutboundRecord { payload: json!({ "amount": "1", "text": "x".repeat(MAX_TOGETHER / 2) }), ..record(9) };
    let sizes = |records: &[OutboundRecord]| connector.batches(records).iter().map(Vec::len).collect::<Vec<_>>();
    assert_eq!(sizes(&[record(1), record(2), record(3), record(4)]), [3, 1]);
    assert_eq!(sizes(&[large.clone(), large.clone(), record(1)]), [1, 2]);
    assert_eq!(sizes(&[]), [0_usize; 0]);
}

#[tokio::test]
async fn nothing_is_asked_for_inside_and_no_redirect_is_followed() {
    let served = environment(|_| response("307 Temporary Redirect", "Location: http://127.0.0.2:1/\r\n", "")).await;
    let inside = connector(&served, &json!({ "environment": "http://127.0.0.2:1" }));
    let sent = inside.send(&[record(1)]).await.remove(0);
    assert_eq!((short(&sent).as_str(), sent.certainty), ("failed DESTINATION_REFUSED", Certainty::NotTaken));
    assert_eq!(inside.test().await.code, "DESTINATION_REFUSED");
    let said = inside.ask(&[record(1)]).await.said.remove(0);
    assert!(matches!(&said, Asked::Unclear(error) if error.code == "DESTINATION_REFUSED"), "{said:?}");
    let connector = connector_of(&served);
    assert_eq!(short(&connector.send(&[record(1)]).await[0]), "failed HTTP_307");
    assert_eq!(connector.test().await.code, "HTTP_307");
}

#[tokio::test]
async fn a_connection_test_tells_what_it_found() {
    let who = json_response("200 OK", &json!({ "UserId": Uuid::nil() }));
    let rows = json_response("200 OK", &json!({ "value": [] }));
    for (first, second, ok, code) in [
        (who.clone(), rows.clone(), true, "OK"),
        (who.clone(), refused("404 Not Found", "0x8006088a"), false, "HTTP_404"),
        (who.clone(), refused("403 Forbidden", "0x80040220"), false, "CREDENTIALS_REFUSED"),
        (who.clone(), refused("429 Too Many Requests", "0x80072322"), true, "REACHED"),
        (who.clone(), String::new(), false, "NO_ANSWER"),
        (refused("401 Unauthorized", ""), rows.clone(), false, "CREDENTIALS_REFUSED"),
        (json_response("200 OK", &json!({})), rows.clone(), false, "NOT_JSON"),
        (refused("503 Service Unavailable", ""), rows, false, "HTTP_503"),
    ] {
        let served =
            environment(
                move |request| {
                    if request.starts_with("GET /api/data/v9.2/WhoAmI ") { first.clone() } else { second.clone() }
                },
            )
            .await;
        let tested = connector_of(&served).test().await;
        assert_eq!((tested.ok, tested.code.as_str()), (ok, code), "{}", tested.message);
        assert!(tested.message.ends_with(['.', 'o']), "{}", tested.message);
    }
}
