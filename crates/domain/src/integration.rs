//! An organization's configured connection to one external system.

use serde::{Deserialize, Serialize};

use crate::schedule::Schedule;
use crate::violation::{Rule, Violation};

wire_enum! {
    /// The external system's kind.
    ConnectorType {
        /// Xledger, by GraphQL.
        Xledger = "xledger",
        /// Microsoft Dynamics 365, by the Dataverse Web API.
        Dynamics365 = "dynamics365",
        /// Any system that takes JSON over HTTP.
        GenericHttp = "generic_http",
        /// Anything else; only with an external runner.
        Other = "other",
    }
}

wire_enum! {
    /// What is synchronised.
    SyncType {
        /// Accounting data pushed out.
        AccountingPush = "accounting_push",
        /// A roster of members.
        RosterSync = "roster_sync",
        /// Events for a portal.
        PortalEvent = "portal_event",
    }
}

wire_enum! {
    /// Who executes an integration's syncs.
    Runner {
        /// Syncwatch's own worker, through a connector.
        Managed = "managed",
        /// Somebody else's job, which reports through the API.
        External = "external",
    }
}

wire_enum! {
    /// How a sync ends in which some, but not all, records failed.
    PartialFailure {
        /// It failed: a payment that did not leave is a failure.
        Error = "error",
        /// It succeeded with warnings.
        Warning = "warning",
    }
}

/// Default hours without a completed sync before an integration is stale.
pub const DEFAULT_FRESHNESS_HOURS: u32 = 48;
/// Default number of consecutive failed syncs that opens an incident.
pub const DEFAULT_FAILURE_THRESHOLD: u32 = 2;

/// What decides an integration's colour and incidents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthPolicy {
    /// Hours without a completed sync before the light turns red.
    pub freshness_hours: u32,
    /// Whether the freshness window counts Norwegian working days only.
    pub business_days_only: bool,
    /// Consecutive failed syncs that open an incident.
    pub failure_threshold: u32,
    /// How partly failed syncs end.
    pub partial_failure: PartialFailure,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self {
            freshness_hours: DEFAULT_FRESHNESS_HOURS,
            business_days_only: false,
            failure_threshold: DEFAULT_FAILURE_THRESHOLD,
            partial_failure: PartialFailure::Error,
        }
    }
}

/// The part of an integration's settings that does not depend on its connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegrationDraft {
    /// Display name, 1–120 characters.
    pub name: String,
    /// The external system's kind.
    pub connector_type: ConnectorType,
    /// Who executes its syncs.
    pub runner: Runner,
    /// When managed syncs run.
    pub schedule: Option<Schedule>,
    /// Colour and incident policy.
    pub policy: HealthPolicy,
    /// Address of a record in the organization's own app; `{id}` and `{type}` are replaced.
    pub record_url_template: Option<String>,
    /// Where an external runner is told about retry requests.
    pub retry_webhook_url: Option<String>,
}

impl IntegrationDraft {
    /// Every broken rule, with pointers as in the API's body.
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        let name = self.name.trim();
        if name.is_empty() {
            found.push(Violation::new(Rule::Required, "/name", "a name is needed"));
        } else if name.chars().count() > 120 {
            found.push(Violation::new(Rule::TooLong, "/name", "at most 120 characters"));
        } else if name.chars().any(char::is_control) {
            found.push(Violation::new(Rule::InvalidFormat, "/name", "one line, without control characters"));
        }
        if self.connector_type == ConnectorType::Other && self.runner == Runner::Managed {
            found.push(Violation::new(
                Rule::InvalidFormat,
                "/runner",
                "a connector of type other needs an external runner",
            ));
        }
        if !(1..=24 * 366).contains(&self.policy.freshness_hours) {
            found.push(Violation::new(Rule::OutOfRange, "/freshness_hours", "between 1 hour and 366 days"));
        }
        if !(1..=30).contains(&self.policy.failure_threshold) {
            found.push(Violation::new(Rule::OutOfRange, "/failure_threshold", "between 1 and 30"));
        }
        if let Some(schedule) = &self.schedule {
            found.extend(schedule.violations());
        }
        if let Some(template) = &self.record_url_template
            && !(is_web_address(template) && template.contains("{id}"))
        {
            found.push(Violation::new(
                Rule::InvalidFormat,
                "/record_url_template",
                "an http or https address with {id} in it",
            ));
        }
        if let Some(url) = &self.retry_webhook_url {
            if self.runner == Runner::Managed {
                found.push(Violation::new(
                    Rule::InvalidFormat,
                    "/retry_webhook_url",
                    "only an external runner is told about retries",
                ));
            } else if !is_web_address(url) {
                found.push(Violation::new(Rule::InvalidFormat, "/retry_webhook_url", "an http or https address"));
            }
        }
        found
    }
}

fn is_web_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || c == '['))
        && text.chars().count() <= 2_000
        && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// The address of a record in the organization's own app.
pub fn record_url(template: &str, source_record_type: &str, source_record_id: uuid::Uuid) -> String {
    template.replace("{type}", source_record_type).replace("{id}", &source_record_id.to_string())
}

#[cfg(test)]
mod tests;
