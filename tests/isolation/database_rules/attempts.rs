//! Attempts: each fits its sync, and closed ones stay closed.

use super::story::{ENDED, ERROR, End, NO_ERROR};
use super::{Db, NOT_PERMITTED, Refused, another, at, minutes_ago, partition, quoted, tried};

/// What an attempt is.
const FIXED: [&str; 6] =
    ["organization_id", "sync_started_at", "sync_id", "attempt_number", "started_at", "triggered_by_user_id"];
/// How far it is and how it ended: an abandoned attempt may still say so, once.
const REPORTED: [&str; 13] = [
    "status",
    "completed_at",
    "duration_ms",
    "records_total",
    "records_done",
    "records_processed",
    "records_failed",
    "records_skipped",
    "records_unknown",
    "records_not_attempted",
    "error_code",
    "error_message",
    "http_status_code",
];

fn closed() -> Refused {
    Refused::rule("immutable_after_terminal_state")
}

#[tokio::test]
async fn a_closed_attempt_never_changes_in_any_column() {
    let mut db = Db::new().await;
    let columns = db.columns("sync_attempts").await;
    let mut known = [&FIXED[..], &REPORTED[..]].concat();
    let mut found: Vec<&str> = columns.iter().map(|(column, _)| column.as_str()).collect();
    known.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, known, "say here whether a new column may change");

    let superseded = db.ended(End::Abandoned).await;
    let superseded = db.asked(superseded).await;
    db.claimed(superseded, 1).await;
    let lives = [
        ("running", false, db.started().await),
        ("succeeded", true, db.ended(End::Clean).await),
        ("failed", true, db.ended(End::Failed).await),
        ("failed retry", true, db.retried(2, End::Failed).await),
        ("abandoned", false, db.ended(End::Abandoned).await),
        ("abandoned with a successor", true, superseded),
    ];
    for (what, all, life) in lives {
        for (column, data_type) in &columns {
            let statement = life.set_attempt(&format!("{column} = {}", another(column, data_type)));
            if all || FIXED.contains(&column.as_str()) {
                assert_eq!(db.refused(&statement).await, closed(), "{what}: {statement}");
            }
        }
    }
}

#[tokio::test]
async fn an_abandoned_attempt_reports_late_and_does_not_run_again() {
    let mut db = Db::new().await;
    let life = db.ended(End::Abandoned).await;
    let again = "status = 'in_progress', completed_at = NULL, duration_ms = NULL";
    assert_eq!(db.refused(life.set_attempt(&format!("{again}, {NO_ERROR}"))).await, closed());
    assert_eq!(db.tried(life.set_attempt(&format!("status = 'success', {ENDED}, {NO_ERROR}"))).await, Ok(()));
    assert_eq!(db.tried(life.set_attempt(&format!("status = 'failed', {ENDED}, {ERROR}"))).await, Ok(()));
    // Its late word is its last.
    db.run(life.set_attempt(&format!("status = 'failed', {ENDED}, {ERROR}"))).await;
    assert_eq!(db.refused(life.set_attempt(&format!("status = 'success', {ENDED}, {NO_ERROR}"))).await, closed());
    let ended = db.ended(End::Failed).await;
    assert_eq!(db.refused(ended.set_attempt(&format!("{again}, {NO_ERROR}"))).await, closed());
}

#[tokio::test]
async fn an_attempt_is_made_as_its_syncs_latest() {
    let mut db = Db::new().await;
    let unfit = Refused::rule("attempt_fits_its_sync");
    let ended = [("status", "'success'"), ("duration_ms", "0")];
    // Of a sync that waits: as its end, nobody would have done anything.
    let announced = db.announced().await;
    let made_up = announced.attempt(&db, 0).and(&ended).with("completed_at", at(announced.started_at));
    assert_eq!(db.refused(made_up.insert()).await, unfit);
    assert_eq!(db.refused(announced.attempt(&db, 0).insert()).await, unfit);
    // Of one that runs: no further one, neither running nor ended.
    let running = db.started().await;
    for number in [1, 2, 10] {
        assert_eq!(db.refused(running.attempt(&db, number).insert()).await, unfit, "{number}");
    }
    let twice = db.refused(running.attempt(&db, 0).insert()).await;
    assert_eq!((twice.code.as_str(), twice.rule.contains("pkey")), ("23505", true));
    // Of one that ended: none that runs, none that says something else.
    let failed = db.ended(End::Failed).await;
    assert_eq!(db.refused(failed.attempt(&db, 1).insert()).await, unfit);
    let other = failed.attempt(&db, 1).and(&ended).with("completed_at", at(failed.started_at));
    assert_eq!(db.refused(other.insert()).await, unfit);
    // Of one that is not there.
    let mut nowhere = failed;
    nowhere.id = super::id_at(nowhere.started_at);
    let refused = db.refused(nowhere.attempt(&db, 0).insert()).await;
    assert_eq!((refused.code.as_str(), refused.rule.contains("fkey")), ("23503", true));
    // A retry begins only when the attempt before it has ended, whatever its sync's row says.
    let open = db.started().await;
    db.run(open.set(&format!("status = 'failed', {ENDED}, {ERROR}"))).await;
    let asked = db.asked(open).await;
    let claim = asked.set(&format!(
        "status = 'in_progress', retry_count = 1, {NO_ERROR}, records_processed = NULL, records_failed = NULL"
    ));
    let both = format!("{claim}; {}", asked.attempt(&db, 1).insert());
    assert_eq!(db.refused(both).await, unfit);
}

#[tokio::test]
async fn the_fields_of_an_attempt_keep_their_rules() {
    let mut db = Db::new().await;
    let life = db.started().await;
    let early = at(minutes_ago(60));
    for (rule, changes) in [
        ("attempt_completed_at_set_on_end", "status = 'success'".to_owned()),
        ("attempt_completed_at_set_on_end", "status = 'success', completed_at = started_at".to_owned()),
        ("attempt_completed_at_set_on_end", "completed_at = started_at, duration_ms = 0".to_owned()),
        (
            "attempt_duration_is_the_difference",
            "status = 'success', completed_at = started_at, duration_ms = 1".to_owned(),
        ),
        ("attempt_error_fields_required_on_failure", format!("status = 'failed', {ENDED}")),
        ("attempt_error_fields_required_on_failure", format!("status = 'failed', {ENDED}, error_code = 'X'")),
        ("attempt_error_fields_required_on_failure", format!("status = 'success', {ENDED}, {ERROR}")),
        ("attempt_error_fields_required_on_failure", ERROR.to_owned()),
        ("sync_attempts_records_done_check", "records_done = -1".to_owned()),
        ("sync_attempts_records_total_check", "records_total = -1".to_owned()),
        ("sync_attempts_records_processed_check", "records_processed = -1".to_owned()),
        ("sync_attempts_records_failed_check", "records_failed = -1".to_owned()),
        ("sync_attempts_records_skipped_check", "records_skipped = -1".to_owned()),
        ("sync_attempts_records_unknown_check", "records_unknown = -1".to_owned()),
        ("sync_attempts_records_not_attempted_check", "records_not_attempted = -1".to_owned()),
        ("sync_attempts_http_status_code_check", "http_status_code = 600".to_owned()),
        ("sync_attempts_status_check", format!("status = 'retried_success', {ENDED}")),
        (
            "sync_attempts_check",
            format!(
                "status = 'success', completed_at = {early}, \
                 duration_ms = (extract(epoch FROM {early}::timestamptz - started_at) * 1000)::bigint"
            ),
        ),
    ] {
        assert_eq!(db.refused(life.set_attempt(&changes)).await, Refused::rule(rule), "{changes}");
    }
}

#[tokio::test]
async fn no_role_writes_an_attempt_by_name_or_deletes_one() {
    let mut db = Db::new().await;
    let life = db.started().await;
    let name = partition("sync_attempts", life.started_at);
    let denied = Err(Refused::by(NOT_PERMITTED, ""));
    let delete = format!("DELETE FROM sync_attempts WHERE sync_id = {}", quoted(life.id));
    let by_name = [
        life.attempt(&db, 0).insert_by_name(),
        life.set_attempt("records_done = 1").replace("sync_attempts", &name),
        delete.replace("sync_attempts", &name),
        delete.clone(),
    ];
    for statement in &by_name {
        assert_eq!(db.tried(statement).await, denied, "{statement}");
    }
    for role in ["syncwatch_reader", "syncwatch_maintenance"] {
        let mut session = db.role(role).await;
        let update = life.set_attempt("records_done = 1");
        for statement in by_name.iter().chain([&update]) {
            assert_eq!(tried(&mut session, statement).await, denied, "{role}: {statement}");
        }
    }
}
