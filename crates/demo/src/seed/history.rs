//! Six weeks that went before, invented and marked as such.

use std::ops::Range;

use chrono::{DateTime, Datelike, Days, Duration, NaiveDate, SecondsFormat, TimeZone, Utc, Weekday};
use chrono_tz::Europe::Oslo;
use serde_json::{Value, json};
use uuid::Uuid;

use super::plan::Plan;

/// Days that the history goes back.
const DAYS: u64 = 42;

/// What an integration's past was like.
pub(super) struct Past {
    /// Hours of the day, in Oslo, at which a sync ran.
    pub hours: &'static [u32],
    /// How many records a sync had.
    pub records: Range<u64>,
    /// Milliseconds for one record.
    pub milliseconds_each: u64,
    /// Weekdays, counted from the oldest, on which the first sync failed; never two in a row, so that none of them
    /// would have opened an incident.
    pub failing_days: &'static [usize],
    /// The weekday, counted from the oldest, on which nothing ran.
    pub gap_day: Option<usize>,
}

/// The items of `importSyncs`, oldest first; the same for the same day of seeding.
pub(super) fn items(plan: &Plan, integration: Uuid, today: NaiveDate) -> Vec<Value> {
    let weekdays = (1..=DAYS)
        .rev()
        .filter_map(|back| today.checked_sub_days(Days::new(back)))
        .filter(|day| !matches!(day.weekday(), Weekday::Sat | Weekday::Sun));
    let mut items = Vec::new();
    for (number, day) in weekdays.enumerate() {
        if plan.past.gap_day == Some(number) {
            continue;
        }
        for (slot, hour) in plan.past.hours.iter().enumerate() {
            let Some(started) = moment(day, *hour) else { continue };
            let chance = scatter(number as u64 * 31 + slot as u64 * 7 + plan.name.len() as u64);
            let fails = slot == 0 && plan.past.failing_days.contains(&number);
            items.push(item(plan, integration, started, chance, fails));
        }
    }
    items
}

fn item(plan: &Plan, integration: Uuid, started: DateTime<Utc>, chance: u64, fails: bool) -> Value {
    let past = &plan.past;
    let total = past.records.start + chance % (past.records.end - past.records.start);
    let milliseconds = 350 + total * past.milliseconds_each + chance / 64 % 900;
    let started = started + Duration::milliseconds(i64::try_from(chance % 4_000).unwrap_or(0));
    let completed = started + Duration::milliseconds(i64::try_from(milliseconds).unwrap_or(0));
    let time = |moment: DateTime<Utc>| moment.to_rfc3339_opts(SecondsFormat::Millis, true);
    let failed = if fails { 1 + chance % (total / 2) } else { 0 };
    let mut item = json!({
        "integration_config_id": integration,
        "connector_type": "generic_http",
        "sync_type": plan.sync_type,
        "triggered_by": "automatic",
        "client_run_id": format!("demonstration-{}", time(started)),
        "started_at": time(started),
        "completed_at": time(completed),
        "status": "success",
        "records_total": total,
        "records_processed": total - failed,
        "records_failed": failed,
        "http_status_code": 201,
        "metadata": { "demonstration": true },
    });
    if fails {
        item["status"] = json!("failed");
        item["http_status_code"] = json!(503);
        item["error_code"] = json!("HTTP_503");
        item["error_message"] = json!(format!(
            "Service Unavailable: Fjordregnskap is being updated; {failed} of {total} records were not taken"
        ));
    }
    item
}

/// The hour of a day in Oslo; `None` where the clock was put forward over it.
fn moment(day: NaiveDate, hour: u32) -> Option<DateTime<Utc>> {
    let local = day.and_hms_opt(hour, 0, 0)?;
    Oslo.from_local_datetime(&local).earliest().map(|moment| moment.with_timezone(&Utc))
}

/// Well-mixed bits of a small number (the finaliser of `SplitMix64`): uneven, and the same every time.
fn scatter(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
