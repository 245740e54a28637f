//! `/auth` and `/oauth`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tests::client::Client;
use tests::organization::{ALL_SCOPES, PASSWORD};
use tests::server::TestServer;
use uuid::Uuid;

use crate::scene::assert_members;

/// A form, and the status, code and OAuth error it is answered with.
type Case<'a> = (&'a [(&'a str, &'a str)], u16, &'a str, &'a str);

/// The refresh cookie that an answer sets, as `name=value` and with its attributes.
fn cookie(answer: &tests::client::Answer) -> (String, String) {
    let whole = answer.header("set-cookie").to_owned();
    (whole.split(';').next().unwrap().to_owned(), whole)
}

async fn login(client: &Client, email: &str, password: &str) -> tests::client::Answer {
    client.post("/auth/login").json(&json!({ "email": email, "password": password })).send().await
}

#[tokio::test]
async fn a_person_signs_in_and_gets_a_token_and_a_cookie() {
    let server = TestServer::start().await;
    let organization = server.organization("Forening").await;
    organization.person("kari@example.org", "org_viewer").await;
    let answer = login(&server.anonymous(), " Kari@Example.org ", PASSWORD).await;
    let (_, attributes) = cookie(&answer);
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/api/v1/auth"] {
        assert!(attributes.contains(attribute), "{attributes}");
    }
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.expect(200);
    assert_members(&body, &["access_token", "token_type", "expires_in"]);
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(600)));
    let person = server.anonymous().with_token(body["access_token"].as_str().unwrap());
    assert_eq!(person.get("/me").send().await.expect(200)["email"], "kari@example.org");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_are_answered_alike() {
    let server = TestServer::start().await;
    server.organization("Forening").await.person("kari@example.org", "org_admin").await;
    let anonymous = server.anonymous();
    let mut wrong = login(&anonymous, "kari@example.org", "not her password").await.problem(401, "invalid_credentials");
    let mut unknown = login(&anonymous, "ola@example.org", PASSWORD).await.problem(401, "invalid_credentials");
    let mut endless =
        login(&anonymous, "kari@example.org", &"x".repeat(5000)).await.problem(401, "invalid_credentials");
    for body in [&mut wrong, &mut unknown, &mut endless] {
        body["request_id"].take();
    }
    assert_eq!(wrong, unknown);
    assert_eq!(wrong, endless);
}

#[tokio::test]
async fn a_member_of_several_organizations_names_one_of_them() {
    let server = TestServer::start().await;
    let (first, second) = (server.organization("First").await, server.organization("Second").await);
    let foreign = server.organization("Third").await;
    for organization in [&first, &second] {
        organization.person("kari@example.org", "org_admin").await;
    }
    let anonymous = server.anonymous();
    let problem = login(&anonymous, "kari@example.org", PASSWORD).await.problem(422, "validation_failed");
    let told = problem["errors"].to_string();
    assert!(told.contains(&first.id.to_string()) && told.contains(&second.id.to_string()), "{told}");
    assert!(!told.contains("Third"), "{told}");
    let admin = second.sign_in("kari@example.org").await;
    let me = admin.get("/me").send().await.expect(200);
    assert_eq!(me["organization"]["name"], "Second");
    for other in [foreign.id, Uuid::now_v7()] {
        let body = json!({ "email": "kari@example.org", "password": PASSWORD, "organization_id": other });
        let answer = anonymous.post("/auth/login").json(&body).send().await;
        answer.violations(&[("unknown_reference", "/organization_id")]);
    }
}

#[tokio::test]
async fn refresh_tokens_rotate_and_a_used_one_ends_the_session() {
    let server = TestServer::start().await;
    server.organization("Forening").await.person("kari@example.org", "org_admin").await;
    let anonymous = server.anonymous();
    let (first, _) = cookie(&login(&anonymous, "kari@example.org", PASSWORD).await);
    let refresh = async |cookie: &str| anonymous.post("/auth/refresh").header("Cookie", cookie).send().await;
    let answer = refresh(&first).await;
    let (second, _) = cookie(&answer);
    let token = answer.expect(200)["access_token"].as_str().unwrap().to_owned();
    anonymous.with_token(&token).get("/me").send().await.expect(200);
    assert_ne!(first, second);
    refresh(&first).await.problem(401, "unauthenticated");
    // Whoever holds the stolen one and whoever holds its successor are both out.
    refresh(&second).await.problem(401, "unauthenticated");
    refresh("syncwatch_refresh=made-up").await.problem(401, "unauthenticated");
    anonymous.post("/auth/refresh").send().await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn signing_out_ends_the_session_and_removes_the_cookie() {
    let server = TestServer::start().await;
    server.organization("Forening").await.person("kari@example.org", "org_admin").await;
    let anonymous = server.anonymous();
    let (session, _) = cookie(&login(&anonymous, "kari@example.org", PASSWORD).await);
    let answer = anonymous.post("/auth/logout").header("Cookie", &session).send().await;
    assert_eq!(answer.status, 204);
    assert!(cookie(&answer).1.contains("Max-Age=0"), "{:?}", answer.headers);
    anonymous.post("/auth/refresh").header("Cookie", &session).send().await.problem(401, "unauthenticated");
    assert_eq!(anonymous.post("/auth/logout").send().await.status, 204);
}

#[tokio::test]
async fn an_unused_session_ends_after_its_days() {
    let server = TestServer::start().await;
    server.organization("Forening").await.person("kari@example.org", "org_admin").await;
    let anonymous = server.anonymous();
    let (session, _) = cookie(&login(&anonymous, "kari@example.org", PASSWORD).await);
    server.clock.advance(chrono::Duration::days(14) + chrono::Duration::minutes(1));
    anonymous.post("/auth/refresh").header("Cookie", &session).send().await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_machine_gets_a_token_by_form_or_by_basic_authentication() {
    let server = TestServer::start().await;
    let organization = server.organization("Forening").await;
    let (key, secret) = organization.key(&["syncs:read", "syncs:write"]).await;
    let (key, anonymous) = (key.to_string(), server.anonymous());
    let grant = ("grant_type", "client_credentials");
    let answer =
        anonymous.post("/oauth/token").form(&[grant, ("client_id", &key), ("client_secret", &secret)]).send().await;
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    let body = answer.expect(200);
    assert_members(&body, &["access_token", "token_type", "expires_in"]);
    let machine = anonymous.with_token(body["access_token"].as_str().unwrap());
    machine.get("/sync-logs").send().await.expect(200);
    machine.get("/integrations").send().await.problem(403, "forbidden");

    let basic = format!("Basic {}", STANDARD.encode(format!("{key}:{secret}")));
    let request = anonymous.post("/oauth/token").header("Authorization", &basic);
    let body = request.form(&[grant, ("scope", "syncs:write")]).send().await.expect(200);
    let narrowed = anonymous.with_token(body["access_token"].as_str().unwrap());
    narrowed.get("/sync-logs").send().await.problem(403, "forbidden");
}

#[tokio::test]
async fn a_machines_wrong_request_for_a_token_says_what_is_wrong() {
    let server = TestServer::start().await;
    let organization = server.organization("Forening").await;
    let (key, secret) = organization.key(&["syncs:read"]).await;
    let (key, anonymous) = (key.to_string(), server.anonymous());
    let unknown = Uuid::now_v7().to_string();
    let grant = ("grant_type", "client_credentials");
    let (client_id, client_secret) = (("client_id", key.as_str()), ("client_secret", secret.as_str()));
    let cases: &[Case<'_>] = &[
        (&[grant, client_id, ("client_secret", "swk_wrong")], 401, "invalid_credentials", "invalid_client"),
        (&[grant, ("client_id", &unknown), client_secret], 401, "invalid_credentials", "invalid_client"),
        (&[grant, ("client_id", "no uuid"), client_secret], 401, "invalid_credentials", "invalid_client"),
        (&[("grant_type", "password"), client_id, client_secret], 400, "invalid_parameter", "unsupported_grant_type"),
        (&[client_id, client_secret], 400, "malformed_body", "invalid_request"),
        (&[grant, client_id], 400, "malformed_body", "invalid_request"),
        (&[grant, client_id, client_secret, ("scope", "syncs:write")], 400, "invalid_parameter", "invalid_scope"),
        (&[grant, client_id, client_secret, ("scope", "everything")], 400, "invalid_parameter", "invalid_scope"),
    ];
    for (form, status, code, oauth) in cases {
        let problem = anonymous.post("/oauth/token").form(form).send().await.problem(*status, code);
        assert_eq!(problem["error"], *oauth, "{form:?}");
    }
    let json = json!({ "grant_type": "client_credentials", "client_id": key, "client_secret": secret });
    anonymous.post("/oauth/token").json(&json).send().await.problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn a_revoked_key_gets_no_token() {
    let server = TestServer::start().await;
    let organization = server.organization("Forening").await;
    let (key, secret) = organization.key(ALL_SCOPES).await;
    sqlx::query("UPDATE api_keys SET revoked_at = now()").execute(&server.superuser().await).await.unwrap();
    let key = key.to_string();
    let form = [("grant_type", "client_credentials"), ("client_id", &key), ("client_secret", &secret)];
    server.anonymous().post("/oauth/token").form(&form).send().await.problem(401, "invalid_credentials");
}

#[tokio::test]
async fn too_many_sign_ins_and_too_many_requests_are_slowed_down() {
    let server = TestServer::configured(|config| {
        config.limits.logins_per_minute = 2;
        config.limits.requests_per_minute = 5;
    })
    .await;
    server.organization("Forening").await.person("kari@example.org", "org_admin").await;
    let anonymous = server.anonymous();
    for _ in 0..2 {
        login(&anonymous, "kari@example.org", "wrong wrong wrong").await.problem(401, "invalid_credentials");
    }
    let refused = login(&anonymous, "kari@example.org", PASSWORD).await;
    assert!(refused.header("retry-after").parse::<u32>().unwrap() > 0);
    refused.problem(429, "rate_limited");
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(anonymous.get("/me").send().await);
    }
    assert!(answers[0].header("ratelimit-policy").contains("q=5"), "{:?}", answers[0].headers);
    assert!(answers[0].header("ratelimit").contains("r="), "{:?}", answers[0].headers);
    let last = answers.pop().unwrap();
    assert!(last.header("retry-after").parse::<u32>().unwrap() > 0);
    last.problem(429, "rate_limited");
}
