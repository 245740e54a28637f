//! What never changes in a sync, column by column; a column that nobody has thought of fails the test.

use super::story::End;
use super::{Db, NOT_PERMITTED, Refused, another, partition};

/// What a sync is about: the same from its beginning on.
const ALWAYS_FIXED: [&str; 12] = [
    "id",
    "integration_config_id",
    "organization_id",
    "connector_type",
    "sync_type",
    "triggered_by",
    "triggered_by_user_id",
    "source_record_id",
    "source_record_type",
    "started_at",
    "backfill",
    "client_run_id",
];
/// Fixed once the sync has ended for the first time.
const FIXED_ONCE_ENDED: [&str; 1] = ["metadata"];
/// Changes with a sync's attempts, and only within a retry cycle once it has ended.
const WITHIN_A_CYCLE: [&str; 13] = [
    "status",
    "records_processed",
    "records_failed",
    "records_total",
    "error_code",
    "error_message",
    "retry_count",
    "external_reference_id",
    "request_payload_hash",
    "http_status_code",
    "duration_ms",
    "completed_at",
    "warnings",
];

const IMMUTABLE: &str = "immutable_after_terminal_state";

#[tokio::test]
async fn every_column_of_a_sync_is_fixed_or_belongs_to_the_cycle() {
    let mut db = Db::new().await;
    let columns = db.columns("sync_logs").await;
    for (column, _) in &columns {
        let column = column.as_str();
        let places =
            [ALWAYS_FIXED.contains(&column), FIXED_ONCE_ENDED.contains(&column), WITHIN_A_CYCLE.contains(&column)];
        assert_eq!(places.iter().filter(|known| **known).count(), 1, "say here whether {column} may change");
    }
    let failed = db.retried(1, End::Failed).await;
    let waiting = db.asked(failed).await;
    let asked = db.ended(End::Failed).await;
    let asked = db.asked(asked).await;
    let lives = [
        ("announced", false, false, db.announced().await),
        ("running", false, false, db.started().await),
        ("failed", true, true, db.ended(End::Failed).await),
        ("success", true, true, db.ended(End::Clean).await),
        ("retried_failed", true, true, db.retried(1, End::Failed).await),
        ("retried_success", true, true, db.retried(1, End::Clean).await),
        ("abandoned", true, false, db.ended(End::Abandoned).await),
        ("waiting for a retry", true, false, waiting),
        ("in a retry", true, false, db.claimed(asked, 1).await),
    ];
    for (what, ended, settled, life) in lives {
        for (column, data_type) in &columns {
            let statement = life.set(&format!("{column} = {}", another(column, data_type)));
            let fixed = ALWAYS_FIXED.contains(&column.as_str())
                || (ended && FIXED_ONCE_ENDED.contains(&column.as_str()))
                // A new status has the table of transitions, and the number of retries its limit.
                || (settled && !["status", "retry_count"].contains(&column.as_str()));
            if fixed {
                assert_eq!(db.refused(&statement).await, Refused::rule(IMMUTABLE), "{what}: {statement}");
            }
        }
    }
}

#[tokio::test]
async fn a_sync_keeps_its_columns_in_a_partition_by_name_too() {
    let mut db = Db::new().await;
    let life = db.ended(End::Failed).await;
    let partition = partition("sync_logs", life.started_at);
    for (column, data_type) in db.columns("sync_logs").await {
        let statement =
            life.set(&format!("{column} = {}", another(&column, &data_type))).replace("sync_logs", &partition);
        assert_eq!(db.refused(&statement).await, Refused::by(NOT_PERMITTED, ""), "{statement}");
    }
}

#[tokio::test]
async fn the_context_may_grow_until_a_sync_ends() {
    let mut db = Db::new().await;
    for life in [db.announced().await, db.started().await] {
        assert_eq!(db.tried(life.set("metadata = '{\"batch\": 7}'")).await, Ok(()));
    }
    let given_up = db.given_up().await;
    let waiting = db.asked(given_up).await;
    for life in [given_up, waiting] {
        assert_eq!(db.refused(life.set("metadata = '{\"batch\": 7}'")).await, Refused::rule(IMMUTABLE));
    }
}
