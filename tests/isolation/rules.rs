//! The ledger's rules hold for plain SQL too, whoever writes it.

use serde_json::json;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use uuid::Uuid;

use crate::scene::{CLAIM, Scene};

/// A connection of the application's role within the second organization.
async fn app(scene: &Scene) -> PgConnection {
    let mut app = PgConnection::connect(&scene.server.database.app_url).await.unwrap();
    sqlx::query("SELECT set_config('app.org_id', $1, false)")
        .bind(scene.theirs.organization.id.to_string())
        .execute(&mut app)
        .await
        .unwrap();
    app
}

/// The constraint that refused a statement.
async fn rule(app: &mut PgConnection, statement: &str) -> String {
    match app.execute(AssertSqlSafe(statement.to_owned())).await {
        Ok(done) => panic!("{statement} was not refused: {done:?}"),
        Err(error) => {
            let error = error.as_database_error().unwrap();
            error.constraint().map_or_else(|| error.message().to_owned(), str::to_owned)
        }
    }
}

#[tokio::test]
async fn a_sync_that_is_inserted_keeps_every_rule() {
    let scene = Scene::new().await;
    let mut app = app(&scene).await;
    let insert = |changes: &[(&str, &str)]| {
        let mut values = vec![
            ("id", format!("'{}'", Uuid::now_v7())),
            ("integration_config_id", format!("'{}'", scene.theirs.integration)),
            ("organization_id", format!("'{}'", scene.theirs.organization.id)),
            ("connector_type", "'xledger'".to_owned()),
            ("sync_type", "'accounting_push'".to_owned()),
            ("status", "'in_progress'".to_owned()),
            ("triggered_by", "'automatic'".to_owned()),
            ("started_at", "date_trunc('milliseconds', now() - interval '1 minute')".to_owned()),
        ];
        for (column, value) in changes {
            values.retain(|(known, _)| known != column);
            values.push((column, (*value).to_owned()));
        }
        let (columns, values): (Vec<&str>, Vec<String>) = values.into_iter().unzip();
        format!("INSERT INTO sync_logs ({}) VALUES ({})", columns.join(", "), values.join(", "))
    };
    let unknown = format!("'{}'", Uuid::now_v7());
    let ours = format!("'{}'", scene.integration);
    let done: &[(&str, &str)] = &[
        ("status", "'success'"),
        ("completed_at", "date_trunc('milliseconds', now() - interval '1 minute') + interval '5 seconds'"),
        ("duration_ms", "5000"),
    ];
    let with = |more: &[(&'static str, &'static str)]| insert(&[done, more].concat());
    let failed: &[(&str, &str)] = &[("status", "'failed'"), ("error_code", "'X'"), ("error_message", "'x'")];
    app.execute(AssertSqlSafe(insert(&[]))).await.unwrap();
    app.execute(AssertSqlSafe(with(&[]))).await.unwrap();
    app.execute(AssertSqlSafe(with(failed))).await.unwrap();

    let cases: Vec<(&str, String)> = vec![
        ("integration_config_id_must_exist", insert(&[("integration_config_id", &unknown)])),
        ("integration_config_id_must_exist", insert(&[("integration_config_id", &ours)])),
        ("connector_type_must_match_integration_config", insert(&[("connector_type", "'dynamics365'")])),
        (
            "started_at_not_in_future",
            insert(&[("started_at", "date_trunc('milliseconds', clock_timestamp() + interval '1 minute')")]),
        ),
        (
            "started_at_whole_milliseconds",
            insert(&[("started_at", "date_trunc('second', now()) - interval '10.0001 s'")]),
        ),
        ("completed_at_must_follow_started_at", with(&[("completed_at", "now() - interval '1 hour'")])),
        ("completed_at_set_on_terminal_status", insert(&[("status", "'success'")])),
        ("completed_at_set_on_terminal_status", with(&[("status", "'in_progress'")])),
        ("completed_at_set_on_terminal_status", with(&[("duration_ms", "NULL")])),
        ("duration_is_the_difference", with(&[("duration_ms", "4999")])),
        ("error_fields_required_on_failure", with(&[("status", "'failed'")])),
        ("error_fields_required_on_failure", with(&[("status", "'failed'"), ("error_code", "'X'")])),
        ("error_fields_required_on_failure", with(&[("status", "'failed'"), ("error_message", "'x'")])),
        ("error_fields_required_on_failure", with(&[("error_code", "'X'")])),
        ("records_processed_non_negative", with(&[("records_processed", "-1")])),
        ("records_processed_non_negative", with(&[("records_failed", "-1")])),
        ("records_processed_non_negative", with(&[("records_total", "-1")])),
        ("counts_null_while_running", insert(&[("records_processed", "1")])),
        ("http_status_code_range", with(&[("http_status_code", "99")])),
        ("http_status_code_range", with(&[("http_status_code", "600")])),
        ("triggered_by_user_id_required_for_manual", insert(&[("triggered_by", "'manual'")])),
        ("triggered_by_user_id_required_for_manual", insert(&[("triggered_by_user_id", &unknown)])),
        ("source_record_type_required_when_id_present", insert(&[("source_record_id", &unknown)])),
        ("request_payload_hash_format", with(&[("request_payload_hash", "repeat('A', 64)")])),
        ("request_payload_hash_format", with(&[("request_payload_hash", "repeat('a', 63)")])),
        ("sync_status_transition", insert(&[("retry_count", "1")])),
        ("sync_status_transition", with(&[("status", "'retried_success'")])),
    ];
    for (expected, statement) in cases {
        let refused = rule(&mut app, &statement).await;
        // A partition's copy of a constraint has its name.
        assert_eq!(refused, expected, "{statement}");
    }
    let too_long = with(&[("status", "'failed'"), ("error_code", "'X'"), ("error_message", "repeat('x', 4001)")]);
    assert!(rule(&mut app, &too_long).await.contains("error_message"));
    // The organization is copied from the integration, whatever the statement said.
    let id = Uuid::now_v7();
    let quoted = format!("'{id}'");
    let foreign = format!("'{}'", scene.ours.id);
    app.execute(AssertSqlSafe(insert(&[("id", &quoted), ("organization_id", &foreign)]))).await.unwrap();
    let organization: Uuid = sqlx::query_scalar("SELECT organization_id FROM sync_logs WHERE id = $1")
        .bind(id)
        .fetch_one(&scene.superuser)
        .await
        .unwrap();
    assert_eq!(organization, scene.theirs.organization.id);
}

#[tokio::test]
async fn what_a_sync_is_about_never_changes() {
    let scene = Scene::new().await;
    let mut app = app(&scene).await;
    let unknown = Uuid::now_v7();
    let fixed = [
        ("id", format!("'{unknown}'")),
        ("integration_config_id", format!("'{unknown}'")),
        ("connector_type", "'other'".to_owned()),
        ("sync_type", "'roster_sync'".to_owned()),
        ("triggered_by", "'webhook'".to_owned()),
        ("triggered_by_user_id", format!("'{unknown}'")),
        ("source_record_id", format!("'{unknown}'")),
        ("source_record_type", "'other'".to_owned()),
        ("started_at", "started_at - interval '1 second'".to_owned()),
        ("backfill", "true".to_owned()),
        ("client_run_id", "'another'".to_owned()),
    ];
    for sync in [scene.theirs.failed, scene.theirs.running] {
        for (column, value) in &fixed {
            let refused = rule(&mut app, &format!("UPDATE sync_logs SET {column} = {value} WHERE id = '{sync}'")).await;
            assert_eq!(refused, "immutable_after_terminal_state", "{column}");
        }
    }
    let failed = scene.theirs.failed;
    let settled = [
        "metadata = '{}'",
        "error_message = 'mended'",
        "records_failed = 0",
        "warnings = '[{}]'",
        "completed_at = completed_at + interval '1 s', duration_ms = duration_ms + 1000",
    ];
    for change in settled {
        let refused = rule(&mut app, &format!("UPDATE sync_logs SET {change} WHERE id = '{failed}'")).await;
        assert_eq!(refused, "immutable_after_terminal_state", "{change}");
    }
    let attempt = format!("UPDATE sync_attempts SET records_failed = 0 WHERE sync_id = '{failed}'");
    assert_eq!(rule(&mut app, &attempt).await, "immutable_after_terminal_state");
    let outcome =
        |outcome: &str| format!("UPDATE sync_record_outcomes SET outcome = '{outcome}' WHERE sync_id = '{failed}'");
    for lesser in ["queued", "sending", "not_attempted", "unknown", "failed", "skipped"] {
        assert_eq!(rule(&mut app, &outcome(lesser)).await, "record_outcome_transition", "{lesser}");
    }
}

#[tokio::test]
async fn only_the_documented_transitions_pass() {
    let scene = Scene::new().await;
    let mut app = app(&scene).await;
    let ended = "completed_at = date_trunc('milliseconds', started_at + interval '1 s'), duration_ms = 1000";
    let error = "error_code = 'X', error_message = 'x'";
    let (failed, running, queued) = (scene.theirs.failed, scene.theirs.running, scene.theirs.queued);
    let cases = [
        (running, "sync_status_transition", "status = 'pending'".to_owned()),
        (running, "sync_status_transition", format!("status = 'retried_failed', {ended}, {error}")),
        (queued, "sync_status_transition", format!("status = 'success', {ended}")),
        (queued, "sync_status_transition", format!("status = 'retried_success', {ended}")),
        (
            failed,
            "sync_status_transition",
            "status = 'in_progress', completed_at = NULL, duration_ms = NULL".to_owned(),
        ),
        (failed, "sync_status_transition", "status = 'success', error_code = NULL, error_message = NULL".to_owned()),
        (failed, "sync_status_transition", "status = 'retried_failed'".to_owned()),
        (failed, "retry_limit_enforcement", "retry_count = 1".to_owned()),
        (running, "retry_limit_enforcement", "retry_count = 1".to_owned()),
        (queued, "retry_limit_enforcement", "status = 'in_progress', retry_count = 2".to_owned()),
    ];
    for (sync, expected, change) in cases {
        let statement = format!("UPDATE sync_logs SET {change} WHERE id = '{sync}'");
        assert_eq!(rule(&mut app, &statement).await, expected, "{change}");
    }
    let without_end = format!("UPDATE sync_logs SET status = 'success' WHERE id = '{running}'");
    assert_eq!(rule(&mut app, &without_end).await, "completed_at_set_on_terminal_status");
    let without_error = format!("UPDATE sync_logs SET status = 'failed', {ended} WHERE id = '{running}'");
    assert_eq!(rule(&mut app, &without_error).await, "error_fields_required_on_failure");
}

#[tokio::test]
async fn the_eleventh_retry_is_refused_by_the_database_too() {
    let scene = Scene::new().await;
    let mut app = app(&scene).await;
    let sync = scene.theirs.failed;
    let set = |change: &str| format!("UPDATE sync_logs SET {change} WHERE id = '{sync}'");
    let pending = "status = 'pending', completed_at = NULL, duration_ms = NULL";
    for attempt in 1..=10 {
        app.execute(AssertSqlSafe(set(pending))).await.unwrap();
        let claimed = format!(
            "status = 'in_progress', retry_count = {attempt}, error_code = NULL, error_message = NULL, \
             records_processed = NULL, records_failed = NULL"
        );
        app.execute(AssertSqlSafe(set(&claimed))).await.unwrap();
        let ended = "status = 'retried_failed', error_code = 'X', error_message = 'x', \
                     completed_at = date_trunc('milliseconds', started_at + interval '1 s'), duration_ms = 1000";
        app.execute(AssertSqlSafe(set(ended))).await.unwrap();
    }
    assert_eq!(rule(&mut app, &set(pending)).await, "sync_status_transition");
}

#[tokio::test]
async fn a_record_is_claimed_by_one_sync_at_a_time() {
    let scene = Scene::new().await;
    let mut app = app(&scene).await;
    let record = Uuid::now_v7();
    let claim = |sync: Uuid, connector: &str| {
        let organization = scene.theirs.organization.id;
        format!(
            "INSERT INTO sync_claims (organization_id, connector_type, source_record_type, source_record_id, sync_id)
             VALUES ('{organization}', '{connector}', '{CLAIM}', '{record}', '{sync}')"
        )
    };
    app.execute(AssertSqlSafe(claim(scene.theirs.running, "xledger"))).await.unwrap();
    let again = rule(&mut app, &claim(scene.theirs.queued, "xledger")).await;
    assert_eq!(again, "one_active_attempt_per_source_record");
    app.execute(AssertSqlSafe(claim(scene.theirs.queued, "dynamics365"))).await.unwrap();
    // A claim belongs to a sync that is under way.
    assert!(rule(&mut app, &claim(scene.theirs.failed, "other")).await.contains("fkey"));
}

#[tokio::test]
async fn delivered_and_handled_records_are_settled() {
    let scene = Scene::new().await;
    let mut app = app(&scene).await;
    let (record, integration) = (scene.theirs.record, scene.theirs.integration);
    let set = |state: &str| format!("UPDATE source_records SET state = '{state}' WHERE source_record_id = '{record}'");
    app.execute(AssertSqlSafe(set("handled"))).await.unwrap();
    for state in ["staged", "sending", "failed", "unknown"] {
        assert_eq!(rule(&mut app, &set(state)).await, "handled_record_is_settled", "{state}");
    }
    app.execute(AssertSqlSafe(set("delivered"))).await.unwrap();
    for state in ["staged", "sending", "failed", "unknown", "handled"] {
        assert_eq!(rule(&mut app, &set(state)).await, "delivered_record_is_settled", "{state}");
    }
    let allow = format!("UPDATE integration_configs SET allow_updates = true WHERE id = '{integration}'");
    app.execute(AssertSqlSafe(allow)).await.unwrap();
    app.execute(AssertSqlSafe(set("staged"))).await.unwrap();
    // A settled record keeps no payload.
    let staged = scene.theirs.staged;
    let kept = format!("UPDATE source_records SET state = 'handled' WHERE source_record_id = '{staged}'");
    let kept = rule(&mut app, &kept).await;
    assert_eq!(kept, "payload_deleted_once_settled", "{}", json!(kept));
}

#[tokio::test]
async fn one_incident_is_open_and_says_each_thing_once() {
    let scene = Scene::new().await;
    let mut app = app(&scene).await;
    let incident = scene.theirs.incident;
    let second = format!(
        "INSERT INTO incidents (organization_id, id, integration_config_id, kind, opened_at)
         SELECT organization_id, '{}', integration_config_id, kind, opened_at FROM incidents WHERE id = '{incident}'",
        Uuid::now_v7()
    );
    assert_eq!(rule(&mut app, &second).await, "incidents_one_open");
    let again = format!(
        "INSERT INTO notifications (organization_id, user_id, id, kind, incident_id, consecutive_failures, created_at)
         SELECT organization_id, user_id, '{}', kind, incident_id, 2, now() FROM notifications
         WHERE incident_id = '{incident}'",
        Uuid::now_v7()
    );
    assert!(rule(&mut app, &again).await.starts_with("notifications_organization_id_user_id"));
}
