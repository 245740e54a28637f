//! Credentials, and whom they are shown to: nobody but those they were given for.
//!
//! Whoever may change an integration's settings cannot read its credentials. Were those that are kept shown wherever
//! the settings lead, a change of the host would hand them over. So they have to be given again with it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::integration::ConnectorType;
use crate::violation::{Rule, Violation};

/// The member of the settings, and of credentials in two sets, that is about the source of the records.
pub const SOURCE: &str = "source";
/// The member of credentials in two sets that is about the external system.
pub const TARGET: &str = "target";

/// Where Xledger's customers work: `production` in the settings.
pub const XLEDGER_PRODUCTION: &str = "https://www.xledger.net/graphql";
/// Where they try things: `demonstration` in the settings.
pub const XLEDGER_DEMONSTRATION: &str = "https://demo.xledger.net/graphql";
/// Where Microsoft gives tokens for its tenants.
pub const MICROSOFT_TOKEN_SERVICE: &str = "https://login.microsoftonline.com";

/// Where a PostgreSQL database listens if nothing else is said.
const POSTGRESQL_PORT: i64 = 5_432;

/// Whose credentials these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialSet {
    /// The external system's.
    Target,
    /// Those of the source that records are read from.
    Source,
}

impl CredentialSet {
    /// The member of credentials in two sets that holds them.
    pub const fn member(self) -> &'static str {
        match self {
            Self::Target => TARGET,
            Self::Source => SOURCE,
        }
    }

    /// They, out of credentials in either form: in any other than two sets, all are the external system's.
    fn of(self, credentials: &Value) -> Option<&Value> {
        match (two_sets(Some(credentials)), self) {
            (Some(sets), _) => sets.get(self.member()),
            (None, Self::Target) => Some(credentials),
            (None, Self::Source) => None,
        }
    }
}

/// Credentials that come in two sets, and so have no type of their own. Those of a source that is no more are kept.
pub fn two_sets(credentials: Option<&Value>) -> Option<&Map<String, Value>> {
    let sets = credentials.and_then(Value::as_object)?;
    (!sets.contains_key("type") && (sets.contains_key(TARGET) || sets.contains_key(SOURCE))).then_some(sets)
}

/// The credentials that are `kept` and were not `given` with a change of the settings, although the new ones would show
/// them to others than the former ones do.
pub fn to_be_given_again(
    connector_type: ConnectorType,
    former: &Value,
    new: &Value,
    kept: Option<&Value>,
    given: Option<&Value>,
) -> Vec<Violation> {
    let Some(kept) = kept else { return Vec::new() };
    let in_sets = two_sets(Some(kept)).is_some() || two_sets(given).is_some();
    // What is not given in two sets replaces both.
    let is_given = |set: CredentialSet| {
        given.is_some_and(|given| two_sets(Some(given)).is_none_or(|sets| sets.contains_key(set.member())))
    };
    [CredentialSet::Target, CredentialSet::Source]
        .into_iter()
        .filter(|set| set.of(kept).is_some_and(is_secret) && !is_given(*set))
        .filter(|set| !same_origin(connector_type, former, new, *set))
        .map(|set| {
            let at = if in_sets { format!("/credentials/{}", set.member()) } else { "/credentials".to_owned() };
            let detail = "they were given for another host, or for one that is proved otherwise, and are needed again";
            Violation::new(Rule::Required, at, detail)
        })
        .collect()
}

/// Whether new settings show a set of credentials to nobody whom the former ones don't show it to.
pub fn same_origin(connector_type: ConnectorType, former: &Value, new: &Value, set: CredentialSet) -> bool {
    let former = shown_to(connector_type, former, set);
    shown_to(connector_type, new, set).into_iter().all(|place| {
        // Shown there whoever it is, they are shown to nobody else where somebody has to vouch for it.
        let unproved = Place { proved_by: None, ..place.clone() };
        former.contains(&place) || former.contains(&unproved)
    })
}

fn is_secret(credentials: &Value) -> bool {
    !credentials.is_null() && credentials["type"] != "none"
}

/// Somebody whom credentials are shown to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// Scheme, host and port, and what for, where not all are shown the same.
    address: String,
    /// The authorities that have to vouch for a database: whoever names others may stand in between. Over HTTP they are
    /// never named.
    proved_by: Option<String>,
}

impl From<String> for Place {
    fn from(address: String) -> Self {
        Self { address, proved_by: None }
    }
}

/// Everybody whom settings show a set to.
fn shown_to(connector_type: ConnectorType, settings: &Value, set: CredentialSet) -> BTreeSet<Place> {
    let text = |pointer: &str| settings.pointer(pointer).and_then(Value::as_str);
    match (set, connector_type) {
        (CredentialSet::Source, _) => source_shown_to(settings),
        (CredentialSet::Target, ConnectorType::GenericHttp) => {
            ["/url", "/look_up/url", "/health_url"].into_iter().filter_map(text).map(origin).map(Place::from).collect()
        }
        (CredentialSet::Target, ConnectorType::Xledger) => {
            let address = text("/endpoint").map(|endpoint| match endpoint {
                "production" => XLEDGER_PRODUCTION,
                "demonstration" => XLEDGER_DEMONSTRATION,
                other => other,
            });
            address.map(origin).map(Place::from).into_iter().collect()
        }
        (CredentialSet::Target, ConnectorType::Dynamics365) => {
            // The secret is shown to the token service alone, and to the environment what that gives for it.
            let service = text("/token_url").or_else(|| text("/tenant").map(|_| MICROSOFT_TOKEN_SERVICE));
            let secret = service.map(|address| format!("secret to {}", origin(address)));
            let token = text("/environment").map(|address| format!("token to {}", origin(address)));
            [secret, token].into_iter().flatten().map(Place::from).collect()
        }
        (CredentialSet::Target, ConnectorType::Other) => BTreeSet::new(),
    }
}

fn source_shown_to(settings: &Value) -> BTreeSet<Place> {
    let Some(source) = settings.get(SOURCE) else { return BTreeSet::new() };
    let text = |name: &str| source.get(name).and_then(Value::as_str);
    if text("kind") != Some("postgresql") {
        return ["list_url", "fetch_url"].into_iter().filter_map(text).map(origin).map(Place::from).collect();
    }
    let Some(host) = text("host") else { return BTreeSet::new() };
    let port = source.get("port").and_then(Value::as_i64).unwrap_or(POSTGRESQL_PORT);
    let address = format!("postgresql {}:{port}", host.to_ascii_lowercase());
    // Without TLS nobody vouches for it; with it, those of the public do where no others are named.
    let proved_by = (text("tls") != Some("disable")).then(|| text("ca_certificate").unwrap_or_default().to_owned());
    BTreeSet::from([Place { address, proved_by }])
}

/// Scheme, host and port of an address as they are written. Two that are written alike are the same; of two that are
/// not, it does no harm to take them for different ones.
fn origin(address: &str) -> String {
    let lower = address.to_ascii_lowercase();
    let Some((scheme, rest)) = lower.split_once("://") else { return lower };
    // Whoever reads addresses for browsers passes over more slashes than two, and takes a backslash for one.
    if !matches!(scheme, "http" | "https") || rest.starts_with(['/', '\\']) {
        return lower;
    }
    let place = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    let preset = if scheme == "https" { ":443" } else { ":80" };
    format!("{scheme}://{}", place.strip_suffix(preset).unwrap_or(place))
}

#[cfg(test)]
mod tests;
