use actix_web::test::{TestRequest, call_service, init_service, read_body_json};
use actix_web::{App, http::header};

use super::*;

fn office(log: Option<&std::path::Path>) -> Office {
    Office::open(log, "token").unwrap()
}

/// Sends one request to the service and reads the JSON answer.
async fn send(office: &Office, request: TestRequest) -> (u16, Value) {
    let office = office.clone();
    let app = init_service(App::new().configure(move |config| routes(config, &office))).await;
    let response = call_service(&app, request.to_request()).await;
    let status = response.status().as_u16();
    (status, read_body_json(response).await)
}

fn post(path: &str, body: &Value) -> TestRequest {
    TestRequest::post().uri(path).insert_header((header::AUTHORIZATION, "Bearer token")).set_json(body)
}

fn voucher() -> Value {
    let period = rules::Period::of(clock::now()).to_string();
    json!({
        "claim_number": "1043", "member": "Demo Testesen", "cost_center": "1100", "account": "7140",
        "amount": "1250.00", "currency": "NOK", "period": period, "text": "Travel",
    })
}

fn with(mut record: Value, field: &str, value: Value) -> Value {
    record[field] = value;
    record
}

async fn log_of(office: &Office) -> Vec<Value> {
    let (_, log) = send(office, TestRequest::get().uri("/api/log")).await;
    log["items"].as_array().unwrap().clone()
}

#[actix_web::test]
async fn a_right_voucher_is_booked_once_for_its_key() {
    let office = office(None);
    let with_key = |body: &Value| post("/api/vouchers", body).insert_header(("Idempotency-Key", "k1"));
    let (status, first) = send(&office, with_key(&voucher())).await;
    assert_eq!((status, &first["id"]), (201, &json!("V-1001")));
    let (status, again) = send(&office, with_key(&voucher())).await;
    assert_eq!((status, &again), (200, &first));
    let other = with(voucher(), "amount", json!("1.00"));
    let (status, refused) = send(&office, with_key(&other)).await;
    assert_eq!((status, &refused["code"]), (422, &json!("idempotency_key_reused")));

    let log = log_of(&office).await;
    assert_eq!(log.len(), 1);
    assert_eq!(log[0]["idempotency_key"], "k1");
    assert_eq!(log[0]["record"], voucher());
    assert!(log[0]["time"].is_string());
}

#[actix_web::test]
async fn a_rejected_key_can_be_used_for_the_corrected_voucher() {
    let office = office(None);
    let with_key = |body: &Value| post("/api/vouchers", body).insert_header(("Idempotency-Key", "k1"));
    let (status, _) = send(&office, with_key(&with(voucher(), "cost_center", json!("9999")))).await;
    assert_eq!(status, 422);
    let (status, _) = send(&office, with_key(&voucher())).await;
    assert_eq!(status, 201);
}

#[actix_web::test]
async fn every_rule_is_named_with_its_field() {
    let office = office(None);
    let this_month = rules::Period::of(clock::now());
    let long = "x".repeat(201);
    for (field, value, code, words) in [
        ("cost_center", json!("9999"), "invalid_cost_center", "Invalid cost center code: 9999"),
        ("account", json!("1234"), "invalid_account", "Account 1234"),
        ("currency", json!("USD"), "invalid_currency", "USD"),
        ("amount", json!("0.00"), "amount_not_positive", "above zero"),
        ("amount", json!("-5"), "amount_not_positive", "above zero"),
        ("amount", json!("50000.01"), "amount_above_limit", "the limit of 50000.00"),
        ("amount", json!("12,50"), "invalid_amount", "12,50"),
        ("amount", json!("1.005"), "invalid_amount", "1.005"),
        ("amount", json!("1e3"), "invalid_amount", "1e3"),
        ("amount", json!(1250), "not_a_text", "must be a text"),
        ("period", json!("2020-01"), "period_closed", "Period 2020-01 is closed for posting"),
        ("period", json!("9999-01"), "period_not_open", "not open yet"),
        ("period", json!("2026-13"), "invalid_period", &this_month.to_string()),
        ("text", json!(" "), "required", "text is empty"),
        ("text", json!(long), "too_long", "200 characters"),
        ("member", Value::Null, "required", "member is missing"),
    ] {
        let (status, body) = send(&office, post("/api/vouchers", &with(voucher(), field, value.clone()))).await;
        assert_eq!(status, 422, "{field} {value}");
        assert_eq!(body["errors"].as_array().unwrap().len(), 1, "{body}");
        assert_eq!(body["errors"][0]["pointer"], format!("#/{field}"));
        assert_eq!(body["errors"][0]["code"], code);
        assert!(body["errors"][0]["detail"].as_str().unwrap().contains(words), "{body}");
    }
    assert_eq!(log_of(&office).await.len(), 0);
}

#[actix_web::test]
async fn all_complaints_come_at_once() {
    let (status, body) = send(&office(None), post("/api/vouchers", &json!({}))).await;
    assert_eq!(status, 422);
    assert_eq!(body["errors"].as_array().unwrap().len(), 8, "{body}");
    let (status, body) = send(&office(None), post("/api/vouchers", &json!([]))).await;
    assert_eq!((status, &body["errors"][0]["code"]), (422, &json!("not_an_object")));
}

#[actix_web::test]
async fn the_month_before_is_open_and_the_one_before_that_is_closed() {
    let present: rules::Period = "2026-01".parse().unwrap();
    let complaints = |period: &str| rules::voucher(&with(voucher(), "period", json!(period)), present);
    assert_eq!(complaints("2025-12"), []);
    assert_eq!(complaints("2025-11")[0].code, "period_closed");
    assert_eq!(
        complaints("2025-11")[0].detail,
        "Period 2025-11 is closed for posting; the oldest open period is 2025-12"
    );
}

#[actix_web::test]
async fn writing_needs_the_token_and_json() {
    let office = office(None);
    let path = "/api/vouchers";
    let (status, _) = send(&office, TestRequest::post().uri(path).set_json(voucher())).await;
    assert_eq!(status, 401);
    let wrong = TestRequest::post().uri(path).insert_header((header::AUTHORIZATION, "Bearer other"));
    assert_eq!(send(&office, wrong.set_json(voucher())).await.0, 401);
    let text =
        TestRequest::post().uri(path).insert_header((header::AUTHORIZATION, "Bearer token")).set_payload("hello");
    assert_eq!(send(&office, text).await.0, 415);
    let broken = TestRequest::post()
        .uri(path)
        .insert_header((header::AUTHORIZATION, "Bearer token"))
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .set_payload("{");
    assert_eq!(send(&office, broken).await.0, 400);
    assert_eq!(send(&office, TestRequest::get().uri("/api/status")).await.0, 401);
    assert_eq!(send(&office, TestRequest::get().uri("/nowhere")).await.0, 404);
    assert_eq!(log_of(&office).await.len(), 0);
}

#[actix_web::test]
async fn a_batch_is_answered_item_by_item_in_order() {
    let office = office(None);
    let member = |number: &str, branch: &str| json!({ "member_number": number, "name": "Prøve", "branch": branch, "joined": "2024-05-01", "status": "active" });
    let batch = json!({ "items": [member("1", "Oslo"), member("2", "Nordpolen"), member("3", "Bergen")] });
    let request = || post("/api/members/batch", &batch).insert_header(("Idempotency-Key", "b1"));
    let (status, body) = send(&office, request()).await;
    assert_eq!(status, 207);
    let items = body["items"].as_array().unwrap();
    assert_eq!(items.iter().map(|item| item["status"].as_u64().unwrap()).collect::<Vec<_>>(), [201, 422, 201]);
    assert_eq!(items[1]["errors"][0]["pointer"], "#/branch");
    let (_, again) = send(&office, request()).await;
    assert_eq!(again["items"][0], json!({ "index": 0, "status": 200, "id": "M-1001" }));
    assert_eq!(log_of(&office).await.len(), 2);

    let (status, _) = send(&office, post("/api/members/batch", &json!({ "items": vec![Value::Null; 201] }))).await;
    assert_eq!(status, 413);
    let (status, _) = send(&office, post("/api/members/batch", &json!([]))).await;
    assert_eq!(status, 422);
}

#[actix_web::test]
async fn enrolments_are_checked_too() {
    let office = office(None);
    let right = json!({ "course_code": "PEER-101", "participant": "Prøve", "start_date": "2026-12-01" });
    assert_eq!(send(&office, post("/api/participants", &right)).await.1, json!({ "id": "E-1001" }));
    let wrong = json!({ "course_code": "X", "participant": "Prøve", "start_date": "2026-02-30" });
    let (status, body) = send(&office, post("/api/participants", &wrong)).await;
    assert_eq!((status, body["errors"].as_array().unwrap().len()), (422, 2), "{body}");
}

#[actix_web::test]
async fn the_log_outlives_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log.jsonl");
    let with_key = || post("/api/vouchers", &voucher()).insert_header(("Idempotency-Key", "k1"));
    let (_, first) = send(&office(Some(&log)), with_key()).await;
    let reopened = office(Some(&log));
    assert_eq!(send(&reopened, with_key()).await, (200, first));
    assert_eq!(send(&reopened, post("/api/vouchers", &voucher())).await.1["id"], "V-1002");
    assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 2);

    std::fs::write(&log, "{\"half").unwrap();
    assert!(Office::open(Some(&log), "token").is_err());
}

#[actix_web::test]
async fn the_page_shows_what_was_booked_escaped() {
    let office = office(None);
    send(&office, post("/api/vouchers", &with(voucher(), "text", json!("<script>x</script>")))).await;
    let shown = office.clone();
    let app = init_service(App::new().configure(move |config| routes(config, &shown))).await;
    let request = TestRequest::get().uri("/").insert_header((header::ACCEPT_LANGUAGE, "nb"));
    let body = actix_web::test::call_and_read_body(&app, request.to_request()).await;
    let html = std::str::from_utf8(&body).unwrap();
    assert!(html.contains("lang=\"nb\"") && html.contains("Dette er bokført") && html.contains("V-1001"), "{html}");
    assert!(!html.contains("<script>"));
}
