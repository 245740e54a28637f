//! What an external runner may rely on: one claim wins, and reports that come twice, late or out of order are harmless.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::client::{Answer, id, items};
use uuid::Uuid;

use crate::scene::{CLAIM, Scene, assert_has, record};

/// Every order of so many things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for shorter in orders(count - 1) {
        for place in 0..count {
            let mut order = shorter.clone();
            order.insert(place, count - 1);
            all.push(order);
        }
    }
    all
}

/// What does not depend on when things happened, or under which id.
fn timeless(sync: &Value) -> Value {
    let mut sync = sync.clone();
    for member in ["id", "started_at", "completed_at", "duration_ms"] {
        sync[member] = Value::Null;
    }
    sync
}

/// The latest outcome of each record of a sync, in the records' order.
async fn outcomes(scene: &Scene, sync: Uuid, records: &[Uuid]) -> Vec<Value> {
    let list = scene.admin.get(&format!("/sync-logs/{sync}/records?limit=200")).send().await.expect(200);
    let of = |record: &Uuid| {
        items(&list).iter().find(|item| item["source_record_id"] == json!(record)).map(|item| {
            json!({ "outcome": item["outcome"], "attempt": item["attempt"], "errors": item["errors"],
                    "state": item["state"], "amount": item["amount"] })
        })
    };
    records.iter().map(|record| of(record).unwrap_or_default()).collect()
}

async fn under_way(scene: &Scene) -> i64 {
    let count = "SELECT (SELECT count(*) FROM sync_claims) + (SELECT count(*) FROM active_syncs)";
    sqlx::query_scalar(count).fetch_one(&scene.server.superuser().await).await.unwrap()
}

#[tokio::test]
async fn of_many_who_claim_at_once_one_gets_the_attempt() {
    let scene = Scene::new().await;
    let (sync, _, bad) = scene.half_failed().await;
    scene.retry(sync).await.expect(202);
    // The same key makes no difference: an answer given twice would let two processes send.
    let path = format!("/sync-logs/{sync}/attempts");
    let answers =
        futures::future::join_all((0..10).map(|_| scene.machine.post(&path).key(&format!("claim-{sync}")).send()))
            .await;
    let (won, lost): (Vec<Answer>, Vec<Answer>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!((won.len(), lost.len()), (1, 9));
    assert_eq!(won[0].json["records"], json!([{ "source_record_type": CLAIM, "source_record_id": bad }]));
    for answer in lost {
        answer.problem(409, "invalid_transition");
    }
    let attempts = scene.admin.get(&path).send().await.expect(200);
    assert_eq!(items(&attempts).len(), 2);
}

#[tokio::test]
async fn a_runner_polls_and_claims_with_one_scope() {
    let scene = Scene::new().await;
    let (sync, _, bad) = scene.half_failed().await;
    let runner = scene.organization.machine_with(&["retries:claim"]).await;
    let poll = format!("/sync-logs?status=pending&integration_config_id={}", scene.integration);
    let nothing = runner.get(&poll).send().await.expect(200);
    assert!(items(&nothing).is_empty());
    scene.retry(sync).await.expect(202);
    let waiting = runner.get(&poll).send().await.expect(200);
    assert_eq!(items(&waiting).iter().map(id).collect::<Vec<_>>(), [sync]);
    for more in ["/sync-logs", "/sync-logs?status=failed", "/sync-logs?status=pending,failed"] {
        runner.get(more).send().await.problem(403, "forbidden");
    }
    runner.get(&format!("/sync-logs/{sync}")).send().await.problem(403, "forbidden");
    let claimed = runner.post(&format!("/sync-logs/{sync}/attempts")).send().await.expect(201);
    assert_eq!(claimed["records"], json!([{ "source_record_type": CLAIM, "source_record_id": bad }]));
    let nothing = runner.get(&poll).send().await.expect(200);
    assert!(items(&nothing).is_empty(), "what was claimed waits no more");
}

#[tokio::test]
async fn a_large_retry_is_named_whole_and_reported_in_batches() {
    let scene = Scene::new().await;
    let sync = scene.start(json!({})).await;
    let failed: BTreeSet<Uuid> = (0..2_500).map(|_| Uuid::now_v7()).collect();
    let all: Vec<Uuid> = failed.iter().copied().collect();
    for batch in all.chunks(1_000) {
        let records: Vec<Value> = batch.iter().map(|id| record(*id, "failed")).collect();
        scene.append(sync, 0, &records).await.expect(200);
    }
    scene.succeed(sync, 0).await.expect(200);
    scene.retry(sync).await.expect(202);
    let claimed = scene.claim(sync).await.expect(201);
    let named: Vec<Uuid> = claimed["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["source_record_id"].as_str().unwrap().parse().unwrap())
        .collect();
    assert_eq!(named, all, "each once, in order");
    // A runner that lost the answer finds them here, page by page.
    let left = format!("/sync-logs/{sync}/records?outcome=queued&limit=200");
    let first = scene.machine.get(&left).send().await.expect(200);
    assert_eq!((items(&first).len(), first["next_cursor"].is_string()), (200, true));
    for batch in named.chunks(1_000) {
        let records: Vec<Value> = batch.iter().map(|id| record(*id, "succeeded")).collect();
        scene.append(sync, 1, &records).await.expect(200);
    }
    assert_has(
        &scene.succeed(sync, 1).await.expect(200),
        &json!({ "status": "retried_success", "records_total": 2_500, "records_processed": 2_500, "records_failed": 0 }),
    );
    assert_eq!(under_way(&scene).await, 0);
}

#[tokio::test]
async fn every_order_of_reports_before_the_end_makes_the_same_sync() {
    let scene = Scene::new().await;
    let mut expected: Option<(Value, Vec<Value>)> = None;
    for order in orders(4) {
        let sync = scene.start(json!({})).await;
        let (good, bad) = (Uuid::now_v7(), Uuid::now_v7());
        let report = async |number: usize| match number {
            0 => scene.append(sync, 0, &[record(good, "queued"), record(bad, "queued")]).await,
            1 => scene.append(sync, 0, &[record(good, "succeeded"), record(bad, "sending")]).await,
            2 => scene.append(sync, 0, &[record(bad, "failed")]).await,
            _ => {
                let progress = json!({ "attempt": 0, "records_total": 2, "records_done": 1 });
                scene.machine.patch(&format!("/sync-logs/{sync}")).json(&progress).send().await
            }
        };
        for number in &order {
            report(*number).await.expect(200);
        }
        let ended = scene.succeed(sync, 0).await.expect(200);
        assert_has(&ended, &json!({ "status": "failed", "records_total": 2, "records_processed": 1 }));
        // All of it once more, after the end.
        for number in &order {
            let answer = report(*number).await;
            if *number == 3 {
                answer.problem(409, "invalid_transition");
            } else {
                answer.expect(200);
            }
        }
        assert_eq!(scene.succeed(sync, 0).await.expect(200), ended, "{order:?}");
        let found = (timeless(&scene.sync(sync).await), outcomes(&scene, sync, &[good, bad]).await);
        assert_eq!(&found, expected.get_or_insert_with(|| found.clone()), "{order:?}");
    }
    assert_eq!(under_way(&scene).await, 0);
}

#[tokio::test]
async fn outcomes_that_come_after_the_end_say_the_same_in_every_order() {
    let scene = Scene::new().await;
    let mut expected: Option<Vec<Value>> = None;
    for order in orders(4) {
        let sync = scene.start(json!({})).await;
        let (good, bad) = (Uuid::now_v7(), Uuid::now_v7());
        for number in &order {
            let answer = match number {
                0 => scene.append(sync, 0, &[record(good, "queued"), record(bad, "queued")]).await,
                1 => scene.append(sync, 0, &[record(good, "succeeded"), record(bad, "sending")]).await,
                2 => scene.append(sync, 0, &[record(bad, "failed")]).await,
                _ => scene.fail(sync, 0).await,
            };
            answer.expect(200);
        }
        assert_has(&scene.sync(sync).await, &json!({ "status": "failed", "error_code": "TIMEOUT" }));
        let found = outcomes(&scene, sync, &[good, bad]).await;
        assert_eq!(&found, expected.get_or_insert_with(|| found.clone()), "{order:?}");
        assert_eq!((&found[0]["outcome"], &found[1]["outcome"]), (&json!("succeeded"), &json!("failed")));
        // What arrived is not sent again, whenever that was said.
        scene.retry(sync).await.expect(202);
        let claimed = scene.claim(sync).await.expect(201);
        let again = json!([{ "source_record_type": CLAIM, "source_record_id": bad }]);
        assert_eq!(claimed["records"], again, "{order:?}");
        scene.succeed(sync, 1).await.expect(200);
    }
    assert_eq!(under_way(&scene).await, 0);
}

#[tokio::test]
async fn of_two_attempts_the_later_one_counts_in_every_order_of_their_reports() {
    let scene = Scene::new().await;
    let mut expected: Option<(Value, Vec<Value>)> = None;
    for order in orders(4) {
        let place = |number| order.iter().position(|other| *other == number);
        if place(1) < place(0) {
            continue;
        }
        let (sync, good, bad) = scene.half_failed().await;
        scene.retry(sync).await.expect(202);
        scene.claim(sync).await.expect(201);
        for number in &order {
            match number {
                0 => drop(scene.append(sync, 1, &[record(bad, "succeeded")]).await.expect(200)),
                1 => drop(scene.succeed(sync, 1).await.expect(200)),
                2 => {
                    let late = [record(good, "succeeded"), record(bad, "failed")];
                    scene.append(sync, 0, &late).await.problem(409, "attempt_superseded");
                }
                _ => drop(scene.succeed(sync, 0).await.problem(409, "attempt_superseded")),
            }
        }
        let found = (timeless(&scene.sync(sync).await), outcomes(&scene, sync, &[good, bad]).await);
        let whole = json!({
            "status": "retried_success", "retry_count": 1, "records_total": 2, "records_processed": 2, "records_failed": 0,
        });
        assert_has(&found.0, &whole);
        assert_eq!(&found, expected.get_or_insert_with(|| found.clone()), "{order:?}");
    }
    assert_eq!(under_way(&scene).await, 0);
}
