//! Syncs, and the records of one, as files.

use actix_web::{HttpResponse, get, web};
use api_types::records::{ClassifiedError, RecordOutcomeItem};
use api_types::sync_logs::Sync;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use store::OrgTx;
use store::record_outcomes::OutcomeFilter;
use store::source_records::RecordKey;
use store::sync_logs::{Place, SyncFilter};
use utoipa::IntoParams;
use uuid::Uuid;

use super::input;
use super::list::ListQuery;
use crate::archive::read;
use crate::auth::{Access, OrgContext};
use crate::http::csv::{self, Line, moment, plain, text};
use crate::http::json::{ValidPath, ValidQuery};
use crate::http::problem::ApiError;
use crate::http::view;
use crate::state::AppState;

/// Which syncs a file holds: the filters of the list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ExportSyncsQuery {
    /// Of one integration.
    integration_config_id: Option<Uuid>,
    /// In one of these states, separated by commas.
    #[param(
        example = "failed,retried_failed",
        pattern = "^(pending|in_progress|success|failed|retried_success|retried_failed)(,(pending|in_progress|success|failed|retried_success|retried_failed))*$"
    )]
    status: Option<String>,
    /// Of one connector.
    #[param(value_type = Option<domain::integration::ConnectorType>)]
    connector_type: Option<String>,
    /// Of one kind.
    #[param(value_type = Option<domain::integration::SyncType>)]
    sync_type: Option<String>,
    /// Initiated in one way.
    #[param(value_type = Option<domain::sync_log::TriggeredBy>)]
    triggered_by: Option<String>,
    /// Of one type of source record.
    source_record_type: Option<String>,
    /// Of one source record.
    source_record_id: Option<Uuid>,
    /// Started at or after (RFC 3339).
    from: Option<DateTime<Utc>>,
    /// Started before (RFC 3339).
    to: Option<DateTime<Utc>>,
    /// Only those a retry can (or cannot) be asked for.
    retryable: Option<bool>,
}

impl From<ExportSyncsQuery> for ListQuery {
    fn from(query: ExportSyncsQuery) -> Self {
        Self {
            integration_config_id: query.integration_config_id,
            status: query.status,
            connector_type: query.connector_type,
            sync_type: query.sync_type,
            triggered_by: query.triggered_by,
            source_record_type: query.source_record_type,
            source_record_id: query.source_record_id,
            from: query.from,
            to: query.to,
            retryable: query.retryable,
            cursor: None,
            limit: None,
        }
    }
}

/// Export syncs as CSV, newest first, however many there are.
///
/// RFC 4180 with a header line. A text that a spreadsheet would take for a formula has an apostrophe before it. The file
/// is sent as it is read; if it breaks off, so does the connection, and what came is not whole. It says how each sync
/// stood when its line was read; syncs that start meanwhile are not in it.
#[utoipa::path(
    operation_id = "exportSyncs",
    tag = "sync-logs",
    params(ExportSyncsQuery),
    responses((status = 200, description = "The file", body = String, content_type = "text/csv",
        headers(("Content-Disposition" = String, description = "`attachment` with a file name")),
        example = "id,integration_config_id,organization_id,connector_type,sync_type,status,…\r\n\
                   019a9f3c-0000-7000-8000-000000000001,…\r\n")),
    security(("person" = []), ("machine" = ["syncs:read"])),
)]
#[get("/sync-logs/export")]
pub async fn export_syncs(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidQuery(query): ValidQuery<ExportSyncsQuery>,
) -> Result<HttpResponse, ApiError> {
    context.require(Access::ReadSyncs)?;
    let name = format!("syncs-{}.csv", state.clock.now().format("%Y-%m-%d"));
    let filter = input::filter(query.into())?;
    let organization_id = context.organization_id;
    csv::respond(&name, Syncs { state, organization_id, filter, after: None }).await
}

/// Which records a file holds.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ExportRecordsQuery {
    /// With one of these outcomes, separated by commas.
    #[param(
        example = "failed,unknown",
        pattern = "^(queued|sending|succeeded|warning|failed|skipped|unknown|not_attempted)(,(queued|sending|succeeded|warning|failed|skipped|unknown|not_attempted))*$"
    )]
    outcome: Option<String>,
    /// With an error of this code among its errors.
    error_code: Option<String>,
}

/// Export the records of a sync by their latest outcome as CSV, ordered by type and id.
///
/// The same form as `exportSyncs`. Where a record has several errors, their codes, fields and messages stand in the same
/// order, separated by `; `.
#[utoipa::path(
    operation_id = "exportRecordOutcomes",
    tag = "sync-logs",
    params(("id" = Uuid, Path, description = "The sync"), ExportRecordsQuery),
    responses((status = 200, description = "The file", body = String, content_type = "text/csv",
        headers(("Content-Disposition" = String, description = "`attachment` with a file name")),
        example = "sync_id,source_record_type,source_record_id,label,amount,currency,outcome,…\r\n\
                   019a9f3c-0000-7000-8000-000000000001,reimbursement_approvals,…\r\n")),
    security(("person" = []), ("machine" = ["syncs:read"])),
)]
#[get("/sync-logs/{id}/records/export")]
pub async fn export_record_outcomes(
    state: web::Data<AppState>,
    context: OrgContext,
    ValidPath(id): ValidPath<Uuid>,
    ValidQuery(query): ValidQuery<ExportRecordsQuery>,
) -> Result<HttpResponse, ApiError> {
    context.require(Access::ReadSyncs)?;
    let filter = OutcomeFilter {
        outcomes: input::words(query.outcome.as_deref(), "outcome")?,
        error_code: query.error_code,
        ..OutcomeFilter::default()
    };
    let organization_id = context.organization_id;
    csv::respond(&format!("sync-{id}-records.csv"), Records { state, organization_id, sync_id: id, filter }).await
}

/// An organization's syncs, newest first.
struct Syncs {
    state: web::Data<AppState>,
    organization_id: Uuid,
    filter: SyncFilter,
    after: Option<Place>,
}

impl csv::Source for Syncs {
    type Line = Sync;

    async fn next(&mut self, limit: i64) -> Result<Vec<Sync>, ApiError> {
        let rows = read::lines(&self.state, self.organization_id, &self.filter, self.after, limit).await?;
        self.after = rows.last().map(|found| (found.sync.started_at, found.sync.id)).or(self.after);
        Ok(rows.iter().map(|found| view::found(found, false)).collect())
    }
}

/// The records of a sync.
struct Records {
    state: web::Data<AppState>,
    organization_id: Uuid,
    sync_id: Uuid,
    filter: OutcomeFilter,
}

impl csv::Source for Records {
    type Line = Record;

    async fn next(&mut self, limit: i64) -> Result<Vec<Record>, ApiError> {
        let tx = OrgTx::begin_reading(&self.state.db, self.organization_id).await?;
        let records = read::records(&self.state, tx, self.sync_id, &self.filter, limit).await?;
        let last: Option<RecordKey> = records.rows.last().map(|row| row.key.clone());
        self.filter.after = last.or(self.filter.after.take());
        let (sync_id, template) = (self.sync_id, records.url_template.as_deref());
        Ok(records.rows.into_iter().map(|row| Record { sync_id, item: view::outcome(row, template) }).collect())
    }
}

/// The attributes by their names, without `metadata`, which is for debugging; `warnings` are their codes.
impl Line for Sync {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "integration_config_id",
        "organization_id",
        "connector_type",
        "sync_type",
        "status",
        "records_processed",
        "records_failed",
        "records_total",
        "error_code",
        "error_message",
        "retry_count",
        "triggered_by",
        "triggered_by_user_id",
        "source_record_id",
        "source_record_type",
        "external_reference_id",
        "request_payload_hash",
        "http_status_code",
        "duration_ms",
        "started_at",
        "completed_at",
        "warnings",
        "backfill",
        "client_run_id",
        "retryable",
    ];

    fn cells(&self) -> Vec<String> {
        let warnings: Vec<&str> = self.warnings.iter().map(|warning| warning.code.as_str()).collect();
        vec![
            plain(Some(self.id)),
            plain(Some(self.integration_config_id)),
            plain(Some(self.organization_id)),
            plain(Some(self.connector_type)),
            plain(Some(self.sync_type)),
            plain(Some(self.status)),
            plain(self.records_processed),
            plain(self.records_failed),
            plain(self.records_total),
            text(self.error_code.as_deref()),
            text(self.error_message.as_deref()),
            plain(Some(self.retry_count)),
            plain(Some(self.triggered_by)),
            plain(self.triggered_by_user_id),
            plain(self.source_record_id),
            text(self.source_record_type.as_deref()),
            text(self.external_reference_id.as_deref()),
            plain(self.request_payload_hash.as_ref()),
            plain(self.http_status_code),
            plain(self.duration_ms),
            moment(Some(self.started_at)),
            moment(self.completed_at),
            text(Some(&warnings.join("; "))),
            plain(Some(self.backfill)),
            text(self.client_run_id.as_deref()),
            plain(Some(self.retryable)),
        ]
    }
}

/// A record of a sync.
struct Record {
    sync_id: Uuid,
    item: RecordOutcomeItem,
}

impl Line for Record {
    const COLUMNS: &'static [&'static str] = &[
        "sync_id",
        "source_record_type",
        "source_record_id",
        "label",
        "amount",
        "currency",
        "outcome",
        "attempt",
        "error_code",
        "error_field",
        "error_field_name",
        "error_message",
        "http_status_code",
        "external_reference_id",
        "request_payload_hash",
        "updated_at",
        "state",
        "changed_since_failure",
        "resolution",
        "resolution_reason",
        "resolution_reference",
        "resolved_by",
        "resolved_at",
        "record_url",
    ];

    fn cells(&self) -> Vec<String> {
        let item = &self.item;
        let resolution = item.resolution.as_ref();
        vec![
            plain(Some(self.sync_id)),
            text(Some(&item.source_record_type)),
            plain(Some(item.source_record_id)),
            text(item.label.as_deref()),
            plain(item.amount),
            plain(item.currency.as_ref()),
            plain(Some(item.outcome)),
            plain(Some(item.attempt)),
            joined(&item.errors, |error| Some(&error.code)),
            joined(&item.errors, |error| error.field.as_deref()),
            joined(&item.errors, |error| error.field_name.as_deref()),
            joined(&item.errors, |error| Some(&error.message)),
            plain(item.http_status_code),
            text(item.external_reference_id.as_deref()),
            plain(item.request_payload_hash.as_ref()),
            moment(Some(item.updated_at)),
            plain(item.state),
            plain(Some(item.changed_since_failure)),
            plain(resolution.map(|resolution| resolution.resolution)),
            text(resolution.map(|resolution| resolution.reason.as_str())),
            text(resolution.and_then(|resolution| resolution.reference.as_deref())),
            text(resolution.and_then(|resolution| resolution.resolved_by.as_deref())),
            moment(resolution.map(|resolution| resolution.resolved_at)),
            text(item.record_url.as_deref()),
        ]
    }
}

/// What each error of a record says, in one cell; empty where none says anything.
fn joined(errors: &[ClassifiedError], said: impl Fn(&ClassifiedError) -> Option<&str>) -> String {
    if errors.iter().all(|error| said(error).is_none()) {
        return String::new();
    }
    let words: Vec<&str> = errors.iter().map(|error| said(error).unwrap_or_default()).collect();
    text(Some(&words.join("; ")))
}
