//! Claiming an attempt that waits, and saying how far a running one is.

use std::collections::HashSet;

use domain::asking::Asking;
use domain::integration::Runner;
use domain::retry::{RetryDecision, decide, may_pass_by_itself};
use domain::sync_log::draft::{DEFAULT_LEASE_SECONDS, MAX_LEASE_SECONDS};
use domain::sync_log::{SyncStatus, Transition, TransitionRefused};
use domain::violation::{Rule, Violation};
use store::integrations::IntegrationConfig;
use store::source_records::RecordKey;
use store::sync_attempts::SyncAttempt;
use store::sync_logs::SyncLog;
use uuid::Uuid;

use super::{Ledger, LedgerError, message, state_of};
use crate::external_systems;

/// Most records one managed sync takes; the rest is due for the next one.
const MAX_RECORDS: i64 = 10_000;

/// A claimed attempt.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The sync.
    pub sync: SyncLog,
    /// Its integration.
    pub config: IntegrationConfig,
    /// The attempt's number.
    pub attempt: u16,
    /// Whether an external runner's attempt is about everything: no record of the sync is known one by one.
    pub whole: bool,
    /// What is to be sent.
    pub records: Vec<RecordKey>,
    /// What the external system is to be asked for first, and sent only if it has not arrived.
    pub asked: Vec<RecordKey>,
    /// How the external system can be asked for what this attempt sends.
    pub asking: Asking,
    /// Whether a person has asked for it.
    pub by_person: bool,
    /// What is to be read before anything is sent.
    pub reading: Reading,
}

/// What an attempt's worker reads before it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Nothing: it is said what the attempt is about.
    Nothing,
    /// Which records are due: others stage them.
    Due,
    /// The source as a whole, or the one record that the sync is about; only then can it be said which records are due.
    Source,
    /// The records that the attempt is about.
    Records,
}

/// The records that an attempt is about.
#[derive(Default)]
struct Scope {
    records: Vec<RecordKey>,
    asked: Vec<RecordKey>,
}

impl Ledger<'_> {
    /// Claims the attempt of a sync that waits. For a retry the ledger says which records it is about, each of which takes a
    /// claim; what is due of a managed sync that sends everything is said [afterwards](Self::scope_of_first).
    pub async fn claim_attempt(
        &mut self,
        sync_id: Uuid,
        lease_owner: Option<Uuid>,
        lease_seconds: Option<i64>,
    ) -> Result<Claimed, LedgerError> {
        let lease_seconds = check_lease(lease_seconds)?;
        let mut sync = self.lock_sync(sync_id).await?;
        let active = store::active_syncs::lock(self.tx, sync_id).await?;
        let Some(active) = active.filter(|active| !active.running) else {
            return Err(TransitionRefused::WrongStatus(sync.status).into());
        };
        if active.managed && lease_owner.is_none() {
            return Err(LedgerError::InvalidState("this sync waits for Syncwatch's own worker"));
        }
        let former = self.former_status(&sync).await?;
        let state = state_of(&sync, former, false).apply(Transition::Claim)?;
        let config =
            store::integrations::find(self.tx, sync.integration_config_id).await?.ok_or(LedgerError::NotFound)?;
        let attempt = state.retry_count;
        // A retry that was asked for before a sync had to hold this claim waits without it.
        self.claim_own_record(&sync).await?;
        let begun = SyncAttempt::begun(attempt, self.now.max(sync.started_at), None, active.requested_by);
        store::sync_logs::update_in_progress(self.tx, sync.key(), attempt, None).await?;
        store::sync_attempts::insert(self.tx, sync.key(), &begun).await?;
        let system = active.managed.then(|| external_systems::id_of(&config));
        store::active_syncs::update_running(self.tx, sync_id, attempt, lease_owner, lease_seconds, system, self.now)
            .await?;
        let asking = super::asking(&config);
        let managed = config.runner == Runner::Managed;
        // One that ended before any record was in its scope begins anew.
        let begins =
            attempt == 0 || (managed && store::record_outcomes::count_sync(self.tx, sync.key()).await?.total() == 0);
        let reading = match (managed, begins, managed && connectors::has_source(&config.settings)) {
            (false, ..) | (true, false, false) => Reading::Nothing,
            (true, true, false) => Reading::Due,
            (true, true, true) => Reading::Source,
            (true, false, true) => Reading::Records,
        };
        // Claimed at once, however much is due: that is said in a transaction of its own.
        let scope = if begins {
            Scope::default()
        } else {
            let scope = self.scope_of_retry(&sync, &config, &asking, attempt, active.automatic).await?;
            let total = i32::try_from(scope.records.len() + scope.asked.len()).unwrap_or(i32::MAX);
            store::sync_attempts::update_progress(self.tx, sync.key(), attempt, Some(total), None).await?;
            scope
        };
        let whole = config.runner == Runner::External
            && store::record_outcomes::count_sync(self.tx, sync.key()).await?.total() == 0;
        sync.status = SyncStatus::InProgress;
        sync.retry_count = attempt;
        self.tell_sync(&sync).await?;
        let by_person = active.requested_by.is_some();
        let Scope { records, asked } = scope;
        Ok(Claimed { sync, config, attempt, whole, records, asked, asking, by_person, reading })
    }

    /// Says which records a running attempt of a managed sync is about that sends everything: those that are due now.
    pub async fn scope_of_first(
        &mut self,
        sync_id: Uuid,
        attempt: u16,
        config: &IntegrationConfig,
    ) -> Result<Vec<RecordKey>, LedgerError> {
        let mut sync = self.lock_sync(sync_id).await?;
        self.check_running(&sync, attempt)?;
        let records = self.queue_due(&sync, config, attempt).await?;
        let total = i32::try_from(records.len()).unwrap_or(i32::MAX);
        store::sync_attempts::update_progress(self.tx, sync.key(), attempt, Some(total), None).await?;
        if attempt == 0 {
            self.count_scope(&mut sync, attempt).await?;
        }
        self.tell_sync(&sync).await?;
        Ok(records)
    }

    /// Writes how many records are in the scope of a sync that begins, also those that another sync has under way.
    async fn count_scope(&mut self, sync: &mut SyncLog, attempt: u16) -> Result<(), LedgerError> {
        let counts = store::record_outcomes::count_attempt(self.tx, sync.key(), attempt).await?;
        store::sync_logs::update_records_total(self.tx, sync.key(), counts.total()).await?;
        sync.records_total = Some(counts.total());
        Ok(())
    }

    /// The status that a waiting sync had before its retry was asked for: what its latest finished attempt left, or that
    /// nobody had claimed its start.
    pub(super) async fn former_status(&mut self, sync: &SyncLog) -> Result<Option<SyncStatus>, LedgerError> {
        if sync.status != SyncStatus::Pending {
            return Ok(None);
        }
        let attempt = store::sync_attempts::find(self.tx, sync.key(), sync.retry_count).await?;
        let left = attempt
            .filter(|attempt| attempt.status.is_terminal())
            .map(|attempt| SyncStatus::finished(attempt.number, attempt.status == SyncStatus::Success));
        let given_up = sync.error_code.is_some().then_some(SyncStatus::Failed);
        Ok(left.or(given_up))
    }

    async fn queue_due(
        &mut self,
        sync: &SyncLog,
        config: &IntegrationConfig,
        attempt: u16,
    ) -> Result<Vec<RecordKey>, LedgerError> {
        let only = sync
            .source_record_type
            .clone()
            .zip(sync.source_record_id)
            .map(|(source_record_type, source_record_id)| RecordKey { source_record_type, source_record_id });
        let due = store::source_records::due(self.tx, config.id, only.as_ref(), MAX_RECORDS).await?;
        self.queue_records(sync, attempt, &due).await
    }

    async fn scope_of_retry(
        &mut self,
        sync: &SyncLog,
        config: &IntegrationConfig,
        asking: &Asking,
        attempt: u16,
        automatic: bool,
    ) -> Result<Scope, LedgerError> {
        let candidates =
            store::record_outcomes::retry_candidates(self.tx, sync.key(), config.id, asking, self.now).await?;
        let mut wanted = Vec::new();
        let mut asked = HashSet::new();
        let mut settled = Vec::new();
        for (key, candidate) in candidates {
            match decide(&candidate) {
                // What a person did not ask for.
                RetryDecision::Send if automatic && !may_pass_by_itself(&candidate) => {}
                RetryDecision::Send => wanted.push(key),
                RetryDecision::Ask => {
                    asked.insert(key.clone());
                    wanted.push(key);
                }
                RetryDecision::DeliveredSince => {
                    settled.push(message::skipped(key, domain::record::ALREADY_DELIVERED));
                }
                RetryDecision::Handled => settled.push(message::skipped(key, domain::record::HANDLED_MANUALLY)),
                RetryDecision::Unknown | RetryDecision::Active | RetryDecision::NotFailed => {}
            }
        }
        store::record_outcomes::upsert(self.tx, sync.key(), attempt, &settled, self.now).await?;
        let claimed = self.queue_records(sync, attempt, &wanted).await?;
        let (asked, records) = claimed.into_iter().partition(|key| asked.contains(key));
        Ok(Scope { records, asked })
    }

    /// Takes in how far a running attempt is, and extends its lease.
    pub async fn report_progress(
        &mut self,
        sync_id: Uuid,
        attempt: u16,
        records_total: Option<i64>,
        records_done: Option<i64>,
    ) -> Result<SyncLog, LedgerError> {
        let mut violations = Vec::new();
        let total = check_progress(records_total, "/records_total", &mut violations);
        let done = check_progress(records_done, "/records_done", &mut violations);
        if !violations.is_empty() {
            return Err(violations.into());
        }
        let mut sync = self.lock_sync(sync_id).await?;
        self.check_running(&sync, attempt)?;
        store::sync_attempts::update_progress(self.tx, sync.key(), attempt, total, done).await?;
        if let (0, Some(total)) = (attempt, total) {
            store::sync_logs::update_records_total(self.tx, sync.key(), total).await?;
            sync.records_total = Some(total);
        }
        store::active_syncs::extend(self.tx, sync_id, attempt, None, self.now).await?;
        self.tell_sync(&sync).await?;
        Ok(sync)
    }

    /// Refuses a report unless its attempt is the one that runs.
    #[expect(clippy::unused_self, reason = "reads as a step of the ledger")]
    pub(super) fn check_running(&self, sync: &SyncLog, attempt: u16) -> Result<(), LedgerError> {
        if attempt < sync.retry_count {
            return Err(TransitionRefused::Superseded { reported: attempt, latest: sync.retry_count }.into());
        }
        if attempt > sync.retry_count {
            return Err(TransitionRefused::NotBegun(attempt).into());
        }
        if sync.status != SyncStatus::InProgress {
            return Err(TransitionRefused::WrongStatus(sync.status).into());
        }
        Ok(())
    }
}

fn check_lease(seconds: Option<i64>) -> Result<u32, LedgerError> {
    let Some(seconds) = seconds else { return Ok(DEFAULT_LEASE_SECONDS) };
    u32::try_from(seconds).ok().filter(|seconds| (1..=MAX_LEASE_SECONDS).contains(seconds)).ok_or_else(|| {
        LedgerError::Violations(vec![Violation::new(Rule::OutOfRange, "/lease_seconds", "between 1 and 86400")])
    })
}

fn check_progress(count: Option<i64>, pointer: &str, found: &mut Vec<Violation>) -> Option<i32> {
    let count = count?;
    if count < 0 {
        found.push(Violation::new(Rule::RecordsProcessedNonNegative, pointer, "a count is not negative"));
    }
    let fitting = i32::try_from(count).ok();
    if fitting.is_none() && count > 0 {
        found.push(Violation::new(Rule::OutOfRange, pointer, "at most 2147483647"));
    }
    fitting
}
