//! What of a source's words is believed, and since when it is asked for them.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use connectors::SourceRecord;
use store::source_records::RecordKey;

use super::held::Held;

/// What changed so shortly before the source was read last is read once more: clocks differ, and a change may become visible
/// later than it says.
const OVERLAP: TimeDelta = TimeDelta::minutes(10);
/// So many records of a retry are not all gone at once: their address has changed, or something else answers there. Who is
/// left out as gone is retried no more, so that they would be lost for that.
const NEVER_ALL_GONE: usize = 10;

/// Since when changes are asked for. A moment that is yet to come was noted before a clock was set back: what changes until
/// then would never be read, so everything is.
pub(super) fn since(read_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    read_at.filter(|read_at| *read_at <= now + OVERLAP).map(|read_at| read_at - OVERLAP)
}

/// How many records of a part, which are in the order of their ids, have another one behind them with the same id that says
/// something else: the last of them counts.
pub(super) fn repeated(records: &[SourceRecord]) -> u64 {
    let pairs = records.iter().zip(records.iter().skip(1));
    let differ = pairs.filter(|(one, next)| one.id == next.id && one.payload != next.payload);
    u64::try_from(differ.count()).unwrap_or(u64::MAX)
}

/// Whether a source has none of its records any more, and they are too many for that to be believed.
pub(super) fn are_all_gone(keys: &[RecordKey], record_type: &str, held: &HashMap<RecordKey, Held>) -> bool {
    let its: Vec<&RecordKey> = keys.iter().filter(|key| key.source_record_type == record_type).collect();
    its.len() >= NEVER_ALL_GONE && its.iter().all(|key| matches!(held.get(*key), Some(Held::Gone)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn changes_are_asked_for_since_a_moment_that_has_been() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        assert_eq!(since(None, now), None);
        let read_at = now - TimeDelta::hours(1);
        assert_eq!(since(Some(read_at), now), Some(read_at - OVERLAP));
        // Clocks differ by a little.
        assert_eq!(since(Some(now + OVERLAP), now), Some(now));
        // This one was set back: nothing is passed over until its former time comes round.
        assert_eq!(since(Some(now + OVERLAP + TimeDelta::seconds(1)), now), None);
    }

    #[test]
    fn two_records_of_one_id_are_told_of() {
        let record = |id: u128, text: &str| SourceRecord {
            id: Uuid::from_u128(id),
            label: None,
            amount: None,
            currency: None,
            payload: json!({ "text": text }),
        };
        assert_eq!(repeated(&[]), 0);
        assert_eq!(repeated(&[record(1, "a"), record(2, "a")]), 0);
        assert_eq!(repeated(&[record(1, "a"), record(1, "a")]), 0, "the same twice is no harm");
        assert_eq!(repeated(&[record(1, "a"), record(1, "b"), record(2, "b"), record(2, "c"), record(2, "d")]), 3);
    }

    #[test]
    fn not_all_of_many_records_are_gone_at_once() {
        let key = |number: usize| RecordKey::from(("claims".to_owned(), Uuid::from_u128(number as u128)));
        let keys: Vec<RecordKey> = (0..NEVER_ALL_GONE).map(key).collect();
        let mut held: HashMap<RecordKey, Held> = keys.iter().map(|key| (key.clone(), Held::Gone)).collect();
        assert!(are_all_gone(&keys, "claims", &held));
        assert!(!are_all_gone(&keys[1..], "claims", &held), "a few may be");
        assert!(!are_all_gone(&keys, "members", &held));
        let with_another = [keys.clone(), vec![RecordKey::from(("members".to_owned(), Uuid::nil()))]].concat();
        assert!(are_all_gone(&with_another, "claims", &held), "records of other sources say nothing");
        held.remove(&keys[0]);
        assert!(!are_all_gone(&keys, "claims", &held), "one is there");
    }
}
