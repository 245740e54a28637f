use chrono::{DateTime, Duration, Utc};
use proptest::prelude::*;
use uuid::Uuid;

use super::compare::follows;
use super::form::Form;
use super::*;
use crate::columns::{OutcomeColumns, SyncAttemptColumns, SyncLogColumns};

fn moment() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_795_000_000_123).unwrap()
}

fn sync() -> SyncLogColumns {
    SyncLogColumns {
        id: Uuid::from_u128(1),
        integration_config_id: Uuid::from_u128(2),
        organization_id: Uuid::from_u128(3),
        connector_type: "xledger".to_owned(),
        sync_type: "accounting_push".to_owned(),
        status: "success".to_owned(),
        records_processed: Some(40),
        records_failed: Some(0),
        records_total: Some(40),
        error_code: None,
        error_message: None,
        retry_count: 0,
        triggered_by: "automatic".to_owned(),
        triggered_by_user_id: None,
        source_record_id: None,
        source_record_type: None,
        external_reference_id: None,
        request_payload_hash: None,
        http_status_code: None,
        duration_ms: Some(5_000),
        started_at: moment(),
        completed_at: Some(moment() + Duration::seconds(5)),
        metadata: Some(r#"{"b": 1, "a": [true, null]}"#.to_owned()),
        warnings: "[]".to_owned(),
        backfill: false,
        client_run_id: None,
    }
}

fn attempt() -> SyncAttemptColumns {
    SyncAttemptColumns {
        organization_id: Uuid::from_u128(3),
        sync_started_at: moment(),
        sync_id: Uuid::from_u128(1),
        attempt_number: 0,
        status: "success".to_owned(),
        started_at: moment(),
        completed_at: Some(moment() + Duration::seconds(5)),
        duration_ms: Some(5_000),
        records_total: Some(40),
        records_done: 40,
        records_processed: Some(40),
        records_failed: Some(0),
        records_skipped: Some(0),
        records_unknown: Some(0),
        records_not_attempted: Some(0),
        error_code: None,
        error_message: None,
        http_status_code: None,
        triggered_by_user_id: None,
    }
}

fn record(id: u128) -> OutcomeColumns {
    OutcomeColumns {
        organization_id: Uuid::from_u128(3),
        sync_started_at: moment(),
        sync_id: Uuid::from_u128(1),
        attempt_number: 0,
        source_record_type: "expense_claims".to_owned(),
        source_record_id: Uuid::from_u128(id),
        outcome: "succeeded".to_owned(),
        errors: "[]".to_owned(),
        http_status_code: Some(201),
        external_reference_id: Some("V-1".to_owned()),
        request_payload_hash: None,
        label: Some("Claim 1043".to_owned()),
        amount: Some("1250.0000".parse().unwrap()),
        currency: Some("NOK".to_owned()),
        updated_at: moment(),
    }
}

fn records(rows: &[OutcomeColumns]) -> RecordsDigest {
    let mut hasher = RecordsHasher::default();
    for row in rows {
        hasher.add(row);
    }
    hasher.finish()
}

const KEY: SubjectKey =
    SubjectKey { sync_id: Uuid::from_u128(1), sync_started_at: DateTime::<Utc>::UNIX_EPOCH, attempt: Some(0) };
const NEWEST: Newest = Newest { sync: true, attempt: true };

fn subject(rows: &[OutcomeColumns]) -> Subject {
    Subject { sync: Some(sync().digest()), attempt: Some(attempt().digest()), records: records(rows) }
}

fn seal(now: &Subject) -> Seal {
    Seal::of(&KEY, now, Uuid::from_u128(3), 1, false, moment())
}

/// Every single change of a row, by the column's name.
macro_rules! changes {
    ($row:expr, $($column:ident = $value:expr),+ $(,)?) => {
        vec![$({
            let mut row = $row;
            row.$column = $value;
            (stringify!($column), row)
        }),+]
    };
}

fn changed_syncs() -> Vec<(&'static str, SyncLogColumns)> {
    let id = Some(Uuid::from_u128(9));
    let text = Some("x".to_owned());
    changes! {
        sync(),
        id = Uuid::from_u128(9), integration_config_id = Uuid::from_u128(9), organization_id = Uuid::from_u128(9),
        connector_type = "other".to_owned(), sync_type = "roster_sync".to_owned(), status = "failed".to_owned(),
        records_processed = Some(41), records_failed = None, records_total = Some(0), error_code = text.clone(),
        error_message = text.clone(), retry_count = 1, triggered_by = "webhook".to_owned(), triggered_by_user_id = id,
        source_record_id = id, source_record_type = text.clone(), external_reference_id = text.clone(),
        request_payload_hash = text.clone(), http_status_code = Some(200), duration_ms = Some(5_001),
        started_at = moment() + Duration::microseconds(1), completed_at = None,
        metadata = Some(r#"{"b": 1, "a": [true, false]}"#.to_owned()), warnings = "[{}]".to_owned(), backfill = true,
        client_run_id = text,
    }
}

fn changed_attempts() -> Vec<(&'static str, SyncAttemptColumns)> {
    let text = Some("x".to_owned());
    changes! {
        attempt(),
        organization_id = Uuid::from_u128(9), sync_started_at = moment() + Duration::microseconds(1),
        sync_id = Uuid::from_u128(9), attempt_number = 1, status = "failed".to_owned(),
        started_at = moment() + Duration::microseconds(1), completed_at = None, duration_ms = None,
        records_total = Some(41), records_done = 41, records_processed = Some(41), records_failed = Some(1),
        records_skipped = Some(1), records_unknown = Some(1), records_not_attempted = Some(1),
        error_code = text.clone(), error_message = text, http_status_code = Some(500),
        triggered_by_user_id = Some(Uuid::from_u128(9)),
    }
}

fn changed_records() -> Vec<(&'static str, OutcomeColumns)> {
    let text = Some("x".to_owned());
    changes! {
        record(5),
        organization_id = Uuid::from_u128(9), sync_started_at = moment() + Duration::microseconds(1),
        sync_id = Uuid::from_u128(9), attempt_number = 1, source_record_type = "members".to_owned(),
        source_record_id = Uuid::from_u128(9), outcome = "warning".to_owned(), errors = "[{}]".to_owned(),
        http_status_code = Some(200), external_reference_id = text.clone(), request_payload_hash = text.clone(),
        label = text.clone(), amount = Some("1250.0001".parse().unwrap()), currency = Some("SEK".to_owned()),
        updated_at = moment() + Duration::microseconds(1),
    }
}

#[test]
fn every_column_counts() {
    let changed = changed_syncs();
    assert_eq!(changed.len(), 26);
    for (column, row) in changed {
        assert_ne!(row.whole(), sync().whole(), "{column}");
    }
    let changed = changed_attempts();
    assert_eq!(changed.len(), 19);
    for (column, row) in changed {
        assert_ne!(row.whole(), attempt().whole(), "{column}");
    }
    let changed = changed_records();
    assert_eq!(changed.len(), 15);
    for (column, row) in changed {
        assert_ne!(row.whole(), record(5).whole(), "{column}");
    }
}

#[test]
fn what_never_changes_is_hashed_apart() {
    let fixed: Vec<&str> = changed_syncs()
        .into_iter()
        .filter(|(_, row)| row.fixed() != sync().fixed())
        .map(|(column, _)| column)
        .collect();
    let expected = [
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
    assert_eq!(fixed, expected);
}

#[test]
fn json_counts_by_its_value_and_amounts_by_theirs() {
    let spaced = SyncLogColumns { metadata: Some(r#"{ "a":[true,null],"b":1 }"#.to_owned()), ..sync() };
    assert_eq!(spaced.whole(), sync().whole());
    let large = |text: &str| SyncLogColumns { metadata: Some(text.to_owned()), ..sync() }.whole();
    assert_ne!(large("9007199254740993"), large("9007199254740992"));
    assert_ne!(large("1e999"), large("1e998"), "no JSON number of ours, and still told apart");
    let bare = OutcomeColumns { amount: Some("1250".parse().unwrap()), ..record(5) };
    assert_eq!(bare.whole(), record(5).whole());
}

#[test]
fn the_form_is_what_auditors_are_told() {
    let mut form = Form::new("x");
    form.text("é").number(1).optional(None::<&str>, Form::text).flag(true);
    let expected = [
        b"syncwatch/seal/1/x".as_slice(),
        &[1, 0, 0, 0, 2],
        "é".as_bytes(),
        &[2, 0, 0, 0, 8],
        &1_i64.to_be_bytes(),
        &[0, 5, 0, 0, 0, 1, 1],
    ];
    assert_eq!(form.as_bytes(), expected.concat());
    let checkpoint = Checkpoint { organization_id: Uuid::nil(), seq: 7, chain_hash: [0xab; 32], made_at: moment() };
    let expected = format!(
        "syncwatch/seal/1/checkpoint\n00000000-0000-0000-0000-000000000000\n7\n{}\n2026-11-18T11:06:40.123Z\n",
        "ab".repeat(32)
    );
    assert_eq!(checkpoint.signed_text(), expected);
}

#[test]
fn what_was_sealed_fits_and_whatever_changed_is_named() {
    let rows = [record(5), record(6)];
    let sealed = seal(&subject(&rows));
    assert_eq!(compare(&sealed, &subject(&rows), NEWEST, false), None);
    let table = SealedTable::SyncLogs;
    for (column, row) in changed_syncs() {
        let now = Subject { sync: Some(row.digest()), ..subject(&rows) };
        let told = Some(Difference { table, reason: Unfit::RowChanged, record: None });
        assert_eq!(compare(&sealed, &now, NEWEST, false), told, "{column}");
    }
    for (column, row) in changed_attempts() {
        let now = Subject { attempt: Some(row.digest()), ..subject(&rows) };
        let told = Some(Difference { table: SealedTable::SyncAttempts, reason: Unfit::RowChanged, record: None });
        assert_eq!(compare(&sealed, &now, NEWEST, false), told, "{column}");
        assert_eq!(compare(&sealed, &now, NEWEST, true), told, "{column}: it is final, whatever waits");
    }
    let table = SealedTable::SyncRecordOutcomes;
    let mut late = record(6);
    late.label = None;
    let told = |reason, id| Some(Difference { table, reason, record: Some(Uuid::from_u128(id)) });
    let found = |rows: &[OutcomeColumns]| compare(&sealed, &subject(rows), NEWEST, false);
    assert_eq!(found(&[record(5), late.clone()]), told(Unfit::RowChanged, 6));
    assert_eq!(found(&[record(5)]), told(Unfit::RowMissing, 6));
    assert_eq!(found(&[record(6)]), told(Unfit::RowMissing, 5));
    assert_eq!(found(&[]), told(Unfit::RowMissing, 5));
    assert_eq!(found(&[record(5), record(6), record(7)]), told(Unfit::RowUnsealed, 7));
    assert_eq!(found(&[record(4), record(5), record(6)]), told(Unfit::RowUnsealed, 4));
    assert_eq!(found(&[record(5), record(7)]), told(Unfit::RowMissing, 6));
    assert_eq!(compare(&sealed, &subject(&[record(5), late]), NEWEST, true), None, "the change waits to be sealed");
    let gone = Subject { sync: None, ..subject(&rows) };
    let told = Some(Difference { table: SealedTable::SyncLogs, reason: Unfit::RowMissing, record: None });
    assert_eq!(compare(&sealed, &gone, NEWEST, false), told);
    let gone = Subject { attempt: None, ..subject(&rows) };
    let told = Some(Difference { table: SealedTable::SyncAttempts, reason: Unfit::RowMissing, record: None });
    assert_eq!(compare(&sealed, &gone, NEWEST, false), told);
}

#[test]
fn an_older_seal_binds_only_what_cannot_change() {
    let older = Newest { sync: false, attempt: false };
    let abandoned = SyncAttemptColumns {
        status: "failed".to_owned(),
        error_code: Some("ATTEMPT_ABANDONED".to_owned()),
        error_message: Some("x".to_owned()),
        ..attempt()
    };
    let before = Subject { attempt: Some(abandoned.digest()), ..subject(&[]) };
    let sealed = seal(&before);
    let after = subject(&[record(5)]);
    assert_eq!(compare(&sealed, &after, older, false), None, "the abandoned attempt has reported late");
    assert!(compare(&sealed, &after, NEWEST, false).is_some());
    let retried = SyncLogColumns { status: "retried_success".to_owned(), retry_count: 1, ..sync() };
    assert_eq!(compare(&sealed, &Subject { sync: Some(retried.digest()), ..after }, older, false), None);
    let running = SyncLogColumns { status: "in_progress".to_owned(), completed_at: None, ..sync() };
    let now = Subject { sync: Some(running.digest()), ..before };
    assert_eq!(compare(&sealed, &now, NEWEST, false), None, "a retry is under way");
}

#[test]
fn a_chain_has_no_gap_and_no_branch() {
    let start = genesis(Uuid::from_u128(3));
    let first = seal(&subject(&[]));
    let one = first.chain(&start);
    let second = Seal { seq: 2, ..first.clone() };
    let two = second.chain(&one);
    assert_eq!(follows(&first, &one, &start, 0), Ok(()));
    assert_eq!(follows(&second, &two, &one, 1), Ok(()));
    assert_eq!(follows(&second, &two, &start, 0), Err(Unfit::SealMissing));
    assert_eq!(follows(&second, &two, &start, 1), Err(Unfit::ChainBroken));
    assert_ne!(start, genesis(Uuid::from_u128(4)));
    let attempt = first.attempt.clone().unwrap();
    let changed = [
        Seal { organization_id: Uuid::nil(), ..first.clone() },
        Seal { sync_id: Uuid::nil(), ..first.clone() },
        Seal { sync_started_at: moment(), ..first.clone() },
        Seal { fixed_hash: [0; 32], ..first.clone() },
        Seal { sync_hash: None, ..first.clone() },
        Seal { attempt: None, ..first.clone() },
        Seal { attempt: Some(AttemptSeal { number: 1, ..attempt.clone() }), ..first.clone() },
        Seal { attempt: Some(AttemptSeal { hash: [0; 32], ..attempt.clone() }), ..first.clone() },
        Seal { attempt: Some(AttemptSeal { is_final: false, ..attempt.clone() }), ..first.clone() },
        Seal { attempt: Some(AttemptSeal { records_hash: [0; 32], ..attempt.clone() }), ..first.clone() },
        Seal { attempt: Some(AttemptSeal { records: vec![0; 24], ..attempt }), ..first.clone() },
        Seal { backfill: true, ..first.clone() },
        Seal { sealed_at: moment() + Duration::milliseconds(1), ..first.clone() },
    ];
    for seal in changed {
        assert_eq!(follows(&seal, &one, &start, 0), Err(Unfit::ChainBroken), "{seal:?}");
    }
}

proptest! {
    /// Texts of neighbouring columns cannot pass characters to each other.
    #[test]
    fn no_byte_moves_from_one_field_to_the_next(texts in prop::collection::vec("[a-c\\x00\\x01]{0,6}", 1..5), cut in 0_usize..40) {
        let form = |texts: &[String]| {
            let mut form = Form::new("x");
            for text in texts {
                form.text(text);
            }
            form
        };
        let whole: String = texts.concat();
        let at = cut % (whole.len() + 1);
        let other = vec![whole[..at].to_owned(), whole[at..].to_owned()];
        prop_assert_eq!(form(&texts).hash() == form(&other).hash(), texts == other);
    }

    #[test]
    fn a_changed_character_of_any_text_changes_the_hash(message in "\\PC{1,40}", at in any::<prop::sample::Index>()) {
        let row = |message: &str| SyncAttemptColumns { error_message: Some(message.to_owned()), ..attempt() }.whole();
        let mut characters: Vec<char> = message.chars().collect();
        let place = at.index(characters.len());
        characters[place] = if characters[place] == 'x' { 'y' } else { 'x' };
        let changed: String = characters.into_iter().collect();
        prop_assert_ne!(row(&message), row(&changed));
    }

    #[test]
    fn the_order_of_outcomes_counts(ids in prop::collection::hash_set(any::<u128>(), 2..8)) {
        let rows: Vec<OutcomeColumns> = ids.into_iter().map(record).collect();
        let mut turned = rows.clone();
        turned.reverse();
        prop_assert_ne!(records(&rows).hash, records(&turned).hash);
    }
}
