//! Every operation with another organization's ids answers as it does for unknown ones, byte for byte.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tests::client::{Answer, Client};
use tests::organization::merge;
use uuid::Uuid;

use crate::scene::{CLAIM, Scene, Theirs};

/// How an operation can be tried with a foreign id.
enum Try {
    /// An id in the path, the query or the body: what is sent, by a function of the ids; and the expected status.
    WithId(fn(&Ids) -> (String, Option<Value>), u16),
    /// It takes no id of a tenant's thing; it must not show anything of theirs.
    Own(fn(&Ids) -> (String, Option<Value>)),
    /// Signing in and out, which precedes every organization; tested by itself.
    BeforeAnyOrganization,
    /// A stream; tested by itself.
    Stream,
}

/// Ids of things: theirs, or of nothing at all.
struct Ids {
    integration: Uuid,
    failed: Uuid,
    running: Uuid,
    queued: Uuid,
    record: Uuid,
    staged: Uuid,
    incident: Uuid,
    notification: Uuid,
    /// The caller's own integration.
    own: Uuid,
}

impl Ids {
    fn of(theirs: &Theirs, own: Uuid) -> Self {
        Self {
            integration: theirs.integration,
            failed: theirs.failed,
            running: theirs.running,
            queued: theirs.queued,
            record: theirs.record,
            staged: theirs.staged,
            incident: theirs.incident,
            notification: theirs.notification,
            own,
        }
    }

    fn unknown(own: Uuid) -> Self {
        let id = Uuid::now_v7;
        Self {
            integration: id(),
            failed: id(),
            running: id(),
            queued: id(),
            record: id(),
            staged: id(),
            incident: id(),
            notification: id(),
            own,
        }
    }
}

fn start(ids: &Ids, more: Value) -> Value {
    let mut body = json!({
        "integration_config_id": ids.integration, "connector_type": "xledger", "sync_type": "accounting_push",
        "triggered_by": "automatic",
    });
    merge(&mut body, more);
    body
}

fn finished(ids: &Ids) -> Value {
    start(
        ids,
        json!({
            "started_at": "2026-11-01T05:00:00Z", "completed_at": "2026-11-01T05:00:05Z", "status": "success",
        }),
    )
}

/// Every operation of the API; the served description is compared with it.
#[expect(clippy::too_many_lines, reason = "one table")]
fn table() -> Vec<(&'static str, Try)> {
    use Try::{BeforeAnyOrganization, Own, Stream, WithId};
    vec![
        ("login", BeforeAnyOrganization),
        ("refresh", BeforeAnyOrganization),
        ("logout", BeforeAnyOrganization),
        ("issueToken", BeforeAnyOrganization),
        ("streamEvents", Stream),
        ("getMe", Own(|_| ("/me".to_owned(), None))),
        ("updateMe", Own(|_| ("/me".to_owned(), Some(json!({ "language": "nb" }))))),
        ("listIntegrations", Own(|_| ("/integrations".to_owned(), None))),
        (
            "createIntegration",
            Own(|_| {
                let body = json!({
                    "name": Uuid::now_v7(), "connector_type": "xledger", "sync_type": "roster_sync",
                    "runner": "external", "settings": {},
                });
                ("/integrations".to_owned(), Some(body))
            }),
        ),
        ("getIntegration", WithId(|ids| (format!("/integrations/{}", ids.integration), None), 404)),
        (
            "updateIntegration",
            WithId(|ids| (format!("/integrations/{}", ids.integration), Some(json!({ "paused": true }))), 404),
        ),
        (
            "tryMapping",
            Own(|ids| {
                let mapping = json!({ "entity": "claims", "fields": { "id": { "from": "/id", "as": "text" } } });
                let body = json!({ "mapping": mapping, "payload": { "id": ids.own } });
                ("/integrations/mapping-trials".to_owned(), Some(body))
            }),
        ),
        ("testIntegration", WithId(|ids| (format!("/integrations/{}/test", ids.integration), None), 404)),
        ("rotateWebhookSecret", WithId(|ids| (format!("/integrations/{}/webhook-secret", ids.integration), None), 404)),
        ("triggerSync", WithId(|ids| (format!("/integrations/{}/syncs", ids.integration), None), 404)),
        ("getTrends", WithId(|ids| (format!("/integrations/{}/trends", ids.integration), None), 404)),
        (
            "stageRecord",
            WithId(
                |ids| {
                    let path = format!("/integrations/{}/records/{CLAIM}/{}", ids.integration, ids.staged);
                    (path, Some(json!({ "payload": {} })))
                },
                404,
            ),
        ),
        (
            "getStagedRecord",
            WithId(|ids| (format!("/integrations/{}/records/{CLAIM}/{}", ids.integration, ids.staged), None), 404),
        ),
        ("startSync", WithId(|ids| ("/sync-logs".to_owned(), Some(start(ids, json!({})))), 422)),
        ("recordFinishedSync", WithId(|ids| ("/sync-logs/finished".to_owned(), Some(finished(ids))), 422)),
        ("importSyncs", WithId(|ids| ("/sync-logs/import".to_owned(), Some(json!({ "items": [finished(ids)] }))), 200)),
        ("listSyncs", WithId(|ids| (format!("/sync-logs?integration_config_id={}", ids.integration), None), 200)),
        ("getSync", WithId(|ids| (format!("/sync-logs/{}", ids.failed), None), 404)),
        (
            "reportProgress",
            WithId(
                |ids| (format!("/sync-logs/{}", ids.running), Some(json!({ "attempt": 0, "records_done": 1 }))),
                404,
            ),
        ),
        (
            "succeedSync",
            WithId(|ids| (format!("/sync-logs/{}/succeed", ids.running), Some(json!({ "attempt": 0 }))), 404),
        ),
        (
            "failSync",
            WithId(
                |ids| {
                    let body = json!({ "attempt": 0, "error_code": "X", "error_message": "x" });
                    (format!("/sync-logs/{}/fail", ids.running), Some(body))
                },
                404,
            ),
        ),
        ("listAttempts", WithId(|ids| (format!("/sync-logs/{}/attempts", ids.failed), None), 404)),
        ("startAttempt", WithId(|ids| (format!("/sync-logs/{}/attempts", ids.queued), None), 404)),
        ("listRecordOutcomes", WithId(|ids| (format!("/sync-logs/{}/records", ids.failed), None), 404)),
        (
            "appendRecordOutcomes",
            WithId(
                |ids| {
                    let record = json!({
                        "source_record_type": CLAIM, "source_record_id": ids.record, "outcome": "succeeded",
                    });
                    let body = json!({ "attempt": 0, "records": [record] });
                    (format!("/sync-logs/{}/records", ids.running), Some(body))
                },
                404,
            ),
        ),
        (
            "resolveRecord",
            WithId(
                |ids| {
                    let path = format!("/sync-logs/{}/records/{CLAIM}/{}/resolution", ids.failed, ids.record);
                    (path, Some(json!({ "resolution": "handled_manually", "reason": "booked by hand" })))
                },
                404,
            ),
        ),
        ("listErrorGroups", WithId(|ids| (format!("/sync-logs/{}/error-groups", ids.failed), None), 404)),
        ("previewRetry", WithId(|ids| (format!("/sync-logs/{}/retry-preview", ids.failed), None), 404)),
        ("requestRetry", WithId(|ids| (format!("/sync-logs/{}/retries", ids.failed), None), 404)),
        (
            "exportSyncs",
            WithId(|ids| (format!("/sync-logs/export?integration_config_id={}", ids.integration), None), 200),
        ),
        ("exportRecordOutcomes", WithId(|ids| (format!("/sync-logs/{}/records/export", ids.failed), None), 404)),
        ("getRecordJourney", WithId(|ids| (format!("/source-records/{CLAIM}/{}/journey", ids.record), None), 404)),
        (
            "acceptLineageEvent",
            WithId(
                |ids| {
                    let event = json!({
                        "eventType": "COMPLETE", "eventTime": "2026-11-20T05:00:00Z", "run": { "runId": ids.failed },
                        "job": { "namespace": "cron", "name": ids.integration }, "producer": "https://app.example",
                    });
                    ("/lineage".to_owned(), Some(event))
                },
                422,
            ),
        ),
        ("listIncidents", WithId(|ids| (format!("/incidents?integration_config_id={}", ids.integration), None), 200)),
        ("acknowledgeIncident", WithId(|ids| (format!("/incidents/{}/acknowledge", ids.incident), None), 404)),
        ("listNotifications", Own(|_| ("/notifications".to_owned(), None))),
        ("readNotification", WithId(|ids| (format!("/notifications/{}/read", ids.notification), None), 404)),
        ("verifyAudit", Own(|_| ("/audit/verification".to_owned(), None))),
        ("listCheckpoints", Own(|_| ("/audit/checkpoints".to_owned(), None))),
        ("readAllNotifications", Own(|_| ("/notifications/read-all".to_owned(), None))),
    ]
}

/// Operation ids of the served description, with their methods.
async fn served(scene: &Scene) -> Vec<(String, Method)> {
    let document = scene.server.anonymous().request_at(Method::GET, "/api/openapi.json").send().await.expect(200);
    let mut found = Vec::new();
    for methods in document["paths"].as_object().unwrap().values() {
        for (method, operation) in methods.as_object().unwrap() {
            if let Some(id) = operation["operationId"].as_str() {
                found.push((id.to_owned(), Method::from_bytes(method.to_uppercase().as_bytes()).unwrap()));
            }
        }
    }
    found
}

async fn send(client: &Client, method: &Method, (path, body): (String, Option<Value>)) -> Answer {
    let mut request = client.request(method.clone(), &path).once().header("If-Match", "\"1\"");
    if let Some(body) = body {
        request = request.json(&body);
    }
    request.send().await
}

/// An answer's status and bytes, without what differs between any two requests.
fn compared(answer: &Answer) -> (u16, String, String) {
    let request_id = answer.header("x-request-id");
    let text = if request_id.is_empty() { answer.text() } else { answer.text().replace(request_id, "…") };
    (answer.status, answer.header("content-type").to_owned(), text)
}

#[tokio::test]
async fn the_table_has_every_operation() {
    let scene = Scene::new().await;
    let served: BTreeSet<String> = served(&scene).await.into_iter().map(|(id, _)| id).collect();
    let known: BTreeSet<String> = table().into_iter().map(|(id, _)| id.to_owned()).collect();
    let missing: Vec<&String> = served.symmetric_difference(&known).collect();
    assert!(missing.is_empty(), "operations nobody tries with foreign ids, or that are not there: {missing:?}");
}

#[tokio::test]
async fn a_foreign_id_answers_as_an_unknown_one_and_changes_nothing() {
    let scene = Scene::new().await;
    let before = scene.their_rows().await;
    let methods = served(&scene).await;
    let (foreign, unknown) = (Ids::of(&scene.theirs, scene.integration), Ids::unknown(scene.integration));
    let secrets = [
        scene.theirs.organization.id,
        scene.theirs.integration,
        scene.theirs.failed,
        scene.theirs.running,
        scene.theirs.queued,
        scene.theirs.incident,
        scene.theirs.notification,
        scene.theirs.record,
        scene.theirs.staged,
    ];
    for (operation, attempt) in table() {
        let (_, method) = methods.iter().find(|(id, _)| id == operation).expect("the operation is served");
        for client in [&scene.admin, &scene.machine] {
            match &attempt {
                Try::WithId(request, status) => {
                    let theirs = send(client, method, request(&foreign)).await;
                    let nobodys = send(client, method, request(&unknown)).await;
                    assert_eq!(compared(&theirs), compared(&nobodys), "{operation}");
                    let may_be_forbidden = client.token() == scene.machine.token() && theirs.status == 403;
                    assert!(theirs.status == *status || may_be_forbidden, "{operation}: {}", theirs.text());
                    let text = theirs.text();
                    assert!(secrets.iter().all(|id| !text.contains(&id.to_string())), "{operation}: {text}");
                }
                Try::Own(request) => {
                    let answer = send(client, method, request(&foreign)).await;
                    let may_be_forbidden = client.token() == scene.machine.token() && answer.status == 403;
                    assert!(answer.status < 300 || may_be_forbidden, "{operation}: {}", answer.text());
                    let text = answer.text();
                    assert!(secrets.iter().all(|id| !text.contains(&id.to_string())), "{operation}: {text}");
                }
                Try::BeforeAnyOrganization | Try::Stream => {}
            }
        }
    }
    assert_eq!(scene.their_rows().await, before);
}

#[tokio::test]
async fn a_foreign_id_within_ones_own_request_is_unknown_too() {
    let scene = Scene::new().await;
    let before = scene.their_rows().await;
    let (foreign, unknown) = (Ids::of(&scene.theirs, scene.integration), Ids::unknown(scene.integration));
    // Their record under way is not ours: the claim is free here.
    let own = |ids: &Ids| {
        json!({
            "integration_config_id": ids.own, "connector_type": "xledger", "sync_type": "accounting_push",
            "triggered_by": "automatic", "source_record_type": CLAIM, "source_record_id": ids.record,
        })
    };
    for ids in [&foreign, &unknown] {
        scene.machine.post("/sync-logs").json(&own(ids)).send().await.expect(201);
    }
    // Their name for a run is not ours.
    let run = json!({
        "integration_config_id": scene.integration, "connector_type": "xledger", "sync_type": "accounting_push",
        "triggered_by": "automatic", "client_run_id": "nightly",
    });
    scene.machine.post("/sync-logs").json(&run).send().await.expect(201);
    // Several rules at once, one of them about a foreign integration.
    let broken = |ids: &Ids| start(ids, json!({ "records_total": -1, "connector_type": "dynamics365" }));
    let theirs = scene.machine.post("/sync-logs").json(&broken(&foreign)).send().await;
    let nobodys = scene.machine.post("/sync-logs").json(&broken(&unknown)).send().await;
    assert_eq!(compared(&theirs), compared(&nobodys));
    assert_eq!(scene.their_rows().await, before);
}

#[tokio::test]
async fn a_key_and_a_session_lead_into_their_own_organization_alone() {
    let scene = Scene::new().await;
    let (_, secret) = scene.ours.key(&["syncs:read"]).await;
    let key = scene.theirs.key.to_string();
    let form = [("grant_type", "client_credentials"), ("client_id", key.as_str()), ("client_secret", secret.as_str())];
    scene.server.anonymous().post("/oauth/token").form(&form).send().await.problem(401, "invalid_credentials");
    let list = scene.machine.get("/sync-logs?limit=200").send().await.expect(200);
    assert_eq!(list["items"], json!([]));
    let me = scene.admin.get("/me").send().await.expect(200);
    assert_eq!(me["organizations"].as_array().unwrap().len(), 1);
    assert!(!me.to_string().contains("Theirs"));
}
