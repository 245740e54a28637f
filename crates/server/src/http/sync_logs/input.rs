//! From what the API takes to what the ledger takes.

use api_types::records::RecordReport;
use api_types::sync_logs::{FailSync, FinishedSync, StartSync, SucceedSync};
use chrono::{DateTime, Utc};
use domain::sync_log::draft::{Completion, Reporter, StartDraft};
use domain::violation::{Rule, UnknownWord, Violation};
use store::record_outcomes::NewOutcome;
use store::source_records::RecordKey;
use store::sync_logs::SyncFilter;

use super::list::ListQuery;
use crate::http::paging::is_storable;
use crate::http::problem::ApiError;
use crate::ledger::{Imported, Report, StartInput, storable_errors};

/// A sync that begins.
pub(super) fn start(body: StartSync) -> StartInput {
    StartInput {
        integration_config_id: body.integration_config_id,
        draft: StartDraft {
            connector_type: body.connector_type,
            sync_type: body.sync_type,
            triggered_by: body.triggered_by,
            records_total: body.records_total,
            source_record_type: body.source_record_type,
            source_record_id: body.source_record_id,
            started_at: body.started_at,
            lease_seconds: body.lease_seconds,
            client_run_id: body.client_run_id,
        },
        backfill: body.backfill,
        queued: body.queued,
        metadata: body.metadata,
    }
}

/// A sync that has ended, by whom it is reported.
pub(super) fn finished(body: FinishedSync, reporter: Reporter) -> Result<Imported, ApiError> {
    let completion = Completion {
        completed_at: Some(body.completed_at),
        records_processed: body.records_processed,
        records_failed: body.records_failed,
        records_total: body.records_total,
        error_code: body.error_code,
        error_message: body.error_message,
        http_status_code: body.http_status_code,
        external_reference_id: body.external_reference_id,
        request_payload_hash: body.request_payload_hash,
        ..Completion::default()
    };
    let start = start(StartSync {
        integration_config_id: body.integration_config_id,
        connector_type: body.connector_type,
        sync_type: body.sync_type,
        triggered_by: body.triggered_by,
        records_total: body.records_total,
        source_record_type: body.source_record_type,
        source_record_id: body.source_record_id,
        started_at: body.started_at,
        backfill: body.backfill,
        client_run_id: body.client_run_id,
        lease_seconds: body.lease_seconds,
        queued: body.queued,
        metadata: body.metadata,
    });
    Ok(Imported {
        start,
        status: body.status,
        report: Report { attempt: 0, completion, warnings: body.warnings },
        records: outcomes(body.records)?,
        reporter,
    })
}

/// The end of an attempt that succeeded.
pub(super) fn succeeded(body: &SucceedSync) -> Report {
    Report {
        attempt: body.attempt,
        completion: Completion {
            succeeded: true,
            records_processed: body.records_processed,
            records_failed: body.records_failed,
            http_status_code: body.http_status_code,
            external_reference_id: body.external_reference_id.clone(),
            request_payload_hash: body.request_payload_hash.clone(),
            ..Completion::default()
        },
        warnings: body.warnings.clone(),
    }
}

/// The end of an attempt that failed.
pub(super) fn failed(body: &FailSync) -> Report {
    Report {
        attempt: body.attempt,
        completion: Completion {
            succeeded: false,
            records_processed: body.records_processed,
            records_failed: body.records_failed,
            error_code: body.error_code.clone(),
            error_message: body.error_message.clone(),
            http_status_code: body.http_status_code,
            external_reference_id: body.external_reference_id.clone(),
            request_payload_hash: body.request_payload_hash.clone(),
            ..Completion::default()
        },
        warnings: body.warnings.clone(),
    }
}

/// Reported outcomes; a status outside every range is refused here, since it fits no column.
pub(in crate::http) fn outcomes(reports: Vec<RecordReport>) -> Result<Vec<NewOutcome>, ApiError> {
    let mut found = Vec::new();
    let mut outcomes = Vec::with_capacity(reports.len());
    for (index, report) in reports.into_iter().enumerate() {
        let http_status_code = report.http_status_code.map(i16::try_from).transpose().unwrap_or_else(|_| {
            let pointer = format!("/records/{index}/http_status_code");
            found.push(Violation::new(Rule::HttpStatusCodeRange, pointer, "between 100 and 599"));
            None
        });
        outcomes.push(NewOutcome {
            key: RecordKey { source_record_type: report.source_record_type, source_record_id: report.source_record_id },
            outcome: report.outcome,
            errors: storable_errors(&report.errors),
            http_status_code,
            external_reference_id: report.external_reference_id,
            request_payload_hash: report.request_payload_hash,
            label: report.label,
            amount: report.amount,
            currency: report.currency,
        });
    }
    if found.is_empty() { Ok(outcomes) } else { Err(found.into()) }
}

/// A list's filter.
pub(super) fn filter(query: ListQuery) -> Result<SyncFilter, ApiError> {
    Ok(SyncFilter {
        integration_config_id: query.integration_config_id,
        statuses: words(query.status.as_deref(), "status")?,
        connector_type: word(query.connector_type.as_deref(), "connector_type")?,
        sync_type: word(query.sync_type.as_deref(), "sync_type")?,
        triggered_by: word(query.triggered_by.as_deref(), "triggered_by")?,
        source_record_type: query.source_record_type,
        source_record_id: query.source_record_id,
        from: moment(query.from, "from")?,
        to: moment(query.to, "to")?,
        retryable: query.retryable,
    })
}

/// A moment from a query parameter; years that RFC 3339 can't write are refused.
fn moment(given: Option<DateTime<Utc>>, name: &str) -> Result<Option<DateTime<Utc>>, ApiError> {
    match given {
        Some(moment) if !is_storable(moment) => {
            Err(ApiError::invalid_parameter(name, "a moment between the years 1 and 9999"))
        }
        moment => Ok(moment),
    }
}

/// A closed word from a query parameter.
pub(in crate::http) fn word<T: std::str::FromStr<Err = UnknownWord>>(
    text: Option<&str>,
    name: &str,
) -> Result<Option<T>, ApiError> {
    text.map(str::parse).transpose().map_err(|error: UnknownWord| ApiError::invalid_parameter(name, error.to_string()))
}

/// Closed words from a query parameter, separated by commas.
pub(in crate::http) fn words<T: std::str::FromStr<Err = UnknownWord>>(
    text: Option<&str>,
    name: &str,
) -> Result<Vec<T>, ApiError> {
    let Some(text) = text else { return Ok(Vec::new()) };
    text.split(',')
        .map(|part| part.trim().parse())
        .collect::<Result<_, _>>()
        .map_err(|error: UnknownWord| ApiError::invalid_parameter(name, error.to_string()))
}

/// Refuses more items than a call may have.
pub(super) fn check_number(number: usize, most: usize, pointer: &str) -> Result<(), ApiError> {
    if number > most {
        return Err(vec![Violation::new(Rule::TooLong, pointer, format!("at most {most}"))].into());
    }
    if number == 0 {
        return Err(vec![Violation::new(Rule::Required, pointer, "at least one")].into());
    }
    Ok(())
}
