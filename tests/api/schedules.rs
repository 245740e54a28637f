//! The timer of a schedule, while no worker is there to begin what is due.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use tests::client::id;
use tests::server::TestServer;

#[tokio::test]
async fn a_run_that_waits_outlives_a_change_of_other_settings() {
    let server = TestServer::without_worker().await;
    let admin = server.organization("Forening").await.admin().await;
    let body = json!({
        "name": "Accounting", "connector_type": "generic_http", "sync_type": "accounting_push", "runner": "managed",
        "settings": { "url": "https://accounting.example/api/vouchers" },
        "schedule": { "cron": "* * * * *", "time_zone": "Europe/Oslo" },
    });
    let path = format!("/integrations/{}", id(&admin.post("/integrations").json(&body).send().await.expect(201)));
    let superuser = server.superuser().await;
    let timer = async || -> Option<DateTime<Utc>> {
        sqlx::query_scalar("SELECT next_run_at FROM integration_timers").fetch_one(&superuser).await.unwrap()
    };
    let change =
        async |settings: Value| admin.patch(&path).header("If-Match", "*").json(&settings).send().await.expect(200);
    let due = timer().await;
    server.clock.advance(Duration::minutes(2));
    change(json!({ "freshness_hours": 24 })).await;
    assert!(due.is_some());
    assert_eq!(timer().await, due);

    // Another schedule has nothing to make up for, and neither has a pause.
    change(json!({ "schedule": { "cron": "0 6 1 1 *", "time_zone": "UTC" } })).await;
    assert!(timer().await > Some(server.clock.now()));
    change(json!({ "paused": true })).await;
    assert_eq!(timer().await, None);
    change(json!({ "paused": false })).await;
    assert!(timer().await > Some(server.clock.now()));
}
