//! What happens to syncs: each operation of the ledger as one step within a transaction.
//!
//! The API, the worker and the sweeps all come through here, so that a rule holds whoever asks. Rules themselves are the
//! domain's, SQL is the store's; this module says what belongs together.

mod abandon;
mod announce;
mod attempt;
mod automatic;
mod consequences;
mod finish;
mod group;
mod import;
mod lineage;
mod message;
mod outcomes;
mod read;
mod rebuild;
mod resolve;
mod retry;
mod seal;
mod stage;
mod start;
mod trigger;

use std::sync::Arc;

use api_types::ErrorCode;
use chrono::{DateTime, Datelike as _, Duration, Months, NaiveDate, NaiveTime, Utc};
use domain::sync_log::{SyncState, SyncStatus, TransitionRefused};
use domain::violation::{Rule, Violation};
use store::events::NewEvent;
use store::sync_logs::SyncLog;
use store::{OrgTx, StoreError};
use url::Url;
use uuid::Uuid;

use crate::http::problem::ApiError;

pub use attempt::{Claimed, Reading};
pub use finish::Report;
pub use group::GroupCommit;
pub use import::{Imported, Recorded};
pub use lineage::{LineageReport, LineageTaken};
pub use message::{skipped, storable_errors};
pub use outcomes::Appended;
pub use read::ReadRecord;
pub use rebuild::RebuiltHealth;
pub use retry::{Candidates, asking};
pub use stage::{Staged, stage_violations, staging_context};
pub use start::{StartInput, Started};

/// The ledger within one transaction, at one moment.
pub struct Ledger<'a> {
    /// The transaction, which names the organization.
    pub tx: &'a mut OrgTx,
    /// The moment of every decision in it.
    pub now: DateTime<Utc>,
    /// Where the dashboard is, for links in messages.
    pub public_url: &'a Url,
    /// How many of a sync's retries nobody has to ask for.
    pub automatic_retries: u16,
}

/// Why the ledger refused.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// There is no such thing in the organization.
    #[error("there is no such thing here")]
    NotFound,
    /// Rules are broken.
    #[error("rules are broken")]
    Violations(Vec<Violation>),
    /// Another sync has it under way.
    #[error("it is under way in another sync")]
    AlreadyActive(Uuid),
    /// The record has arrived with another content, or was booked by hand.
    #[error("{0}")]
    AlreadyDelivered(&'static str),
    /// No integration of the organization has this `OpenLineage` job.
    #[error("no integration here has this job as its `lineage_job`")]
    UnknownLineageJob,
    /// The sync's status does not allow it.
    #[error(transparent)]
    Refused(#[from] TransitionRefused),
    /// A run that is known by its runner's own name lies in the archive.
    #[error("the sync lies in the archive")]
    ArchivedRun(Uuid),
    /// The state of what is asked about does not allow it.
    #[error("{0}")]
    InvalidState(&'static str),
    /// The database failed, or a rule in it refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database failed for everybody whose syncs were to be written together.
    #[error(transparent)]
    Shared(Arc<StoreError>),
    /// The transaction ended and left no answer.
    #[error("the transaction ended without an answer")]
    Unanswered,
}

impl From<Vec<Violation>> for LedgerError {
    fn from(violations: Vec<Violation>) -> Self {
        Self::Violations(violations)
    }
}

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        let detail = error.to_string();
        match error {
            LedgerError::NotFound => Self::not_found(),
            LedgerError::Violations(violations) => Self::violations(violations),
            LedgerError::AlreadyActive(sync_id) => Self::already_active(sync_id),
            LedgerError::AlreadyDelivered(_) => Self::new(ErrorCode::AlreadyDelivered, detail),
            LedgerError::UnknownLineageJob => Self::new(ErrorCode::UnknownLineageJob, detail),
            LedgerError::ArchivedRun(_) => Self::new(ErrorCode::Archived, detail),
            LedgerError::InvalidState(_) => Self::new(ErrorCode::InvalidTransition, detail),
            LedgerError::Refused(refused) => Self::new(
                match refused {
                    TransitionRefused::WrongStatus(_) | TransitionRefused::NotBegun(_) => ErrorCode::InvalidTransition,
                    TransitionRefused::Superseded { .. } => ErrorCode::AttemptSuperseded,
                    TransitionRefused::AlreadyActive => ErrorCode::AlreadyActive,
                    TransitionRefused::RetryLimitReached => ErrorCode::RetryLimitReached,
                    TransitionRefused::NothingToRetry => ErrorCode::NothingToRetry,
                },
                detail,
            ),
            LedgerError::Store(error) if error.is_constraint(store::error::NO_PARTITION) => {
                Self::violations(vec![month_is_closed()])
            }
            LedgerError::Store(error) => Self::from(error),
            LedgerError::Shared(error) => Self::from(&*error),
            LedgerError::Unanswered => Self::internal(detail),
        }
    }
}

impl Ledger<'_> {
    /// A sync of the organization, held until the transaction ends.
    async fn lock_sync(&mut self, id: Uuid) -> Result<SyncLog, LedgerError> {
        store::sync_logs::lock(self.tx, id).await?.ok_or(LedgerError::NotFound)
    }

    /// The months of these starts that have left the database.
    async fn closed_months(&mut self, starts: &[DateTime<Utc>]) -> Result<Vec<NaiveDate>, LedgerError> {
        // Nothing younger leaves.
        let latest = self.now - Duration::days(330);
        let mut months: Vec<NaiveDate> =
            starts.iter().filter(|at| **at <= latest).map(|at| store::archives::month_of(*at)).collect();
        months.sort_unstable();
        months.dedup();
        if months.is_empty() {
            return Ok(months);
        }
        Ok(store::archives::closed(self.tx, &months).await?)
    }

    /// Tells live listeners that a sync changed.
    pub async fn tell_sync(&mut self, sync: &SyncLog) -> Result<(), LedgerError> {
        let event = sync_changed(sync);
        Ok(store::events::record(self.tx, event.kind, None, &event.data).await?)
    }

    /// Tells live listeners that an integration changed.
    pub async fn tell_integration(&mut self, integration_config_id: Uuid) -> Result<(), LedgerError> {
        let event = integration_changed(integration_config_id);
        Ok(store::events::record(self.tx, event.kind, None, &event.data).await?)
    }
}

fn sync_changed(sync: &SyncLog) -> NewEvent {
    let data = serde_json::json!({ "sync_id": sync.id, "integration_config_id": sync.integration_config_id });
    NewEvent { kind: "sync.changed", data }
}

fn integration_changed(integration_config_id: Uuid) -> NewEvent {
    let data = serde_json::json!({ "integration_config_id": integration_config_id });
    NewEvent { kind: "integration.changed", data }
}

fn month_is_closed() -> Violation {
    Violation::new(Rule::StartedAtOutOfRange, "/started_at", "the month lies in the archive and takes no more syncs")
}

/// The first moment the ledger has a partition for: 13 whole months before the present one.
pub fn earliest_start(now: DateTime<Utc>) -> DateTime<Utc> {
    let month = now.date_naive().with_day(1).unwrap_or_else(|| now.date_naive());
    month.checked_sub_months(Months::new(13)).unwrap_or(month).and_time(NaiveTime::MIN).and_utc()
}

/// The facts of a sync that its status machine needs. `former` is known only for one that waits.
fn state_of(sync: &SyncLog, former: Option<SyncStatus>, retryable_records: bool) -> SyncState {
    SyncState {
        status: sync.status,
        retry_count: sync.retry_count,
        former,
        retryable_records,
        abandoned: sync.error_code.as_deref() == Some(domain::sync_log::ATTEMPT_ABANDONED),
    }
}
