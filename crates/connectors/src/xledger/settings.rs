//! The settings of an Xledger connector, parsed with every violation at once.

use std::time::Duration;

use chrono::TimeDelta;
use domain::asking::{Asking, Recognition};
use domain::credentials::{XLEDGER_DEMONSTRATION, XLEDGER_PRODUCTION};
use domain::mapping::Mapping;
use domain::pacing::Bucket;
use domain::violation::{Rule, Violation};
use serde_json::Value;
use url::Url;

use super::schema::{EXT_IDENTIFIER, Mutation};
use crate::credentials::{self, Credentials};
use crate::guard::OutboundPolicy;
use crate::pacing;
use crate::reader::{Reader, address, escape};

/// Most nodes of a mass mutation.
pub(super) const MOST_NODES: u32 = 500;

/// What an Xledger connector needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where requests go.
    pub endpoint: Url,
    /// How records become nodes.
    pub mapping: Mapping,
    /// What takes them.
    pub mutation: &'static Mutation,
    /// Nodes in a request, 1–500. A record with more goes alone: its nodes are never parted.
    pub batch_size: usize,
    /// Requests at once, 1–16.
    pub concurrency: usize,
    /// Requests in a time: 20 in 5 seconds, as Xledger allows, unless set.
    pub rate: Option<Bucket>,
    /// From the start of a request to the end of its answer; half of it, at most 10 s, may go into connecting.
    pub timeout: Duration,
    /// How long a request may be worked on after it was given up, at most an hour.
    pub settle: Duration,
    /// For how long an item that was taken can fail to be posted, at most a day; `None`: what is taken has arrived.
    pub posting: Option<Duration>,
}

impl Settings {
    /// Whether what is sent is added beside what is there, so that sending it again adds it twice.
    pub fn adds(&self) -> bool {
        !self.mutation.updates
    }

    /// How Xledger can be asked about records that were sent with these settings.
    pub fn asking(&self) -> Asking {
        // Records are looked up line by line.
        let lines = self.mapping.lines().unwrap_or_default();
        let target = format!("{}\n{}\n{lines}", self.endpoint, self.mutation.name);
        // Setting a row's fields again changes nothing.
        let overwrites = Recognition { by: self.mutation.name.to_owned(), remembers: None };
        let look_up = self.mutation.identified.then(|| time(self.settle + self.timeout));
        let recognition = (!self.adds()).then_some(overwrites);
        Asking { target, recognition, look_up, refusable_for: self.refusable_for() }
    }

    /// For how long an item that was taken can fail to be posted.
    pub(super) fn refusable_for(&self) -> Option<TimeDelta> {
        self.posting.map(time)
    }
}

fn time(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

/// Parses settings and credentials, or says everything that is wrong with them.
pub fn parse(
    settings: &Value,
    credentials: Option<&Value>,
    policy: &OutboundPolicy,
) -> Result<(Settings, Credentials), Vec<Violation>> {
    let mut found = Vec::new();
    let settings = read(settings, policy, &mut found);
    let credentials = credentials::parse_token(credentials, &mut found);
    match (settings, credentials) {
        (Some(settings), Some(credentials)) if found.is_empty() => Ok((settings, credentials)),
        _ => Err(found),
    }
}

/// The settings alone, wherever they lead; `None` if anything is wrong with them.
pub(crate) fn read_leniently(settings: &Value) -> Option<Settings> {
    let anywhere = OutboundPolicy::parse("0.0.0.0/0,::/0").ok()?;
    let mut found = Vec::new();
    read(settings, &anywhere, &mut found).filter(|_| found.is_empty())
}

fn read(settings: &Value, policy: &OutboundPolicy, found: &mut Vec<Violation>) -> Option<Settings> {
    let Some(object) = settings.as_object() else {
        found.push(Violation::new(Rule::InvalidFormat, "/settings", "an object with the connector's settings"));
        return None;
    };
    let mut reader = Reader::new(object, "/settings", found);
    let endpoint = endpoint(&mut reader, policy);
    let mapped = mapping(&mut reader);
    let batch_size = reader.number("batch_size", 1..=MOST_NODES, 100) as usize;
    let concurrency = reader.number("concurrency", 1..=16, 1) as usize;
    let rate = pacing::rate(&mut reader).or_else(|| Bucket::new(20, TimeDelta::seconds(5)));
    let timeout = Duration::from_millis(reader.number("timeout_ms", 100..=120_000, 60_000).into());
    let settle = Duration::from_secs(reader.number("settle_seconds", 0..=3_600, 60).into());
    let posting = reader.nested("posting", "/settings/posting").map(posting);
    if let Some((_, mutation)) = &mapped {
        let detail = format!("{} cannot be looked up by what Syncwatch sends", mutation.rows);
        for name in ["settle_seconds", "posting"] {
            reader.only_with(name, mutation.identified, &detail);
        }
    }
    reader.finish();
    let (mapping, mutation) = mapped?;
    Some(Settings { endpoint: endpoint?, mapping, mutation, batch_size, concurrency, rate, timeout, settle, posting })
}

fn posting(mut reader: Reader<'_>) -> Duration {
    let wait = reader.number("wait_seconds", 1..=86_400, 300);
    reader.finish();
    Duration::from_secs(wait.into())
}

fn endpoint(reader: &mut Reader<'_>, policy: &OutboundPolicy) -> Option<Url> {
    let text = reader.needed("endpoint", 2_000);
    let place = match text.as_str() {
        "" => return None,
        "production" => XLEDGER_PRODUCTION,
        "demonstration" => XLEDGER_DEMONSTRATION,
        other => other,
    };
    address(place, policy)
        .map_err(|wrong| {
            let detail = format!("production, demonstration or an address: {wrong}");
            reader.complain(Rule::InvalidFormat, "endpoint", &detail);
        })
        .ok()
}

fn mapping(reader: &mut Reader<'_>) -> Option<(Mapping, &'static Mutation)> {
    let Some(value) = reader.take("mapping") else {
        reader.complain(Rule::Required, "mapping", "mapping is needed");
        return None;
    };
    let mapping = Mapping::parse(value).map_err(|found| reader.add("mapping", found)).ok()?;
    reader.add("mapping", unfit(&mapping));
    let mutation = Mutation::find(mapping.entity())?;
    Some((mapping, mutation))
}

/// What of a mapping Xledger does not take, with pointers into it.
pub(crate) fn unfit(mapping: &Mapping) -> Vec<Violation> {
    let Some(mutation) = Mutation::find(mapping.entity()) else {
        let known: Vec<&str> = Mutation::names().collect();
        let detail = format!("one of the mass mutations {}", known.join(", "));
        return vec![Violation::new(Rule::UnknownValue, "/entity", detail)];
    };
    let mut found = Vec::new();
    for name in mapping.names().filter(|name| !mutation.takes(name)) {
        let detail = if mutation.identified && name == EXT_IDENTIFIER {
            "Syncwatch sets this field itself, to find again what it has sent".to_owned()
        } else {
            format!("{} has no such field", mutation.name)
        };
        found.push(Violation::new(Rule::UnknownField, format!("/fields/{}", escape(name)), detail));
    }
    for name in mapping.binds() {
        let at = format!("/fields/{}/as", escape(name));
        found.push(Violation::new(Rule::UnknownValue, at, "only Dynamics 365 takes references of this kind"));
    }
    found
}

#[cfg(test)]
mod tests;
