//! SIGKILL at every step of archiving: whatever was done, the next run ends it; nothing is lost, and nothing is there
//! twice.

use std::process::Child;

use chrono::Duration;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use store::archives::bounds_of;
use tests::story::until;

use crate::rows::insert;
use crate::scene::Scene;

/// Starts the program, kills it as soon as the database says so, and waits for its end.
async fn kill_when(scene: &Scene, what: &str, condition: &'static str) -> anyhow::Result<()> {
    let mut child: Child = scene.command(&[]).spawn()?;
    let mut superuser = PgConnection::connect(&scene.server.database.superuser_url).await?;
    loop {
        if sqlx::query_scalar::<_, bool>(condition).fetch_one(&mut superuser).await? {
            break;
        }
        anyhow::ensure!(child.try_wait()?.is_none(), "the program ended before {what}");
    }
    child.kill()?;
    child.wait()?;
    superuser.close().await?;
    Ok(())
}

#[tokio::test]
async fn killed_at_any_step_the_next_run_ends_it() -> anyhow::Result<()> {
    let scene = Scene::new().await;
    let month = scene.month(13);
    // More than a row group of everything.
    let syncs = scene.fill(month, 60).await;
    let shown = [syncs[0], syncs[31], syncs[59]];
    let before = scene.everything(&shown).await;
    // Held, so that no run can end before it is killed.
    let mut holder = PgConnection::connect(&scene.server.database.superuser_url).await?;
    holder.execute("BEGIN").await?;
    let partition = format!("sync_logs_{}", month.format("%Y_%m"));
    holder.execute(AssertSqlSafe(format!("LOCK TABLE {partition} IN ROW EXCLUSIVE MODE"))).await?;
    for (what, condition) in [
        ("it was planned", "SELECT EXISTS (SELECT FROM archived_months)"),
        ("a file was written", "SELECT EXISTS (SELECT FROM archives)"),
        ("a file was verified", "SELECT EXISTS (SELECT FROM archives WHERE state = 'verified')"),
        ("every file was verified", "SELECT count(*) = 3 FROM archives WHERE state = 'verified'"),
        (
            "it waits to detach",
            "SELECT EXISTS (SELECT FROM pg_stat_activity
                            WHERE query LIKE '%detach_archived_month%' AND wait_event_type = 'Lock'
                                AND datname = current_database() AND pid <> pg_backend_pid())",
        ),
    ] {
        kill_when(&scene, what, condition).await?;
        assert_eq!(scene.has_partitions(month).await.len(), 3, "killed when {what}");
        assert_eq!(scene.everything(&shown).await, before, "killed when {what}");
        // A run that is gone holds nothing once the database has noticed.
        until("the killed run's connections have ended", async || {
            let left: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE usename = 'syncwatch_maintenance' AND datname = current_database()",
            )
            .fetch_one(&scene.superuser)
            .await?;
            Ok((left == 0).then_some(()))
        })
        .await?;
    }
    holder.execute("ROLLBACK").await?;
    let word = scene.archive(&[]).await;
    assert!(word.contains(&format!("{} rows were archived", 60 * 9)), "{word}");
    assert_eq!(scene.has_partitions(month).await.len(), 0);
    assert_eq!(scene.everything(&shown).await, before);
    let listed = scene.walk("/sync-logs", 7).await;
    assert_eq!(listed.len(), 60);
    Ok(())
}

#[tokio::test]
async fn a_row_that_comes_before_the_month_is_taken_away_is_not_lost() -> anyhow::Result<()> {
    let scene = Scene::new().await;
    let month = scene.month(13);
    scene.fill(month, 5).await;
    let mut holder = PgConnection::connect(&scene.server.database.superuser_url).await?;
    holder.execute("BEGIN").await?;
    let partition = format!("sync_logs_{}", month.format("%Y_%m"));
    holder.execute(AssertSqlSafe(format!("LOCK TABLE {partition} IN ROW EXCLUSIVE MODE"))).await?;
    let mut child = scene.command(&[]).spawn()?;
    until("the run waits to detach", async || {
        let waits: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_activity
                            WHERE query LIKE '%detach_archived_month%' AND wait_event_type = 'Lock'
                                AND datname = current_database())",
        )
        .fetch_one(&scene.superuser)
        .await?;
        Ok(waits.then_some(()))
    })
    .await?;
    // Somebody who was there first backfills into the month.
    let (start, _) = bounds_of(month);
    let at = start + Duration::days(3);
    let late = insert(&mut holder, scene.organization.id, scene.integration, "accounting_push", at, 1).await;
    holder.execute("COMMIT").await?;
    let status = tokio::task::spawn_blocking(move || child.wait()).await??;
    assert!(status.success());
    let listed = scene.walk("/sync-logs", 50).await;
    assert_eq!(listed.len(), 6);
    assert!(listed.iter().any(|sync| sync["id"] == serde_json::json!(late)));
    Ok(())
}
