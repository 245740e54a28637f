//! What lies in the archive is listed, opened and followed by the same operations, and never changes.

use chrono::{Duration, SecondsFormat};
use serde_json::{Value, json};
use store::archives::bounds_of;
use tests::client::{id, items};
use tests::organization::connect_external;
use uuid::{NoContext, Timestamp, Uuid};

use crate::scene::{CLAIM, FOLLOWED, Scene, name};

#[tokio::test]
async fn an_archived_month_reads_as_it_did_before() {
    let scene = Scene::new().await;
    let (old, older) = (scene.month(13), scene.month(15));
    let mut syncs = scene.fill(old, 25).await;
    syncs.extend(scene.fill(older, 4).await);
    for minutes in 1..=5 {
        let at = scene.server.clock.now() - Duration::minutes(minutes);
        syncs.push(scene.insert(scene.organization.id, scene.integration, "accounting_push", at, 9).await);
    }
    let before = scene.everything(&syncs).await;
    assert_eq!(before["list"].as_array().unwrap().len(), 34);
    let trends = async || {
        let mut all = Vec::new();
        for month in [old, older] {
            let (from, to) = bounds_of(month);
            let period = [from, to].map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
            for bucket in ["day", "hour"] {
                let to = if bucket == "hour" {
                    (from + Duration::days(20)).to_rfc3339_opts(SecondsFormat::Secs, true)
                } else {
                    period[1].clone()
                };
                let path =
                    format!("/integrations/{}/trends?from={}&to={to}&bucket={bucket}", scene.integration, period[0]);
                all.push(scene.get(&path).await);
            }
        }
        all
    };
    let trends_before = trends().await;
    let (from, to) = bounds_of(old);
    let range = format!(
        "/sync-logs?from={}&to={}",
        (from + Duration::hours(20)).to_rfc3339_opts(SecondsFormat::Secs, true),
        to.to_rfc3339_opts(SecondsFormat::Secs, true)
    );
    let range_before = scene.walk(&range, 5).await;
    assert_eq!(range_before.len(), 22);

    assert_eq!(scene.archive(&["--dry-run"]).await, "2 months would be archived, 0 wait");
    assert_eq!(scene.states().await, []);
    let word = scene.archive(&[]).await;
    // 29 syncs, two attempts each, three records in each of them; months without a sync are closed too, and hold nothing.
    assert!(word.contains(&format!("{} rows were archived, 0 wait", 29 * (1 + 2 + 6))), "{word}");
    for month in [old, older] {
        assert_eq!(scene.has_partitions(month).await, Vec::<String>::new());
    }
    let organization = scene.organization.id;
    let mut expected: Vec<String> = [older, old]
        .iter()
        .flat_map(|month| {
            ["manifest.json", "sync_attempts.parquet", "sync_logs.parquet", "sync_record_outcomes.parquet"]
                .map(|file| format!("{organization}/{}/{file}", name(*month)))
        })
        .collect();
    expected.sort();
    assert_eq!(scene.files(), expected);

    assert_eq!(scene.everything(&syncs).await, before);
    assert_eq!(trends().await, trends_before);
    let ids = |list: &[Value]| list.iter().map(id).collect::<Vec<Uuid>>();
    assert_eq!(ids(&scene.walk(&range, 5).await), ids(&range_before));
    let list = scene.walk("/sync-logs", 200).await;
    let archived = list.iter().filter(|sync| sync["archived"] == true).count();
    assert_eq!(archived, 29);
    assert!(list.iter().filter(|sync| sync["archived"] == true).all(|sync| sync["retryable"] == false));
    let retryable = scene.walk("/sync-logs?retryable=true", 50).await;
    assert!(retryable.iter().all(|sync| sync.get("archived").is_none()), "{retryable:?}");
    assert_eq!(scene.walk("/sync-logs?retryable=false", 50).await.len() + retryable.len(), 34);
    // Again: there is nothing left to do, and nothing is done twice.
    assert!(scene.archive(&[]).await.starts_with("0 months with 0 rows"));
    assert_eq!(scene.everything(&syncs).await, before);
}

#[tokio::test]
async fn the_manifest_says_what_the_files_hold() {
    let scene = Scene::new().await;
    let month = scene.month(13);
    scene.fill(month, 5).await;
    scene.archive(&[]).await;
    let organization = scene.organization.id;
    let path = scene.directory().join(format!("{organization}/{}/manifest.json", name(month)));
    let manifest: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(
        (&manifest["schema_version"], &manifest["format"], &manifest["compression"], &manifest["retention_class"]),
        (&json!(1), &json!("parquet"), &json!("zstd"), &json!("accounting"))
    );
    for (table, rows) in [("sync_logs", 5), ("sync_attempts", 10), ("sync_record_outcomes", 30)] {
        let entry = manifest["tables"].as_array().unwrap().iter().find(|entry| entry["table"] == table).unwrap();
        assert_eq!(entry["rows"], rows, "{entry}");
        let bytes = std::fs::read(scene.directory().join(entry["file"].as_str().unwrap())).unwrap();
        assert_eq!((bytes.len() as u64, &bytes[..4]), (entry["bytes"].as_u64().unwrap(), &b"PAR1"[..]));
        let stored: (String, i64) =
            sqlx::query_as("SELECT sha256, rows FROM archives WHERE table_name = $1 AND state = 'detached'")
                .bind(table)
                .fetch_one(&scene.superuser)
                .await
                .unwrap();
        assert_eq!((json!(stored.0), stored.1), (entry["sha256"].clone(), rows));
    }
}

#[tokio::test]
async fn nothing_in_the_archive_can_be_changed() {
    let scene = Scene::new().await;
    let month = scene.month(13);
    let syncs = scene.fill(month, 3).await;
    scene.archive(&[]).await;
    let sync = syncs[0];
    let path = format!("/sync-logs/{sync}");
    let machine = &scene.machine;
    let attempt = json!({ "attempt": 0 });
    let failure = json!({ "attempt": 0, "error_code": "X", "error_message": "x" });
    let record = json!({ "attempt": 0, "records": [
        { "source_record_type": CLAIM, "source_record_id": FOLLOWED, "outcome": "succeeded" },
    ] });
    let resolution = json!({ "resolution": "handled_manually", "reason": "booked by hand" });
    let refused = [
        scene.admin.post(&format!("{path}/retries")).once().send().await,
        scene.admin.get(&format!("{path}/retry-preview")).send().await,
        machine.patch(&path).json(&attempt).send().await,
        machine.post(&format!("{path}/succeed")).json(&attempt).send().await,
        machine.post(&format!("{path}/fail")).json(&failure).send().await,
        machine.post(&format!("{path}/records")).json(&record).send().await,
        machine.post(&format!("{path}/attempts")).send().await,
        scene.admin.post(&format!("{path}/records/{CLAIM}/{FOLLOWED}/resolution")).json(&resolution).send().await,
    ];
    for answer in refused {
        answer.problem(409, "archived");
    }

    // An id of that month that is nobody's, and another organization's view of one that is somebody's.
    let (start, _) = bounds_of(month);
    let seconds = u64::try_from(start.timestamp()).unwrap();
    let unknown = Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, 123_000_000));
    let others = scene.server.organization("Others").await;
    let stranger = others.admin().await;
    for (who, id) in [(&scene.admin, unknown), (&stranger, sync), (&stranger, unknown)] {
        for tail in ["", "/attempts", "/records", "/error-groups", "/retry-preview"] {
            who.get(&format!("/sync-logs/{id}{tail}")).send().await.problem(404, "not_found");
        }
        who.post(&format!("/sync-logs/{id}/retries")).once().send().await.problem(404, "not_found");
    }
    assert_eq!(items(&stranger.get("/sync-logs").send().await.expect(200)), &[] as &[Value]);
    stranger.get(&format!("/source-records/{CLAIM}/{FOLLOWED}/journey")).send().await.problem(404, "not_found");
}

#[tokio::test]
async fn an_archived_month_takes_no_more_syncs_and_keeps_its_runs_names() {
    let scene = Scene::new().await;
    let month = scene.month(13);
    let sync = scene.fill(month, 2).await[0];
    scene.archive(&[]).await;
    let (start, _) = bounds_of(month);
    let within = (start + Duration::hours(1)).to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut body = json!({
        "integration_config_id": scene.integration, "connector_type": "xledger", "sync_type": "accounting_push",
        "triggered_by": "automatic", "started_at": within,
    });
    let place = [("started_at_out_of_range", "/started_at")];
    scene.machine.post("/sync-logs").json(&body).send().await.violations(&place);
    body["status"] = json!("success");
    body["completed_at"] = body["started_at"].clone();
    scene.machine.post("/sync-logs/finished").json(&body).send().await.violations(&place);
    let import =
        scene.machine.post("/sync-logs/import").once().json(&json!({ "items": [body] })).send().await.expect(200);
    assert_eq!(import["items"][0]["problem"]["errors"][0]["code"], "started_at_out_of_range", "{import}");

    // A run that was reported is known for good, wherever it lies.
    let run = json!({
        "integration_config_id": scene.integration, "connector_type": "xledger", "sync_type": "accounting_push",
        "triggered_by": "automatic", "client_run_id": format!("run-{sync}"),
    });
    let known = scene.machine.post("/sync-logs").json(&run).send().await.expect(200);
    assert_eq!((id(&known), &known["archived"]), (sync, &json!(true)));
    let now = scene.server.clock.now().to_rfc3339_opts(SecondsFormat::Millis, true);
    let mut finished = run.clone();
    for (name, value) in [("started_at", &now), ("completed_at", &now)] {
        finished[name] = json!(value);
    }
    finished["status"] = json!("success");
    let known = scene.machine.post("/sync-logs/finished").json(&finished).send().await.expect(200);
    assert_eq!(id(&known), sync);
    let import =
        scene.machine.post("/sync-logs/import").once().json(&json!({ "items": [finished] })).send().await.expect(200);
    assert_eq!((&import["items"][0]["status"], &import["items"][0]["id"]), (&json!(200), &json!(sync)), "{import}");
}

#[tokio::test]
async fn each_organization_has_files_of_its_own() {
    let scene = Scene::new().await;
    let month = scene.month(13);
    let ours = scene.fill(month, 3).await;
    let others = scene.server.organization("Others").await;
    let admin = others.admin().await;
    let integration = connect_external(&admin, json!({ "sync_type": "roster_sync" })).await;
    let theirs = scene.fill_of(&others, integration, "roster_sync", month, 4).await;
    scene.archive(&[]).await;
    let list = admin.get("/sync-logs").send().await.expect(200);
    let mut listed: Vec<Uuid> = items(&list).iter().map(id).collect();
    listed.reverse();
    assert_eq!(listed, theirs);
    admin.get(&format!("/sync-logs/{}", ours[0])).send().await.problem(404, "not_found");
    scene.admin.get(&format!("/sync-logs/{}", theirs[0])).send().await.problem(404, "not_found");
    let classes: Vec<(Uuid, String)> = sqlx::query_as("SELECT DISTINCT organization_id, retention_class FROM archives")
        .fetch_all(&scene.superuser)
        .await
        .unwrap();
    assert_eq!(classes.len(), 2);
    assert!(classes.contains(&(scene.organization.id, "accounting".to_owned())), "{classes:?}");
    assert!(classes.contains(&(others.id, "operational".to_owned())), "{classes:?}");
}

#[tokio::test]
async fn a_month_with_a_sync_under_way_waits() {
    let scene = Scene::new().await;
    let (busy, done) = (scene.month(13), scene.month(14));
    let syncs = scene.fill(busy, 4).await;
    scene.fill(done, 2).await;
    scene.admin.post(&format!("/sync-logs/{}/retries", syncs[0])).once().send().await.expect(202);
    assert!(scene.archive(&[]).await.ends_with(" 1 wait"));
    assert_eq!(scene.has_partitions(busy).await.len(), 3);
    assert_eq!(scene.has_partitions(done).await.len(), 0);
    // Live syncs older than archived ones are listed in their place.
    let listed: Vec<bool> =
        scene.walk("/sync-logs", 2).await.iter().map(|sync| sync["archived"] == json!(true)).collect();
    assert_eq!(listed, [false, false, false, false, true, true]);
    assert_eq!(scene.get(&format!("/sync-logs/{}", syncs[0])).await["status"], "pending");
}
