use serde_json::json;

use super::*;
use crate::dynamics365::served::{Served, granted, json_response, response};
use crate::guard::OutboundPolicy;

const SECRET: &str = "s3cret~text";

fn tokens(served: &Served) -> Tokens {
    let client = GuardedClient::new(Duration::from_mins(1), &OutboundPolicy::parse("127.0.0.0/8").unwrap()).unwrap();
    let url = format!("{}/token", served.address).parse().unwrap();
    let credentials = ClientCredentials { client_id: "sync".to_owned(), client_secret: SECRET.to_owned() };
    Tokens::new(client, url, "https://contoso/.default".to_owned(), credentials)
}

#[tokio::test]
async fn a_token_is_asked_for_once_and_kept() {
    let served = Served::start(|number, _| granted(&format!("token-{number}"), 3_600)).await;
    let tokens = tokens(&served);
    let both = tokio::join!(tokens.get(), tokens.get());
    assert_eq!((both.0.unwrap().as_str(), both.1.unwrap().as_str()), ("token-0", "token-0"));
    let requests = served.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].starts_with("POST /token HTTP/1.1\r\n"), "{}", requests[0]);
    for part in [
        "grant_type=client_credentials",
        "client_id=sync",
        "client_secret=s3cret%7Etext",
        "scope=https%3A%2F%2Fcontoso%2F.default",
    ] {
        assert!(requests[0].contains(part), "{part} in {}", requests[0]);
    }
}

#[tokio::test]
async fn a_token_that_has_run_out_is_not_shown() {
    let served = Served::start(|number, _| granted(&format!("token-{number}"), 0)).await;
    let tokens = tokens(&served);
    assert_eq!(tokens.get().await.unwrap(), "token-0");
    assert_eq!(tokens.get().await.unwrap(), "token-1");
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let served = Served::start(|number, _| granted(&format!("token-{number}"), 3_600)).await;
    let tokens = tokens(&served);
    let first = tokens.get().await.unwrap();
    let second = tokens.renewed(&first).await.unwrap().unwrap();
    assert_eq!(second, "token-1");
    // Who comes later with the first takes the second.
    assert_eq!(tokens.renewed(&first).await.unwrap().unwrap(), second);
    assert_eq!(tokens.get().await.unwrap(), second);
    assert!(tokens.renewed(&second).await.is_none(), "a third would be refused as well");
    assert_eq!(served.requests().len(), 2);
    // One that was let in may be refused later, when keys have changed.
    tokens.let_in(&second).await;
    assert_eq!(tokens.renewed(&second).await.unwrap().unwrap(), "token-2");
}

#[tokio::test]
async fn a_wrong_secret_is_said_in_plain_words_and_not_tried_on() {
    let described = format!("AADSTS7000222: The provided client secret {SECRET} is expired. Trace ID: 1");
    let body = json!({ "error": "invalid_client", "error_description": described });
    let served = Served::start(move |_, _| json_response("401 Unauthorized", &body)).await;
    let tokens = tokens(&served);
    let trouble = tokens.get().await.unwrap_err();
    assert_eq!((trouble.code, trouble.permanence), ("invalid_client", Permanence::Permanent));
    assert!(trouble.message.starts_with("The client's secret has expired"), "{}", trouble.message);
    assert!(trouble.message.contains("AADSTS7000222") && !trouble.message.contains(SECRET), "{}", trouble.message);
    assert_eq!(tokens.get().await.unwrap_err().code, "invalid_client");
    assert_eq!(served.requests().len(), 1, "clients that go on asking are locked out");
}

#[tokio::test]
async fn every_refusal_has_a_code_and_words() {
    let transient = Permanence::Transient;
    let permanent = Permanence::Permanent;
    let error = |error: &str| json!({ "error": error, "error_description": "no" });
    for (answer, code, permanence) in [
        (json_response("400 Bad Request", &error("invalid_scope")), "invalid_scope", permanent),
        (json_response("400 Bad Request", &error("unauthorized_client")), "unauthorized_client", permanent),
        (json_response("400 Bad Request", &error("something_new")), "TOKEN_REFUSED", permanent),
        (
            json_response("503 Service Unavailable", &error("temporarily_unavailable")),
            "temporarily_unavailable",
            transient,
        ),
        (response("503 Service Unavailable", "", "<html>"), "TOKEN_SERVICE_FAILED", transient),
        (response("429 Too Many Requests", "Retry-After: 5\r\n", ""), "TOKEN_SERVICE_FAILED", transient),
        (response("408 Request Timeout", "", ""), "TOKEN_SERVICE_FAILED", transient),
        (response("302 Found", "Location: http://127.0.0.1:1/\r\n", ""), "TOKEN_REFUSED", permanent),
        (response("200 OK", "Content-Type: text/html\r\n", "<html>"), "NO_TOKEN", permanent),
        (json_response("200 OK", &json!({ "access_token": "a b", "token_type": "Bearer" })), "NO_TOKEN", permanent),
        (json_response("200 OK", &json!({ "access_token": "a", "token_type": "mac" })), "NO_TOKEN", permanent),
        (String::new(), "NO_ANSWER", transient),
    ] {
        let shown = answer.clone();
        let served = Served::start(move |_, _| answer.clone()).await;
        let trouble = tokens(&served).get().await.unwrap_err();
        assert_eq!((trouble.code, trouble.permanence), (code, permanence), "{shown}");
        assert!(trouble.message.ends_with('.') || trouble.message.ends_with("no"), "{}", trouble.message);
    }
}

#[tokio::test]
async fn no_token_is_asked_for_where_requests_may_not_go() {
    let client = GuardedClient::new(Duration::from_mins(1), &OutboundPolicy::public_only()).unwrap();
    let credentials = ClientCredentials { client_id: "sync".to_owned(), client_secret: SECRET.to_owned() };
    let url = "http://169.254.169.254/token".parse().unwrap();
    let trouble = Tokens::new(client, url, "scope".to_owned(), credentials).get().await.unwrap_err();
    assert_eq!(trouble.code, "DESTINATION_REFUSED");
}

#[test]
fn what_holds_is_read_in_every_form() {
    let holds = |expires_in: Value| {
        token(&json!({ "access_token": "a", "token_type": "bearer", "expires_in": expires_in })).map(|found| found.1)
    };
    assert_eq!(holds(json!(3_599)), Some(Duration::from_secs(3_599)));
    assert_eq!(holds(json!("3599")), Some(Duration::from_secs(3_599)));
    assert_eq!(holds(json!(u64::MAX)), Some(Duration::from_hours(24)));
    for unsaid in [Value::Null, json!(-1), json!("soon")] {
        assert_eq!(holds(unsaid), Some(UNSAID));
    }
}
