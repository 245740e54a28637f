//! The rules of a sync that begins, all checked at once.

mod completion;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{CLOCK_SKEW, TriggeredBy, whole_millis};
use crate::integration::{ConnectorType, SyncType};
use crate::violation::{Rule, Violation};

pub use completion::{Completion, ValidCompletion, count_warnings, finished_status, validate_completion};

/// Who asks for a sync to be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reporter {
    /// A person, by their user id.
    Person(Uuid),
    /// A machine's token or Syncwatch itself.
    Machine,
}

/// What a caller says of a sync that begins.
#[derive(Clone, Debug)]
pub struct StartDraft {
    /// As the caller wrote it.
    pub connector_type: ConnectorType,
    /// What is synchronised.
    pub sync_type: SyncType,
    /// What initiated it.
    pub triggered_by: TriggeredBy,
    /// Records in scope, if known.
    pub records_total: Option<i64>,
    /// The primary source record's type.
    pub source_record_type: Option<String>,
    /// The primary source record.
    pub source_record_id: Option<Uuid>,
    /// When it began; now, if not given.
    pub started_at: Option<DateTime<Utc>>,
    /// Seconds until an unreported attempt counts as abandoned.
    pub lease_seconds: Option<i64>,
    /// The runner's own name for the run.
    pub client_run_id: Option<String>,
}

/// What the ledger knows when a sync begins.
#[derive(Clone, Copy, Debug)]
pub struct StartFacts {
    /// The integration's connector, `None` where there is no such integration in the caller's organization.
    pub integration: Option<ConnectorType>,
    /// Who reports.
    pub reporter: Reporter,
    /// First moment the ledger has a partition for.
    pub earliest: DateTime<Utc>,
    /// The moment of the decision.
    pub now: DateTime<Utc>,
}

/// The checked parts of a [`StartDraft`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidStart {
    /// In whole milliseconds, never in the future.
    pub started_at: DateTime<Utc>,
    /// Records in scope, if known.
    pub records_total: Option<i32>,
    /// The person, for a manual sync.
    pub triggered_by_user_id: Option<Uuid>,
    /// Seconds until an unreported attempt counts as abandoned.
    pub lease_seconds: u32,
}

/// Seconds of a lease if the runner asks for none.
pub const DEFAULT_LEASE_SECONDS: u32 = 60;
/// The longest lease.
pub const MAX_LEASE_SECONDS: u32 = 86_400;

/// Checks everything about a sync that begins.
pub fn validate_start(draft: &StartDraft, facts: &StartFacts) -> Result<ValidStart, Vec<Violation>> {
    let mut found = Vec::new();
    match facts.integration {
        None => found.push(Violation::new(
            Rule::IntegrationConfigIdMustExist,
            "/integration_config_id",
            "no such integration in this organization",
        )),
        Some(connector) if connector != draft.connector_type => found.push(Violation::new(
            Rule::ConnectorTypeMustMatch,
            "/connector_type",
            format!("the integration's connector is {connector}"),
        )),
        Some(_) => {}
    }
    let started_at = check_started_at(draft.started_at, facts, &mut found);
    let records_total = check_count(draft.records_total, "/records_total", &mut found);
    if draft.source_record_id.is_some() && draft.source_record_type.is_none() {
        found.push(Violation::new(
            Rule::SourceRecordTypeRequiredWhenIdPresent,
            "/source_record_type",
            "a source record's id needs its type",
        ));
    }
    if let Some(kind) = &draft.source_record_type {
        found.extend(check_source_record_type(kind, "/source_record_type"));
    }
    let triggered_by_user_id = match (draft.triggered_by, facts.reporter) {
        (TriggeredBy::Manual, Reporter::Person(user)) => Some(user),
        (TriggeredBy::Manual, Reporter::Machine) => {
            found.push(Violation::new(
                Rule::TriggeredByUserIdRequiredForManual,
                "/triggered_by",
                "a manual sync is started by a person, not by a machine's token",
            ));
            None
        }
        _ => None,
    };
    let lease_seconds = match draft.lease_seconds {
        None => DEFAULT_LEASE_SECONDS,
        Some(seconds) => match u32::try_from(seconds) {
            Ok(seconds) if (1..=MAX_LEASE_SECONDS).contains(&seconds) => seconds,
            _ => {
                found.push(Violation::new(Rule::OutOfRange, "/lease_seconds", "between 1 and 86400"));
                DEFAULT_LEASE_SECONDS
            }
        },
    };
    if let Some(run) = &draft.client_run_id {
        found.extend(check_client_run_id(run, "/client_run_id"));
    }
    if found.is_empty() {
        Ok(ValidStart { started_at, records_total, triggered_by_user_id, lease_seconds })
    } else {
        Err(found)
    }
}

/// A source record's type: 1–100 letters, digits, `_`, `-` or `.`.
pub fn check_source_record_type(kind: &str, pointer: &str) -> Option<Violation> {
    let fits = (1..=100).contains(&kind.len())
        && kind.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    (!fits)
        .then(|| Violation::new(Rule::InvalidFormat, pointer, "1 to 100 letters, digits, underscores, hyphens or dots"))
}

/// A runner's own name for a run: 1–200 characters, not blank.
pub fn check_client_run_id(run: &str, pointer: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    if run.trim().is_empty() {
        found.push(Violation::new(Rule::InvalidFormat, pointer, "between 1 and 200 characters"));
    }
    check_text(run, 200, pointer, &mut found);
    found
}

/// A text that is kept as it is: not too long, and without the one character the database cannot hold.
fn check_text(text: &str, longest: usize, pointer: &str, found: &mut Vec<Violation>) {
    if text.chars().count() > longest {
        found.push(Violation::new(Rule::TooLong, pointer, format!("at most {longest} characters")));
    }
    if text.contains('\0') {
        found.push(Violation::new(Rule::InvalidFormat, pointer, "the character U+0000 cannot be stored"));
    }
}

fn check_started_at(given: Option<DateTime<Utc>>, facts: &StartFacts, found: &mut Vec<Violation>) -> DateTime<Utc> {
    let started_at = given.unwrap_or(facts.now);
    if started_at > facts.now + CLOCK_SKEW {
        found.push(Violation::new(Rule::StartedAtNotInFuture, "/started_at", "a sync cannot start in the future"));
    } else if started_at < facts.earliest {
        found.push(Violation::new(
            Rule::StartedAtOutOfRange,
            "/started_at",
            format!("the ledger takes syncs from {} on", facts.earliest.format("%Y-%m-%d")),
        ));
    }
    whole_millis(started_at.min(facts.now))
}

fn check_count(count: Option<i64>, pointer: &str, found: &mut Vec<Violation>) -> Option<i32> {
    let count = count?;
    if count < 0 {
        found.push(Violation::new(Rule::RecordsProcessedNonNegative, pointer, "a count is not negative"));
        return None;
    }
    i32::try_from(count).map_or_else(
        |_| {
            found.push(Violation::new(Rule::OutOfRange, pointer, "at most 2147483647"));
            None
        },
        Some,
    )
}

#[cfg(test)]
mod tests;
