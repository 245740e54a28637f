//! The life of a sync, written with plain SQL as the application may.

use chrono::{DateTime, Utc};
use domain::sync_log::SyncStatus;
use uuid::Uuid;

use super::{Db, Row, at, id_at, minutes_ago, quoted, sync_at};

/// A sync of the second organization, without a source record of its own.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    pub id: Uuid,
    pub started_at: DateTime<Utc>,
    /// Number of its latest attempt.
    pub attempt: i16,
}

/// What a failure says, by columns.
pub const ERROR: &str = "error_code = 'X', error_message = 'x'";
/// What a success says.
pub const NO_ERROR: &str = "error_code = NULL, error_message = NULL";
/// The end of something that took a second.
pub const ENDED: &str = "completed_at = started_at + interval '1 s', duration_ms = 1000";
/// No end yet.
pub const NOT_ENDED: &str = "completed_at = NULL, duration_ms = NULL";
/// Nothing is known while an attempt runs.
pub const NO_COUNTS: &str = "records_processed = NULL, records_failed = NULL";
/// One of two records did not arrive.
pub const ONE_FAILED: &str = "records_total = 2, records_processed = 1, records_failed = 1";

impl Life {
    /// A statement that changes its row.
    pub fn set(&self, changes: &str) -> String {
        format!("UPDATE sync_logs SET {changes} WHERE id = '{}' AND started_at = {}", self.id, at(self.started_at))
    }

    /// A statement that changes the row of its latest attempt.
    pub fn set_attempt(&self, changes: &str) -> String {
        self.set_attempt_number(self.attempt, changes)
    }

    /// A statement that changes the row of an attempt.
    pub fn set_attempt_number(&self, number: i16, changes: &str) -> String {
        format!("UPDATE sync_attempts SET {changes} WHERE sync_id = '{}' AND attempt_number = {number}", self.id)
    }

    /// An attempt that begins.
    pub fn attempt(&self, db: &Db, number: i16) -> Row {
        Row {
            table: "sync_attempts",
            moment: self.started_at,
            columns: vec![
                ("organization_id", quoted(db.organization)),
                ("sync_started_at", at(self.started_at)),
                ("sync_id", quoted(self.id)),
                ("attempt_number", number.to_string()),
                ("status", "'in_progress'".to_owned()),
                ("started_at", at(self.started_at)),
            ],
        }
    }

    /// What happened to a record in an attempt.
    pub fn outcome(&self, db: &Db, record: Uuid, outcome: &str) -> Row {
        Row {
            table: "sync_record_outcomes",
            moment: self.started_at,
            columns: vec![
                ("organization_id", quoted(db.organization)),
                ("sync_started_at", at(self.started_at)),
                ("sync_id", quoted(self.id)),
                ("attempt_number", self.attempt.to_string()),
                ("source_record_type", "'expense_claims'".to_owned()),
                ("source_record_id", quoted(record)),
                ("outcome", quoted(outcome)),
                ("updated_at", at(self.started_at)),
            ],
        }
    }
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All arrived.
    Clean,
    /// It is called a success, and a record did not arrive.
    WithFailedRecord,
    Failed,
    /// Its lease ran out.
    Abandoned,
}

impl Db {
    /// A sync that waits for its first attempt.
    pub async fn announced(&mut self) -> Life {
        let started_at = minutes_ago(5);
        let id = id_at(started_at);
        let row = sync_at(self, started_at).with("id", quoted(id)).with("status", "'pending'");
        self.run(row.insert()).await;
        Life { id, started_at, attempt: 0 }
    }

    /// A sync whose first attempt runs.
    pub async fn started(&mut self) -> Life {
        let started_at = minutes_ago(5);
        let life = Life { id: id_at(started_at), started_at, attempt: 0 };
        let row = sync_at(self, started_at).with("id", quoted(life.id));
        self.run(format!("{}; {}", row.insert(), life.attempt(self, 0).insert())).await;
        life
    }

    /// Ends the running attempt.
    pub async fn end(&mut self, life: Life, end: End) -> Life {
        let succeeded = matches!(end, End::Clean | End::WithFailedRecord);
        let number = u16::try_from(life.attempt).unwrap();
        let status = SyncStatus::finished(number, succeeded);
        let error = match end {
            End::Clean | End::WithFailedRecord => NO_ERROR.to_owned(),
            End::Failed => ERROR.to_owned(),
            End::Abandoned => "error_code = 'ATTEMPT_ABANDONED', error_message = 'x'".to_owned(),
        };
        let counts = match end {
            End::Clean => "records_total = 2, records_processed = 2, records_failed = 0",
            _ => ONE_FAILED,
        };
        let attempt_status = SyncStatus::finished(0, succeeded);
        let attempt = life.set_attempt(&format!("status = '{attempt_status}', {ENDED}, {counts}, {error}"));
        let sync = life.set(&format!("status = '{status}', {ENDED}, {counts}, {error}"));
        self.run(format!("{attempt}; {sync}")).await;
        life
    }

    /// Asks for a retry.
    pub async fn asked(&mut self, life: Life) -> Life {
        self.run(life.set(&format!("status = 'pending', {NOT_ENDED}"))).await;
        life
    }

    /// Claims the attempt that waits.
    pub async fn claimed(&mut self, life: Life, attempt: i16) -> Life {
        let claimed = Life { attempt, ..life };
        let changes = format!("status = 'in_progress', retry_count = {attempt}, {NO_COUNTS}, {NO_ERROR}");
        self.run(format!("{}; {}", life.set(&changes), claimed.attempt(self, attempt).insert())).await;
        claimed
    }

    /// A sync whose first attempt ended.
    pub async fn ended(&mut self, end: End) -> Life {
        let life = self.started().await;
        self.end(life, end).await
    }

    /// A sync that was retried so often; the last retry ended in this way, those before it failed.
    pub async fn retried(&mut self, times: i16, end: End) -> Life {
        let mut life = self.ended(End::Failed).await;
        for number in 1..=times {
            life = self.asked(life).await;
            life = self.claimed(life, number).await;
            life = self.end(life, if number == times { end } else { End::Failed }).await;
        }
        life
    }

    /// A sync whose first attempt nobody claimed in time.
    pub async fn given_up(&mut self) -> Life {
        let life = self.announced().await;
        let error = "error_code = 'START_NOT_CLAIMED', error_message = 'x'";
        self.run(life.set(&format!("status = 'failed', {ENDED}, {error}"))).await;
        life
    }
}
