//! Handing an ended execution over, so that doing it twice is harmless.

use std::collections::HashMap;

use api_types::records::AppendRecords;
use api_types::sync_logs::{FailSync, FinishedSync, RecordKey, StartSync, SucceedSync};
use chrono::TimeDelta;
use domain::record::{OutcomeCounts, RecordOutcome};
use domain::sync_log::{ATTEMPT_ABANDONED, SyncStatus, TriggeredBy};
use uuid::Uuid;

use super::api::{Api, Kind};
use super::execution::{BadLine, Execution, Line, Run, Target};
use super::outcomes::{Batch, first_batch, refuse};
use super::patience::Patience;
use super::say;
use super::trouble::{Refusal, Trouble};

/// Most records that are named of those that another sync has under way.
const NAMED: usize = 3;
/// A run that was too short to be begun while it ran, and ended no longer ago than this, is reported step by step: then
/// the server says a failure in the words of the records' errors. Later, its own times matter more.
const JUST_ENDED: TimeDelta = TimeDelta::seconds(3);

/// The connector and kind of sync of a run; asked for once.
async fn kind_of(api: &Api, run: &mut Run) -> Result<Kind, Trouble> {
    if let (Some(connector_type), Some(sync_type)) = (run.connector_type, run.sync_type) {
        return Ok(Kind { connector_type, sync_type });
    }
    let known = api.integration(run.integration_config_id).await?;
    let connector_type = *run.connector_type.get_or_insert(known.connector_type);
    let sync_type = *run.sync_type.get_or_insert(known.sync_type);
    Ok(Kind { connector_type, sync_type })
}

/// A run that begins.
fn start_of(api: &Api, run: &Run, kind: Kind) -> StartSync {
    StartSync {
        integration_config_id: run.integration_config_id,
        connector_type: kind.connector_type,
        sync_type: kind.sync_type,
        triggered_by: TriggeredBy::Automatic,
        records_total: None,
        source_record_type: None,
        source_record_id: None,
        started_at: Some(api.server_time(run.started_at)),
        backfill: false,
        client_run_id: Some(run.client_run_id.clone()),
        lease_seconds: Some(i64::from(run.lease_seconds)),
        queued: false,
        metadata: Some(run.metadata.clone()),
    }
}

/// Begins a run's sync, or finds it begun. Returns it if it is still open.
pub(super) async fn begin(api: &Api, run: &mut Run) -> Result<Option<Uuid>, Trouble> {
    let kind = kind_of(api, run).await?;
    // Before moments are written down: the server's answer says whether this machine's clock is right.
    api.sign_in().await?;
    let shown = api.start(&start_of(api, run, kind)).await?;
    Ok((shown.status == SyncStatus::InProgress && shown.attempt == 0).then_some(shown.id))
}

/// Hands an execution over. What Syncwatch has taken is taken out of it, so that it can be kept as it then is, and
/// handed over once more.
pub(super) async fn deliver(api: &Api, execution: &mut Execution, patience: Patience) -> Result<(), Trouble> {
    let (sync_id, attempt) = match &execution.target {
        Target::Attempt { sync_id, attempt } => (*sync_id, *attempt),
        Target::Run(_) => match deliver_run(api, execution, patience).await? {
            Some(sync_id) => (sync_id, 0),
            None => return Ok(()),
        },
    };
    execution.target = Target::Attempt { sync_id, attempt };
    send_records(api, sync_id, attempt, execution, patience).await?;
    let warnings = execution.warnings();
    let ended = match &execution.failure {
        None => {
            let end = SucceedSync {
                attempt,
                records_processed: None,
                records_failed: None,
                external_reference_id: None,
                request_payload_hash: None,
                http_status_code: None,
                warnings,
            };
            patience.with(async || api.succeed(sync_id, &end).await).await
        }
        Some(failure) => {
            let end = FailSync {
                attempt,
                error_code: Some(failure.code.clone()),
                error_message: Some(failure.message.clone()),
                http_status_code: None,
                records_processed: None,
                records_failed: None,
                external_reference_id: None,
                request_payload_hash: None,
                warnings,
            };
            patience.with(async || api.fail(sync_id, &end).await).await
        }
    };
    match ended {
        // A successor has taken over; its end counts, and the outcomes are kept.
        Err(Trouble::Refused(refusal)) if refusal.code == "attempt_superseded" => Ok(()),
        ended => ended.map(drop),
    }
}

/// Records a run that Syncwatch does not know of. Returns the sync if it is known after all, and its first attempt still
/// open (or was given up for lost): then that is to be ended.
async fn deliver_run(api: &Api, execution: &mut Execution, patience: Patience) -> Result<Option<Uuid>, Trouble> {
    let just_ended = api.now() - execution.completed_at < JUST_ENDED;
    if let Target::Run(run) = &mut execution.target
        && just_ended
        && !execution.records.is_empty()
    {
        match patience.once(begin(api, run)).await {
            Ok(Some(sync_id)) => return Ok(Some(sync_id)),
            Ok(None) | Err(Trouble::Away { .. }) => {}
            Err(trouble) => return Err(trouble),
        }
    }
    loop {
        let batch = first_batch(&execution.records, usize::MAX);
        let whole = batch.lines == execution.records.len();
        let Target::Run(run) = &mut execution.target else { return Ok(None) };
        let kind = patience.with(async || kind_of(api, &mut *run).await).await?;
        patience.with(async || api.sign_in().await).await?;
        let start = start_of(api, run, kind);
        let finished = finished_of(api, start, execution, whole.then_some(&batch));
        let (shown, created) = match patience.with(async || api.record_finished(&finished).await).await {
            Err(Trouble::Refused(refusal)) => {
                let refused = refused_records(&refusal).filter(|_| whole).unwrap_or_default();
                if !refuse(&mut execution.records, &batch, &refused, &mut execution.bad_lines) {
                    return Err(Trouble::Refused(refusal));
                }
                continue;
            }
            answer => answer?,
        };
        let open = shown.status == SyncStatus::InProgress || shown.error_code.as_deref() == Some(ATTEMPT_ABANDONED);
        if !created && shown.attempt == 0 && open {
            return Ok(Some(shown.id));
        }
        if !whole || !created {
            // More than one call holds: counted above, told one by one here. So is what a known sync's name stands for
            // once more: what it delivered must not be sent again. If this is cut short, the rest is an attempt's.
            execution.target = Target::Attempt { sync_id: shown.id, attempt: 0 };
            send_records(api, shown.id, 0, execution, patience).await?;
        }
        return Ok(None);
    }
}

fn finished_of(api: &Api, start: StartSync, execution: &Execution, whole: Option<&Batch>) -> FinishedSync {
    let counts = whole.is_none().then(|| counted(&execution.records));
    let completed_at = api.server_time(execution.completed_at);
    FinishedSync {
        integration_config_id: start.integration_config_id,
        connector_type: start.connector_type,
        sync_type: start.sync_type,
        triggered_by: start.triggered_by,
        // What was left out on purpose is neither delivered nor failed, and this call can say no third.
        records_total: counts.map(|counts| (counts.processed + counts.undelivered()).into()),
        source_record_type: None,
        source_record_id: None,
        started_at: start.started_at,
        backfill: false,
        client_run_id: start.client_run_id,
        lease_seconds: None,
        queued: false,
        metadata: start.metadata,
        // This machine's clock may have been set back while the job ran.
        completed_at: start.started_at.map_or(completed_at, |started_at| completed_at.max(started_at)),
        status: if execution.failure.is_none() { SyncStatus::Success } else { SyncStatus::Failed },
        records_processed: counts.map(|counts| counts.processed.into()),
        records_failed: counts.map(|counts| counts.undelivered().into()),
        error_code: execution.failure.as_ref().map(|failure| failure.code.clone()),
        error_message: execution.failure.as_ref().map(|failure| failure.message.clone()),
        http_status_code: None,
        external_reference_id: None,
        request_payload_hash: None,
        warnings: execution.warnings(),
        records: whole.map(|batch| batch.records.clone()).unwrap_or_default(),
    }
}

/// How many came to what: each record by what says most of it, as it is when its attempt has ended.
fn counted(lines: &[Line]) -> OutcomeCounts {
    let mut outcomes: HashMap<(&str, Uuid), RecordOutcome> = HashMap::new();
    for Line { report, .. } in lines {
        let outcome = outcomes.entry((report.source_record_type.as_str(), report.source_record_id));
        let stands = outcome.or_insert(report.outcome);
        let weight = |outcome: RecordOutcome| (outcome.is_delivered(), outcome.is_final());
        if weight(report.outcome) >= weight(*stands) {
            *stands = report.outcome;
        }
    }
    OutcomeCounts::of(outcomes.into_values().map(RecordOutcome::after_abandonment))
}

async fn send_records(
    api: &Api,
    sync_id: Uuid,
    attempt: u16,
    execution: &mut Execution,
    patience: Patience,
) -> Result<(), Trouble> {
    let Execution { records, bad_lines, .. } = execution;
    while !records.is_empty() {
        patience.with(async || append_some(api, sync_id, attempt, &mut *records, &mut *bad_lines).await).await?;
    }
    Ok(())
}

/// Sends what fits into one call, and takes it out. Records that the server refuses are taken out too, and told.
pub(super) async fn append_some(
    api: &Api,
    sync_id: Uuid,
    attempt: u16,
    lines: &mut Vec<Line>,
    bad: &mut Vec<BadLine>,
) -> Result<(), Trouble> {
    let mut most = usize::MAX;
    while !lines.is_empty() {
        let batch = first_batch(lines, most);
        let body = AppendRecords { attempt, records: batch.records };
        let answer = api.append(sync_id, &body).await;
        let batch = Batch { records: body.records, lines: batch.lines };
        match answer {
            Ok(answer) => {
                if let Some(told) = not_ours(&answer.already_active) {
                    say(&told);
                }
                lines.drain(..batch.lines);
                return Ok(());
            }
            Err(Trouble::Refused(refusal)) => match refused_records(&refusal) {
                // One that names none of the batch's records would come again and again, and is about something else.
                Some(refused) if refuse(lines, &batch, &refused, bad) => {}
                // A successor has taken over; what really happened is kept.
                None if refusal.code == "attempt_superseded" => {
                    lines.drain(..batch.lines);
                    return Ok(());
                }
                None if matches!(refusal.status, 400 | 413 | 422) => {
                    if batch.records.len() == 1 {
                        let reason = Trouble::Refused(refusal).to_string();
                        refuse(lines, &batch, &HashMap::from([(0, reason)]), bad);
                    } else {
                        most = batch.records.len() / 2;
                    }
                }
                _ => return Err(Trouble::Refused(refusal)),
            },
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(())
}

/// Records that are another's to send, in words. The job knows nothing of it and may have sent them.
fn not_ours(records: &[RecordKey]) -> Option<String> {
    let name = |record: &RecordKey| format!("{} {}", record.source_record_type, record.source_record_id);
    let named: Vec<String> = records.iter().take(NAMED).map(name).collect();
    let more = records.len().saturating_sub(NAMED);
    let further = if more > 0 { format!(" and {more} further") } else { String::new() };
    let number = records.len();
    (number > 0).then(|| {
        format!(
            "{number} of the job's records must not be sent by it, for another sync has them under way or the attempt \
             has ended: {}{further}",
            named.join(", ")
        )
    })
}

/// The places of the records that a refusal names, with the reasons; none where it is about something else too.
fn refused_records(refusal: &Refusal) -> Option<HashMap<usize, String>> {
    let mut refused = HashMap::new();
    for error in &refusal.errors {
        let rest = error.pointer.strip_prefix("/records/")?;
        let (index, member) = rest.split_once('/').unwrap_or((rest, ""));
        refused.entry(index.parse().ok()?).or_insert_with(|| format!("{member}: {}", error.detail));
    }
    Some(refused).filter(|refused| !refused.is_empty())
}

#[cfg(test)]
mod tests;
