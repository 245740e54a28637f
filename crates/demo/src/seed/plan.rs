//! What each integration of the demonstration consists of.

use anyhow::{Result, bail};
use chrono::NaiveDate;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::history::Past;
use crate::source_app::records::{Collection, Record};

/// Where the peers are.
pub(super) struct Peers {
    pub accounting: String,
    pub token: String,
    pub source_app: String,
}

/// One integration, its records and how its syncs should end.
pub(super) struct Plan {
    pub name: &'static str,
    pub sync_type: &'static str,
    /// First part of the records' addresses in the source app.
    pub path: &'static str,
    pub title_en: &'static str,
    pub title_nb: &'static str,
    pub record_type: &'static str,
    /// The accounting service's path that takes the records.
    pub endpoint: &'static str,
    /// 1, or how many records go in one request, as `{"items": […]}`.
    pub batch_size: u32,
    pub cron: &'static str,
    pub partial_failure: &'static str,
    pub rounds: Vec<Round>,
    /// The light after the rounds.
    pub light: &'static str,
    pub past: Past,
}

/// Records that are staged, and the sync that then sends them.
pub(super) struct Round {
    pub records: Vec<Record>,
    pub expected: Expected,
}

/// How a sync should end.
pub(super) struct Expected {
    pub status: &'static str,
    pub total: u64,
    pub processed: u64,
    pub failed: u64,
}

impl Expected {
    /// Says what was different; a demonstration that shows something else than it means to would mislead.
    pub(super) fn check(&self, name: &str, sync: &Value) -> Result<()> {
        let count = |member| sync.get(member).and_then(Value::as_u64);
        let as_expected = sync.get("status").and_then(Value::as_str) == Some(self.status)
            && count("records_total") == Some(self.total)
            && count("records_processed") == Some(self.processed)
            && count("records_failed") == Some(self.failed);
        if as_expected {
            return Ok(());
        }
        bail!(
            "{name}: the sync should end as {} with {} records, {} delivered, {} failed; it is {sync}",
            self.status,
            self.total,
            self.processed,
            self.failed
        )
    }
}

impl Plan {
    /// The body of `createIntegration`.
    pub(super) fn creation(&self, peers: &Peers) -> Value {
        let mut settings = json!({
            "url": format!("{}{}", peers.accounting, self.endpoint),
            "method": "POST",
            "batch_size": self.batch_size,
            "idempotency_header": "Idempotency-Key",
            "reference_pointer": "/id",
            "health_url": format!("{}/api/status", peers.accounting),
        });
        if self.batch_size > 1 {
            settings["batch_member"] = json!("items");
            settings["results_pointer"] = json!("/items");
        }
        json!({
            "name": self.name,
            "connector_type": "generic_http",
            "sync_type": self.sync_type,
            "runner": "managed",
            "settings": settings,
            "credentials": { "type": "bearer", "token": peers.token },
            "schedule": { "cron": self.cron, "time_zone": "Europe/Oslo" },
            // From Friday's sync over the weekend and one holiday.
            "freshness_hours": 96,
            "failure_threshold": 2,
            "partial_failure": self.partial_failure,
            "record_url_template": format!("{}/{}/{{id}}", peers.source_app, self.path),
        })
    }

    /// The records as the source app keeps them: each one's latest version.
    pub(super) fn collection(&self, integration_id: Uuid) -> Collection {
        let mut records: Vec<Record> = Vec::new();
        for record in self.rounds.iter().flat_map(|round| &round.records) {
            match records.iter_mut().find(|kept| kept.id == record.id) {
                Some(kept) => kept.clone_from(record),
                None => records.push(record.clone()),
            }
        }
        records.sort_by(|a, b| a.label.cmp(&b.label));
        Collection {
            path: self.path.to_owned(),
            title_en: self.title_en.to_owned(),
            title_nb: self.title_nb.to_owned(),
            integration_id,
            record_type: self.record_type.to_owned(),
            records,
        }
    }
}

/// The three integrations; `today` is the day of the first seeding.
pub(super) fn all(today: NaiveDate) -> [Plan; 3] {
    [super::claims::plan(today), super::enrolments::plan(today), super::members::plan(today)]
}

/// A record with an id that shows what it is: `kind` and `number` can be read in it.
pub(super) fn record(kind: u16, number: u32, label: String, fields: &[(&str, String)]) -> Record {
    // Version 8 (custom) and the RFC's variant, so that strict readers take it for a UUID.
    let id = 0xde30_0000_0000_8000_8000_0000_0000_0000_u128 | (u128::from(kind) << 96) | decimal_digits(number);
    let payload: Map<String, Value> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), Value::String(value.clone()))).collect();
    Record { id: Uuid::from_u128(id), label, payload, changed_at: None }
}

/// The number's decimal digits read as hexadecimal ones, so that 1043 is seen as `…1043`.
fn decimal_digits(number: u32) -> u128 {
    let (mut rest, mut digits, mut shift) = (number, 0, 0);
    while rest > 0 {
        digits |= u128::from(rest % 10) << shift;
        rest /= 10;
        shift += 4;
    }
    digits
}
