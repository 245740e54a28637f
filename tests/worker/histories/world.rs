//! The real ledger, moved step by step.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use chrono::{DateTime, Duration, Utc};
use domain::health::HealthFacts;
use domain::integration::{ConnectorType, SyncType};
use domain::record::{RecordError, RecordOutcome};
use domain::sync_log::draft::{Completion, Reporter, StartDraft};
use domain::sync_log::{SyncStatus, SyncWarning, TriggeredBy, whole_millis};
use serde_json::json;
use server::AppState;
use server::ledger::{Imported, LedgerError, Report, StartInput};
use sqlx::PgPool;
use store::record_outcomes::NewOutcome;
use store::source_records::{NewResolution, RecordKey};
use store::{OrgTx, PlainTx};
use tests::client::Client;
use tests::organization::connect_external;
use tests::server::TestServer;
use uuid::Uuid;

use super::plain::{FailingSince, Plain};
use super::plan::{RECORDS, Step};

const KIND: &str = "expense_claims";
/// The database takes no sync from its own future, and the ledger none from before its first partition.
const EARLIEST: Duration = Duration::days(40);
const LATEST: Duration = Duration::days(2);
const BEGINNING: Duration = Duration::days(30);

/// A server without a worker, with one organization.
pub struct World {
    server: TestServer,
    admin: Client,
    organization: Uuid,
    pool: PgPool,
}

impl World {
    pub async fn new() -> Self {
        let server = TestServer::without_worker().await;
        let organization = server.organization("Forening").await;
        let admin = organization.admin().await;
        let pool = server.superuser().await;
        Self { admin, organization: organization.id, pool, server }
    }

    fn state(&self) -> &AppState {
        &self.server.running.state
    }
}

/// One history: two integrations of its own, the syncs that were made, and the clock.
pub struct History<'a> {
    world: &'a World,
    integrations: [Uuid; 2],
    /// With the place of its integration.
    syncs: Vec<(Uuid, usize)>,
    records: Vec<Uuid>,
    real: DateTime<Utc>,
    now: DateTime<Utc>,
}

impl<'a> History<'a> {
    pub async fn begin(world: &'a World) -> anyhow::Result<Self> {
        let strict = connect_external(&world.admin, json!({ "failure_threshold": 1 })).await;
        let lenient = connect_external(&world.admin, json!({ "partial_failure": "warning" })).await;
        let real = whole_millis(server::Clock::system().now());
        Ok(Self {
            world,
            integrations: [strict, lenient],
            syncs: Vec::new(),
            records: (0..RECORDS).map(|_| Uuid::now_v7()).collect(),
            real,
            now: real - BEGINNING,
        })
    }

    /// Takes one step. What the ledger refuses for a reason of its own leaves everything as it was; a rule of the database
    /// that the ledger did not foresee is a mistake. Returns the integrations whose syncs may have changed.
    pub async fn take(&mut self, step: &Step) -> anyhow::Result<Vec<usize>> {
        match step {
            Step::SetClock { minutes } => {
                let to = self.now + Duration::minutes(*minutes);
                self.now = to.clamp(self.real - EARLIEST, self.real - LATEST);
                return Ok(Vec::new());
            }
            Step::Pause { integration, paused } => {
                sqlx::query("UPDATE integration_configs SET paused = $2 WHERE id = $1")
                    .bind(self.integrations[*integration])
                    .bind(paused)
                    .execute(&self.world.pool)
                    .await?;
                return Ok(vec![*integration]);
            }
            Step::Sweep => return self.sweep().await,
            _ => {}
        }
        match self.ledger_step(step).await {
            Err(LedgerError::Store(error)) => Err(error).context("the database refused what the ledger took for right"),
            Err(_) => Ok(Vec::new()),
            Ok(touched) => Ok(touched.into_iter().collect()),
        }
    }

    async fn ledger_step(&mut self, step: &Step) -> Result<Option<usize>, LedgerError> {
        let state = self.world.state();
        let mut tx = OrgTx::begin(&state.db, self.world.organization).await?;
        let mut ledger = state.ledger(&mut tx, self.now);
        let mut made = None;
        let touched = match step {
            Step::Start { integration, .. } | Step::Import { integration, .. } => Some(*integration),
            Step::Report { sync, .. }
            | Step::Finish { sync, .. }
            | Step::RequestRetry { sync }
            | Step::Claim { sync }
            | Step::Resolve { sync, .. } => self.sync(*sync).map(|(_, integration)| integration),
            Step::Pause { .. } | Step::SetClock { .. } | Step::Sweep => None,
        };
        match step {
            Step::Start { integration, queued, backfill, minutes_ago, lease, about } => {
                let record = about.map(|record| self.records[record]);
                let input = self.input(*integration, self.now - Duration::minutes(*minutes_ago), *backfill, record);
                let draft = StartDraft { lease_seconds: *lease, ..input.draft };
                let input = StartInput { queued: *queued, draft, ..input };
                made = Some((ledger.start(&input, Reporter::Machine).await?.sync.id, *integration));
            }
            Step::Report { sync, back, outcomes } => {
                let Some((sync, attempt)) = self.attempt(ledger.tx, *sync, *back).await? else { return Ok(None) };
                let mut new = BTreeMap::new();
                for (record, outcome) in outcomes {
                    new.insert(*record, self.outcome(*record, *outcome));
                }
                ledger.append_outcomes(sync, attempt, new.into_values().collect()).await?;
            }
            Step::Finish { sync, back, succeeded, counts, remarks } => {
                let Some((sync, attempt)) = self.attempt(ledger.tx, *sync, *back).await? else { return Ok(None) };
                let warning = SyncWarning { code: "SLOW".to_owned(), message: "slow".to_owned(), pointer: None };
                let completion = Completion {
                    succeeded: *succeeded,
                    records_processed: counts.map(|(processed, _)| processed),
                    records_failed: counts.map(|(_, failed)| failed),
                    ..failure(*succeeded)
                };
                let warnings = remarks.then_some(warning).into_iter().collect();
                ledger.finish(sync, &Report { attempt, completion, warnings }).await?;
            }
            Step::RequestRetry { sync } => {
                let Some((sync, _)) = self.sync(*sync) else { return Ok(None) };
                ledger.request_retry(sync, None).await?;
            }
            Step::Claim { sync } => {
                let Some((sync, _)) = self.sync(*sync) else { return Ok(None) };
                ledger.claim_attempt(sync, None, None).await?;
            }
            Step::Import { .. } => {
                let imported = self.imported(step);
                let _results = ledger.import(&imported).await?;
            }
            Step::Resolve { sync, record, decision } => {
                let Some((sync, _)) = self.sync(*sync) else { return Ok(None) };
                let new = NewResolution {
                    resolution: *decision,
                    reason: "looked at by hand",
                    reference: Some("voucher 2217"),
                    resolved_by: self.world.organization,
                };
                ledger.resolve_record(sync, &self.key(*record), &new).await?;
            }
            Step::Pause { .. } | Step::SetClock { .. } | Step::Sweep => {}
        }
        tx.commit().await?;
        self.syncs.extend(made);
        Ok(touched)
    }

    fn input(&self, integration: usize, started_at: DateTime<Utc>, backfill: bool, record: Option<Uuid>) -> StartInput {
        StartInput {
            integration_config_id: self.integrations[integration],
            draft: StartDraft {
                connector_type: ConnectorType::Xledger,
                sync_type: SyncType::AccountingPush,
                triggered_by: TriggeredBy::Automatic,
                records_total: None,
                source_record_type: record.map(|_| KIND.to_owned()),
                source_record_id: record,
                started_at: Some(started_at),
                lease_seconds: None,
                client_run_id: None,
            },
            backfill,
            queued: false,
            metadata: None,
        }
    }

    fn imported(&self, step: &Step) -> Vec<Imported> {
        let Step::Import { integration, minutes_ago, count, succeeded, backfill, records } = step else {
            return Vec::new();
        };
        (0..*count)
            .map(|number| {
                let started_at = self.now - Duration::minutes(minutes_ago + 7 * number + 7);
                let outcome = if *succeeded { RecordOutcome::Succeeded } else { RecordOutcome::Failed };
                Imported {
                    start: self.input(*integration, started_at, *backfill, None),
                    status: if *succeeded { SyncStatus::Success } else { SyncStatus::Failed },
                    report: Report {
                        attempt: 0,
                        completion: Completion {
                            completed_at: Some(started_at + Duration::minutes(5)),
                            ..failure(*succeeded)
                        },
                        warnings: Vec::new(),
                    },
                    records: (0..*records).map(|record| self.outcome(record, outcome)).collect(),
                    reporter: Reporter::Machine,
                }
            })
            .collect()
    }

    fn key(&self, record: usize) -> RecordKey {
        RecordKey { source_record_type: KIND.to_owned(), source_record_id: self.records[record] }
    }

    fn outcome(&self, record: usize, outcome: RecordOutcome) -> NewOutcome {
        let error = RecordError {
            code: "INVALID_VALUE".to_owned(),
            message: "Invalid cost center code: 9999".to_owned(),
            ..RecordError::default()
        };
        let errors = if outcome == RecordOutcome::Failed { vec![error] } else { Vec::new() };
        let currency = if record.is_multiple_of(2) { "NOK" } else { "EUR" };
        NewOutcome {
            errors,
            amount: format!("{}.50", record + 1).parse().ok(),
            currency: Some(currency.to_owned()),
            ..NewOutcome::bare(self.key(record), outcome)
        }
    }

    /// One of the latest syncs.
    fn sync(&self, number: usize) -> Option<(Uuid, usize)> {
        let among = self.syncs.len().min(6);
        (among > 0).then(|| self.syncs[self.syncs.len() - 1 - number % among])
    }

    /// An attempt of one of the latest syncs, so many before the latest.
    async fn attempt(&self, tx: &mut OrgTx, number: usize, back: u16) -> Result<Option<(Uuid, u16)>, LedgerError> {
        let Some((id, _)) = self.sync(number) else { return Ok(None) };
        let sync = store::sync_logs::find(tx, id).await?;
        Ok(sync.and_then(|sync| Some((id, sync.retry_count.checked_sub(back)?))))
    }

    /// Closes what ran out, as the worker's sweep does.
    async fn sweep(&self) -> anyhow::Result<Vec<usize>> {
        let state = self.world.state();
        let mut plain = PlainTx::begin(&state.db).await?;
        let expired = store::active_syncs::expired(&mut plain, self.now, 1_000).await?;
        plain.commit().await?;
        let mut touched = Vec::new();
        for active in &expired {
            let of = self.integrations.iter().position(|integration| *integration == active.integration_config_id);
            let Some(of) = of else { continue };
            touched.push(of);
            let mut tx = OrgTx::begin(&state.db, active.organization_id).await?;
            state.ledger(&mut tx, self.now).expire(active).await.context("closing what ran out")?;
            tx.commit().await?;
        }
        touched.dedup();
        Ok(touched)
    }

    /// Compares rows with a plain look at the tables, and with what building them anew says if that is asked for.
    pub async fn compare(&self, touched: &[usize], rebuild: bool) -> anyhow::Result<()> {
        let state = self.world.state();
        for integration in touched.iter().map(|place| self.integrations[*place]) {
            let plain = Plain::look(&self.world.pool, integration).await?;
            let mut tx = OrgTx::begin(&state.db, self.world.organization).await?;
            let row = store::health::find(&mut tx, integration).await?;
            same(&row, &plain)?;
            if !rebuild {
                continue;
            }
            let found = state.ledger(&mut tx, self.now).rebuild_health(integration, false).await?;
            let mut anew = found.rebuilt;
            if plain.undelivered.is_none() {
                // Counted when an attempt ends; one runs.
                anew.undelivered = row.undelivered.clone();
            }
            ensure!(row == anew, "built anew the row would be {anew:?}, and is {row:?}");
        }
        Ok(())
    }

    /// Closes everything; then even an empty row is built anew as it was.
    pub async fn settle(&mut self) -> anyhow::Result<()> {
        // Beyond every lease, also of what began before the clock was set back.
        self.now = self.real - LATEST + Duration::hours(25);
        self.sweep().await?;
        self.compare(&[0, 1], true).await?;
        let state = self.world.state();
        for integration in self.integrations {
            let mut tx = OrgTx::begin(&state.db, self.world.organization).await?;
            let row = store::health::find(&mut tx, integration).await?;
            store::health::update(&mut tx, integration, &HealthFacts::default(), self.now).await?;
            state.ledger(&mut tx, self.now).rebuild_health(integration, true).await?;
            let rebuilt = store::health::find(&mut tx, integration).await?;
            ensure!(row == rebuilt, "built from nothing the row would be {rebuilt:?}, and is {row:?}");
        }
        Ok(())
    }
}

fn failure(succeeded: bool) -> Completion {
    let say = |text: &str| (!succeeded).then(|| text.to_owned());
    Completion {
        succeeded,
        error_code: say("TIMEOUT"),
        error_message: say("the system did not answer"),
        ..Completion::default()
    }
}

fn same(row: &HealthFacts, plain: &Plain) -> anyhow::Result<()> {
    let recent: Vec<(Uuid, &str)> = row.recent.iter().map(|sync| (sync.id, sync.status.as_str())).collect();
    let expected: Vec<(Uuid, &str)> = plain.recent.iter().map(|seen| (seen.id, seen.status.as_str())).collect();
    ensure!(recent == expected, "the latest syncs are {expected:?}, the row says {recent:?}");
    for (kept, seen) in row.recent.iter().zip(&plain.recent) {
        ensure!(kept.started_at == seen.started_at, "{kept:?} is not {seen:?}");
        ensure!(kept.records_total == seen.records_total, "{kept:?} is not {seen:?}");
        ensure!(
            (kept.warnings, kept.counts_mismatch) == (seen.warnings, seen.counts_mismatch),
            "{kept:?} is not {seen:?}"
        );
        if let Some(completed_at) = seen.completed_at {
            ensure!(kept.completed_at == completed_at, "{kept:?} is not {seen:?}");
            ensure!(
                kept.duration_ms == (completed_at - seen.started_at).num_milliseconds(),
                "{kept:?} is not {seen:?}"
            );
        }
        if let Some(counts) = seen.counts {
            ensure!((kept.records_processed, kept.records_failed) == counts, "{kept:?} is not {seen:?}");
        }
    }
    let run = (row.consecutive_failures, plain.consecutive_failures);
    ensure!(run.0 == run.1, "{} syncs failed in a row, the row says {}", run.1, run.0);
    if let FailingSince::Known(since) = plain.failing_since {
        ensure!(row.failing_since == since, "failing since {since:?}, the row says {:?}", row.failing_since);
    }
    if let Some((records, sums)) = &plain.undelivered {
        let kept: BTreeMap<String, String> =
            row.undelivered.amounts.iter().map(|sum| (sum.currency.clone(), sum.amount.to_string())).collect();
        ensure!(
            (row.undelivered.records, &kept) == (*records, sums),
            "{records} records are undelivered, {sums:?}; the row says {:?}",
            row.undelivered
        );
    }
    Ok(())
}
