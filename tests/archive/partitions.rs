//! Partitions are there before they are needed, and an archived month stays closed.

use chrono::{Duration, Months, NaiveDate};
use server::serve::{Parts, spawn_parts};
use sqlx::{AssertSqlSafe, Executor as _};
use tests::story::until;

use crate::scene::Scene;

fn later(month: NaiveDate, months: u32) -> NaiveDate {
    month.checked_add_months(Months::new(months)).unwrap()
}

#[tokio::test]
async fn the_passing_of_a_month_makes_the_next_ones_partitions() -> anyhow::Result<()> {
    let scene = Scene::new().await;
    let ahead = later(scene.month(0), 3);
    assert_eq!(scene.has_partitions(ahead).await.len(), 3);
    assert_eq!(scene.has_partitions(scene.month(13)).await.len(), 3);
    assert_eq!(scene.has_partitions(later(ahead, 1)).await.len(), 0);
    scene.server.clock.advance(Duration::days(31));
    until("the next month's partitions are made", async || {
        Ok((scene.has_partitions(later(ahead, 1)).await.len() == 3).then_some(()))
    })
    .await?;
    // As closed as the others.
    let open: i64 = sqlx::query_scalar(
        "
        SELECT count(*) FROM pg_class
        WHERE relispartition AND relkind = 'r'
            AND (NOT relrowsecurity OR NOT relforcerowsecurity
                 OR has_table_privilege('syncwatch_app', oid, 'SELECT'))
        ",
    )
    .fetch_one(&scene.superuser)
    .await?;
    assert_eq!(open, 0);
    Ok(())
}

#[tokio::test]
async fn starting_makes_what_is_missing() -> anyhow::Result<()> {
    let scene = Scene::new().await;
    let ahead = later(scene.month(0), 3);
    for parent in ["sync_record_outcomes", "sync_attempts", "sync_logs"] {
        let child = format!("{parent}_{}", ahead.format("%Y_%m"));
        scene.superuser.execute(AssertSqlSafe(format!("ALTER TABLE {parent} DETACH PARTITION {child}"))).await?;
        scene.superuser.execute(AssertSqlSafe(format!("DROP TABLE {child}"))).await?;
    }
    let another =
        spawn_parts(scene.server.config.clone(), scene.server.clock.clone(), Parts { http: false, worker: false })
            .await?;
    assert_eq!(scene.has_partitions(ahead).await.len(), 3);
    another.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_archived_month_is_not_made_again() -> anyhow::Result<()> {
    let scene = Scene::new().await;
    let month = scene.month(13);
    scene.fill(month, 2).await;
    scene.archive(&[]).await;
    let made: i32 =
        sqlx::query_scalar("SELECT ensure_ledger_partitions(current_date)").fetch_one(&scene.superuser).await?;
    assert_eq!((made, scene.has_partitions(month).await.len()), (0, 0));
    Ok(())
}
