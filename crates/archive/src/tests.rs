//! What is read back is what was written, whatever it is.

use chrono::{DateTime, Utc};
use domain::columns::{OutcomeColumns, SyncAttemptColumns, SyncLogColumns};
use proptest::prelude::*;
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::{ArchiveError, FileWriter, Files, Index, Layout, Location};

fn moment() -> impl Strategy<Value = DateTime<Utc>> {
    (0..4_102_444_800_000_000_i64).prop_map(|micros| DateTime::from_timestamp_micros(micros).unwrap())
}

fn id() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn texts() -> impl Strategy<Value = (Option<String>, Option<String>, Option<String>, Option<String>)> {
    (any::<Option<String>>(), any::<Option<String>>(), any::<Option<String>>(), any::<Option<String>>())
}

fn ids() -> impl Strategy<Value = (Uuid, Uuid, Uuid, Option<Uuid>, Option<Uuid>)> {
    (id(), id(), id(), proptest::option::of(id()), proptest::option::of(id()))
}

prop_compose! {
    fn sync()(
        (id, integration_config_id, organization_id, triggered_by_user_id, source_record_id) in ids(),
        (error_code, error_message, source_record_type, external_reference_id) in texts(),
        (request_payload_hash, metadata, client_run_id, _) in texts(),
        numbers in any::<(Option<i32>, Option<i32>, Option<i32>, i16, Option<i16>, Option<i64>)>(),
        (started_at, completed_at) in (moment(), proptest::option::of(moment())),
        (warnings, backfill) in any::<(String, bool)>(),
    ) -> SyncLogColumns {
        SyncLogColumns {
            id, integration_config_id, organization_id, triggered_by_user_id, source_record_id, error_code,
            error_message, source_record_type, external_reference_id, request_payload_hash, metadata, client_run_id,
            connector_type: "xledger".to_owned(), sync_type: "roster_sync".to_owned(), status: "failed".to_owned(),
            triggered_by: "manual".to_owned(), records_processed: numbers.0, records_failed: numbers.1,
            records_total: numbers.2, retry_count: numbers.3, http_status_code: numbers.4, duration_ms: numbers.5,
            started_at, completed_at, warnings, backfill,
        }
    }
}

prop_compose! {
    fn attempt()(
        (organization_id, sync_id, _, triggered_by_user_id, _) in ids(),
        (error_code, error_message, _, _) in texts(),
        numbers in any::<(i16, Option<i64>, Option<i32>, i32, Option<i32>, Option<i32>)>(),
        more in any::<(Option<i32>, Option<i32>, Option<i32>, Option<i16>)>(),
        (sync_started_at, started_at, completed_at) in (moment(), moment(), proptest::option::of(moment())),
    ) -> SyncAttemptColumns {
        SyncAttemptColumns {
            organization_id, sync_started_at, sync_id, triggered_by_user_id, error_code, error_message, started_at,
            completed_at, status: "success".to_owned(), attempt_number: numbers.0, duration_ms: numbers.1,
            records_total: numbers.2, records_done: numbers.3, records_processed: numbers.4, records_failed: numbers.5,
            records_skipped: more.0, records_unknown: more.1, records_not_attempted: more.2, http_status_code: more.3,
        }
    }
}

prop_compose! {
    fn outcome()(
        (organization_id, sync_id, source_record_id, _, _) in ids(),
        (external_reference_id, request_payload_hash, label, currency) in texts(),
        (source_record_type, errors) in any::<(String, String)>(),
        (attempt_number, http_status_code) in any::<(i16, Option<i16>)>(),
        amount in proptest::option::of(-999_999_999_999_999_999_i64..=999_999_999_999_999_999),
        (sync_started_at, updated_at) in (moment(), moment()),
    ) -> OutcomeColumns {
        OutcomeColumns {
            organization_id, sync_started_at, sync_id, attempt_number, source_record_type, source_record_id,
            outcome: "failed".to_owned(), errors, http_status_code, external_reference_id, request_payload_hash, label,
            amount: amount.map(|amount| Decimal::new(amount, 4)), currency, updated_at,
        }
    }
}

/// Writes rows to a directory in groups, and reads them back.
async fn there_and_back<R: Layout>(rows: &[R], group: usize) -> Vec<R> {
    let directory = tempfile::tempdir().unwrap();
    let files = Files::open(&Location::directory(&directory.path().join("not/there/yet"))).unwrap();
    let mut writer = FileWriter::new().unwrap();
    for rows in rows.chunks(group.max(1)) {
        writer.add(rows).unwrap();
    }
    let file = writer.finish().unwrap();
    assert_eq!(file.rows, rows.len() as u64);
    files.put("a/b.parquet", file.bytes.clone()).await.unwrap();
    assert_eq!(files.get("a/b.parquet").await.unwrap(), file.bytes);
    let index = Index::open(&files, "a/b.parquet", file.bytes.len() as u64).await.unwrap();
    let mut read = Vec::new();
    for group in index.groups() {
        read.extend(index.read::<R>(&files, group).await.unwrap());
    }
    read
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn syncs_come_back_equal(rows in proptest::collection::vec(sync(), 0..12), group in 1..5_usize) {
        prop_assert_eq!(block_on(there_and_back(&rows, group)), rows);
    }

    #[test]
    fn attempts_come_back_equal(rows in proptest::collection::vec(attempt(), 0..12), group in 1..5_usize) {
        prop_assert_eq!(block_on(there_and_back(&rows, group)), rows);
    }

    #[test]
    fn outcomes_come_back_equal(rows in proptest::collection::vec(outcome(), 0..12), group in 1..5_usize) {
        prop_assert_eq!(block_on(there_and_back(&rows, group)), rows);
    }
}

/// Outcomes of as many syncs, one a minute, newest first.
fn minutes(count: i64) -> Vec<OutcomeColumns> {
    let start = DateTime::from_timestamp(1_760_000_000, 0).unwrap();
    (0..count)
        .rev()
        .map(|minute| OutcomeColumns {
            organization_id: Uuid::nil(),
            sync_started_at: start + chrono::Duration::minutes(minute),
            sync_id: Uuid::from_u128(u128::from(minute.unsigned_abs())),
            attempt_number: 0,
            source_record_type: "claims".to_owned(),
            source_record_id: Uuid::from_u128(1_000 + u128::from(minute.unsigned_abs())),
            outcome: "succeeded".to_owned(),
            errors: "[]".to_owned(),
            http_status_code: None,
            external_reference_id: None,
            request_payload_hash: None,
            label: None,
            amount: None,
            currency: None,
            updated_at: start,
        })
        .collect()
}

#[tokio::test]
async fn one_sync_is_found_by_the_statistics_of_its_row_group() {
    let rows = minutes(100);
    let directory = tempfile::tempdir().unwrap();
    let files = Files::open(&Location::directory(directory.path())).unwrap();
    let mut writer = FileWriter::new().unwrap();
    for rows in rows.chunks(10) {
        writer.add(rows).unwrap();
    }
    let file = writer.finish().unwrap();
    assert_eq!((file.newest, file.oldest), (Some(rows[0].sync_started_at), Some(rows[99].sync_started_at)));
    files.put("x.parquet", file.bytes.clone()).await.unwrap();
    let index = Index::open(&files, "x.parquet", file.bytes.len() as u64).await.unwrap();
    let wanted = &rows[34];
    assert_eq!(index.groups_within::<OutcomeColumns>(wanted.sync_started_at, wanted.sync_started_at), [3]);
    let records = index.read_records::<OutcomeColumns>(&files, 3).await.unwrap();
    assert_eq!(records[4], wanted.source_record_id);
    let before = rows[99].sync_started_at - chrono::Duration::seconds(1);
    assert_eq!(index.groups_within::<OutcomeColumns>(before, before), Vec::<usize>::new());
}

#[tokio::test]
async fn what_is_no_file_of_the_archive_is_refused_and_not_died_of() {
    let directory = tempfile::tempdir().unwrap();
    let files = Files::open(&Location::directory(directory.path())).unwrap();
    let missing = Index::open(&files, "missing.parquet", 100).await.unwrap_err();
    assert!(matches!(missing, ArchiveError::Unreachable(_)), "{missing}");
    for (number, bytes) in
        [&b"x"[..], b"PAR1", &[0; 100], b"................\xff\xff\xff\x7fPAR1"].into_iter().enumerate()
    {
        let name = format!("{number}.parquet");
        files.put(&name, bytes.to_vec().into()).await.unwrap();
        let broken = Index::open(&files, &name, bytes.len() as u64).await.unwrap_err();
        assert!(matches!(broken, ArchiveError::Corrupt(_)), "{broken}");
    }
    // Another table's file.
    let mut writer = FileWriter::new().unwrap();
    writer.add(&minutes(3)).unwrap();
    let file = writer.finish().unwrap();
    files.put("outcomes.parquet", file.bytes.clone()).await.unwrap();
    let index = Index::open(&files, "outcomes.parquet", file.bytes.len() as u64).await.unwrap();
    let other = index.read::<SyncLogColumns>(&files, 0).await.unwrap_err();
    assert!(matches!(other, ArchiveError::Corrupt(_)), "{other}");
}

#[tokio::test]
async fn deleting_what_is_gone_is_no_error() {
    let directory = tempfile::tempdir().unwrap();
    let files = Files::open(&Location::directory(directory.path())).unwrap();
    files.put("a/b", "text".into()).await.unwrap();
    files.delete("a/b").await.unwrap();
    files.delete("a/b").await.unwrap();
    assert!(files.get("a/b").await.is_err());
}
