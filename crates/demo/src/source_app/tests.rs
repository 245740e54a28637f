use std::sync::Mutex as StdMutex;

use actix_web::http::header;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, HttpServer, rt};
use serde_json::{Value, json};

use super::records::{Collection, Record};
use super::*;

/// A server that takes one key and remembers what was staged, at an address of its own.
struct Syncwatch {
    url: String,
    staged: Arc<StdMutex<Vec<(String, Value)>>>,
}

fn syncwatch(answer: (u16, Value)) -> Syncwatch {
    let staged: Arc<StdMutex<Vec<(String, Value)>>> = Arc::default();
    let kept = Arc::clone(&staged);
    let token = async |form: web::Form<Vec<(String, String)>>| {
        let given = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let expected = ["client_credentials", "demo-key", "demo-secret"].map(|text| Some(text.to_owned()));
        if ["grant_type", "client_id", "client_secret"].map(given) != expected {
            return HttpResponse::Unauthorized().json(json!({ "code": "invalid_credentials" }));
        }
        HttpResponse::Ok().json(json!({ "access_token": "t", "token_type": "Bearer", "expires_in": 600 }))
    };
    let server = HttpServer::new(move || {
        let (kept, answer) = (Arc::clone(&kept), answer.clone());
        let stage = move |request: HttpRequest, body: web::Json<Value>| {
            let (kept, (status, answer)) = (Arc::clone(&kept), answer.clone());
            async move {
                assert_eq!(request.headers().get("Authorization").unwrap(), "Bearer t");
                kept.lock().unwrap().push((request.path().to_owned(), body.into_inner()));
                HttpResponse::build(StatusCode::from_u16(status).unwrap()).json(answer)
            }
        };
        App::new()
            .route("/api/v1/oauth/token", web::post().to(token))
            .route("/api/v1/integrations/{id}/records/{type}/{record}", web::put().to(stage))
    })
    .workers(1)
    .bind(("127.0.0.1", 0))
    .unwrap();
    let url = format!("http://{}", server.addrs()[0]);
    rt::spawn(server.run());
    Syncwatch { url, staged }
}

const INTEGRATION: Uuid = Uuid::from_u128(7);
const CLAIM: Uuid = Uuid::from_u128(0x1043);

/// The app with one claim in its file.
fn app(directory: &std::path::Path, server: &str) -> SourceApp {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let payload = json!({ "cost_center": "9999", "amount": "1250.00", "currency": "NOK", "text": "<b>Travel</b>" });
    let records = Records {
        collections: vec![Collection {
            path: "claims".to_owned(),
            title_en: "Expense claims".to_owned(),
            title_nb: "Utlegg".to_owned(),
            integration_id: INTEGRATION,
            record_type: "expense_claims".to_owned(),
            records: vec![Record {
                id: CLAIM,
                label: "Claim 1043".to_owned(),
                payload: payload.as_object().unwrap().clone(),
                changed_at: None,
            }],
        }],
    };
    let (data, key_file) = (directory.join("records.json"), directory.join("key.json"));
    records.write(&data).unwrap();
    std::fs::write(&key_file, r#"{"client_id":"demo-key","client_secret":"demo-secret"}"#).unwrap();
    let (api, saving) = (Arc::default(), Arc::default());
    SourceApp { server: server.to_owned(), key_file, data, reading_token: "reading".into(), api, saving }
}

async fn send(app: &SourceApp, request: TestRequest) -> (StatusCode, Option<String>, String) {
    let app = app.clone();
    let service = init_service(App::new().configure(move |config| routes(config, &app))).await;
    let response = call_service(&service, request.to_request()).await;
    let (status, location) = (response.status(), response.headers().get(header::LOCATION).cloned());
    let body = String::from_utf8(read_body(response).await.to_vec()).unwrap();
    (status, location.map(|value| value.to_str().unwrap().to_owned()), body)
}

fn correction(fields: &[(&str, &str)]) -> TestRequest {
    TestRequest::post().uri(&format!("/claims/{CLAIM}")).set_form(fields)
}

#[actix_web::test]
async fn a_record_is_shown_in_the_readers_language() {
    let directory = tempfile::tempdir().unwrap();
    let app = app(directory.path(), "http://127.0.0.1:1");
    let request = |language| {
        TestRequest::get().uri(&format!("/claims/{CLAIM}")).insert_header((header::ACCEPT_LANGUAGE, language))
    };
    let (status, _, english) = send(&app, request("en-GB")).await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        english.contains("<h1>Claim 1043</h1>") && english.contains("<label for=\"cost_center\">Cost centre</label>")
    );
    assert!(english.contains("value=\"9999\"") && english.contains("&lt;b&gt;Travel") && !english.contains("<b>"));
    let (_, _, norwegian) = send(&app, request("nb-NO")).await;
    assert!(norwegian.contains("lang=\"nb\"") && norwegian.contains("Kostnadssted"));
    let (_, _, list) = send(&app, TestRequest::get().uri("/")).await;
    assert!(list.contains(&format!("href=\"/claims/{CLAIM}\"")), "{list}");
}

#[actix_web::test]
async fn saving_stages_the_corrected_record() {
    let (directory, server) =
        (tempfile::tempdir().unwrap(), syncwatch((200, json!({ "state": "staged", "payload_hash": "0" }))));
    let app = app(directory.path(), &server.url);
    let fields = [("cost_center", " 1100 "), ("amount", "1250.00"), ("currency", "NOK"), ("unheard_of", "x")];
    let (status, location, _) = send(&app, correction(&fields)).await;
    assert_eq!((status, location), (StatusCode::SEE_OTHER, Some(format!("/claims/{CLAIM}?saved=staged"))));

    let staged = server.staged.lock().unwrap().clone();
    assert_eq!(staged.len(), 1);
    assert_eq!(staged[0].0, format!("/api/v1/integrations/{INTEGRATION}/records/expense_claims/{CLAIM}"));
    let expected = json!({
        "payload": { "cost_center": "1100", "amount": "1250.00", "currency": "NOK", "text": "<b>Travel</b>" },
        "label": "Claim 1043", "amount": "1250.00", "currency": "NOK",
    });
    assert_eq!(staged[0].1, expected);
    let kept = Records::read(&app.data).unwrap();
    assert_eq!(kept.collections[0].records[0].payload["cost_center"], "1100");
    assert!(kept.collections[0].records[0].changed_at.is_some());
    let shown = TestRequest::get().uri(&format!("/claims/{CLAIM}?saved=staged"));
    assert!(send(&app, shown).await.2.contains("role=\"status\""));
}

#[actix_web::test]
async fn a_refusal_is_shown_and_nothing_is_kept() {
    for (answer, status, words) in [
        ((409, json!({ "code": "already_delivered" })), StatusCode::CONFLICT, "already been delivered"),
        (
            (
                422,
                json!({ "code": "validation_failed", "detail": "1 rule is broken", "errors": [{ "code": "out_of_range", "pointer": "/amount", "detail": "too much" }] }),
            ),
            StatusCode::BAD_GATEWAY,
            "/amount out_of_range: too much",
        ),
        ((500, json!("no problem at all")), StatusCode::BAD_GATEWAY, "no problem answer"),
    ] {
        let (directory, server) = (tempfile::tempdir().unwrap(), syncwatch(answer));
        let app = app(directory.path(), &server.url);
        let (found, _, body) = send(&app, correction(&[("cost_center", "1100")])).await;
        assert_eq!(found, status);
        assert!(body.contains(words) && body.contains("role=\"alert\"") && body.contains("value=\"1100\""), "{body}");
        assert_eq!(Records::read(&app.data).unwrap().collections[0].records[0].payload["cost_center"], "9999");
    }
}

fn reading(path: &str) -> TestRequest {
    TestRequest::get().uri(path).insert_header((header::AUTHORIZATION, "Bearer reading"))
}

#[actix_web::test]
async fn records_are_read_in_parts_and_one_by_one() {
    let directory = tempfile::tempdir().unwrap();
    let app = app(directory.path(), "http://127.0.0.1:1");
    let mut records = Records::read(&app.data).unwrap();
    let claim = records.collections[0].records[0].clone();
    for (number, changed_at) in [(1_u128, None), (2, Some("2026-11-20T06:00:00Z")), (3, Some("2026-11-21T06:00:00Z"))] {
        let changed_at = changed_at.map(|at| at.parse().unwrap());
        records.collections[0].records.push(Record { id: Uuid::from_u128(number), changed_at, ..claim.clone() });
    }
    records.write(&app.data).unwrap();
    let ids = async |path: &str| {
        let (status, _, body) = send(&app, reading(path)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let part: Value = serde_json::from_str(&body).unwrap();
        let id = |item: &Value| item["id"].as_str().unwrap().parse::<Uuid>().unwrap().as_u128();
        (part["items"].as_array().unwrap().iter().map(id).collect::<Vec<_>>(), part["next"].as_str().map(str::to_owned))
    };
    let (first, next) = ids("/api/claims?limit=3").await;
    assert_eq!(first, [CLAIM.as_u128(), 1, 2]);
    assert_eq!(ids(&format!("/api/claims?limit=3&cursor={}", next.unwrap())).await, (vec![3], None));
    assert_eq!(ids("/api/claims?cursor=&since=2026-11-20T07:00:00.000Z").await, (vec![CLAIM.as_u128(), 1, 3], None));

    let (status, _, body) = send(&app, reading(&format!("/api/claims/{CLAIM}"))).await;
    let expected = json!({ "id": CLAIM, "label": "Claim 1043", "data": claim.payload });
    assert_eq!((status, serde_json::from_str::<Value>(&body).unwrap()), (StatusCode::OK, expected));
    for path in [format!("/api/claims/{INTEGRATION}"), "/api/claims/x".to_owned(), "/api/other".to_owned()] {
        assert_eq!(send(&app, reading(&path)).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    for request in [TestRequest::get().uri("/api/claims"), TestRequest::get().uri(&format!("/api/claims/{CLAIM}"))] {
        assert_eq!(send(&app, request).await.0, StatusCode::UNAUTHORIZED);
    }
}

#[actix_web::test]
async fn an_amount_that_is_none_stays_in_the_payload() {
    let (directory, server) = (tempfile::tempdir().unwrap(), syncwatch((200, json!({ "state": "staged" }))));
    let app = app(directory.path(), &server.url);
    send(&app, correction(&[("amount", "a lot")])).await;
    let staged = server.staged.lock().unwrap().clone();
    assert_eq!(staged[0].1["payload"]["amount"], "a lot");
    assert!(staged[0].1.get("amount").is_none());
}

#[actix_web::test]
async fn what_is_wrong_is_said_plainly() {
    let directory = tempfile::tempdir().unwrap();
    let app = app(directory.path(), "http://127.0.0.1:1");
    let (status, _, body) = send(&app, correction(&[("cost_center", "1100")])).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "Syncwatch is away");
    assert!(body.contains("no answer"), "{body}");
    for path in ["/claims/nonsense", "/claims/00000000-0000-0000-0000-000000000001", "/other/x", "/a/b/c"] {
        assert_eq!(send(&app, TestRequest::get().uri(path)).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let foreign = correction(&[("cost_center", "1100")]).insert_header(("Sec-Fetch-Site", "cross-site"));
    assert_eq!(send(&app, foreign).await.0, StatusCode::FORBIDDEN);

    std::fs::write(&app.key_file, "{}").unwrap();
    let (_, _, body) = send(&app, correction(&[("cost_center", "1100")])).await;
    assert!(body.contains("no answer"), "the key was read before: {body}");
    std::fs::write(&app.data, "rubbish").unwrap();
    assert_eq!(send(&app, TestRequest::get().uri("/")).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    std::fs::remove_file(&app.data).unwrap();
    assert_eq!(send(&app, TestRequest::get().uri("/")).await.0, StatusCode::OK, "no records yet");
}
