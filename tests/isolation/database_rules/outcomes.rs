//! Record outcomes: a later report may only say more, and what was delivered stays delivered.

use domain::record::RecordOutcome;
use uuid::Uuid;

use super::story::{End, Life};
use super::{Db, NOT_PERMITTED, Refused, another, partition, quoted, tried};

fn refused() -> Refused {
    Refused::rule("record_outcome_transition")
}

/// How much an outcome says.
const fn says(outcome: RecordOutcome) -> u8 {
    match outcome {
        RecordOutcome::Queued => 0,
        RecordOutcome::Sending => 1,
        RecordOutcome::NotAttempted => 2,
        RecordOutcome::Unknown => 3,
        RecordOutcome::Skipped | RecordOutcome::Failed => 4,
        RecordOutcome::Warning | RecordOutcome::Succeeded => 5,
    }
}

fn set(life: &Life, record: Uuid, changes: &str) -> String {
    format!(
        "UPDATE sync_record_outcomes SET {changes} WHERE sync_id = {} AND source_record_id = {}",
        quoted(life.id),
        quoted(record)
    )
}

#[tokio::test]
async fn every_pair_of_outcomes_goes_one_way_only() {
    let mut db = Db::new().await;
    let life = db.started().await;
    for from in RecordOutcome::ALL {
        let record = Uuid::now_v7();
        db.run(life.outcome(&db, record, from.as_str()).insert()).await;
        for to in RecordOutcome::ALL {
            let outcome = db.tried(set(&life, record, &format!("outcome = '{to}'"))).await;
            // What waited for its system leaves after all.
            let leaves = (*from, *to) == (RecordOutcome::NotAttempted, RecordOutcome::Sending);
            let expected = if says(*to) > says(*from) || leaves { Ok(()) } else { Err(refused()) };
            assert_eq!(outcome, expected, "{from} → {to}");
        }
        if from.is_delivered() {
            let errors = set(&life, record, "errors = '[{}]', updated_at = now()");
            assert_eq!(db.refused(errors).await, refused(), "{from}");
        }
    }
    let unknown = life.outcome(&db, Uuid::now_v7(), "lost");
    assert_eq!(db.refused(unknown.insert()).await, Refused::rule("sync_record_outcomes_outcome_check"));
}

#[tokio::test]
async fn an_outcome_is_about_one_record_of_one_attempt() {
    let mut db = Db::new().await;
    let life = db.started().await;
    let record = Uuid::now_v7();
    db.run(life.outcome(&db, record, "queued").insert()).await;
    let columns = db.columns("sync_record_outcomes").await;
    let fixed =
        ["organization_id", "sync_started_at", "sync_id", "attempt_number", "source_record_type", "source_record_id"];
    assert!(fixed.iter().all(|name| columns.iter().any(|(column, _)| column == name)));
    for (column, data_type) in columns.iter().filter(|(column, _)| column != "outcome") {
        let other = another(column, data_type);
        // Alone it says nothing new; with a new outcome it still may not become another record's.
        let alone = set(&life, record, &format!("{column} = {other}"));
        assert_eq!(db.refused(&alone).await, refused(), "{alone}");
        if fixed.contains(&column.as_str()) {
            let moved = set(&life, record, &format!("outcome = 'failed', {column} = {other}"));
            assert_eq!(db.refused(&moved).await, refused(), "{moved}");
        }
    }
}

#[tokio::test]
async fn nothing_is_open_in_an_attempt_that_has_ended() {
    let mut db = Db::new().await;
    for end in [End::Clean, End::Failed, End::Abandoned] {
        let life = db.ended(end).await;
        for outcome in RecordOutcome::ALL {
            let row = life.outcome(&db, Uuid::now_v7(), outcome.as_str());
            let expected = if outcome.is_final() { Ok(()) } else { Err(refused()) };
            assert_eq!(db.tried(row.insert()).await, expected, "{end:?}: {outcome}");
        }
    }
    let life = db.started().await;
    let record = Uuid::now_v7();
    db.run(life.outcome(&db, record, "queued").insert()).await;
    let life = db.end(life, End::Failed).await;
    assert_eq!(db.refused(set(&life, record, "outcome = 'sending'")).await, refused());
    db.run(set(&life, record, "outcome = 'not_attempted'")).await;
    assert_eq!(db.refused(set(&life, record, "outcome = 'sending'")).await, refused(), "nothing leaves any more");
    // As the worker writes it, beside a record of an attempt that runs.
    let running = db.started().await;
    let other = Uuid::now_v7();
    db.run(running.outcome(&db, other, "not_attempted").insert()).await;
    let again = "ON CONFLICT (organization_id, sync_started_at, sync_id, source_record_type, source_record_id,
                              attempt_number) DO UPDATE SET outcome = excluded.outcome";
    let rows = [running.outcome(&db, other, "sending"), life.outcome(&db, record, "sending")];
    let [runs, has_ended] = rows.map(|row| format!("{} {again}", row.insert()));
    assert_eq!(db.tried(&runs).await, Ok(()));
    assert_eq!(db.refused(&has_ended).await, refused());
    let both = "UPDATE sync_record_outcomes SET outcome = 'sending' WHERE outcome = 'not_attempted'";
    assert_eq!(db.refused(both).await, refused(), "one of several rows");
}

#[tokio::test]
async fn the_fields_of_an_outcome_keep_their_rules() {
    let mut db = Db::new().await;
    let life = db.started().await;
    let row = || life.outcome(&db, Uuid::now_v7(), "failed");
    let cases = [
        ("sync_record_outcomes_http_status_code_check", row().with("http_status_code", "99")),
        ("sync_record_outcomes_request_payload_hash_check", row().with("request_payload_hash", "repeat('A', 64)")),
        ("sync_record_outcomes_source_record_type_check", row().with("source_record_type", "'a/b'")),
        ("sync_record_outcomes_errors_check", row().with("errors", "'{}'")),
        ("sync_record_outcomes_currency_check", row().with("currency", "'kr'")),
        ("sync_record_outcomes_label_check", row().with("label", "repeat('x', 201)")),
        ("sync_record_outcomes_external_reference_id_check", row().with("external_reference_id", "repeat('x', 501)")),
    ];
    for (rule, row) in cases {
        assert_eq!(db.refused(row.insert()).await, Refused::rule(rule));
    }
    let nowhere = Life { attempt: 7, ..life }.outcome(&db, Uuid::now_v7(), "failed");
    assert_eq!(db.refused(nowhere.insert()).await.code, "23503", "an outcome belongs to an attempt");
}

#[tokio::test]
async fn no_role_writes_an_outcome_by_name_or_deletes_one() {
    let mut db = Db::new().await;
    let life = db.started().await;
    let record = Uuid::now_v7();
    db.run(life.outcome(&db, record, "queued").insert()).await;
    let name = partition("sync_record_outcomes", life.started_at);
    let update = set(&life, record, "outcome = 'succeeded'");
    let delete = format!("DELETE FROM sync_record_outcomes WHERE source_record_id = {}", quoted(record));
    let denied = Err(Refused::by(NOT_PERMITTED, ""));
    let statements = [
        life.outcome(&db, Uuid::now_v7(), "failed").insert_by_name(),
        update.replace("sync_record_outcomes", &name),
        delete.replace("sync_record_outcomes", &name),
        delete,
    ];
    for statement in &statements {
        assert_eq!(db.tried(statement).await, denied, "{statement}");
    }
    for role in ["syncwatch_reader", "syncwatch_maintenance"] {
        let mut session = db.role(role).await;
        for statement in statements.iter().chain([&update]) {
            assert_eq!(tried(&mut session, statement).await, denied, "{role}: {statement}");
        }
    }
}
