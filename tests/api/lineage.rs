//! `/lineage`: runs reported by `OpenLineage` run events, as its clients send them.

use serde_json::{Value, json};
use tests::client::{Answer, items};
use tests::organization::{connect_external, external_integration, merge};
use tests::server::TestServer;
use uuid::Uuid;

use crate::scene::{Scene, assert_has, assert_members};

const PRODUCER: &str = "https://github.com/OpenLineage/OpenLineage/tree/1.54.0/client/python";

/// An integration whose syncs are the runs of one job.
async fn scene() -> Scene {
    Scene::with(json!({ "lineage_job": { "namespace": "airflow", "name": "payroll.push_claims" } })).await
}

/// An event of a run, so many seconds from now, with all that a client sends along.
fn event(scene: &Scene, kind: &str, run: Uuid, seconds: i64) -> Value {
    // Microseconds and an offset, as Python writes moments.
    let at = (scene.now() + chrono::Duration::seconds(seconds)).format("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string();
    json!({
        "eventTime": at,
        "producer": PRODUCER,
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/definitions/RunEvent",
        "eventType": kind,
        "run": {
            "runId": run,
            "facets": {
                "nominalTime": {
                    "_producer": PRODUCER,
                    "_schemaURL": "https://openlineage.io/spec/facets/1-0-1/NominalTimeRunFacet.json",
                    "nominalStartTime": at,
                },
                "parent": { "run": { "runId": Uuid::now_v7() }, "job": { "namespace": "airflow", "name": "payroll" } },
            },
        },
        "job": {
            "namespace": "airflow",
            "name": "payroll.push_claims",
            "facets": { "jobType": { "processingType": "BATCH", "integration": "AIRFLOW", "jobType": "TASK" } },
        },
        "inputs": [{ "namespace": "postgres://app:5432", "name": "app.public.claims", "facets": {} }],
        "outputs": [],
    })
}

/// An output with so many rows.
fn output(rows: &Value) -> Value {
    json!({
        "namespace": "https://xledger.example", "name": "vouchers", "facets": {},
        "outputFacets": { "outputStatistics": {
            "_producer": PRODUCER,
            "_schemaURL": "https://openlineage.io/spec/facets/1-0-2/OutputStatisticsOutputDatasetFacet.json",
            "rowCount": rows, "size": 4096,
        } },
    })
}

async fn send(scene: &Scene, event: &Value) -> Answer {
    scene.machine.post("/lineage").json(event).send().await
}

async fn only_sync(scene: &Scene) -> Value {
    let list = scene.admin.get("/sync-logs").send().await.expect(200);
    assert_eq!(items(&list).len(), 1, "{list}");
    items(&list)[0].clone()
}

#[tokio::test]
async fn a_run_that_starts_and_completes_is_a_sync() {
    let scene = scene().await;
    let run = Uuid::now_v7();
    let answer = send(&scene, &event(&scene, "START", run, -60)).await;
    let location = answer.header("location").to_owned();
    let receipt = answer.expect(201);
    assert_members(&receipt, &["sync_id", "status", "changed"]);
    assert_eq!((&receipt["status"], &receipt["changed"]), (&json!("in_progress"), &json!(true)));
    assert_eq!(location, format!("/api/v1/sync-logs/{}", receipt["sync_id"].as_str().unwrap()));

    let going_on = send(&scene, &event(&scene, "RUNNING", run, -30)).await.expect(200);
    assert_eq!(going_on, receipt, "the lease was extended");
    let mut complete = event(&scene, "COMPLETE", run, -10);
    complete["outputs"] =
        json!([output(&json!(28)), output(&json!(12)), { "namespace": "n", "name": "without facets" }]);
    let ended = send(&scene, &complete).await.expect(200);
    let expected = json!({ "sync_id": receipt["sync_id"], "status": "success", "changed": true });
    assert_eq!(ended, expected);

    let sync = only_sync(&scene).await;
    assert_has(
        &sync,
        &json!({
            "id": receipt["sync_id"], "integration_config_id": scene.integration, "connector_type": "xledger",
            "sync_type": "accounting_push", "status": "success", "triggered_by": "automatic",
            "records_total": 40, "records_processed": 40, "records_failed": null,
            "client_run_id": format!("openlineage:{run}"), "warnings": [], "error_code": null,
        }),
    );
    assert!((50_000..60_000).contains(&sync["duration_ms"].as_i64().unwrap()), "from event to event: {sync}");
    let path = format!("/sync-logs/{}", receipt["sync_id"].as_str().unwrap());
    let debug = scene.machine.get(&path).send().await.expect(200);
    let kept = json!({ "namespace": "airflow", "name": "payroll.push_claims", "producer": PRODUCER });
    assert_eq!(debug["metadata"]["openlineage"], kept);
    assert_eq!(scene.integration().await["health"]["light"], "green");
}

#[tokio::test]
async fn a_failed_and_an_aborted_run_say_why() {
    let scene = scene().await;
    let run = Uuid::now_v7();
    send(&scene, &event(&scene, "START", run, -60)).await.expect(201);
    let mut fail = event(&scene, "FAIL", run, -10);
    fail["run"]["facets"]["errorMessage"] = json!({
        "_producer": PRODUCER, "_schemaURL": "https://openlineage.io/spec/facets/1-0-1/ErrorMessageRunFacet.json",
        "message": "Xledger refused the login of kari@example.org", "programmingLanguage": "python",
        "stackTrace": "Traceback (most recent call last): password=hunter2",
    });
    assert_eq!(send(&scene, &fail).await.expect(200)["status"], "failed");
    let sync = only_sync(&scene).await;
    assert_eq!(sync["error_code"], "OPENLINEAGE_FAIL");
    let message = sync["error_message"].as_str().unwrap();
    assert!(message.starts_with("Xledger refused the login"), "{message}");
    assert!(!sync.to_string().contains("kari@") && !sync.to_string().contains("hunter2"), "{sync}");

    // Without a start, and without a reason.
    let receipt = send(&scene, &event(&scene, "ABORT", Uuid::now_v7(), -5)).await.expect(201);
    let aborted = scene.sync(receipt["sync_id"].as_str().unwrap().parse().unwrap()).await;
    let expected =
        json!({ "status": "failed", "error_code": "OPENLINEAGE_ABORT", "error_message": "the run was aborted" });
    assert_has(&aborted, &expected);
    assert_eq!(scene.integration().await["consecutive_failures"], 2);
}

#[tokio::test]
async fn events_that_come_twice_late_or_out_of_order_are_harmless() {
    let scene = scene().await;
    let run = Uuid::now_v7();
    let (start, running) = (event(&scene, "START", run, -60), event(&scene, "RUNNING", run, -30));
    let (complete, other) = (event(&scene, "COMPLETE", run, -10), event(&scene, "OTHER", run, -5));
    // Further facts of a run that nobody has heard of make no sync.
    let nothing = json!({ "sync_id": null, "status": null, "changed": false });
    assert_eq!(send(&scene, &other).await.expect(200), nothing);

    let recorded = send(&scene, &complete).await.expect(201);
    assert_eq!(recorded["status"], "success");
    let settled = json!({ "sync_id": recorded["sync_id"], "status": "success", "changed": false });
    let before = only_sync(&scene).await;
    for late in [&start, &running, &other, &complete, &start] {
        assert_eq!(send(&scene, late).await.expect(200), settled, "{}", late["eventType"]);
    }
    // Another verdict is told, and changes nothing.
    send(&scene, &event(&scene, "FAIL", run, -3)).await.problem(409, "invalid_transition");
    assert_eq!(only_sync(&scene).await, before);

    // Twice at the beginning: one sync.
    let run = Uuid::now_v7();
    let first = send(&scene, &event(&scene, "START", run, -60)).await.expect(201);
    let again = send(&scene, &event(&scene, "START", run, -60)).await.expect(200);
    assert_eq!((&again["sync_id"], &again["changed"]), (&first["sync_id"], &json!(false)));
}

#[tokio::test]
async fn all_events_of_a_run_at_once_make_one_sync() {
    let scene = scene().await;
    let run = Uuid::now_v7();
    let events: Vec<Value> = ["START", "RUNNING", "COMPLETE", "OTHER", "COMPLETE", "START", "RUNNING", "COMPLETE"]
        .iter()
        .map(|kind| event(&scene, kind, run, if *kind == "COMPLETE" { -10 } else { -60 }))
        .collect();
    let answers = futures::future::join_all(events.iter().map(|event| send(&scene, event))).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 201)), "{answers:?}");
    assert_eq!((made, &only_sync(&scene).await["status"]), (1, &json!("success")));
}

#[tokio::test]
async fn a_run_that_goes_silent_is_abandoned_and_may_still_report_late() {
    let lineage_job = json!({ "namespace": "airflow", "name": "payroll.push_claims", "lease_seconds": 300 });
    let scene = Scene::on(TestServer::without_worker().await, json!({ "lineage_job": lineage_job })).await;
    let run = Uuid::now_v7();
    let earliest = scene.now().timestamp();
    let started = send(&scene, &event(&scene, "START", run, 0)).await.expect(201);
    let latest = scene.now().timestamp() + 1;
    let superuser = scene.server.superuser().await;
    let left = async || -> i64 {
        sqlx::query_scalar("SELECT extract(epoch FROM lease_expires_at)::bigint FROM active_syncs")
            .fetch_one(&superuser)
            .await
            .unwrap()
    };
    let before = left().await;
    assert!((earliest + 300..=latest + 300).contains(&before), "{before}");
    scene.server.clock.advance(chrono::Duration::seconds(200));
    send(&scene, &event(&scene, "OTHER", run, 0)).await.expect(200);
    assert!(left().await >= before + 199, "any event is a sign of life");
    drop(superuser);

    // The same with a worker, which closes what went silent.
    let scene = Scene::with(json!({ "lineage_job": lineage_job })).await;
    let started_again = send(&scene, &event(&scene, "START", run, 0)).await.expect(201);
    assert_ne!(started["sync_id"], started_again["sync_id"], "another organization's run");
    scene.server.clock.advance(chrono::Duration::seconds(301));
    tests::story::until("the attempt is closed", async || {
        Ok((only_sync(&scene).await["error_code"] == "ATTEMPT_ABANDONED").then_some(()))
    })
    .await
    .unwrap();
    let late = send(&scene, &event(&scene, "COMPLETE", run, 0)).await.expect(200);
    assert_eq!((&late["status"], &late["changed"]), (&json!("success"), &json!(true)));
}

#[tokio::test]
async fn a_retry_leaves_the_run_behind() {
    let scene = scene().await;
    let run = Uuid::now_v7();
    let receipt = send(&scene, &event(&scene, "FAIL", run, -10)).await.expect(201);
    let sync: Uuid = receipt["sync_id"].as_str().unwrap().parse().unwrap();
    scene.retry(sync).await.expect(202);
    for round in 0..2 {
        let late = send(&scene, &event(&scene, "COMPLETE", run, -5)).await.expect(200);
        assert_eq!(late["changed"], false, "round {round}");
        if round == 0 {
            scene.claim(sync).await.expect(201);
        }
    }
    assert_eq!(scene.sync(sync).await["status"], "in_progress");
    scene.succeed(sync, 1).await.expect(200);
    assert_eq!(scene.sync(sync).await["status"], "retried_success");
}

#[tokio::test]
async fn rows_that_no_count_can_hold_are_remarked_on() {
    let scene = scene().await;
    for (rows, processed, warned) in
        [(json!(3_000_000_000_i64), json!(null), true), (json!(-1), json!(null), true), (json!(0), json!(0), false)]
    {
        let mut complete = event(&scene, "COMPLETE", Uuid::now_v7(), -10);
        complete["outputs"] = json!([output(&rows)]);
        let receipt = send(&scene, &complete).await.expect(201);
        let sync = scene.sync(receipt["sync_id"].as_str().unwrap().parse().unwrap()).await;
        assert_eq!((&sync["records_processed"], &sync["status"]), (&processed, &json!("success")), "{rows}");
        let codes: Vec<&str> =
            sync["warnings"].as_array().unwrap().iter().filter_map(|warning| warning["code"].as_str()).collect();
        assert_eq!(codes, if warned { vec!["ROW_COUNT_OUT_OF_RANGE"] } else { vec![] });
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_event_is_told_at_its_place() {
    let scene = scene().await;
    let run = Uuid::now_v7();
    let good = event(&scene, "START", run, -60);
    let with = |more: Value| {
        let mut event = good.clone();
        merge(&mut event, more);
        event
    };
    send(&scene, &with(json!({ "job": { "namespace": "airflow", "name": "payroll" } })))
        .await
        .problem(422, "unknown_lineage_job");
    for member in ["eventTime", "run", "job"] {
        let mut less = good.clone();
        less.as_object_mut().unwrap().remove(member);
        send(&scene, &less).await.violations(&[("required", &format!("/{member}"))]);
    }
    let cases = [
        (json!({ "eventType": "BEGIN" }), "unknown_value", "/eventType"),
        (json!({ "eventTime": "yesterday" }), "invalid_format", "/eventTime"),
        (json!({ "run": { "runId": "42" } }), "invalid_format", "/run/runId"),
        (json!({ "job": { "namespace": "airflow" } }), "required", "/job/name"),
        (json!({ "eventTime": scene.at(3600) }), "started_at_not_in_future", "/eventTime"),
        (json!({ "eventTime": "2001-01-01T00:00:00Z" }), "started_at_out_of_range", "/eventTime"),
    ];
    for (more, rule, place) in cases {
        send(&scene, &with(more)).await.violations(&[(rule, place)]);
    }
    // An end before the beginning.
    send(&scene, &good).await.expect(201);
    let early = event(&scene, "COMPLETE", run, -120);
    send(&scene, &early).await.violations(&[("completed_at_must_follow_started_at", "/eventTime")]);
    assert_eq!(only_sync(&scene).await["status"], "in_progress");
    // An event without a type says nothing of the run's state.
    let mut facts = event(&scene, "OTHER", run, -30);
    facts.as_object_mut().unwrap().remove("eventType");
    assert_eq!(send(&scene, &facts).await.expect(200)["changed"], true, "a sign of life");
}

#[tokio::test]
async fn only_who_may_report_syncs_may_send_events() {
    let scene = scene().await;
    let start = event(&scene, "START", Uuid::now_v7(), -60);
    let reader = scene.organization.machine_with(&["syncs:read"]).await;
    reader.post("/lineage").json(&start).send().await.problem(403, "forbidden");
    scene.server.anonymous().post("/lineage").json(&start).send().await.problem(401, "unauthenticated");
    let reporter = scene.organization.machine_with(&["syncs:write"]).await;
    reporter.post("/lineage").json(&start).send().await.expect(201);
}

#[tokio::test]
async fn a_job_belongs_to_one_integration() {
    let scene = scene().await;
    let job = json!({ "namespace": "airflow", "name": "payroll.push_claims" });
    let shown = scene.integration().await;
    let mut expected = job.clone();
    expected["lease_seconds"] = json!(86_400);
    assert_eq!(shown["lineage_job"], expected);

    let post = async |body: Value| scene.admin.post("/integrations").json(&external_integration(body)).send().await;
    post(json!({ "lineage_job": job })).await.problem(409, "conflict");
    post(json!({ "lineage_job": { "namespace": "", "name": "x", "lease_seconds": 0 } }))
        .await
        .violations(&[("required", "/lineage_job/namespace"), ("out_of_range", "/lineage_job/lease_seconds")]);
    let too_long = json!({ "lineage_job": { "namespace": "ø".repeat(201), "name": "x".repeat(401) } });
    let places = [("too_long", "/lineage_job/namespace"), ("too_long", "/lineage_job/name")];
    post(too_long).await.violations(&places);
    // The longest ones, of characters that take the most bytes and cannot be compressed, fit the primary key.
    let varied =
        |count: u32| -> String { (0..count).filter_map(|n| char::from_u32(0x2_0000 + (n * 7_919) % 40_000)).collect() };
    let longest = json!({ "lineage_job": { "namespace": varied(200), "name": varied(400) } });
    post(longest).await.expect(201);
    let managed = json!({
        "runner": "managed", "connector_type": "generic_http", "settings": { "url": "https://books.example" },
        "lineage_job": { "namespace": "a", "name": "b" },
    });
    post(managed).await.violations(&[("invalid_format", "/lineage_job")]);

    let other = connect_external(&scene.admin, json!({})).await;
    let patch = async |id: Uuid, version: &str, job: Value| {
        let change = scene.admin.patch(&format!("/integrations/{id}")).header("If-Match", version);
        change.json(&json!({ "lineage_job": job })).send().await
    };
    patch(other, "\"1\"", job.clone()).await.problem(409, "conflict");
    // Taken back here, it is free there.
    let cleared = patch(scene.integration, "\"1\"", json!(null)).await.expect(200);
    assert_eq!(cleared["lineage_job"], json!(null));
    send(&scene, &event(&scene, "START", Uuid::now_v7(), -60)).await.problem(422, "unknown_lineage_job");
    assert_eq!(patch(other, "\"1\"", job).await.expect(200)["lineage_job"], expected);
    send(&scene, &event(&scene, "START", Uuid::now_v7(), -60)).await.expect(201);
    assert_eq!(only_sync(&scene).await["integration_config_id"], other.to_string());
    // What is not mentioned stays.
    let unrelated = scene.admin.patch(&format!("/integrations/{other}")).header("If-Match", "\"2\"");
    let unrelated = unrelated.json(&json!({ "freshness_hours": 72 })).send().await.expect(200);
    assert_eq!(unrelated["lineage_job"], expected);
}
