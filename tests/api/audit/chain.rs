//! The chain while many write, many seal, and some of them die.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use server::worker::seal::{append_batch, seal_all};
use sqlx::PgPool;
use store::OrgTx;
use tests::server::TestServer;

use super::{assert_fits, verification};
use crate::scene::Scene;

async fn numbers(superuser: &PgPool) -> (i64, i64, i64) {
    sqlx::query_as(
        "SELECT (SELECT count(*) FROM seal_queue), (SELECT count(*) FROM seals), (SELECT coalesce(max(seq), 0) FROM seals)",
    )
    .fetch_one(superuser)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_and_several_sealers_leave_one_chain() {
    const WRITERS: usize = 8;
    const EACH: usize = 12;
    // Its own worker seals too.
    let scene = Arc::new(Scene::new().await);
    let superuser = scene.server.superuser().await;
    let written = Arc::new(AtomicBool::new(false));
    let sealers: Vec<_> = (0..2)
        .map(|_| {
            let (state, written) = (scene.server.running.state.clone(), Arc::clone(&written));
            tokio::spawn(async move {
                while !written.load(Ordering::SeqCst) {
                    seal_all(&state).await.unwrap();
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let writers = (0..WRITERS).map(|_| {
        let scene = Arc::clone(&scene);
        tokio::spawn(async move {
            for number in 0..EACH {
                if number % 2 == 0 {
                    let sync = scene.start(json!({})).await;
                    scene.succeed(sync, 0).await.expect(200);
                } else {
                    scene.finished(json!({})).await;
                }
            }
        })
    });
    futures::future::join_all(writers).await.into_iter().for_each(|ended| ended.unwrap());
    assert_eq!(verification(&scene.admin).await["fits"], true, "while some of it waits");
    written.store(true, Ordering::SeqCst);
    futures::future::join_all(sealers).await.into_iter().for_each(|ended| ended.unwrap());
    super::everything_is_sealed(&superuser).await;
    let all = i64::try_from(WRITERS * EACH).unwrap();
    assert_eq!(numbers(&superuser).await, (0, all, all));
    assert_fits(&verification(&scene.admin).await, all);
}

#[tokio::test]
async fn a_sealer_that_dies_leaves_nothing_half_done() {
    let scene = Scene::on(TestServer::without_worker().await, json!({})).await;
    let superuser = scene.server.superuser().await;
    let state = &scene.server.running.state;
    for _ in 0..3 {
        scene.finished(json!({})).await;
    }
    assert_eq!(numbers(&superuser).await, (3, 0, 0));
    let begin = async || OrgTx::begin(&state.db, scene.organization.id).await.unwrap();
    // Its process ends before the commit.
    let mut tx = begin().await;
    assert_eq!(append_batch(&mut tx, state.clock.now()).await.unwrap(), Some(3));
    drop(tx);
    assert_eq!(numbers(&superuser).await, (3, 0, 0));
    // Its connection breaks.
    let mut tx = begin().await;
    assert_eq!(append_batch(&mut tx, state.clock.now()).await.unwrap(), Some(3));
    // Meanwhile nobody else can append.
    assert_eq!(seal_all(state).await.unwrap(), 0);
    // Transactions that were let go may still be on their way out.
    let own: i32 = tests::story::until("its transaction alone is open", async || {
        let open: Vec<i32> = sqlx::query_scalar(
            "
            SELECT pid FROM pg_stat_activity
            WHERE datname = current_database() AND usename = 'syncwatch_app' AND state LIKE 'idle in transaction%'
            ",
        )
        .fetch_all(&superuser)
        .await?;
        Ok(if let [own] = open[..] { Some(own) } else { None })
    })
    .await
    .unwrap();
    let broken: bool =
        sqlx::query_scalar("SELECT pg_terminate_backend($1)").bind(own).fetch_one(&superuser).await.unwrap();
    assert!(broken);
    tx.commit().await.unwrap_err();
    tests::story::until("the broken connection is gone", async || {
        Ok((numbers(&superuser).await == (3, 0, 0)).then_some(()))
    })
    .await
    .unwrap();
    let first: Vec<i64> = {
        tests::story::until("the rest is sealed", async || Ok((seal_all(state).await? == 3).then_some(())))
            .await
            .unwrap();
        sqlx::query_scalar("SELECT seq FROM seals ORDER BY seq").fetch_all(&superuser).await.unwrap()
    };
    assert_eq!(first, [1, 2, 3]);
    assert_fits(&verification(&scene.admin).await, 3);
}

#[tokio::test]
async fn what_was_there_before_seals_is_sealed_and_marked() {
    let scene = Scene::on(TestServer::without_worker().await, json!({})).await;
    let superuser = scene.server.superuser().await;
    scene.half_failed().await;
    scene.finished(json!({})).await;
    // As the migration enters them.
    sqlx::query("UPDATE seal_queue SET backfill = true").execute(&superuser).await.unwrap();
    scene.finished(json!({})).await;
    assert_eq!(seal_all(&scene.server.running.state).await.unwrap(), 3);
    let marked: Vec<bool> =
        sqlx::query_scalar("SELECT backfill FROM seals ORDER BY seq").fetch_all(&superuser).await.unwrap();
    assert_eq!(marked, [true, true, false]);
    assert_fits(&verification(&scene.admin).await, 3);
}
