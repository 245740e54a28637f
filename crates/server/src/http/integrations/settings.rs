//! An integration's settings: checked as a whole, credentials sealed.

use api_types::integrations::{IntegrationPatch, NewIntegration};
use api_types::sync_logs::TriggerSync;
use api_types::{ErrorCode, Problem};
use chrono::{DateTime, Utc};
use connectors::{Connector, GuardedClients, Source};
use domain::credentials::to_be_given_again;
use domain::integration::{HealthPolicy, IntegrationDraft, PartialFailure, Runner};
use domain::lineage::LineageJob;
use domain::sync_log::draft::check_source_record_type;
use domain::violation::{Rule, Violation};
use serde_json::{Value, json};
use store::integrations::{IntegrationConfig, SealedBytes};
use store::source_records::RecordKey;
use url::Url;
use uuid::Uuid;

use crate::http::problem::ApiError;
use crate::state::AppState;
use crate::vault::Sealed;

/// The credentials that are kept, if there are any and they can be opened.
type Kept = anyhow::Result<Option<Value>>;

/// Which of the settings that lead outside are new, and so are checked: what was accepted once stays.
#[derive(Clone, Copy)]
struct Changed {
    connector: bool,
    webhook: bool,
}

/// A new integration.
pub(super) fn create(
    state: &AppState,
    organization_id: Uuid,
    new: NewIntegration,
    now: DateTime<Utc>,
) -> Result<IntegrationConfig, ApiError> {
    let defaults = HealthPolicy::default();
    let config = IntegrationConfig {
        id: Uuid::now_v7(),
        organization_id,
        name: new.name.trim().to_owned(),
        connector_type: new.connector_type,
        sync_type: new.sync_type,
        runner: new.runner,
        settings: if new.settings.is_null() { json!({}) } else { new.settings },
        credentials: None,
        credentials_mark: None,
        schedule: new.schedule,
        paused: false,
        policy: HealthPolicy {
            freshness_hours: new.freshness_hours.unwrap_or(defaults.freshness_hours),
            business_days_only: new.business_days_only.unwrap_or(defaults.business_days_only),
            failure_threshold: new.failure_threshold.unwrap_or(defaults.failure_threshold),
            partial_failure: new.partial_failure.unwrap_or(PartialFailure::Error),
        },
        allow_updates: new.allow_updates.unwrap_or(false),
        record_url_template: new.record_url_template,
        retry_webhook_url: new.retry_webhook_url,
        retry_webhook_disabled_at: None,
        source_read_at: None,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let changed = Changed { connector: true, webhook: true };
    let found = violations(state, &config, new.credentials.as_ref(), changed, new.lineage_job.as_ref());
    if !found.is_empty() {
        return Err(found.into());
    }
    seal(state, config, new.credentials)
}

/// A changed integration.
pub(super) fn change(
    state: &AppState,
    mut config: IntegrationConfig,
    patch: IntegrationPatch,
    now: DateTime<Utc>,
) -> Result<IntegrationConfig, ApiError> {
    let changed = Changed {
        connector: patch.settings.is_some() || patch.credentials.is_some(),
        webhook: patch.retry_webhook_url.is_some(),
    };
    let kept = credentials_of(state, &config);
    let again = patch.settings.as_ref().map(|new| given_again(&config, new, &kept, patch.credentials.as_ref()));
    config.name = patch.name.map_or(config.name, |name| name.trim().to_owned());
    config.settings = patch.settings.unwrap_or(config.settings);
    config.schedule = patch.schedule.unwrap_or(config.schedule);
    config.paused = patch.paused.unwrap_or(config.paused);
    config.policy.freshness_hours = patch.freshness_hours.unwrap_or(config.policy.freshness_hours);
    config.policy.business_days_only = patch.business_days_only.unwrap_or(config.policy.business_days_only);
    config.policy.failure_threshold = patch.failure_threshold.unwrap_or(config.policy.failure_threshold);
    config.policy.partial_failure = patch.partial_failure.unwrap_or(config.policy.partial_failure);
    config.allow_updates = patch.allow_updates.unwrap_or(config.allow_updates);
    config.record_url_template = patch.record_url_template.unwrap_or(config.record_url_template);
    if let Some(url) = patch.retry_webhook_url {
        config.retry_webhook_url = url;
        config.retry_webhook_disabled_at = None;
    }
    config.updated_at = now;
    let given = patch.credentials.is_some();
    let credentials = match patch.credentials {
        Some(given) => Some(completed(&kept, given)),
        None => kept.map_err(ApiError::internal)?,
    };
    let lineage_job = patch.lineage_job.as_ref().and_then(Option::as_ref);
    let found = violations(state, &config, credentials.as_ref(), changed, lineage_job);
    refuse(found, again.unwrap_or_default())?;
    if given { seal(state, config, credentials) } else { Ok(config) }
}

/// The credentials that a change of the settings has to come with. An external runner has its own.
fn given_again(config: &IntegrationConfig, new: &Value, kept: &Kept, given: Option<&Value>) -> Vec<Violation> {
    match (config.runner, kept) {
        (Runner::Managed, Ok(kept)) => {
            to_be_given_again(config.connector_type, &config.settings, new, kept.as_ref(), given)
        }
        // What cannot be read is shown to nobody.
        (Runner::Managed, Err(_)) | (Runner::External, _) => Vec::new(),
    }
}

/// Tells of everything that is wrong at once; credentials to be given `again` have a code of their own where that is all.
fn refuse(mut found: Vec<Violation>, again: Vec<Violation>) -> Result<(), ApiError> {
    if again.is_empty() {
        return if found.is_empty() { Ok(()) } else { Err(found.into()) };
    }
    if found.is_empty() {
        let detail = "the settings lead to another host: what is kept is shown only to the one it was given for";
        let named = Problem::violations(again).errors;
        return Err(ApiError::new(ErrorCode::CredentialsRequired, detail).with_errors(named));
    }
    found.extend(again);
    Err(found.into())
}

/// Credentials that were given, with the set that was not where there are two. Kept ones that cannot be read are lost, and
/// no reason to refuse others.
pub(super) fn completed(kept: &Kept, given: Value) -> Value {
    connectors::merged_credentials(kept.as_ref().ok().and_then(Option::as_ref), given)
}

/// Everything that is wrong with the settings as they are to be.
fn violations(
    state: &AppState,
    config: &IntegrationConfig,
    credentials: Option<&Value>,
    changed: Changed,
    lineage_job: Option<&LineageJob>,
) -> Vec<Violation> {
    let draft = IntegrationDraft {
        name: config.name.clone(),
        connector_type: config.connector_type,
        runner: config.runner,
        schedule: config.schedule.clone(),
        policy: config.policy.clone(),
        record_url_template: config.record_url_template.clone(),
        retry_webhook_url: config.retry_webhook_url.clone(),
    };
    let mut found = draft.violations();
    found.extend(lineage_job.map(|job| job.violations(config.runner)).unwrap_or_default());
    if changed.webhook {
        let wrong = check_webhook_address(state, config.retry_webhook_url.as_deref(), &found);
        found.extend(wrong);
    }
    if !config.settings.is_object() {
        found.push(Violation::new(Rule::InvalidFormat, "/settings", "a JSON object"));
    } else if config.runner == Runner::Managed && changed.connector {
        found.extend(connectors::validate_settings(
            config.connector_type,
            &config.settings,
            credentials,
            &state.outbound,
        ));
    }
    if config.runner == Runner::Managed && config.allow_updates {
        if config.settings.get("look_up").is_some_and(|look_up| !look_up.is_null()) {
            let detail = "not with allow_updates: a look-up cannot tell the version in doubt from the one before it";
            found.push(Violation::new(Rule::InvalidFormat, "/settings/look_up", detail));
        }
        found.extend(connectors::refuses_updates(config.connector_type, &config.settings));
    }
    found
}

/// What the domain cannot know of a webhook address: whether it is whole, and whether requests may go there. Names are
/// checked again whenever they are resolved.
fn check_webhook_address(state: &AppState, url: Option<&str>, found: &[Violation]) -> Option<Violation> {
    let pointer = "/retry_webhook_url";
    let url = url.filter(|_| found.iter().all(|violation| violation.pointer != pointer))?;
    let wrong = match Url::parse(url) {
        Err(_) => "an http or https address",
        Ok(url) if state.outbound.refuses_literal(&url) => "requests may not go to this address",
        Ok(_) => return None,
    };
    Some(Violation::new(Rule::InvalidFormat, pointer, wrong))
}

fn seal(
    state: &AppState,
    mut config: IntegrationConfig,
    credentials: Option<Value>,
) -> Result<IntegrationConfig, ApiError> {
    let Some(credentials) = credentials else { return Ok(config) };
    let plain = serde_json::to_vec(&credentials).map_err(ApiError::internal)?;
    let sealed = state.vault.seal(&plain, &context(config.id)).map_err(ApiError::internal)?;
    config.credentials = Some(SealedBytes { key_id: sealed.key_id, bytes: sealed.bytes });
    config.credentials_mark = Some(Uuid::now_v7());
    Ok(config)
}

/// The credentials of an integration, opened.
pub fn credentials_of(state: &AppState, config: &IntegrationConfig) -> Kept {
    let Some(sealed) = &config.credentials else { return Ok(None) };
    let sealed = Sealed { key_id: sealed.key_id.clone(), bytes: sealed.bytes.clone() };
    let plain = state.vault.open(&sealed, &context(config.id))?;
    Ok(Some(serde_json::from_slice(&plain)?))
}

/// The connector of a managed integration; its client is one of these.
pub fn connector(
    state: &AppState,
    config: &IntegrationConfig,
    clients: &GuardedClients,
) -> anyhow::Result<Box<dyn Connector>> {
    let credentials = credentials_of(state, config)?;
    Ok(connectors::build_with(config.connector_type, &config.settings, credentials.as_ref(), clients)?)
}

/// Where a managed integration's records are read from, if Syncwatch does that; its client is one of these, too.
pub fn source(
    state: &AppState,
    config: &IntegrationConfig,
    clients: &GuardedClients,
) -> anyhow::Result<Option<Box<dyn Source>>> {
    let credentials = credentials_of(state, config)?;
    Ok(connectors::build_source_with(&config.settings, credentials.as_ref(), clients)?)
}

/// What the credentials are sealed for.
pub(crate) fn context(integration_config_id: Uuid) -> String {
    format!("integration:{integration_config_id}")
}

/// The one record a sync is asked for, if it is.
pub(super) fn one_record(body: Option<&TriggerSync>) -> Result<Option<RecordKey>, ApiError> {
    let Some(body) = body else { return Ok(None) };
    match (&body.source_record_type, body.source_record_id) {
        (None, None) => Ok(None),
        (Some(kind), Some(id)) => {
            let found: Vec<Violation> = check_source_record_type(kind, "/source_record_type").into_iter().collect();
            if found.is_empty() {
                Ok(Some(RecordKey { source_record_type: kind.clone(), source_record_id: id }))
            } else {
                Err(found.into())
            }
        }
        (None, Some(_)) => Err(vec![Violation::new(
            Rule::SourceRecordTypeRequiredWhenIdPresent,
            "/source_record_type",
            "a source record's id needs its type",
        )]
        .into()),
        (Some(_), None) => {
            Err(vec![Violation::new(Rule::Required, "/source_record_id", "a source record's type needs its id")].into())
        }
    }
}
