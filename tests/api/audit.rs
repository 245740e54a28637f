//! `/audit`, and the command line's `audit`: what was sealed is compared with what is there.

mod chain;
mod tampering;

use std::path::PathBuf;

use serde_json::{Value, json};
use server::audit::{Signer, make_checkpoint};
use server::config::MasterKey;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgPool};
use store::seals::SignedCheckpoint;
use tests::client::{Client, items};
use tests::story::until;
use tokio::process::Command;
use uuid::{NoContext, Timestamp, Uuid};

use crate::scene::{Scene, moment, record};

/// Waits until nothing waits to be sealed.
async fn everything_is_sealed(superuser: &PgPool) {
    until("everything is sealed", async || {
        let waits: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM seal_queue)").fetch_one(superuser).await?;
        Ok((!waits).then_some(()))
    })
    .await
    .unwrap();
}

/// The whole chain beside the whole ledger.
async fn verification(admin: &Client) -> Value {
    admin.get("/audit/verification?after=0&seals=5000").send().await.expect(200)
}

#[track_caller]
fn assert_fits(found: &Value, seals: i64) {
    assert_eq!(found["fits"], true, "{found}");
    assert_eq!(found["first_mismatch"], Value::Null, "{found}");
    assert_eq!(found["all_syncs_checked"], true, "{found}");
    assert_eq!((&found["checked"], &found["head_seq"]), (&json!(seals), &json!(seals)), "{found}");
}

/// What the program says with these arguments, and whether it ended well.
async fn command_line(scene: &Scene, arguments: &[&str]) -> (bool, String) {
    let programs = PathBuf::from(std::env::var_os("SYNCWATCH_TEST_BIN_DIR").expect("the programs' directory"));
    let MasterKey::Given(key) = &scene.server.config.master_key else { panic!("tests give their key") };
    let output = Command::new(programs.join("syncwatch"))
        .arg("audit")
        .args(arguments)
        .env("DATABASE_URL", &scene.server.database.app_url)
        .env("SYNCWATCH_MIGRATE_DATABASE_URL", &scene.server.database.superuser_url)
        .env("SYNCWATCH_MASTER_KEY", key.expose())
        .output()
        .await
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

/// A checkpoint at the end of the chain.
async fn checkpoint(scene: &Scene) -> SignedCheckpoint {
    let state = &scene.server.running.state;
    let signer = Signer::load(&state.db, &state.vault).await.unwrap();
    let made = make_checkpoint(&state.db, &signer, scene.organization.id, state.clock.now()).await.unwrap();
    made.expect("something is sealed")
}

/// A superuser who switches the rules off.
async fn tamperer(scene: &Scene) -> PgConnection {
    let mut tamperer = PgConnection::connect(&scene.server.database.superuser_url).await.unwrap();
    tamperer.execute("SET session_replication_role = replica").await.unwrap();
    tamperer
}

async fn changes_one_row(tamperer: &mut PgConnection, statement: &str) {
    let done = tamperer.execute(AssertSqlSafe(statement.to_owned())).await.unwrap();
    assert_eq!(done.rows_affected(), 1, "{statement}");
}

#[tokio::test]
async fn everything_that_closes_is_sealed_and_fits() {
    let scene = Scene::new().await;
    let superuser = scene.server.superuser().await;
    // In one call, in many, with and without records.
    scene.finished(json!({})).await;
    scene.finished(Scene::failure()).await;
    let imported: Vec<Value> = (0..5)
        .map(|_| {
            scene.finished_body(json!({
                "records": [record(Uuid::now_v7(), "succeeded"), record(Uuid::now_v7(), "sending")],
                "records_total": 2, "records_processed": null, "records_failed": null, "metadata": { "b": 1.50, "a": [] },
            }))
        })
        .collect();
    let answer =
        scene.machine.post("/sync-logs/import").once().json(&json!({ "items": imported })).send().await.expect(200);
    assert!(items(&answer).iter().all(|item| item["status"] == 201), "{answer}");
    // Retried, and reported to while the retry runs.
    let (sync, _, bad) = scene.half_failed().await;
    everything_is_sealed(&superuser).await;
    assert_fits(&verification(&scene.admin).await, 8);
    scene.retry(sync).await.expect(202);
    assert_fits(&verification(&scene.admin).await, 8);
    scene.claim(sync).await.expect(201);
    let late = scene.append(sync, 0, &[record(Uuid::now_v7(), "succeeded")]).await;
    late.problem(409, "attempt_superseded");
    scene.append(sync, 1, &[record(bad, "succeeded")]).await.expect(200);
    everything_is_sealed(&superuser).await;
    assert_fits(&verification(&scene.admin).await, 9);
    scene.succeed(sync, 1).await.expect(200);
    // Handled by a person.
    let (other, _, bad) = scene.half_failed().await;
    let path = format!("/sync-logs/{other}/records/{}/{bad}/resolution", crate::scene::CLAIM);
    let decision = json!({ "resolution": "handled_manually", "reason": "booked by hand" });
    scene.admin.post(&path).once().json(&decision).send().await.expect(200);
    // Still under way.
    scene.start(json!({})).await;
    scene.start(json!({ "queued": true })).await;
    everything_is_sealed(&superuser).await;
    let found = verification(&scene.admin).await;
    assert_fits(&found, 11);
    assert_eq!((&found["syncs_checked"], &found["waiting"]), (&json!(11), &json!(0)));
    let (fine, text) = command_line(&scene, &["verify"]).await;
    assert!(fine && text.contains("fits") && text.contains("11 seals and 11 syncs"), "{text}");
}

#[tokio::test]
async fn late_reports_and_what_time_brings_about_are_sealed() {
    let scene = Scene::new().await;
    let superuser = scene.server.superuser().await;
    let status = async |admin: &Client, sync: Uuid, wanted: &str| {
        until("the sync has its status", async || {
            let shown = admin.get(&format!("/sync-logs/{sync}")).send().await.expect(200);
            Ok((shown["status"] == wanted).then_some(()))
        })
        .await
        .unwrap();
    };
    let (late, claim) = (scene.start(json!({})).await, Uuid::now_v7());
    scene.append(late, 0, &[record(claim, "sending")]).await.expect(200);
    let (retried, ..) = scene.half_failed().await;
    let unclaimed = scene.start(json!({ "queued": true })).await;
    scene.server.clock.advance(chrono::Duration::minutes(2));
    status(&scene.admin, late, "failed").await;
    everything_is_sealed(&superuser).await;
    assert_fits(&verification(&scene.admin).await, 2);
    scene.append(late, 0, &[record(claim, "succeeded")]).await.expect(200);
    everything_is_sealed(&superuser).await;
    scene.succeed(late, 0).await.expect(200);
    scene.retry(retried).await.expect(202);
    everything_is_sealed(&superuser).await;
    assert_fits(&verification(&scene.admin).await, 4);
    scene.server.clock.advance(chrono::Duration::hours(25));
    let admin = scene.organization.sign_in(&scene.organization.address("org_admin")).await;
    status(&admin, unclaimed, "failed").await;
    status(&admin, retried, "failed").await;
    everything_is_sealed(&superuser).await;
    assert_fits(&verification(&admin).await, 6);
}

#[tokio::test]
async fn the_chain_is_walked_in_pages_and_the_newest_seals_come_first() {
    let scene = Scene::new().await;
    let superuser = scene.server.superuser().await;
    assert_fits(&verification(&scene.admin).await, 0);
    for _ in 0..5 {
        scene.finished(json!({})).await;
    }
    everything_is_sealed(&superuser).await;
    let page = async |query: &str| scene.admin.get(&format!("/audit/verification{query}")).send().await;
    let first = page("?after=0&seals=2").await.expect(200);
    assert_eq!((&first["checked"], &first["next_after"], &first["fits"]), (&json!(2), &json!(2), &json!(true)));
    let second = page("?after=2&seals=2").await.expect(200);
    assert_eq!((&second["checked"], &second["next_after"]), (&json!(2), &json!(4)));
    let last = page("?after=4&seals=2").await.expect(200);
    assert_eq!((&last["checked"], &last["next_after"]), (&json!(1), &Value::Null));
    let newest = page("?seals=2").await.expect(200);
    assert_eq!((&newest["checked"], &newest["next_after"]), (&json!(2), &Value::Null));
    assert_eq!(page("").await.expect(200)["checked"], 5);
    for wrong in ["?seals=0", "?seals=5001", "?after=-1", "?after=6", "?after=x", "?other=1"] {
        page(wrong).await.problem(400, "invalid_parameter");
    }
}

#[tokio::test]
async fn no_sync_lies_between_the_parts_of_a_chain() {
    let scene = Scene::new().await;
    let superuser = scene.server.superuser().await;
    let times = |hours: i64| {
        let start = scene.now() - chrono::Duration::hours(hours);
        (start, json!({ "started_at": moment(start), "completed_at": moment(start + chrono::Duration::seconds(10)) }))
    };
    for hours in [3, 1] {
        scene.finished(times(hours).1).await;
        everything_is_sealed(&superuser).await;
    }
    // Somebody puts one between the two.
    let (start, mut row) = times(2);
    let seconds = u64::try_from(start.timestamp()).unwrap();
    let id = Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, start.timestamp_subsec_nanos()));
    row["id"] = json!(id);
    let statement = format!(
        "INSERT INTO sync_logs SELECT (jsonb_populate_record(known, '{row}')).*
         FROM (SELECT * FROM sync_logs ORDER BY started_at LIMIT 1) AS first, sync_logs known WHERE known.id = first.id"
    );
    changes_one_row(&mut tamperer(&scene).await, &statement).await;
    let part = async |after: i64| {
        scene.admin.get(&format!("/audit/verification?after={after}&seals=1")).send().await.expect(200)
    };
    assert_eq!(part(0).await["fits"], true);
    let found = part(1).await;
    assert_eq!(found["first_mismatch"]["reason"], "row_unsealed", "{found}");
    assert_eq!(found["first_mismatch"]["sync_id"], json!(id), "{found}");
}

#[tokio::test]
async fn only_administrators_ask() {
    let scene = Scene::new().await;
    let viewer = scene.organization.viewer().await;
    for path in ["/audit/verification", "/audit/checkpoints"] {
        scene.admin.get(path).send().await.expect(200);
        viewer.get(path).send().await.problem(403, "forbidden");
        scene.machine.get(path).send().await.problem(403, "forbidden");
        scene.server.anonymous().get(path).send().await.problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn checkpoints_are_listed_printed_and_signed() {
    let scene = Scene::new().await;
    let superuser = scene.server.superuser().await;
    let mut made = Vec::new();
    for _ in 0..3 {
        scene.finished(json!({})).await;
        everything_is_sealed(&superuser).await;
        made.push(checkpoint(&scene).await);
    }
    assert_eq!(checkpoint(&scene).await, made[2], "one is enough at the same place");
    let first = scene.admin.get("/audit/checkpoints?limit=2").send().await.expect(200);
    let seqs = |page: &Value| items(page).iter().map(|item| item["seq"].as_i64().unwrap()).collect::<Vec<_>>();
    assert_eq!(seqs(&first), [3, 2]);
    let next = format!("/audit/checkpoints?limit=2&cursor={}", first["next_cursor"].as_str().unwrap());
    let second = scene.admin.get(&next).send().await.expect(200);
    assert_eq!(seqs(&second), [1]);
    let back = format!("/audit/checkpoints?limit=2&cursor={}", second["prev_cursor"].as_str().unwrap());
    assert_eq!(seqs(&scene.admin.get(&back).send().await.expect(200)), [3, 2]);
    scene.admin.get("/audit/checkpoints?cursor=x").send().await.problem(400, "invalid_cursor");
    let (fine, printed) = command_line(&scene, &["checkpoint", "--organization", "forening"]).await;
    assert!(fine, "{printed}");
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed, items(&first)[0]);
    let (fine, text) = command_line(&scene, &["checkpoint", "--organization", "nobody"]).await;
    assert!(!fine && text.contains("no organization"), "{text}");
}

#[tokio::test]
async fn a_checkpoint_is_made_by_itself_once_it_is_due() {
    let scene = Scene::new().await;
    let superuser = scene.server.superuser().await;
    scene.finished(json!({})).await;
    everything_is_sealed(&superuser).await;
    let list = async |admin: &Client| admin.get("/audit/checkpoints").send().await.expect(200);
    assert!(items(&list(&scene.admin).await).is_empty());
    scene.server.clock.advance(chrono::Duration::minutes(11));
    let admin = scene.organization.sign_in(&scene.organization.address("org_admin")).await;
    until("there is a checkpoint", async || Ok((items(&list(&admin).await).len() == 1).then_some(()))).await.unwrap();
    assert_fits(&verification(&admin).await, 1);
}
