//! `syncwatch rebuild-health`, beside a running server.

use std::process::{Command, Output};

use serde_json::json;
use sqlx::PgPool;
use tests::client::Client;
use tests::organization::connect_external;
use tests::server::{TestServer, program};
use uuid::Uuid;

/// Runs the command against a server's database.
fn rebuild_health(server: &TestServer, arguments: &[&str]) -> anyhow::Result<Output> {
    let mut command = Command::new(program()?);
    command.arg("rebuild-health").args(arguments).env("DATABASE_URL", &server.database.app_url);
    command.env("SYNCWATCH_MASTER_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").env("SYNCWATCH_LOG", "error");
    Ok(command.output()?)
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Reports a sync that has ended.
async fn ended(admin: &Client, integration: Uuid, hour: u32, status: &str) {
    let mut body = json!({
        "integration_config_id": integration, "connector_type": "xledger", "sync_type": "accounting_push",
        "triggered_by": "automatic", "started_at": moment(hour, 0), "completed_at": moment(hour, 5), "status": status,
    });
    if status == "failed" {
        body["error_code"] = json!("TIMEOUT");
        body["error_message"] = json!("the system did not answer");
    }
    admin.post("/sync-logs/finished").once().json(&body).send().await.expect(201);
}

fn moment(hour: u32, minute: u32) -> String {
    let yesterday = server::Clock::system().now().date_naive().pred_opt().unwrap_or_default();
    format!("{yesterday}T{hour:02}:{minute:02}:00Z")
}

fn micros(moment: &str) -> chrono::ParseResult<i64> {
    Ok(moment.parse::<chrono::DateTime<chrono::Utc>>()?.timestamp_micros())
}

async fn facts(pool: &PgPool, integration: Uuid) -> sqlx::Result<serde_json::Value> {
    let row = sqlx::query_scalar("SELECT facts FROM integration_health WHERE integration_config_id = $1");
    row.bind(integration).fetch_one(pool).await
}

#[tokio::test]
async fn a_row_that_says_something_else_is_found_and_built_anew() -> anyhow::Result<()> {
    let server = TestServer::without_worker().await;
    let pool = server.superuser().await;
    let (first, second) = (server.organization("Forening").await, server.organization("Annen forening").await);
    let (admin, other) = (first.admin().await, second.admin().await);
    let (books, roster) = (connect_external(&admin, json!({})).await, connect_external(&other, json!({})).await);
    for (hour, status) in [(1, "success"), (2, "failed"), (3, "failed")] {
        ended(&admin, books, hour, status).await;
        ended(&other, roster, hour, status).await;
    }
    let (before, theirs) = (facts(&pool, books).await.unwrap(), facts(&pool, roster).await.unwrap());
    assert_eq!(
        (before["consecutive_failures"].as_i64(), before["recent"].as_array().map(Vec::len)),
        (Some(2), Some(3))
    );
    let fine = rebuild_health(&server, &["--check"])?;
    assert!(fine.status.success(), "{}", said(&fine));
    assert!(said(&fine).contains("2 health rows compared with the ledger, 0 differ"), "{}", said(&fine));

    // Somebody meddles with both rows.
    sqlx::query(
        "UPDATE integration_health SET facts = (facts::jsonb || '{\"consecutive_failures\": 7, \"recent\": []}')::json",
    )
    .execute(&pool)
    .await?;
    let meddled = facts(&pool, books).await.unwrap();
    let found = rebuild_health(&server, &["--check"])?;
    assert_eq!(found.status.code(), Some(1), "{}", said(&found));
    assert!(
        said(&found).contains(&books.to_string()) && said(&found).contains("failures in a row"),
        "{}",
        said(&found)
    );
    assert_eq!(facts(&pool, books).await.unwrap(), meddled, "looking changes nothing");

    let one = rebuild_health(&server, &["--organization", "Forening"])?;
    assert!(one.status.success(), "{}", said(&one));
    assert_eq!(facts(&pool, books).await.unwrap(), before);
    assert_ne!(facts(&pool, roster).await.unwrap(), theirs, "only the organization that was named");
    let by_id = rebuild_health(&server, &["--organization", &second.id.to_string()])?;
    assert!(by_id.status.success(), "{}", said(&by_id));
    assert_eq!(facts(&pool, roster).await.unwrap(), theirs);
    assert!(rebuild_health(&server, &["--check"])?.status.success());
    assert!(!rebuild_health(&server, &["--organization", "Nobody"])?.status.success());
    Ok(())
}

#[tokio::test]
async fn what_lies_in_the_archive_stays_in_the_row() -> anyhow::Result<()> {
    let server = TestServer::without_worker().await;
    let pool = server.superuser().await;
    let admin = server.organization("Forening").await.admin().await;
    let books = connect_external(&admin, json!({})).await;
    ended(&admin, books, 1, "success").await;
    ended(&admin, books, 2, "failed").await;
    // The first one's month is gone; another one never was.
    let mut row = facts(&pool, books).await.unwrap();
    let mut archived = row["recent"][1].clone();
    // A recent sync's id, start and end come first.
    archived[0] = json!("01890a5d-ac96-774b-bcce-b302099a8057");
    archived[1] = json!(micros("2023-06-30T01:00:00Z")?);
    archived[2] = json!(micros("2023-06-30T01:05:00Z")?);
    let mut invented = archived.clone();
    invented[0] = json!(Uuid::now_v7());
    invented[1] = json!(micros(&moment(0, 30))?);
    row["recent"] = json!([row["recent"][0], row["recent"][1], invented, archived]);
    let set = sqlx::query("UPDATE integration_health SET facts = $2 WHERE integration_config_id = $1");
    set.bind(books).bind(&row).execute(&pool).await?;
    assert!(rebuild_health(&server, &[])?.status.success());
    let rebuilt = facts(&pool, books).await.unwrap();
    let ids: Vec<_> = rebuilt["recent"].as_array().into_iter().flatten().map(|sync| sync[0].clone()).collect();
    assert_eq!(ids, [row["recent"][0][0].clone(), row["recent"][1][0].clone(), archived[0].clone()]);
    Ok(())
}
