//! The columns of each table's files.

use chrono::{DateTime, Utc};
use domain::columns::{OutcomeColumns, SyncAttemptColumns, SyncLogColumns};
use domain::retention::LedgerTable;
use parquet::file::reader::RowGroupReader;
use parquet::file::writer::SerializedRowGroupWriter;

use crate::columns;
use crate::error::ArchiveError;

/// A table's rows in files. The order of the columns is the files'; a change of it is a new schema version.
pub trait Layout: Clone + PartialEq + Send + Sync + 'static {
    /// The table.
    const TABLE: LedgerTable;
    /// Rows of a row group: what is read at once.
    const GROUP_ROWS: usize;
    /// The column of the sync's start.
    const TIME_COLUMN: usize;
    /// The column of the source record's id, where the table has one.
    const RECORD_COLUMN: Option<usize>;

    /// The schema, in the file format's own words.
    fn schema() -> String;
    /// The sync's start, by which files are sorted, newest first.
    fn time(&self) -> DateTime<Utc>;
    /// Writes the columns of a row group.
    fn write_columns(rows: &[Self], group: &mut SerializedRowGroupWriter<'_, Vec<u8>>) -> Result<(), ArchiveError>;
    /// Reads the columns of a row group.
    fn read_columns(group: &dyn RowGroupReader) -> Result<Vec<Self>, ArchiveError>;
}

/// The place of a name in a list of names.
const fn place(names: &[&str], wanted: &str) -> Option<usize> {
    let mut at = 0;
    while at < names.len() {
        if same(names[at].as_bytes(), wanted.as_bytes()) {
            return Some(at);
        }
        at += 1;
    }
    None
}

const fn same(left: &[u8], right: &[u8]) -> bool {
    let mut at = 0;
    while at < left.len() && at < right.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    left.len() == right.len()
}

const fn known(place: Option<usize>) -> usize {
    match place {
        Some(place) => place,
        None => panic!("the table has no such column"),
    }
}

macro_rules! layout {
    ($row:ident, $table:ident, $group:literal, time: $time:ident, [$($field:ident),+ $(,)?]) => {
        impl Layout for $row {
            const TABLE: LedgerTable = LedgerTable::$table;
            const GROUP_ROWS: usize = $group;
            const TIME_COLUMN: usize = known(place(&[$(stringify!($field)),+], stringify!($time)));
            const RECORD_COLUMN: Option<usize> = match LedgerTable::$table {
                LedgerTable::SyncRecordOutcomes => place(&[$(stringify!($field)),+], "source_record_id"),
                _ => None,
            };

            fn schema() -> String {
                /// The line of the column that a field stands in.
                fn line<R, C: columns::Cell>(_: impl Fn(&R) -> &C, name: &str) -> String {
                    columns::schema_line::<C>(name)
                }
                let mut schema = format!("message {} {{\n", Self::TABLE);
                $(schema.push_str(&line(|row: &Self| &row.$field, stringify!($field)));)+
                schema.push('}');
                schema
            }

            fn time(&self) -> DateTime<Utc> {
                self.$time
            }

            fn write_columns(
                rows: &[Self],
                group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
            ) -> Result<(), ArchiveError> {
                $(columns::write(group, rows.iter().map(|row| &row.$field))?;)+
                Ok(())
            }

            fn read_columns(group: &dyn RowGroupReader) -> Result<Vec<Self>, ArchiveError> {
                let mut column = 0;
                $(
                    let mut $field = columns::read(group, column)?.into_iter();
                    column += 1;
                )+
                if column != group.num_columns() {
                    return Err(columns::corrupt("the file has other columns"));
                }
                let mut rows = Vec::new();
                while let ($(Some($field),)+) = ($($field.next(),)+) {
                    rows.push(Self { $($field),+ });
                }
                Ok(rows)
            }
        }
    };
}

layout!(SyncLogColumns, SyncLogs, 1_000, time: started_at, [
    id, integration_config_id, organization_id, connector_type, sync_type, status, records_processed, records_failed,
    records_total, error_code, error_message, retry_count, triggered_by, triggered_by_user_id, source_record_id,
    source_record_type, external_reference_id, request_payload_hash, http_status_code, duration_ms, started_at,
    completed_at, metadata, warnings, backfill, client_run_id,
]);

layout!(SyncAttemptColumns, SyncAttempts, 1_000, time: sync_started_at, [
    organization_id, sync_started_at, sync_id, attempt_number, status, started_at, completed_at, duration_ms,
    records_total, records_done, records_processed, records_failed, records_skipped, records_unknown,
    records_not_attempted, error_code, error_message, http_status_code, triggered_by_user_id,
]);

layout!(OutcomeColumns, SyncRecordOutcomes, 4_000, time: sync_started_at, [
    organization_id, sync_started_at, sync_id, attempt_number, source_record_type, source_record_id, outcome, errors,
    http_status_code, external_reference_id, request_payload_hash, label, amount, currency, updated_at,
]);
