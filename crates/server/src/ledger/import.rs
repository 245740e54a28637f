//! Recording syncs that have already ended: one or a thousand, in the same few statements.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::integration::Runner;
use domain::posting::Awaiting;
use domain::record::OutcomeCounts;
use domain::sync_log::SyncStatus;
use domain::sync_log::draft::{Completion, Reporter, StartFacts, finished_status, validate_completion, validate_start};
use domain::violation::{Rule, Violation};
use store::events::NewEvent;
use store::integrations::IntegrationConfig;
use store::record_outcomes::NewOutcome;
use store::source_records::Reported;
use store::sync_logs::{ClientRun, Finished, SyncKey, SyncLog};
use uuid::Uuid;

use super::consequences::Ended;
use super::finish::Report;
use super::outcomes::violations as outcome_violations;
use super::start::{StartInput, Started, blank, sync_id};
use super::{Ledger, LedgerError, earliest_start, message, month_is_closed, sync_changed};

/// A sync that has ended, as a caller describes it.
#[derive(Clone, Debug)]
pub struct Imported {
    /// How it began.
    pub start: StartInput,
    /// `success` or `failed`.
    pub status: SyncStatus,
    /// How it ended.
    pub report: Report,
    /// What happened to its records.
    pub records: Vec<NewOutcome>,
    /// Who reports it.
    pub reporter: Reporter,
}

/// What became of a sync that was to be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is new.
    Created(Uuid),
    /// Its runner's own name for it stands for this sync already.
    Known(Uuid),
}

/// A sync that keeps every rule, ready to be written.
struct Draft<'a> {
    finished: Finished,
    outcomes: Vec<NewOutcome>,
    config: &'a IntegrationConfig,
}

impl Draft<'_> {
    /// Its runner's own name for it.
    fn run(&self) -> Option<(Uuid, &str)> {
        let sync = &self.finished.sync;
        Some((sync.integration_config_id, sync.client_run_id.as_deref()?))
    }
}

type Results = Vec<Result<Recorded, LedgerError>>;

impl Ledger<'_> {
    /// Records a sync that has ended, with everything that follows from it.
    pub async fn record_finished(&mut self, input: &Imported) -> Result<Started, LedgerError> {
        let mut results = self.record_finished_many(std::slice::from_ref(input)).await?;
        results.pop().unwrap_or(Err(LedgerError::NotFound))
    }

    /// The same for several; each has its own result, and a refused one takes nothing with it. What follows for an
    /// integration is drawn once.
    pub async fn record_finished_many(
        &mut self,
        inputs: &[Imported],
    ) -> Result<Vec<Result<Started, LedgerError>>, LedgerError> {
        let (results, created) = self.record(inputs, |created| created.iter().map(sync_changed).collect()).await?;
        let mut created = created.into_iter();
        let mut started = Vec::with_capacity(results.len());
        for result in results {
            started.push(match result {
                Ok(Recorded::Created(_)) => {
                    created.next().map(|sync| Started { sync, created: true }).ok_or(LedgerError::NotFound)
                }
                Ok(Recorded::Known(id)) => match store::sync_logs::find(self.tx, id).await? {
                    Some(sync) => Ok(Started { sync, created: false }),
                    None => Err(LedgerError::ArchivedRun(id)),
                },
                Err(refused) => Err(refused),
            });
        }
        Ok(started)
    }

    /// Records many syncs that have ended; listeners hear of each integration once, and not of each sync.
    pub async fn import(&mut self, inputs: &[Imported]) -> Result<Results, LedgerError> {
        Ok(self.record(inputs, |_| Vec::new()).await?.0)
    }

    /// Checks every sync by itself, writes those that keep every rule, and draws what follows. Returns one result for
    /// each, and the syncs that are new, in the same order; `tell` says what listeners hear of these.
    async fn record(
        &mut self,
        inputs: &[Imported],
        tell: fn(&[SyncLog]) -> Vec<NewEvent>,
    ) -> Result<(Results, Vec<SyncLog>), LedgerError> {
        let mut wanted: Vec<Uuid> = inputs.iter().map(|input| input.start.integration_config_id).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let configs = store::integrations::find_many(self.tx, &wanted).await?;
        let (results, created) = self.write_new(inputs, &configs).await?;
        let mut by_integration: BTreeMap<Uuid, Vec<&SyncLog>> = BTreeMap::new();
        for sync in &created {
            by_integration.entry(sync.integration_config_id).or_default().push(sync);
        }
        let ended: Vec<Ended<'_>> = by_integration
            .into_iter()
            .filter_map(|(id, syncs)| Some(Ended { config: configs.get(&id)?, syncs }))
            .collect();
        self.draw_consequences_of_many(&ended, tell(&created)).await?;
        Ok((results, created))
    }

    /// Checks every sync by itself and writes those that keep every rule. Returns one result for each, and the syncs that
    /// are new.
    async fn write_new(
        &mut self,
        inputs: &[Imported],
        configs: &BTreeMap<Uuid, IntegrationConfig>,
    ) -> Result<(Results, Vec<SyncLog>), LedgerError> {
        let (earliest, now) = (earliest_start(self.now), self.now);
        let drafts: Vec<Result<Draft<'_>, LedgerError>> = inputs
            .iter()
            .map(|input| {
                let facts = StartFacts { integration: None, reporter: input.reporter, earliest, now };
                draft(input, configs.get(&input.start.integration_config_id), facts)
            })
            .collect();
        let drafts = self.refuse_closed_months(drafts).await?;
        let known = self.claim_runs(&drafts).await?;
        let mut created = Vec::with_capacity(drafts.len());
        let mut results = Results::with_capacity(drafts.len());
        for draft in drafts {
            results.push(draft.map(|draft| {
                let own = draft.finished.sync.id;
                let named = draft.run().and_then(|(integration, run)| known.get(&(integration, run.to_owned())));
                match named {
                    Some(id) if *id != own => Recorded::Known(*id),
                    _ => {
                        created.push(draft);
                        Recorded::Created(own)
                    }
                }
            }));
        }
        self.write(&created).await?;
        let keys: Vec<SyncKey> = created.iter().map(|draft| draft.finished.sync.key()).collect();
        self.enter_many_for_sealing(&keys).await?;
        Ok((results, created.into_iter().map(|draft| draft.finished.sync).collect()))
    }

    /// Months that lie in the archive take no more syncs.
    async fn refuse_closed_months<'a>(
        &mut self,
        drafts: Vec<Result<Draft<'a>, LedgerError>>,
    ) -> Result<Vec<Result<Draft<'a>, LedgerError>>, LedgerError> {
        let started_at = |draft: &Draft<'_>| draft.finished.sync.started_at;
        let starts: Vec<DateTime<Utc>> = drafts.iter().flatten().map(started_at).collect();
        let closed = self.closed_months(&starts).await?;
        let open = |draft: Draft<'a>| {
            if closed.contains(&store::archives::month_of(started_at(&draft))) {
                return Err(vec![month_is_closed()].into());
            }
            Ok(draft)
        };
        Ok(drafts.into_iter().map(|draft| draft.and_then(open)).collect())
    }

    /// The sync that each runner's own name stands for, be it of this call or of an earlier one. Of several drafts with
    /// one name the first has it.
    async fn claim_runs(
        &mut self,
        drafts: &[Result<Draft<'_>, LedgerError>],
    ) -> Result<BTreeMap<(Uuid, String), Uuid>, LedgerError> {
        let mut first: BTreeMap<(Uuid, &str), Uuid> = BTreeMap::new();
        for draft in drafts.iter().flatten() {
            if let Some(run) = draft.run() {
                first.entry(run).or_insert(draft.finished.sync.id);
            }
        }
        if first.is_empty() {
            return Ok(BTreeMap::new());
        }
        let runs: Vec<ClientRun<'_>> = first
            .iter()
            .map(|((integration_config_id, client_run_id), sync_id)| ClientRun {
                integration_config_id: *integration_config_id,
                client_run_id,
                sync_id: *sync_id,
            })
            .collect();
        let earlier = store::sync_logs::claim_client_runs(self.tx, &runs).await?;
        let mut known: BTreeMap<(Uuid, String), Uuid> =
            first.into_iter().map(|((integration, run), id)| ((integration, run.to_owned()), id)).collect();
        known.extend(earlier);
        Ok(known)
    }

    /// Writes new syncs with their attempts, and what they say of records.
    async fn write(&mut self, drafts: &[Draft<'_>]) -> Result<(), LedgerError> {
        if drafts.is_empty() {
            return Ok(());
        }
        let finished: Vec<&Finished> = drafts.iter().map(|draft| &draft.finished).collect();
        store::sync_logs::insert_finished(self.tx, &finished).await?;
        let outcomes: Vec<_> = drafts
            .iter()
            .flat_map(|draft| draft.outcomes.iter().map(|outcome| (draft.finished.sync.key(), outcome)))
            .collect();
        if outcomes.is_empty() {
            return Ok(());
        }
        store::record_outcomes::insert_imported(self.tx, &outcomes, self.now).await?;
        let reported: Vec<Reported<'_>> = drafts
            .iter()
            .filter(|draft| draft.config.runner == Runner::External)
            .flat_map(|draft| {
                let sync = &draft.finished.sync;
                draft.outcomes.iter().map(|outcome| Reported {
                    integration_config_id: sync.integration_config_id,
                    sync_id: sync.id,
                    outcome,
                    latest: !sync.backfill,
                })
            })
            .collect();
        Ok(store::source_records::upsert_reported_many(self.tx, &reported, self.now).await?)
    }
}

/// Checks everything about a sync that has ended; `facts` lack its integration.
fn draft<'a>(
    input: &Imported,
    config: Option<&'a IntegrationConfig>,
    facts: StartFacts,
) -> Result<Draft<'a>, LedgerError> {
    let facts = StartFacts { integration: config.map(|config| config.connector_type), ..facts };
    let mut found = Vec::new();
    let start = validate_start(&input.start.draft, &facts).map_err(|broken| found.extend(broken)).ok();
    let succeeded = finished_status(input.status);
    if succeeded.is_none() {
        found.push(Violation::new(Rule::UnknownValue, "/status", "a finished sync is success or failed"));
    }
    // As it was reported, like the end that it is compared with; of one that is refused anyway nothing more is said.
    let reported = input.start.draft.started_at.unwrap_or(facts.now);
    let started_at = if start.is_some() { reported } else { facts.earliest };
    let completion =
        Completion { started_at, succeeded: succeeded.unwrap_or(false), ..input.report.completion.clone() };
    let valid = validate_completion(&completion, facts.now).map_err(|broken| found.extend(broken)).ok();
    found.extend(outcome_violations(&input.records, "/records"));
    let (Some(start), Some(valid), Some(config), true) = (start, valid, config, found.is_empty()) else {
        return Err(found.into());
    };

    let counts = OutcomeCounts::of(input.records.iter().map(|new| new.outcome.after_abandonment()));
    let told = (!input.records.is_empty()).then_some(counts);
    let judged =
        super::finish::judge::judge(config, &completion, &valid, told, Awaiting::default(), start.records_total);
    let by_record = judged.by_record.then_some(counts);
    let mut warnings: Vec<_> = input.report.warnings.iter().map(message::storable_warning).collect();
    warnings.extend(judged.warnings);
    let (error_code, error_message) = judged.failure.map(|failure| (failure.code, failure.message)).unzip();
    let sync = SyncLog {
        status: SyncStatus::finished(0, error_code.is_none()),
        records_total: judged.total,
        records_processed: judged.processed,
        records_failed: judged.failed,
        error_code,
        error_message,
        triggered_by_user_id: start.triggered_by_user_id,
        external_reference_id: completion.external_reference_id,
        request_payload_hash: completion.request_payload_hash,
        http_status_code: valid.http_status_code,
        duration_ms: Some((valid.completed_at - start.started_at).num_milliseconds()),
        completed_at: Some(valid.completed_at),
        warnings,
        ..blank(config, sync_id(start.started_at), start.started_at, SyncStatus::Success, &input.start)
    };
    let finished = Finished {
        sync,
        records_done: counts.total(),
        records_skipped: by_record.map(|counts| counts.skipped),
        records_unknown: by_record.map(|counts| counts.unknown),
        records_not_attempted: by_record.map(|counts| counts.not_attempted),
    };
    let closed = |new: &NewOutcome| NewOutcome { outcome: new.outcome.after_abandonment(), ..new.clone() };
    Ok(Draft { finished, outcomes: input.records.iter().map(closed).collect(), config })
}
