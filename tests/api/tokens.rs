//! Which bearer tokens are taken, and what each role and scope may do.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Duration;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use serde_json::{Value, json};
use server::auth::token::{SigningPair, TokenService};
use server::auth::{Principal, Role};
use server::vault::Sealed;
use tests::client::Client;
use tests::server::TestServer;
use uuid::Uuid;

/// This server's own signing key, as only somebody with its database and its master key could have it.
async fn own_key(server: &TestServer) -> SigningPair {
    let (kid, public_key, bytes, key_id): (String, Vec<u8>, Vec<u8>, String) =
        sqlx::query_as("SELECT kid, public_key, private_key_sealed, sealing_key_id FROM signing_keys")
            .fetch_one(&server.superuser().await)
            .await
            .unwrap();
    let sealed = Sealed { key_id, bytes };
    let private_key = server.running.state.vault.open(&sealed, &format!("signing_key:{kid}")).unwrap();
    SigningPair { kid, public_key: public_key.try_into().unwrap(), private_key }
}

fn sign(pair: &SigningPair, header: &Header, claims: &Value) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_ed_der(&pair.private_key)).unwrap()
}

/// Replaces the header of a token and leaves the rest as it is.
fn with_header(token: &str, header: &Value) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

#[tokio::test]
async fn only_a_token_of_this_server_that_is_valid_now_is_taken() {
    let server = TestServer::start().await;
    let organization = server.organization("Forening").await;
    let user = organization.person("kari@example.org", "org_admin").await;
    let pair = own_key(&server).await;
    let now = server.clock.now().timestamp();
    let issuer = server.config.http.public_url.as_str();
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(pair.kid.clone());
    header.typ = Some("at+jwt".to_owned());
    let claims = json!({
        "iss": issuer, "aud": "syncwatch", "sub": user, "exp": now + 600, "iat": now, "nbf": now,
        "jti": Uuid::now_v7(), "org": organization.id, "role": "org_admin",
    });
    let with = |name: &str, value: Value| {
        let mut changed = claims.clone();
        changed[name] = value;
        sign(&pair, &header, &changed)
    };
    let good = sign(&pair, &header, &claims);
    let anonymous = server.anonymous();
    let taken = anonymous.with_token(&good).get("/me").send().await;
    assert_eq!(taken.status, 200, "the forgeries below differ from a good token in one thing each: {}", taken.text());

    let other = SigningPair::generate().unwrap();
    let impostor = SigningPair { kid: pair.kid.clone(), ..SigningPair::generate().unwrap() };
    let other_service = TokenService::new(issuer, std::slice::from_ref(&other), 600).unwrap();
    let strange = other_service
        .issue(
            organization.id,
            Principal::Person(user),
            Role::OrgAdmin,
            &std::collections::BTreeSet::new(),
            server.clock.now(),
        )
        .unwrap();
    let no_kid = Header { kid: None, ..header.clone() };
    let no_type = Header { typ: Some("JWT".to_owned()), ..header.clone() };
    let hs256 = Header { alg: Algorithm::HS256, ..header.clone() };
    let mut tampered: Vec<String> = good.split('.').map(str::to_owned).collect();
    let mut foreign = claims.clone();
    foreign["org"] = json!(Uuid::now_v7());
    tampered[1] = URL_SAFE_NO_PAD.encode(foreign.to_string());
    let header_of = |alg: &str| json!({ "alg": alg, "typ": "at+jwt", "kid": pair.kid });
    let unsigned = with_header(&good, &header_of("none"));
    let forgeries = [
        ("no token", String::new()),
        ("no token at all", "not-a-token".to_owned()),
        ("three empty parts", "..".to_owned()),
        ("expired", with("exp", json!(now - 6))),
        ("not yet valid", with("nbf", json!(now + 60))),
        ("for somebody else", with("aud", json!("elsewhere"))),
        ("of another issuer", with("iss", json!("https://elsewhere.example/"))),
        ("of no known role", with("role", json!("superuser"))),
        ("alg none", unsigned.clone()),
        ("alg none without a signature", format!("{}.", unsigned.rsplit_once('.').unwrap().0)),
        ("alg NONE", with_header(&good, &header_of("NONE"))),
        ("alg HS256 in the header only", with_header(&good, &header_of("HS256"))),
        (
            "signed with the public key as a secret",
            jsonwebtoken::encode(&hs256, &claims, &EncodingKey::from_secret(&pair.public_key)).unwrap(),
        ),
        ("another key", strange.token),
        ("another key under the same name", sign(&impostor, &header, &claims)),
        ("no key's name", sign(&pair, &no_kid, &claims)),
        ("another kind of token", sign(&pair, &no_type, &claims)),
        ("tampered with", tampered.join(".")),
        ("cut short", good[..good.len() - 8].to_owned()),
        ("endless", format!("{good}{}", "A".repeat(8000))),
    ];
    for (what, token) in forgeries {
        let answer = anonymous.with_token(&token).get("/me").send().await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        assert!(answer.header("www-authenticate").starts_with("Bearer"), "{what}");
        answer.problem(401, "unauthenticated");
    }
    anonymous.get("/me").send().await.problem(401, "unauthenticated");
    anonymous.get("/me").header("Authorization", &format!("Basic {good}")).send().await.problem(401, "unauthenticated");
    server.clock.advance(Duration::seconds(606));
    anonymous.with_token(&good).get("/me").send().await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn the_published_keys_verify_a_token_and_hold_nothing_private() {
    let server = TestServer::start().await;
    let keys = server.anonymous().request_at(Method::GET, "/.well-known/jwks.json").send().await.expect(200);
    let key = &keys["keys"][0];
    assert_eq!((&key["kty"], &key["crv"]), (&json!("OKP"), &json!("Ed25519")), "{keys}");
    assert!(key["x"].is_string() && key["kid"].is_string() && key["d"].is_null(), "{keys}");
    let admin = server.organization("Forening").await.admin().await;
    let header = jsonwebtoken::decode_header(admin.token()).unwrap();
    assert_eq!(header.kid.as_deref(), key["kid"].as_str());
}

/// A request of each kind of permission, with a body that would pass.
fn requests() -> Vec<(&'static str, Method, String)> {
    let id = Uuid::now_v7();
    vec![
        ("read_syncs", Method::GET, "/sync-logs".to_owned()),
        ("read_integrations", Method::GET, "/integrations".to_owned()),
        ("write_syncs", Method::POST, format!("/sync-logs/{id}/retries")),
        ("claim_retries", Method::POST, format!("/sync-logs/{id}/attempts")),
        ("stage_records", Method::PUT, format!("/integrations/{id}/records/claims/{id}")),
        ("administer", Method::POST, format!("/integrations/{id}/test")),
        ("resolve", Method::POST, format!("/sync-logs/{id}/records/claims/{id}/resolution")),
        ("own", Method::GET, "/notifications".to_owned()),
    ]
}

async fn allowed(client: &Client) -> Vec<&'static str> {
    let mut allowed = Vec::new();
    for (what, method, path) in requests() {
        let mut request = client.request(method.clone(), &path).once();
        if method == Method::PUT {
            request = request.json(&json!({ "payload": {} }));
        } else if what == "resolve" {
            request = request.json(&json!({ "resolution": "handled_manually", "reason": "booked" }));
        }
        let answer = request.send().await;
        if answer.status == 403 {
            answer.problem(403, "forbidden");
        } else {
            assert!(matches!(answer.status, 200 | 404), "{what}: {}", answer.text());
            allowed.push(what);
        }
    }
    allowed
}

#[tokio::test]
async fn each_role_and_each_scope_may_what_the_table_says() {
    let server = TestServer::start().await;
    let organization = server.organization("Forening").await;
    let everything: Vec<&str> = requests().iter().map(|(what, ..)| *what).collect();
    assert_eq!(allowed(&organization.admin().await).await, everything);
    let but_resolve: Vec<&str> = everything.iter().copied().filter(|what| *what != "resolve").collect();
    assert_eq!(allowed(&organization.operator().await).await, but_resolve);
    assert_eq!(allowed(&organization.viewer().await).await, ["read_syncs", "read_integrations", "own"]);
    let scopes = [
        ("syncs:read", "read_syncs"),
        ("syncs:write", "write_syncs"),
        ("records:write", "stage_records"),
        ("retries:claim", "claim_retries"),
        ("integrations:read", "read_integrations"),
    ];
    for (scope, may) in scopes {
        assert_eq!(allowed(&organization.machine_with(&[scope]).await).await, [may], "{scope}");
    }
    assert!(allowed(&organization.machine_with(&["debug"]).await).await.is_empty());
}
