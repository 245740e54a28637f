//! What was sealed is compared with the archive too, and what is changed there is named.

use archive::{FileWriter, Files, Index, Location};
use domain::columns::SyncLogColumns;
use serde_json::{Value, json};
use sqlx::Executor as _;

use crate::scene::{Scene, name};

async fn verification(scene: &Scene) -> Value {
    scene.get("/audit/verification?after=0&seals=5000").await
}

#[tokio::test]
async fn an_archived_month_is_compared_with_its_seals() {
    let scene = Scene::new().await;
    let month = scene.month(13);
    let syncs = scene.fill(month, 4).await;
    scene.seal_all().await;
    let before = verification(&scene).await;
    assert_eq!((&before["fits"], &before["checked"], &before["syncs_checked"]), (&json!(true), &json!(8), &json!(4)));
    scene.archive(&[]).await;
    let (fine, text) = scene.audit().await;
    assert!(fine && text.contains("8 seals and 0 syncs"), "{text}");

    // Whoever may write everything writes a file anew, and the table that knows of it.
    let files = Files::open(&Location::directory(&scene.directory())).unwrap();
    let path = format!("{}/{}/sync_logs.parquet", scene.organization.id, name(month));
    let size = files.get(&path).await.unwrap().len();
    let index = Index::open(&files, &path, u64::try_from(size).unwrap()).await.unwrap();
    let mut rows: Vec<SyncLogColumns> = index.read(&files, 0).await.unwrap();
    let changed = rows.iter_mut().find(|row| row.id == syncs[0]).unwrap();
    changed.error_message = Some("no answes".to_owned());
    let mut writer = FileWriter::<SyncLogColumns>::new().unwrap();
    writer.add(&rows).unwrap();
    let written = writer.finish().unwrap();
    let mut tamperer = scene.superuser.acquire().await.unwrap();
    tamperer.execute("SET session_replication_role = replica").await.unwrap();
    sqlx::query("UPDATE archives SET bytes = $2, sha256 = $3 WHERE location = $1")
        .bind(&path)
        .bind(i64::try_from(written.bytes.len()).unwrap())
        .bind(&written.sha256)
        .execute(&mut *tamperer)
        .await
        .unwrap();
    files.put(&path, written.bytes).await.unwrap();

    let found = verification(&scene).await;
    assert_eq!(found["fits"], false, "{found}");
    let mismatch = &found["first_mismatch"];
    assert_eq!((&mismatch["table"], &mismatch["reason"]), (&json!("sync_logs"), &json!("row_changed")), "{found}");
    assert_eq!(mismatch["sync_id"], json!(syncs[0]), "{found}");
    let (fine, text) = scene.audit().await;
    assert!(!fine && text.contains("MISMATCH") && text.contains(&syncs[0].to_string()), "{text}");
}

#[tokio::test]
async fn what_waits_to_be_sealed_does_not_leave() {
    let scene = Scene::without_worker().await;
    let month = scene.month(13);
    scene.fill(month, 2).await;
    scene.enter_for_sealing().await;
    assert!(scene.archive(&[]).await.starts_with("0 months with 0 rows were archived, 1 wait"));
    // Nor does it by the function that takes months away.
    let mut maintenance = scene.maintenance().await;
    sqlx::query("INSERT INTO archived_months (month) VALUES ($1)").bind(month).execute(&mut maintenance).await.unwrap();
    let refusal =
        sqlx::query("SELECT detach_archived_month($1)").bind(month).execute(&mut maintenance).await.unwrap_err();
    assert_eq!(refusal.as_database_error().unwrap().constraint(), Some("archive_sealed_syncs_only"));
    assert_eq!(scene.has_partitions(month).await.len(), 3);
}
