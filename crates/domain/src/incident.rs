//! When an incident opens and when it is resolved.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::health::{Health, HealthFacts, HealthSettings, Light, ReasonCode, judge};
use crate::integration::HealthPolicy;

wire_enum! {
    /// Why an incident opened.
    IncidentKind {
        /// As many syncs in a row failed as the threshold says.
        ConsecutiveFailures = "consecutive_failures",
        /// No sync was completed within the freshness window.
        Stale = "stale",
    }
}

wire_enum! {
    /// What a notification tells.
    NotificationKind {
        /// An incident opened.
        IncidentOpened = "incident_opened",
        /// An incident was resolved.
        IncidentResolved = "incident_resolved",
    }
}

/// What a recorded transition does to an integration's incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IncidentDecision {
    /// Nothing changes; while an incident is open, further failures say nothing more.
    None,
    /// An incident opens.
    Open(IncidentKind),
    /// The open incident is resolved.
    Resolve,
}

/// Decides after a sync's attempt was taken into the facts. `open` is whether an incident is open, `light` the
/// colour by those facts.
///
/// The colour alone does not tell that an integration whose last sync failed went stale besides; whoever watches the
/// time decides by [`decide_by_health`].
pub fn decide(facts: &HealthFacts, policy: &HealthPolicy, light: Light, open: bool) -> IncidentDecision {
    decision(facts, policy, light, light == Light::Red && facts.consecutive_failures == 0, open)
}

/// Decides from a whole judgement, at any moment: after an attempt, and when time alone has passed. An integration that
/// went stale opens an incident even if it failed fewer times than the threshold says.
pub fn decide_by_health(facts: &HealthFacts, policy: &HealthPolicy, health: &Health, open: bool) -> IncidentDecision {
    let stale = health.reasons.iter().any(|reason| reason.code == ReasonCode::Stale);
    decision(facts, policy, health.light, stale, open)
}

/// Decides from the facts alone, at any moment. An incident ends by a sync of which it is known how it ended: one whose
/// records await their posting proves nothing yet.
///
/// `succeeded` says that a sync has just been found to have succeeded. It may be older than all that the facts hold,
/// which then await their posting: it ends the incident unless one that failed is younger.
pub fn decide_at(
    facts: &HealthFacts,
    settings: &HealthSettings,
    now: DateTime<Utc>,
    open: bool,
    succeeded: bool,
) -> IncidentDecision {
    let decide = |facts: &HealthFacts| decide_by_health(facts, &settings.policy, &judge(facts, settings, now), open);
    let decision = decide(facts);
    if decision != IncidentDecision::Resolve {
        return decision;
    }
    let settled = facts.settled();
    if settled.recent.is_empty() && succeeded && facts.consecutive_failures == 0 {
        return IncidentDecision::Resolve;
    }
    decide(&settled)
}

fn decision(facts: &HealthFacts, policy: &HealthPolicy, light: Light, stale: bool, open: bool) -> IncidentDecision {
    let failures = u32::try_from(facts.consecutive_failures).unwrap_or(0);
    match (open, light) {
        (true, Light::Green | Light::Yellow) => IncidentDecision::Resolve,
        // A paused integration is grey, whatever it did before: whoever paused it knows.
        (true, _) | (false, Light::Grey) => IncidentDecision::None,
        (false, _) if failures >= policy.failure_threshold.max(1) => {
            IncidentDecision::Open(IncidentKind::ConsecutiveFailures)
        }
        (false, Light::Red) if stale => IncidentDecision::Open(IncidentKind::Stale),
        (false, _) => IncidentDecision::None,
    }
}

#[cfg(test)]
mod tests;
