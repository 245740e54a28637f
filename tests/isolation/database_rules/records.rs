//! Source records: what has arrived or was booked by hand is never sent again, and what is in doubt stays so.

use domain::record::RecordState;
use uuid::Uuid;

use super::{Db, NOT_PERMITTED, Refused, Row, another, minutes_ago, quoted, tried};

/// A record in a state.
fn record(db: &Db, id: Uuid, state: RecordState) -> Row {
    let row = Row {
        table: "source_records",
        moment: minutes_ago(0),
        columns: vec![
            ("organization_id", quoted(db.organization)),
            ("integration_config_id", quoted(db.integration)),
            ("source_record_type", "'expense_claims'".to_owned()),
            ("source_record_id", quoted(id)),
            ("state", quoted(state)),
            ("created_at", "now()".to_owned()),
            ("updated_at", "now()".to_owned()),
        ],
    };
    if state == RecordState::Handled {
        return row
            .with("resolution", "'handled_manually'")
            .with("resolution_reason", "'booked by hand'")
            .with("resolution_reference", "'voucher 2217'")
            .with("resolved_by", quoted(Uuid::now_v7()))
            .with("resolved_at", "now()");
    }
    row
}

fn set(id: Uuid, changes: &str) -> String {
    format!("UPDATE source_records SET {changes} WHERE source_record_id = {}", quoted(id))
}

#[tokio::test]
async fn every_pair_of_states_is_as_the_ledger_says() {
    use RecordState::{Delivered, Handled, Sending, Staged, Unknown};
    let mut db = Db::new().await;
    for updates in [false, true] {
        let allow = format!("UPDATE integration_configs SET allow_updates = {updates} WHERE id = '{}'", db.integration);
        db.run(allow).await;
        for from in RecordState::ALL.iter().copied() {
            let id = Uuid::now_v7();
            db.run(record(&db, id, from).insert()).await;
            for to in RecordState::ALL.iter().copied() {
                let outcome = db.tried(set(id, &format!("state = '{to}'"))).await;
                let expected = match (from, to) {
                    (from, to) if from == to => Ok(()),
                    (Handled, Delivered) => Ok(()),
                    (Delivered, Staged) if updates => Ok(()),
                    (Handled, _) => Err(Refused::rule("handled_record_is_settled")),
                    (Delivered, _) => Err(Refused::rule("delivered_record_is_settled")),
                    // Sent again without a word about the doubt.
                    (Unknown, Sending) => Err(Refused::rule("doubt_is_kept")),
                    _ => Ok(()),
                };
                assert_eq!(outcome, expected, "{from} → {to}, updates allowed: {updates}");
            }
        }
    }
}

#[tokio::test]
async fn a_record_remains_the_record_it_is() {
    let mut db = Db::new().await;
    let fixed = ["organization_id", "integration_config_id", "source_record_type", "source_record_id", "created_at"];
    let columns = db.columns("source_records").await;
    assert!(fixed.iter().all(|name| columns.iter().any(|(column, _)| column == name)));
    for state in RecordState::ALL.iter().copied() {
        let id = Uuid::now_v7();
        db.run(record(&db, id, state).insert()).await;
        for (column, data_type) in columns.iter().filter(|(column, _)| fixed.contains(&column.as_str())) {
            let statement = set(id, &format!("{column} = {}", another(column, data_type)));
            assert_eq!(db.refused(&statement).await, Refused::rule("source_record_identity"), "{state}: {statement}");
        }
    }
    // Who handled it, why, and under which voucher stays too.
    let id = Uuid::now_v7();
    db.run(record(&db, id, RecordState::Handled).insert()).await;
    for (column, data_type) in columns.iter().filter(|(column, _)| column.starts_with("resol")) {
        let statement = set(id, &format!("{column} = {}", another(column, data_type)));
        assert_eq!(db.refused(&statement).await, Refused::rule("handled_record_is_settled"), "{statement}");
    }
}

#[tokio::test]
async fn what_is_settled_keeps_no_payload() {
    let mut db = Db::new().await;
    let payload = "payload_sealed = '\\x01', payload_key_id = 'k', payload_hash = repeat('a', 64)";
    for (state, rule) in [
        (RecordState::Delivered, "payload_deleted_once_settled"),
        (RecordState::Handled, "payload_deleted_once_settled"),
    ] {
        let id = Uuid::now_v7();
        db.run(record(&db, id, state).insert()).await;
        assert_eq!(db.refused(set(id, payload)).await, Refused::rule(rule), "{state}");
    }
    let id = Uuid::now_v7();
    db.run(record(&db, id, RecordState::Staged).insert()).await;
    for (rule, changes) in [
        ("payload_is_whole", "payload_sealed = '\\x01'"),
        ("payload_is_whole", "payload_sealed = '\\x01', payload_key_id = 'k'"),
        ("next_payload_is_whole", "next_payload_hash = repeat('a', 64)"),
        ("source_records_payload_hash_check", "payload_hash = 'a'"),
        ("source_records_sent_hash_check", "sent_hash = repeat('A', 64)"),
        ("resolution_is_whole", "resolution = 'send_again'"),
        ("source_records_state_check", "state = 'lost'"),
    ] {
        assert_eq!(db.refused(set(id, changes)).await, Refused::rule(rule), "{changes}");
    }
}

#[tokio::test]
async fn a_doubt_is_kept_until_it_is_settled() {
    use RecordState::{Delivered, Failed, Handled, Sending, Staged, Unknown};
    let mut db = Db::new().await;
    let id = Uuid::now_v7();
    db.run(record(&db, id, Unknown).insert()).await;
    let again = "state = 'sending', sent_in_doubt_since = now() - interval '1 minute'";
    db.run(set(id, again)).await;
    let (kept, settled) = (Refused::rule("doubt_is_kept"), Refused::rule("in_doubt_until_settled"));
    for state in [Sending, Unknown] {
        db.run(set(id, &format!("state = '{state}'"))).await;
        for change in ["NULL", "now()"] {
            for to in [Sending, Unknown] {
                let forgotten = set(id, &format!("state = '{to}', sent_in_doubt_since = {change}"));
                assert_eq!(db.refused(&forgotten).await, kept, "{state}: {forgotten}");
            }
        }
        for to in [Delivered, Failed, Handled, Staged] {
            let silent = set(id, &format!("state = '{to}'"));
            assert_eq!(db.refused(&silent).await, settled, "{state}: {silent}");
            let said = set(id, &format!("state = '{to}', sent_in_doubt_since = NULL"));
            assert_eq!(db.tried(&said).await, Ok(()), "{state}: {said}");
        }
    }
    for state in [Delivered, Failed, Handled, Staged] {
        let row = record(&db, Uuid::now_v7(), state).with("sent_in_doubt_since", "now()");
        assert_eq!(db.refused(row.insert()).await, settled, "{state}");
    }
}

#[tokio::test]
async fn what_is_in_doubt_keeps_the_version_that_was_sent() {
    use RecordState::{Failed, Sending, Staged, Unknown};
    let mut db = Db::new().await;
    let newer = "payload_hash = repeat('b', 64)";
    let waiting = "next_payload_sealed = '\\x02', next_payload_key_id = 'k', next_payload_hash = repeat('b', 64)";
    for state in [Sending, Unknown] {
        let id = Uuid::now_v7();
        db.run(record(&db, id, state).insert()).await;
        for in_doubt in [newer.to_owned(), format!("state = 'unknown', {newer}")] {
            let refused = db.refused(set(id, &in_doubt)).await;
            assert_eq!(refused, Refused::rule("version_in_doubt_is_kept"), "{state}: {in_doubt}");
        }
        assert_eq!(db.tried(set(id, waiting)).await, Ok(()), "{state}");
        for to in [Failed, Staged] {
            assert_eq!(db.tried(set(id, &format!("state = '{to}', {newer}"))).await, Ok(()), "{state}");
        }
    }
}

#[tokio::test]
async fn what_is_in_doubt_leaves_again_only_where_it_is_recognised() {
    use RecordState::{Failed, Sending, Staged, Unknown};
    let mut db = Db::new().await;
    let (target, other) = ("repeat('a', 64)", "sent_target = repeat('b', 64)");
    let again = "state = 'sending', sent_in_doubt_since = now()";
    for (mark, recognised) in [("NULL", false), ("'idempotency-key'", true)] {
        for (state, changes) in [
            (Unknown, again.to_owned()),
            (Unknown, format!("{again}, {other}")),
            (Unknown, format!("{again}, sent_recognised_by = 'put'")),
            (Unknown, format!("{again}, sent_target = NULL, sent_recognised_by = NULL")),
            (Unknown, other.to_owned()),
            (Sending, other.to_owned()),
            (Sending, "sent_recognised_by = 'put'".to_owned()),
        ] {
            let id = Uuid::now_v7();
            let row = record(&db, id, state).with("sent_target", target).with("sent_recognised_by", mark);
            db.run(row.insert()).await;
            let allowed = changes == again && recognised;
            let expected = if allowed { Ok(()) } else { Err(Refused::rule("repetition_is_recognised")) };
            assert_eq!(db.tried(set(id, &changes)).await, expected, "{state}, {mark}: {changes}");
            // What is known is free to leave wherever.
            db.run(set(id, &format!("state = '{Failed}'"))).await;
            assert_eq!(db.tried(set(id, &format!("state = '{Sending}', {other}"))).await, Ok(()));
        }
    }
    for wrong in
        ["sent_target = 'A'", "sent_recognised_by = 'put'", "sent_target = repeat('a', 64), sent_recognised_by = ''"]
    {
        let id = Uuid::now_v7();
        db.run(record(&db, id, Staged).insert()).await;
        assert_eq!(db.refused(set(id, wrong)).await, Refused::rule("sent_target_is_whole"), "{wrong}");
    }
}

#[tokio::test]
async fn no_role_deletes_a_record() {
    let mut db = Db::new().await;
    let id = Uuid::now_v7();
    db.run(record(&db, id, RecordState::Delivered).insert()).await;
    let denied = Err(Refused::by(NOT_PERMITTED, ""));
    let delete = format!("DELETE FROM source_records WHERE source_record_id = {}", quoted(id));
    for statement in [delete.as_str(), "TRUNCATE source_records"] {
        assert_eq!(db.tried(statement).await, denied);
        for role in ["syncwatch_reader", "syncwatch_maintenance"] {
            let mut session = db.role(role).await;
            assert_eq!(tried(&mut session, statement).await, denied, "{role}: {statement}");
        }
    }
}
