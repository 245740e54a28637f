//! The rules of a sync's fields, as it is inserted.

use chrono::Duration;
use uuid::Uuid;

use super::{Db, NOT_PERMITTED, Refused, Row, at, id_at, minutes_ago, quoted, success_at, sync_at, tried};

/// The validation rules of severity error, and those business rules that an inserted row can break.
const RULES: [&str; 13] = [
    "integration_config_id_must_exist",
    "connector_type_must_match_integration_config",
    "started_at_not_in_future",
    "completed_at_must_follow_started_at",
    "error_fields_required_on_failure",
    "records_processed_non_negative",
    "http_status_code_range",
    "triggered_by_user_id_required_for_manual",
    "source_record_type_required_when_id_present",
    "request_payload_hash_format",
    "completed_at_set_on_terminal_status",
    "duration_is_the_difference",
    "id_says_when_it_started",
];

/// Rows that break one rule each.
fn broken(db: &Db) -> Vec<(&'static str, Row)> {
    let moment = minutes_ago(1);
    let running = || sync_at(db, moment);
    let success = || success_at(db, moment);
    let failed = || success().and(&[("status", "'failed'"), ("error_code", "'X'"), ("error_message", "'x'")]);
    let somebody = quoted(Uuid::now_v7());
    let hash = |text: &str| quoted(text.repeat(64));
    vec![
        ("integration_config_id_must_exist", running().with("integration_config_id", somebody.clone())),
        ("integration_config_id_must_exist", running().with("integration_config_id", quoted(db.scene.integration))),
        ("connector_type_must_match_integration_config", running().with("connector_type", "'dynamics365'")),
        ("connector_type_must_match_integration_config", running().with("connector_type", "'fax'")),
        ("started_at_not_in_future", sync_at(db, minutes_ago(-1))),
        (
            "started_at_whole_milliseconds",
            running().with("started_at", format!("{}::timestamptz + '1 us'", at(moment))),
        ),
        (
            "completed_at_must_follow_started_at",
            success().with("completed_at", at(moment - Duration::seconds(1))).with("duration_ms", "-1000"),
        ),
        ("completed_at_set_on_terminal_status", running().with("status", "'success'")),
        ("completed_at_set_on_terminal_status", running().with("completed_at", at(moment)).with("duration_ms", "0")),
        ("completed_at_set_on_terminal_status", success().with("status", "'in_progress'")),
        ("completed_at_set_on_terminal_status", success().with("status", "'pending'")),
        ("completed_at_set_on_terminal_status", success().with("duration_ms", "NULL")),
        ("completed_at_set_on_terminal_status", success().with("completed_at", "NULL")),
        ("duration_is_the_difference", success().with("duration_ms", "4999")),
        ("duration_is_the_difference", success().with("duration_ms", "0")),
        ("error_fields_required_on_failure", success().with("status", "'failed'")),
        ("error_fields_required_on_failure", failed().with("error_message", "NULL")),
        ("error_fields_required_on_failure", failed().with("error_code", "NULL")),
        ("error_fields_required_on_failure", success().with("error_code", "'X'")),
        ("error_fields_required_on_failure", success().with("error_message", "'x'")),
        ("error_fields_required_on_failure", running().with("error_code", "'X'")),
        ("error_fields_required_on_failure", running().and(&[("status", "'pending'"), ("error_code", "'X'")])),
        ("records_processed_non_negative", success().with("records_processed", "-1")),
        ("records_processed_non_negative", success().with("records_failed", "-1")),
        ("records_processed_non_negative", success().with("records_total", "-1")),
        ("counts_null_while_running", running().with("records_processed", "1")),
        ("counts_null_while_running", running().with("records_failed", "0")),
        ("http_status_code_range", success().with("http_status_code", "99")),
        ("http_status_code_range", success().with("http_status_code", "600")),
        ("triggered_by_user_id_required_for_manual", running().with("triggered_by", "'manual'")),
        ("triggered_by_user_id_required_for_manual", running().with("triggered_by_user_id", somebody.clone())),
        (
            "triggered_by_user_id_required_for_manual",
            running().with("triggered_by", "'webhook'").with("triggered_by_user_id", somebody.clone()),
        ),
        ("source_record_type_required_when_id_present", success().with("source_record_id", somebody.clone())),
        ("request_payload_hash_format", success().with("request_payload_hash", hash("A"))),
        ("request_payload_hash_format", success().with("request_payload_hash", hash("g"))),
        ("request_payload_hash_format", success().with("request_payload_hash", "repeat('a', 63)")),
        ("request_payload_hash_format", success().with("request_payload_hash", "repeat('a', 65)")),
        ("request_payload_hash_format", success().with("request_payload_hash", "repeat('a', 64) || chr(10)")),
        ("request_payload_hash_format", success().with("request_payload_hash", "''")),
        ("id_says_when_it_started", running().with("id", quoted(id_at(moment - Duration::milliseconds(1))))),
        ("id_says_when_it_started", running().with("id", quoted(id_at(moment - Duration::days(40))))),
        ("id_says_when_it_started", running().with("id", quoted(Uuid::new_v4()))),
        ("id_says_when_it_started", running().with("id", quoted(Uuid::nil()))),
        ("sync_status_transition", running().with("retry_count", "1")),
        ("sync_status_transition", success().with("status", "'retried_success'")),
        ("sync_status_transition", failed().and(&[("status", "'retried_failed'"), ("retry_count", "1")])),
        ("sync_logs_sync_type_check", running().with("sync_type", "'gossip'")),
        ("sync_status_transition", running().with("status", "'done'")),
        ("sync_logs_triggered_by_check", running().with("triggered_by", "'chance'")),
        ("sync_logs_error_message_check", failed().with("error_message", "repeat('x', 4001)")),
        ("sync_logs_error_code_check", failed().with("error_code", "''")),
        ("sync_logs_warnings_check", success().with("warnings", "'{}'")),
        ("sync_logs_client_run_id_check", success().with("client_run_id", "''")),
        ("sync_logs_source_record_type_check", success().with("source_record_type", "'a b'")),
        ("sync_logs_external_reference_id_check", success().with("external_reference_id", "repeat('x', 501)")),
    ]
}

#[tokio::test]
async fn every_rule_of_a_field_is_kept_without_the_api() {
    let mut db = Db::new().await;
    let cases = broken(&db);
    for (rule, row) in &cases {
        assert_eq!(db.refused(row.insert()).await, Refused::rule(rule), "{}", row.insert());
    }
    for rule in RULES {
        assert!(cases.iter().any(|(broken, _)| *broken == rule), "nobody tries to break {rule}");
    }
}

#[tokio::test]
async fn rows_that_keep_the_rules_pass() {
    let mut db = Db::new().await;
    let moment = minutes_ago(1);
    let success = || success_at(&db, moment);
    let somebody = quoted(Uuid::now_v7());
    let rows = [
        sync_at(&db, moment),
        sync_at(&db, moment).with("status", "'pending'"),
        success(),
        success().and(&[("status", "'failed'"), ("error_code", "'X'"), ("error_message", "repeat('x', 4000)")]),
        success().with("completed_at", at(moment)).with("duration_ms", "0"),
        success().and(&[("http_status_code", "100"), ("request_payload_hash", "repeat('0a', 32)")]),
        success().and(&[("http_status_code", "599"), ("source_record_type", "'expense_claims'")]),
        success().with("triggered_by", "'manual'").with("triggered_by_user_id", somebody),
        // A sync retried after a month outlasts 32 bits.
        success()
            .with("completed_at", at(moment + Duration::days(30)))
            .with("duration_ms", Duration::days(30).num_milliseconds().to_string()),
        // Severity warning: taken, and remarked on by the server.
        success().and(&[("records_total", "1"), ("records_failed", "2"), ("records_processed", "0")]),
        success().and(&[("records_total", "40"), ("records_processed", "3"), ("records_failed", "4")]),
        success().and(&[("records_total", "0"), ("records_processed", "0"), ("records_failed", "0")]),
    ];
    for row in rows {
        assert_eq!(db.tried(&row.insert()).await, Ok(()), "{}", row.insert());
    }
}

#[tokio::test]
async fn a_start_without_a_partition_is_refused() {
    let mut db = Db::new().await;
    for days in [500, 10_000] {
        let row = sync_at(&db, minutes_ago(days * 24 * 60));
        assert_eq!(db.refused(row.insert()).await, Refused::rule(""), "{}", row.insert());
    }
}

#[tokio::test]
async fn no_role_writes_a_sync_into_a_partition_by_name() {
    let mut db = Db::new().await;
    let row = success_at(&db, minutes_ago(1));
    let denied = Err(Refused::by(NOT_PERMITTED, ""));
    assert_eq!(db.tried(&row.insert()).await, Ok(()));
    let rows: Vec<Row> = broken(&db).into_iter().map(|(_, row)| row).chain([row.clone()]).collect();
    for row in rows {
        assert_eq!(db.tried(&row.insert_by_name()).await, denied, "{}", row.insert_by_name());
    }
    for role in ["syncwatch_reader", "syncwatch_maintenance"] {
        let mut session = db.role(role).await;
        for statement in [row.insert(), row.insert_by_name()] {
            assert_eq!(tried(&mut session, &statement).await, denied, "{role}: {statement}");
        }
    }
}

#[tokio::test]
async fn the_organization_is_the_integrations_whatever_the_statement_says() {
    let mut db = Db::new().await;
    let (ours, theirs) = (db.scene.ours.id, db.organization);
    let moment = minutes_ago(1);
    let copied = sync_at(&db, moment).with("organization_id", quoted(ours));
    db.run(copied.insert()).await;
    let stands = format!("SELECT organization_id::text FROM sync_logs WHERE started_at = {}", at(moment));
    assert_eq!(db.read(stands).await, Some(theirs.to_string()));
    // With no organization, or another one, there is no such integration, whatever the row claims.
    let row = sync_at(&db, minutes_ago(2));
    for organization in [None, Some(ours), Some(Uuid::now_v7())] {
        db.within(organization).await;
        assert_eq!(db.refused(row.insert()).await, Refused::rule("integration_config_id_must_exist"));
    }
}
