//! Expiry: what need not be kept goes, by a step of its own, and leaves a tombstone.

use serde_json::json;
use sqlx::Connection as _;
use sqlx::Executor as _;
use sqlx::postgres::PgConnection;
use tests::client::id;
use tests::organization::connect_external;
use uuid::Uuid;

use crate::scene::{Scene, name};

#[tokio::test]
async fn files_go_when_their_class_allows_and_a_tombstone_stays() {
    let scene = Scene::new().await;
    // Seven years and a half, and three: beyond and within the five years after the accounting year.
    let (long_ago, lately) = (scene.month(90), scene.month(36));
    let gone = scene.fill(long_ago, 3).await;
    let kept = scene.fill(lately, 3).await;
    let others = scene.server.organization("Others").await;
    let admin = others.admin().await;
    let integration = connect_external(&admin, json!({ "sync_type": "roster_sync" })).await;
    let roster = scene.fill_of(&others, integration, "roster_sync", lately, 3).await;
    scene.seal_all().await;
    scene.archive(&[]).await;
    assert_eq!(scene.files().len(), 12);

    assert!(scene.archive(&["expire", "--dry-run"]).await.starts_with("2 months of organizations with 54 rows"));
    assert_eq!(scene.files().len(), 12);
    assert!(scene.archive(&["expire"]).await.starts_with("2 months of organizations with 54 rows expired"));
    let left = format!("{}/{}/", scene.organization.id, name(lately));
    assert!(
        scene.files().len() == 4 && scene.files().iter().all(|file| file.starts_with(&left)),
        "{:?}",
        scene.files()
    );

    for (who, sync) in [(&scene.admin, gone[0]), (&admin, roster[0])] {
        for tail in ["", "/attempts", "/records", "/error-groups", "/retry-preview"] {
            who.get(&format!("/sync-logs/{sync}{tail}")).send().await.problem(410, "expired");
        }
        who.post(&format!("/sync-logs/{sync}/retries")).once().send().await.problem(410, "expired");
    }
    // Whose tombstone it is not, that learns nothing.
    admin.get(&format!("/sync-logs/{}", gone[0])).send().await.problem(404, "not_found");
    scene.admin.get(&format!("/sync-logs/{}", kept[0])).send().await.expect(200);
    let listed: Vec<Uuid> = scene.walk("/sync-logs", 2).await.iter().rev().map(id).collect();
    assert_eq!(listed, kept);

    let tombstones: Vec<(String, i64, bool, bool)> = sqlx::query_as(
        "
        SELECT table_name, rows, sha256 ~ '^[0-9a-f]{64}$', expired_at IS NOT NULL AND deleted_at IS NOT NULL
        FROM archives WHERE organization_id = $1 AND month = $2 ORDER BY 1
        ",
    )
    .bind(scene.organization.id)
    .bind(long_ago)
    .fetch_all(&scene.superuser)
    .await
    .unwrap();
    let row = |table: &str, rows| (table.to_owned(), rows, true, true);
    assert_eq!(tombstones, [row("sync_attempts", 6), row("sync_logs", 3), row("sync_record_outcomes", 18)]);
    assert!(scene.archive(&["expire"]).await.starts_with("0 months"));
    // Seals stay when what they seal has expired, and the rest is compared with them as ever.
    let found = scene.get("/audit/verification?after=0&seals=5000").await;
    assert_eq!((&found["fits"], &found["checked"]), (&json!(true), &json!(12)), "{found}");
}

#[tokio::test]
async fn the_law_is_not_shortened_by_any_setting_or_statement() {
    let scene = Scene::new().await;
    let month = scene.month(30);
    scene.fill(month, 1).await;
    scene.archive(&[]).await;
    let mut command = scene.command(&["expire"]);
    command.env("SYNCWATCH_ARCHIVE_ACCOUNTING_YEARS", "1");
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("SYNCWATCH_ARCHIVE_ACCOUNTING_YEARS"));
    let mut maintenance = PgConnection::connect(&scene.server.database.maintenance_url).await.unwrap();
    let refusal = maintenance.execute("UPDATE archives SET state = 'expired'").await.unwrap_err();
    assert_eq!(refusal.as_database_error().unwrap().constraint(), Some("accounting_is_kept_five_years"));
    assert_eq!(scene.files().len(), 4);
}
