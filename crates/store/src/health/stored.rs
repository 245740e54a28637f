//! How a health row keeps its facts. They are read and written with every ended sync, so each recent sync is an array of
//! its values: a third of the size that it has with their names.

use chrono::serde::ts_microseconds;
use chrono::{DateTime, Utc};
use domain::health::{HealthFacts, RecentSync, Undelivered};
use domain::sync_log::SyncStatus;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::error::StoreError;

/// The content of a health row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredFacts {
    recent: Vec<StoredSync>,
    failing_since: Option<DateTime<Utc>>,
    consecutive_failures: i32,
    undelivered: Undelivered,
    /// Which of the recent syncs await their records' posting. Not among their values: a process of the version before,
    /// which may run beside this one, reads past a member that it does not know, but refuses a value too many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    awaiting: Vec<Uuid>,
}

/// A recent sync.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum StoredSync {
    Values(Values),
    /// As rows were written first; the next ended sync writes them anew.
    Named(RecentSync),
}

impl<'de> Deserialize<'de> for StoredSync {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StoredSyncVisitor)
    }
}

/// Tells the two forms apart by how they begin, without holding a copy of what is read.
struct StoredSyncVisitor;

impl<'de> Visitor<'de> for StoredSyncVisitor {
    type Value = StoredSync;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a recent sync as an array of its values, or as an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, values: A) -> Result<Self::Value, A::Error> {
        Values::deserialize(SeqAccessDeserializer::new(values)).map(StoredSync::Values)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        RecentSync::deserialize(MapAccessDeserializer::new(members)).map(StoredSync::Named)
    }
}

/// Id, start, end, status, records in scope, delivered and failed, milliseconds, warnings, and whether counts do not add
/// up. Moments are microseconds since 1970.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Values(
    Uuid,
    #[serde(with = "ts_microseconds")] DateTime<Utc>,
    #[serde(with = "ts_microseconds")] DateTime<Utc>,
    SyncStatus,
    Option<i32>,
    Option<i32>,
    Option<i32>,
    i64,
    i32,
    bool,
);

impl StoredFacts {
    /// Facts as the text of a row's column; statements take it as `text` and cast it to `json`.
    pub fn text(facts: &HealthFacts) -> Result<String, StoreError> {
        Ok(serde_json::to_string(&Self::from(facts))?)
    }
}

impl From<&HealthFacts> for StoredFacts {
    fn from(facts: &HealthFacts) -> Self {
        let values = |sync: &RecentSync| {
            StoredSync::Values(Values(
                sync.id,
                sync.started_at,
                sync.completed_at,
                sync.status,
                sync.records_total,
                sync.records_processed,
                sync.records_failed,
                sync.duration_ms,
                sync.warnings,
                sync.counts_mismatch,
            ))
        };
        Self {
            recent: facts.recent.iter().map(values).collect(),
            failing_since: facts.failing_since,
            consecutive_failures: facts.consecutive_failures,
            undelivered: facts.undelivered.clone(),
            awaiting: facts.recent.iter().filter(|sync| sync.awaits_posting).map(|sync| sync.id).collect(),
        }
    }
}

impl From<StoredFacts> for HealthFacts {
    fn from(stored: StoredFacts) -> Self {
        let sync = |recent| match recent {
            StoredSync::Values(values) => RecentSync {
                id: values.0,
                started_at: values.1,
                completed_at: values.2,
                status: values.3,
                records_total: values.4,
                records_processed: values.5,
                records_failed: values.6,
                duration_ms: values.7,
                warnings: values.8,
                counts_mismatch: values.9,
                awaits_posting: stored.awaiting.contains(&values.0),
            },
            StoredSync::Named(sync) => sync,
        };
        Self {
            recent: stored.recent.into_iter().map(sync).collect(),
            failing_since: stored.failing_since,
            consecutive_failures: stored.consecutive_failures,
            undelivered: stored.undelivered,
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::health::Amount;
    use serde_json::json;

    use super::*;

    fn facts() -> HealthFacts {
        let moment = |text: &str| text.parse().unwrap();
        HealthFacts {
            recent: vec![RecentSync {
                id: Uuid::from_u128(7),
                started_at: moment("2026-11-21T05:00:00.123456Z"),
                completed_at: moment("2026-11-21T05:00:07Z"),
                status: SyncStatus::Failed,
                records_total: Some(40),
                records_processed: None,
                records_failed: Some(12),
                duration_ms: 6_877,
                warnings: 1,
                counts_mismatch: true,
                awaits_posting: false,
            }],
            failing_since: Some(moment("2026-11-21T05:00:07Z")),
            consecutive_failures: 1,
            undelivered: Undelivered {
                records: 12,
                amounts: vec![Amount { currency: "NOK".to_owned(), amount: "1450.50".parse().unwrap() }],
            },
        }
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let kept = serde_json::to_value(StoredFacts::from(&facts())).unwrap();
        assert_eq!(kept.get("awaiting"), None);
        let values = json!([
            Uuid::from_u128(7),
            1_795_237_200_123_456_i64,
            1_795_237_207_000_000_i64,
            "failed",
            40,
            null,
            12,
            6_877,
            1,
            true
        ]);
        assert_eq!(kept["recent"], json!([values]));
        let read: StoredFacts = serde_json::from_value(kept).unwrap();
        assert_eq!(HealthFacts::from(read), facts());
    }

    #[test]
    fn what_is_not_known_yet_is_kept_too() {
        let mut facts = facts();
        facts.recent[0].awaits_posting = true;
        let kept = serde_json::to_value(StoredFacts::from(&facts)).unwrap();
        assert_eq!(kept["awaiting"], json!([Uuid::from_u128(7)]));
        assert_eq!(kept["recent"][0].as_array().map(Vec::len), Some(10), "the version before reads no more");
        let read: StoredFacts = serde_json::from_value(kept).unwrap();
        assert_eq!(HealthFacts::from(read), facts);
    }

    #[test]
    fn rows_with_names_are_read_too() {
        let named = serde_json::to_value(facts()).unwrap();
        assert!(named["recent"][0]["id"].is_string());
        let read: StoredFacts = serde_json::from_value(named).unwrap();
        assert_eq!(HealthFacts::from(read), facts());
    }
}
