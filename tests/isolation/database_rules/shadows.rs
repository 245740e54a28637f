//! A session may make temporary tables of any name; the rules look past them.

use uuid::Uuid;

use super::story::{ENDED, End, NO_ERROR, NOT_ENDED};
use super::{Db, Refused, id_at, minutes_ago, quoted, sync_at};

/// A temporary copy of a table, with a change.
fn shadow(table: &str, change: &str) -> String {
    format!("CREATE TEMPORARY TABLE {table} AS SELECT * FROM public.{table}; UPDATE pg_temp.{table} SET {change}")
}

/// The statement about the ledger's own tables rather than the temporary ones.
fn real(mut statement: String) -> String {
    for table in ["sync_logs", "sync_attempts", "sync_record_outcomes", "source_records"] {
        for verb in ["INTO", "UPDATE"] {
            statement = statement.replace(&format!("{verb} {table} "), &format!("{verb} public.{table} "));
        }
    }
    statement
}

#[tokio::test]
async fn temporary_tables_deceive_no_rule() {
    let mut db = Db::new().await;
    let success = db.ended(End::Clean).await;
    let failed = db.ended(End::Failed).await;
    let waiting = db.ended(End::Failed).await;
    let waiting = db.asked(waiting).await;
    let record = db.scene.theirs.record;
    db.run(format!("UPDATE source_records SET state = 'delivered' WHERE source_record_id = '{record}'")).await;
    let late = failed.outcome(&db, Uuid::now_v7(), "queued").with("errors", "'[]'").insert();
    let moment = minutes_ago(1);
    let row = sync_at(&db, moment).with("id", quoted(id_at(moment)));
    let id = row.columns.iter().find(|(column, _)| *column == "id").unwrap().1.clone();

    db.run(shadow("integration_configs", "connector_type = 'dynamics365', allow_updates = true")).await;
    db.run(shadow("sync_attempts", "status = 'success'")).await;
    db.run("CREATE TEMPORARY TABLE client_runs (LIKE public.client_runs)").await;
    db.run("CREATE TEMPORARY TABLE sync_record_outcomes (LIKE public.sync_record_outcomes)").await;
    let outcome = real(late.replace("'queued'", "'failed'")).replace("public.", "pg_temp.");
    db.run(outcome.replace(&failed.id.to_string(), &success.id.to_string())).await;
    db.run("CREATE TEMPORARY TABLE sync_claims (LIKE public.sync_claims)").await;
    let claim = format!(
        "INSERT INTO pg_temp.sync_claims VALUES ('{}', 'xledger', 'expense_claims', '{record}', {id})",
        db.organization
    );
    db.run(claim).await;

    let about = row.clone().with("source_record_type", "'expense_claims'").with("source_record_id", quoted(record));
    for (rule, statement) in [
        ("connector_type_must_match_integration_config", row.clone().with("connector_type", "'dynamics365'").insert()),
        ("client_run_id_unique", row.clone().with("client_run_id", "'nightly'").insert()),
        ("one_active_attempt_per_source_record", about.insert()),
        ("sync_status_transition", success.set(&format!("status = 'pending', {NOT_ENDED}"))),
        ("sync_status_transition", waiting.set(&format!("status = 'success', {ENDED}, {NO_ERROR}"))),
        (
            "delivered_record_is_settled",
            format!("UPDATE source_records SET state = 'staged' WHERE source_record_id = '{record}'"),
        ),
    ] {
        let statement = real(statement);
        assert_eq!(db.refused(&statement).await, Refused::rule(rule), "{statement}");
    }
    db.run("UPDATE pg_temp.sync_attempts SET status = 'in_progress'").await;
    // As the rule calls the rows that a statement has written.
    db.run("CREATE TEMPORARY TABLE written (LIKE public.sync_record_outcomes)").await;
    assert_eq!(db.refused(real(late)).await, Refused::rule("record_outcome_transition"));
    db.run("DELETE FROM pg_temp.sync_attempts").await;
    let claimed = real(waiting.set(&format!(
        "status = 'in_progress', {NO_ERROR}, records_processed = NULL, \
                                             records_failed = NULL"
    )));
    assert_eq!(db.refused(claimed).await, Refused::rule("retry_limit_enforcement"));
}
