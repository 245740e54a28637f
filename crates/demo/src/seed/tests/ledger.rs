//! The part of Syncwatch's documented API that seeding uses, kept in memory, with syncs that really send.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Json, Path, Query};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt};
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Default)]
struct Kept {
    integrations: Vec<Value>,
    /// Payload and state by integration and record.
    records: BTreeMap<(String, String), (Value, &'static str)>,
    syncs: Vec<Value>,
    writes: usize,
}

type Shared = Data<Mutex<Kept>>;

pub(super) struct Ledger {
    pub(super) url: String,
    kept: Shared,
}

impl Ledger {
    pub(super) fn start() -> Self {
        let kept: Shared = Data::new(Mutex::default());
        let shared = kept.clone();
        let server = HttpServer::new(move || {
            App::new().app_data(shared.clone()).service(
                web::scope("/api/v1")
                    .route("/auth/login", web::post().to(login))
                    .route("/oauth/token", web::post().to(issue_token))
                    .route("/integrations", web::get().to(list))
                    .route("/integrations", web::post().to(create))
                    .route("/integrations/{id}", web::get().to(get))
                    .route("/integrations/{id}", web::patch().to(update))
                    .route("/integrations/{id}/records/{type}/{record}", web::put().to(stage))
                    .route("/integrations/{id}/syncs", web::post().to(trigger))
                    .route("/sync-logs", web::get().to(syncs))
                    .route("/sync-logs/import", web::post().to(import))
                    .route("/sync-logs/{id}", web::get().to(sync)),
            )
        })
        .workers(1)
        .bind(("127.0.0.1", 0))
        .unwrap();
        let url = format!("http://{}", server.addrs()[0]);
        rt::spawn(server.run());
        Self { url, kept: Arc::clone(&kept).into() }
    }

    /// Calls that changed something.
    pub(super) fn writes(&self) -> usize {
        self.kept.lock().unwrap().writes
    }

    pub(super) fn integration(&self, name: &str) -> Value {
        let kept = self.kept.lock().unwrap();
        kept.integrations.iter().find(|item| item["name"] == name).unwrap().clone()
    }
}

async fn login(body: Json<Value>) -> HttpResponse {
    if body["password"] == "password" {
        HttpResponse::Ok().json(json!({ "access_token": "t", "token_type": "Bearer", "expires_in": 600 }))
    } else {
        HttpResponse::Unauthorized().json(json!({ "code": "invalid_credentials", "detail": "no" }))
    }
}

async fn issue_token(form: web::Form<BTreeMap<String, String>>) -> HttpResponse {
    assert_eq!((form["client_id"].as_str(), form["client_secret"].as_str()), ("demo-key", "demo-secret"));
    HttpResponse::Ok().json(json!({ "access_token": "machine", "token_type": "Bearer", "expires_in": 600 }))
}

async fn list(kept: Shared) -> HttpResponse {
    let kept = kept.lock().unwrap();
    let items: Vec<_> = kept
        .integrations
        .iter()
        .map(|integration| {
            let last = kept.syncs.iter().rfind(|sync| sync["integration_config_id"] == integration["id"]);
            let light = match last.map(|sync| (sync["status"] == "failed", sync["records_failed"] == 0)) {
                None => "grey",
                Some((true, _)) => "red",
                Some((false, true)) => "green",
                Some((false, false)) => "yellow",
            };
            json!({ "id": integration["id"], "name": integration["name"], "health": { "light": light } })
        })
        .collect();
    HttpResponse::Ok().json(json!({ "items": items, "next_cursor": null, "prev_cursor": null }))
}

async fn create(kept: Shared, body: Json<Value>) -> HttpResponse {
    if !body["settings"]["url"].as_str().unwrap().starts_with("http") {
        let error = json!({ "code": "invalid_format", "pointer": "/settings/url", "detail": "an address" });
        return HttpResponse::UnprocessableEntity()
            .json(json!({ "code": "validation_failed", "detail": "1 rule is broken", "errors": [error] }));
    }
    let mut kept = kept.lock().unwrap();
    kept.writes += 1;
    let mut created = body.into_inner();
    created["id"] = json!(Uuid::from_u128(kept.integrations.len() as u128 + 1));
    kept.integrations.push(created.clone());
    HttpResponse::Created().json(created)
}

fn find<'a>(kept: &'a mut Kept, id: &str) -> &'a mut Value {
    kept.integrations.iter_mut().find(|item| item["id"] == id).unwrap()
}

async fn get(kept: Shared, id: Path<String>) -> HttpResponse {
    let found = find(&mut kept.lock().unwrap(), &id).clone();
    HttpResponse::Ok().insert_header(("ETag", "\"1\"")).json(found)
}

async fn update(kept: Shared, id: Path<String>, request: HttpRequest, body: Json<Value>) -> HttpResponse {
    assert_eq!(request.headers().get("If-Match").unwrap(), "\"1\"");
    let mut kept = kept.lock().unwrap();
    kept.writes += 1;
    let found = find(&mut kept, &id);
    for (name, value) in body.as_object().unwrap() {
        found[name] = value.clone();
    }
    HttpResponse::Ok().json(found)
}

async fn stage(
    kept: Shared,
    path: Path<(String, String, String)>,
    request: HttpRequest,
    body: Json<Value>,
) -> HttpResponse {
    assert_eq!(request.headers().get("Authorization").unwrap(), "Bearer machine");
    let mut kept = kept.lock().unwrap();
    kept.writes += 1;
    let (integration, _, record) = path.into_inner();
    let payload = body["payload"].clone();
    let slot = kept.records.entry((integration, record)).or_insert((Value::Null, "staged"));
    if slot.0 != payload {
        assert_ne!(slot.1, "delivered", "a delivered record is never changed");
        *slot = (payload, "staged");
    }
    HttpResponse::Ok().json(json!({ "state": slot.1, "payload_hash": "0" }))
}

async fn trigger(kept: Shared, id: Path<String>) -> HttpResponse {
    let (integration, due) = {
        let mut kept = kept.lock().unwrap();
        kept.writes += 1;
        let due: Vec<_> = kept
            .records
            .iter()
            .filter(|((integration, _), (_, state))| *integration == *id && *state == "staged")
            .map(|(key, (payload, _))| (key.clone(), payload.clone()))
            .collect();
        (find(&mut kept, &id).clone(), due)
    };
    let settings = &integration["settings"];
    let batch = usize::try_from(settings["batch_size"].as_u64().unwrap()).unwrap();
    let mut delivered = 0;
    for chunk in due.chunks(batch) {
        let payloads: Vec<_> = chunk.iter().map(|(_, payload)| payload).collect();
        let body = match settings["batch_member"].as_str() {
            Some(member) => json!({ member: payloads }),
            None => payloads[0].clone(),
        };
        #[expect(clippy::disallowed_methods, reason = "the demonstration's own addresses")]
        let request = reqwest::Client::new()
            .post(settings["url"].as_str().unwrap())
            .bearer_auth(integration["credentials"]["token"].as_str().unwrap())
            .header("Idempotency-Key", chunk[0].0.1.as_str())
            .json(&body);
        let answer = request.send().await.unwrap();
        let status = u64::from(answer.status().as_u16());
        let answer: Value = answer.json().await.unwrap();
        let results = settings["results_pointer"].as_str().map(|pointer| answer.pointer(pointer).unwrap());
        for (index, (key, _)) in chunk.iter().enumerate() {
            let status = results.map_or(status, |results| results[index]["status"].as_u64().unwrap());
            assert!(matches!(status, 201 | 422), "{status}: {answer}");
            delivered += u128::from(status == 201);
            kept.lock().unwrap().records.get_mut(key).unwrap().1 = if status == 201 { "delivered" } else { "failed" };
        }
    }
    let mut kept = kept.lock().unwrap();
    let failed = due.len() - usize::try_from(delivered).unwrap();
    let fails = failed > 0 && integration["partial_failure"] == "error";
    let sync = json!({
        "id": Uuid::from_u128(1_000 + kept.syncs.len() as u128), "integration_config_id": integration["id"],
        "triggered_by": "manual", "status": if fails { "failed" } else { "success" }, "records_total": due.len(),
        "records_processed": due.len() - failed, "records_failed": failed, "started_at": "2099-01-01T00:00:00Z",
    });
    kept.syncs.push(sync.clone());
    HttpResponse::Accepted().json(sync)
}

async fn syncs(kept: Shared, query: Query<BTreeMap<String, String>>) -> HttpResponse {
    let kept = kept.lock().unwrap();
    let fits = |sync: &&Value| {
        sync["integration_config_id"] == query["integration_config_id"].as_str()
            && query.get("triggered_by").is_none_or(|by| sync["triggered_by"] == by.as_str())
            && query.get("to").is_none_or(|to| sync["started_at"].as_str().unwrap() < to.as_str())
    };
    let items: Vec<_> = kept.syncs.iter().filter(fits).collect();
    HttpResponse::Ok().json(json!({ "items": items, "next_cursor": null, "prev_cursor": null }))
}

async fn sync(kept: Shared, id: Path<String>) -> HttpResponse {
    let kept = kept.lock().unwrap();
    HttpResponse::Ok().json(kept.syncs.iter().find(|sync| sync["id"] == id.as_str()).unwrap())
}

async fn import(kept: Shared, request: HttpRequest, body: Json<Value>) -> HttpResponse {
    assert!(request.headers().contains_key("Idempotency-Key"));
    let mut kept = kept.lock().unwrap();
    kept.writes += 1;
    let items = body["items"].as_array().unwrap();
    assert!(items.len() <= 1_000);
    let results: Vec<_> = (0..items.len()).map(|index| json!({ "index": index, "status": 201 })).collect();
    // Older than anything that runs here.
    kept.syncs.splice(0..0, items.iter().cloned());
    HttpResponse::build(StatusCode::MULTI_STATUS).json(json!({ "items": results }))
}
