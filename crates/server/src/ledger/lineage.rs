//! Taking in what a runner says of its runs in `OpenLineage`'s words.

use chrono::{DateTime, Utc};
use domain::lineage::{LineageEventType, LineageStep, OPENLINEAGE_ABORT, OPENLINEAGE_FAIL};
use domain::sync_log::draft::{Completion, Reporter, StartDraft};
use domain::sync_log::{SyncStatus, SyncWarning, TriggeredBy, cut};
use domain::violation::Violation;
use serde_json::json;
use store::integrations::IntegrationConfig;
use store::sync_logs::SyncLog;
use uuid::Uuid;

use super::finish::Report;
use super::import::Imported;
use super::start::StartInput;
use super::{Ledger, LedgerError};

/// Warning code of a number of rows that no count can hold.
const ROW_COUNT_OUT_OF_RANGE: &str = "ROW_COUNT_OUT_OF_RANGE";
/// Longest producer that is kept.
const MAX_PRODUCER_CHARS: usize = 500;

/// What an event says of a run.
#[derive(Clone, Debug)]
pub struct LineageReport {
    /// The job's namespace.
    pub namespace: String,
    /// The job's name.
    pub name: String,
    /// The run.
    pub run_id: Uuid,
    /// What happened.
    pub event: LineageEventType,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// Rows written, where the event says so.
    pub rows: Option<i64>,
    /// Why the run failed, in the job's words.
    pub error_message: Option<String>,
    /// Who made the event.
    pub producer: Option<String>,
}

/// What became of an event.
#[derive(Clone, Debug)]
pub struct LineageTaken {
    /// The run's sync, if there is one.
    pub sync: Option<SyncLog>,
    /// Whether the event made it.
    pub created: bool,
    /// Whether the event said anything new.
    pub changed: bool,
}

impl LineageTaken {
    const fn of(sync: Option<SyncLog>, created: bool, changed: bool) -> Self {
        Self { sync, created, changed }
    }
}

impl Ledger<'_> {
    /// Takes in an event of a run. Events that come twice, late or out of order are harmless.
    pub async fn take_lineage(
        &mut self,
        report: &LineageReport,
        reporter: Reporter,
    ) -> Result<LineageTaken, LedgerError> {
        let found = store::lineage_jobs::find_integration(self.tx, &report.namespace, &report.name).await?;
        let (integration, lease_seconds) = found.ok_or(LedgerError::UnknownLineageJob)?;
        let config = store::integrations::find(self.tx, integration).await?.ok_or(LedgerError::UnknownLineageJob)?;
        let start = start_of(report, &config, lease_seconds);
        let taken = self.take_first(report, &start, reporter).await.map_err(in_the_events_words)?;
        match taken {
            LineageTaken { sync: Some(known), created: false, .. } => {
                self.take_further(report, known).await.map_err(in_the_events_words)
            }
            taken => Ok(taken),
        }
    }

    /// Makes the run's sync where there is none and the event asks for one. Of two events that make it at once, the
    /// database lets one win; the other finds it made.
    async fn take_first(
        &mut self,
        report: &LineageReport,
        start: &StartInput,
        reporter: Reporter,
    ) -> Result<LineageTaken, LedgerError> {
        let run = start.draft.client_run_id.as_deref().unwrap_or_default();
        if let Some(id) = store::sync_logs::find_client_run(self.tx, start.integration_config_id, run).await? {
            return Ok(LineageTaken::of(store::sync_logs::lock(self.tx, id).await?, false, false));
        }
        let made = match report.event.step(None) {
            LineageStep::Start => self.start(start, reporter).await?,
            LineageStep::Record => {
                let succeeded = report.event.verdict().unwrap_or(false);
                let input = Imported {
                    start: start.clone(),
                    status: SyncStatus::finished(0, succeeded),
                    report: end_of(report),
                    records: Vec::new(),
                    reporter,
                };
                self.record_finished(&input).await?
            }
            _ => return Ok(LineageTaken::of(None, false, false)),
        };
        if !made.created {
            // Another event made it meanwhile: what it says is read anew, where nobody else can change it.
            return Ok(LineageTaken::of(store::sync_logs::lock(self.tx, made.sync.id).await?, false, false));
        }
        Ok(LineageTaken::of(Some(made.sync), true, true))
    }

    /// What an event says of a run whose sync is known.
    async fn take_further(&mut self, report: &LineageReport, known: SyncLog) -> Result<LineageTaken, LedgerError> {
        let sync = match report.event.step(Some((known.status, known.retry_count))) {
            LineageStep::Extend => self.report_progress(known.id, 0, None, None).await?,
            LineageStep::Finish => {
                let ended = self.finish(known.id, &end_of(report)).await?;
                let changed = ended.status != known.status || ended.error_code != known.error_code;
                return Ok(LineageTaken::of(Some(ended), false, changed));
            }
            _ => return Ok(LineageTaken::of(Some(known), false, false)),
        };
        Ok(LineageTaken::of(Some(sync), false, true))
    }
}

fn start_of(report: &LineageReport, config: &IntegrationConfig, lease_seconds: u32) -> StartInput {
    StartInput {
        integration_config_id: config.id,
        draft: StartDraft {
            connector_type: config.connector_type,
            sync_type: config.sync_type,
            triggered_by: TriggeredBy::Automatic,
            records_total: None,
            source_record_type: None,
            source_record_id: None,
            started_at: Some(report.at),
            lease_seconds: Some(i64::from(lease_seconds)),
            client_run_id: Some(format!("openlineage:{}", report.run_id)),
        },
        backfill: false,
        queued: false,
        metadata: Some(json!({ "openlineage": {
            "namespace": report.namespace, "name": report.name,
            "producer": report.producer.as_deref().map(|producer| cut(producer, MAX_PRODUCER_CHARS)),
        } })),
    }
}

fn end_of(report: &LineageReport) -> Report {
    let succeeded = report.event.verdict().unwrap_or(false);
    let (code, words) = match report.event {
        LineageEventType::Abort => (OPENLINEAGE_ABORT, "the run was aborted"),
        _ => (OPENLINEAGE_FAIL, "the run failed"),
    };
    let message = report.error_message.as_deref().filter(|message| !message.trim().is_empty()).unwrap_or(words);
    let rows = report.rows.filter(|rows| i32::try_from(*rows).is_ok_and(|rows| rows >= 0));
    let mut warnings = Vec::new();
    if rows.is_none()
        && let Some(rows) = report.rows
    {
        warnings.push(SyncWarning {
            code: ROW_COUNT_OUT_OF_RANGE.to_owned(),
            message: format!("the run reports {rows} rows, which no count can hold"),
            pointer: Some("/records_processed".to_owned()),
        });
    }
    Report {
        attempt: 0,
        completion: Completion {
            succeeded,
            completed_at: Some(report.at),
            records_processed: rows,
            // What was written by a run that ended well is all there was.
            records_total: rows.filter(|_| succeeded),
            error_code: (!succeeded).then(|| code.to_owned()),
            error_message: (!succeeded).then(|| message.to_owned()),
            ..Completion::default()
        },
        warnings,
    }
}

/// The ledger's places, as they stand in an event.
fn in_the_events_words(error: LedgerError) -> LedgerError {
    let LedgerError::Violations(violations) = error else { return error };
    let place = |pointer: String| match pointer.as_str() {
        "/started_at" | "/completed_at" => "/eventTime".to_owned(),
        "/client_run_id" => "/run/runId".to_owned(),
        "/error_message" => "/run/facets/errorMessage/message".to_owned(),
        _ => pointer,
    };
    let told = |violation: Violation| Violation { pointer: place(violation.pointer), ..violation };
    LedgerError::Violations(violations.into_iter().map(told).collect())
}
