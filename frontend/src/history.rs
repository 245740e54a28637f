//! The timeline: syncs by the viewer's days, newest first, with the days on which one was expected and none came.

use std::collections::BTreeSet;

use api_types::sync_logs::Sync;

/// One day of the timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Day {
    /// The calendar day, `2026-11-20`.
    pub day: String,
    /// Its syncs, newest first; none on a day that is a gap.
    pub syncs: Vec<Sync>,
}

/// Groups a page of syncs by day and adds the gaps that lie between its first and its last day. `open_top` says that
/// the page is the newest, so that gaps after its newest sync belong to it as well.
pub fn days(syncs: Vec<Sync>, day_of: impl Fn(&Sync) -> String, gaps: &BTreeSet<String>, open_top: bool) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    for sync in syncs {
        let day = day_of(&sync);
        match days.last_mut() {
            Some(last) if last.day == day => last.syncs.push(sync),
            _ => days.push(Day { day, syncs: vec![sync] }),
        }
    }
    let (Some(newest), Some(oldest)) = (days.first().map(|d| d.day.clone()), days.last().map(|d| d.day.clone())) else {
        return days;
    };
    let missing = gaps.iter().filter(|gap| **gap > oldest && (open_top || **gap < newest));
    days.extend(
        missing
            .filter(|gap| days.iter().all(|day| day.day != **gap))
            .map(|gap| Day { day: gap.clone(), syncs: Vec::new() })
            .collect::<Vec<_>>(),
    );
    days.sort_by(|one, other| other.day.cmp(&one.day));
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sync(started_at: &str) -> Sync {
        serde_json::from_value(serde_json::json!({
            "id": "00000000-0000-0000-0000-000000000001", "integration_config_id": "00000000-0000-0000-0000-000000000002",
            "organization_id": "00000000-0000-0000-0000-000000000003", "connector_type": "xledger",
            "sync_type": "accounting_push", "status": "success", "records_processed": 1, "records_failed": 0,
            "records_total": 1, "error_code": null, "error_message": null, "retry_count": 0, "triggered_by": "automatic",
            "triggered_by_user_id": null, "source_record_id": null, "source_record_type": null,
            "external_reference_id": null, "request_payload_hash": null, "http_status_code": null, "duration_ms": 10,
            "started_at": started_at, "completed_at": started_at, "metadata": null, "warnings": [], "backfill": false,
            "client_run_id": null, "attempt": 0, "retryable": false
        }))
        .unwrap()
    }

    fn day_of(sync: &Sync) -> String {
        sync.started_at.format("%Y-%m-%d").to_string()
    }

    #[test]
    fn gaps_stand_between_the_days_that_have_syncs() {
        let syncs = vec![sync("2026-11-20T06:00:00Z"), sync("2026-11-17T18:00:00Z"), sync("2026-11-17T06:00:00Z")];
        let gaps: BTreeSet<String> =
            ["2026-11-21", "2026-11-18", "2026-11-10"].into_iter().map(str::to_owned).collect();
        let shape = |open_top| -> Vec<(String, usize)> {
            days(syncs.clone(), day_of, &gaps, open_top).into_iter().map(|day| (day.day, day.syncs.len())).collect()
        };
        let inner = [("2026-11-20".to_owned(), 1), ("2026-11-18".to_owned(), 0), ("2026-11-17".to_owned(), 2)];
        assert_eq!(shape(false), inner);
        assert_eq!(shape(true)[0], ("2026-11-21".to_owned(), 0));
        assert_eq!(shape(true)[1..], inner);
    }

    #[test]
    fn nothing_stays_nothing() {
        assert!(days(Vec::new(), day_of, &BTreeSet::new(), true).is_empty());
    }
}
