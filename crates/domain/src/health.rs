//! The traffic light: a pure function of facts, policy and now.

mod facts;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use crate::calendar;
use crate::integration::{HealthPolicy, PartialFailure};
use crate::schedule::Schedule;

pub use facts::{Amount, FailureRun, HealthFacts, RECENT_SYNCS, RecentSync, Undelivered};

wire_enum! {
    /// The colour of an integration.
    Light {
        /// Paused, or new and not yet due.
        Grey = "grey",
        /// The last sync failed, or none was completed in time.
        Red = "red",
        /// The last sync succeeded with warnings.
        Yellow = "yellow",
        /// The last sync succeeded.
        Green = "green",
    }
}

wire_enum! {
    /// Why an integration has its colour.
    ReasonCode {
        /// Somebody paused it.
        Paused = "paused",
        /// It has not synced yet, and its first sync is not due.
        NotYetDue = "not_yet_due",
        /// Its last sync failed.
        LastSyncFailed = "last_sync_failed",
        /// No sync was completed within the freshness window.
        Stale = "stale",
        /// Its last sync succeeded with warnings.
        LastSyncWarnings = "last_sync_warnings",
        /// Some records of its last sync failed, which this integration takes as a warning.
        PartialFailure = "partial_failure",
        /// The counts of its last sync do not add up.
        CountsMismatch = "counts_mismatch",
        /// Its last sync succeeded.
        LastSyncSucceeded = "last_sync_succeeded",
        /// Records of this or earlier syncs are still undelivered.
        UndeliveredRecords = "undelivered_records",
    }
}

/// One reason, with its numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reason {
    /// Which.
    pub code: ReasonCode,
    /// How many records or warnings, where the reason counts some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// Hours of the freshness window, where it ran out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<u32>,
}

impl Reason {
    const fn plain(code: ReasonCode) -> Self {
        Self { code, count: None, hours: None }
    }

    fn counted(code: ReasonCode, count: impl Into<i64>) -> Self {
        Self { code, count: Some(count.into()), hours: None }
    }
}

/// What else the light depends on, from the integration's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthSettings {
    /// Somebody paused it.
    pub paused: bool,
    /// When the integration was created.
    pub created_at: DateTime<Utc>,
    /// When its next sync is expected, where it has a schedule: counted from its latest sync or from its creation, not
    /// from now, so that a sync that never came does not keep a new integration grey for ever ([`next_expected_at`]).
    pub next_expected_at: Option<DateTime<Utc>>,
    /// Colour and incident policy.
    pub policy: HealthPolicy,
}

/// The light, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// The colour.
    pub light: Light,
    /// Since when it has had this colour.
    pub since: DateTime<Utc>,
    /// Why; the first reason decided the colour.
    pub reasons: Vec<Reason>,
    /// When its next sync is expected.
    pub next_expected_at: Option<DateTime<Utc>>,
}

/// When a scheduled integration's next sync is expected: the first due moment after its latest sync began, or after it
/// was created. One that lies in the past is overdue.
pub fn next_expected_at(schedule: &Schedule, facts: &HealthFacts, created_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    schedule.next_after(facts.last_sync().map_or(created_at, |sync| sync.started_at))
}

/// The moment the freshness window runs out.
pub fn stale_at(facts: &HealthFacts, settings: &HealthSettings) -> DateTime<Utc> {
    fresh_until(facts.last_sync().map_or(settings.created_at, |sync| sync.completed_at), settings)
}

fn fresh_until(from: DateTime<Utc>, settings: &HealthSettings) -> DateTime<Utc> {
    let hours = settings.policy.freshness_hours;
    if settings.policy.business_days_only {
        calendar::add_business_hours(from, hours)
    } else {
        from.checked_add_signed(Duration::hours(i64::from(hours))).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

/// Judges an integration.
pub fn judge(facts: &HealthFacts, settings: &HealthSettings, now: DateTime<Utc>) -> Health {
    let mut reasons = Vec::new();
    let (light, since) = colour(facts, settings, now, &mut reasons);
    if facts.undelivered.records > 0 {
        reasons.push(Reason::counted(ReasonCode::UndeliveredRecords, facts.undelivered.records));
    }
    Health { light, since, reasons, next_expected_at: settings.next_expected_at }
}

fn colour(
    facts: &HealthFacts,
    settings: &HealthSettings,
    now: DateTime<Utc>,
    reasons: &mut Vec<Reason>,
) -> (Light, DateTime<Utc>) {
    if settings.paused {
        reasons.push(Reason::plain(ReasonCode::Paused));
        return (Light::Grey, facts.last_sync().map_or(settings.created_at, |sync| sync.completed_at));
    }
    let stale_at = stale_at(facts, settings);
    let Some(last) = facts.last_sync() else {
        if now <= stale_at || settings.next_expected_at.is_some_and(|due| due > now) {
            reasons.push(Reason::plain(ReasonCode::NotYetDue));
            return (Light::Grey, settings.created_at);
        }
        reasons.push(stale_reason(settings));
        return (Light::Red, stale_at);
    };
    let stale = now > stale_at;
    if last.status.is_failure() {
        reasons.push(match last.records_failed {
            Some(failed) if failed > 0 => Reason::counted(ReasonCode::LastSyncFailed, failed),
            _ => Reason::plain(ReasonCode::LastSyncFailed),
        });
        if stale {
            reasons.push(stale_reason(settings));
        }
        return (Light::Red, facts.failing_since.unwrap_or(last.completed_at));
    }
    if stale {
        reasons.push(stale_reason(settings));
        return (Light::Red, stale_at);
    }
    let complaints = complaints(last);
    let light = if complaints.is_empty() { Light::Green } else { Light::Yellow };
    if complaints.is_empty() {
        reasons.push(Reason::plain(ReasonCode::LastSyncSucceeded));
    }
    reasons.extend(complaints);
    (light, settled_since(facts, settings, last))
}

/// Since when the light has had the colour of the last sync, which succeeded and is fresh.
fn settled_since(facts: &HealthFacts, settings: &HealthSettings, last: &RecentSync) -> DateTime<Utc> {
    let clean = complaints(last).is_empty();
    let mut since = last.completed_at;
    for sync in facts.recent.iter().skip(1) {
        let same = sync.status.is_success() && complaints(sync).is_empty() == clean;
        // A sync that was retried after its successor had ended had another colour before; and between two syncs too
        // far apart the light was red.
        if !same || sync.completed_at > since || fresh_until(sync.completed_at, settings) < since {
            break;
        }
        since = sync.completed_at;
    }
    since
}

fn stale_reason(settings: &HealthSettings) -> Reason {
    Reason { code: ReasonCode::Stale, count: None, hours: Some(settings.policy.freshness_hours) }
}

/// Why a sync that succeeded is not quite green.
fn complaints(sync: &RecentSync) -> Vec<Reason> {
    let mut found = Vec::new();
    if let Some(failed) = sync.records_failed
        && failed > 0
    {
        found.push(Reason::counted(ReasonCode::PartialFailure, failed));
    }
    if sync.counts_mismatch {
        found.push(Reason::plain(ReasonCode::CountsMismatch));
    }
    if sync.warnings > 0 {
        found.push(Reason::counted(ReasonCode::LastSyncWarnings, sync.warnings));
    }
    found
}

/// Whether a sync with such figures ends as a success under a policy.
pub const fn tolerates(policy: PartialFailure, processed: i32, undelivered: i32) -> bool {
    undelivered == 0 || (processed > 0 && matches!(policy, PartialFailure::Warning))
}

#[cfg(test)]
mod tests;
