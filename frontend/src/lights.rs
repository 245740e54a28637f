//! The traffic lights: their words, which comes first, and the summary of all.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use api_types::integrations::IntegrationSummary;
use domain::health::{Amount, Health, Light, ReasonCode};

/// The lights, worst first.
pub const WORST_FIRST: [Light; 4] = [Light::Red, Light::Yellow, Light::Grey, Light::Green];

/// The word for a light as such.
pub fn word(light: Light) -> String {
    match light {
        Light::Green => tr!(light.healthy),
        Light::Yellow => tr!(light.warning),
        Light::Red => tr!(light.failing),
        Light::Grey => tr!(light.inactive),
    }
}

/// The word for an integration's light; grey says which of its two meanings it has.
pub fn word_for(health: &Health) -> String {
    let says = |code| health.reasons.iter().any(|reason| reason.code == code);
    match health.light {
        Light::Grey if says(ReasonCode::Paused) => tr!(light.paused),
        Light::Grey => tr!(light.not_yet_due),
        other => word(other),
    }
}

/// Designsystemet's colour name.
pub const fn color(light: Light) -> &'static str {
    match light {
        Light::Green => "success",
        Light::Yellow => "warning",
        Light::Red => "danger",
        Light::Grey => "neutral",
    }
}

const fn rank(light: Light) -> u8 {
    match light {
        Light::Red => 0,
        Light::Yellow => 1,
        Light::Grey => 2,
        Light::Green => 3,
    }
}

/// Worst first: the light, then how much has not arrived, then how long it has been so, then the name.
pub fn by_urgency(one: &IntegrationSummary, other: &IntegrationSummary) -> Ordering {
    rank(one.health.light)
        .cmp(&rank(other.health.light))
        .then_with(|| other.undelivered.records.cmp(&one.undelivered.records))
        .then_with(|| match one.health.light {
            Light::Red | Light::Yellow => one.health.since.cmp(&other.health.since),
            _ => Ordering::Equal,
        })
        .then_with(|| one.name.to_lowercase().cmp(&other.name.to_lowercase()))
        .then_with(|| one.id.cmp(&other.id))
}

/// Whether an integration is among those asked for.
pub fn matches(integration: &IntegrationSummary, search: &str, light: Option<Light>) -> bool {
    let haystack = format!("{} {}", integration.name, integration.connector_type).to_lowercase();
    light.is_none_or(|light| integration.health.light == light)
        && search.to_lowercase().split_whitespace().all(|word| haystack.contains(word))
}

/// What the strip above the list says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strip {
    /// How many integrations of each light, worst first.
    pub lights: Vec<(Light, usize)>,
    /// Records that have not arrived.
    pub records: i64,
    /// Their sums, by currency.
    pub amounts: Vec<Amount>,
}

impl Strip {
    /// Sums up integrations.
    pub fn of(integrations: &[IntegrationSummary]) -> Self {
        let lights = WORST_FIRST
            .map(|light| (light, integrations.iter().filter(|item| item.health.light == light).count()))
            .to_vec();
        let mut sums = BTreeMap::new();
        for amount in integrations.iter().flat_map(|item| &item.undelivered.amounts) {
            *sums.entry(amount.currency.clone()).or_insert_with(Default::default) += amount.amount;
        }
        let amounts = sums.into_iter().map(|(currency, amount)| Amount { currency, amount }).collect();
        Self { lights, records: integrations.iter().map(|item| item.undelivered.records).sum(), amounts }
    }
}

#[cfg(test)]
pub mod tests {
    use chrono::{DateTime, Utc};
    use domain::health::{Reason, Undelivered};
    use domain::integration::{ConnectorType, Runner, SyncType};
    use uuid::Uuid;

    use super::*;

    pub fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    pub fn integration(name: &str, light: Light, records: i64) -> IntegrationSummary {
        IntegrationSummary {
            id: Uuid::from_u128(u128::from(name.len() as u64)),
            name: name.to_owned(),
            connector_type: ConnectorType::Xledger,
            sync_type: SyncType::AccountingPush,
            runner: Runner::Managed,
            paused: false,
            health: Health {
                light,
                since: at("2026-11-17T13:03:11Z"),
                reasons: vec![Reason { code: ReasonCode::LastSyncFailed, count: None, hours: None }],
                next_expected_at: None,
            },
            last_sync: None,
            consecutive_failures: 0,
            undelivered: Undelivered {
                records,
                amounts: vec![Amount { currency: "NOK".to_owned(), amount: records.into() }],
            },
            recent: Vec::new(),
            active_sync_id: None,
        }
    }

    #[test]
    fn the_worst_comes_first() {
        let mut all = [
            integration("b green", Light::Green, 0),
            integration("a green", Light::Green, 0),
            integration("grey", Light::Grey, 0),
            integration("little red", Light::Red, 3),
            integration("big red", Light::Red, 12),
            integration("yellow", Light::Yellow, 40),
        ];
        all.sort_by(by_urgency);
        let names: Vec<&str> = all.iter().map(|item| item.name.as_str()).collect();
        assert_eq!(names, ["big red", "little red", "yellow", "grey", "a green", "b green"]);
    }

    #[test]
    fn the_strip_adds_up_by_light_and_currency() {
        let mut foreign = integration("foreign", Light::Red, 2);
        foreign.undelivered.amounts[0].currency = "EUR".to_owned();
        let strip = Strip::of(&[integration("one", Light::Red, 5), integration("two", Light::Green, 1), foreign]);
        assert_eq!(strip.lights, [(Light::Red, 2), (Light::Yellow, 0), (Light::Grey, 0), (Light::Green, 1)]);
        assert_eq!(strip.records, 8);
        let amounts: Vec<String> = strip.amounts.iter().map(|a| format!("{} {}", a.currency, a.amount)).collect();
        assert_eq!(amounts, ["EUR 2", "NOK 6"]);
    }

    #[test]
    fn search_takes_every_word() {
        let item = integration("Ledger of Oslo", Light::Red, 0);
        assert!(matches(&item, "oslo LEDGER", None));
        assert!(matches(&item, "xledger", Some(Light::Red)));
        assert!(!matches(&item, "bergen", None));
        assert!(!matches(&item, "", Some(Light::Green)));
    }
}
