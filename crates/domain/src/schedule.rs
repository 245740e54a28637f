//! When managed syncs run: a cron expression in a time zone.

use std::ops::Range;

use chrono::{DateTime, Datelike as _, MappedLocalTime, NaiveDateTime, TimeDelta, TimeZone as _, Timelike as _, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use serde::{Deserialize, Serialize};

use crate::violation::{Rule, Violation};

/// A cron expression (five fields) and the IANA time zone it is read in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Five fields: minute, hour, day of month, month, day of week.
    pub cron: String,
    /// IANA name, for example `Europe/Oslo`.
    pub time_zone: String,
}

/// The longest cron expression, in characters.
const MAX_CRON_CHARS: usize = 200;
/// Years that are reckoned with; beyond them the calendars in use have no bearing.
const YEARS: Range<i32> = 1900..3000;
const FIELDS: [&str; 5] = ["minute", "hour", "day of month", "month", "day of week"];

impl Schedule {
    /// Every broken rule, with pointers below `/schedule`.
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        if let Err(fault) = parse(&self.cron).and_then(|cron| fires(&cron)) {
            found.push(Violation::new(Rule::InvalidFormat, "/schedule/cron", fault));
        }
        if self.time_zone.parse::<Tz>().is_err() {
            found.push(Violation::new(
                Rule::UnknownValue,
                "/schedule/time_zone",
                "no such IANA time zone; write it like Europe/Oslo",
            ));
        }
        found
    }

    /// Whether a sync is due at this very moment.
    fn is_due_at(&self, moment: DateTime<Utc>) -> bool {
        let before = moment.checked_sub_signed(TimeDelta::milliseconds(1));
        before.and_then(|before| self.next_after(before)) == Some(moment)
    }

    /// The first moment after `after` at which a sync is due; `None` if the expression never fires.
    ///
    /// An hour that the expression names fires once when the clock repeats it (the first time round), and right after
    /// the gap when the clock skips it. An expression for every hour of the day follows the time that passes instead:
    /// each real hour counts.
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let cron = parse(&self.cron).ok()?;
        let zone = self.time_zone.parse::<Tz>().ok()?;
        if !YEARS.contains(&after.year()) {
            return None;
        }
        // Cut in UTC, where every second exists once.
        let local = after.with_nanosecond(0)?.with_timezone(&zone);
        if cron.pattern.hours.values().len() == 24 {
            return cron.find_next_occurrence(&local, false).ok().map(|due| due.with_timezone(&Utc));
        }
        // The wall clock is searched as if it never jumped, and each hit is then placed on the line of time. Placing
        // keeps the order, so the first hit that lies after `after` is the next one.
        let mut wall = local.naive_local();
        loop {
            wall = cron.find_next_occurrence(&wall, false).ok()?;
            let due = place(wall, zone)?;
            if due > after {
                return Some(due);
            }
        }
    }
}

/// The run for which an integration's timer is set at `now`; none without a schedule or while paused, and a pause is not
/// made up for. A run that is `waiting`, because nobody was there to begin it, goes on waiting while the schedule names
/// its moment; it stands for all that were missed.
pub fn next_run(
    schedule: Option<&Schedule>,
    paused: bool,
    waiting: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let schedule = schedule.filter(|_| !paused)?;
    waiting.filter(|due| *due <= now && schedule.is_due_at(*due)).or_else(|| schedule.next_after(now))
}

fn parse(expression: &str) -> Result<Cron, String> {
    if expression.chars().count() > MAX_CRON_CHARS {
        return Err(format!("at most {MAX_CRON_CHARS} characters"));
    }
    let fields: Vec<&str> = expression.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(format!("five fields are needed ({}), not {}", FIELDS.join(", "), fields.len()));
    }
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    // Each field by itself first, so that the message can name the one that is wrong.
    for (place, (name, field)) in FIELDS.iter().zip(&fields).enumerate() {
        let mut alone = ["*"; FIELDS.len()];
        alone[place] = field;
        parser.parse(&alone.join(" ")).map_err(|fault| format!("{name} {field:?}: {}", plain(fault)))?;
    }
    parser.parse(&fields.join(" ")).map_err(plain)
}

fn plain(fault: CronError) -> String {
    match fault {
        CronError::InvalidPattern(text) | CronError::IllegalCharacters(text) | CronError::ComponentError(text) => text,
        other => other.to_string(),
    }
}

/// Five fields repeat with the calendar, so an expression that doesn't fire from one moment on never fires.
fn fires(cron: &Cron) -> Result<(), String> {
    cron.find_next_occurrence(&DateTime::UNIX_EPOCH, false)
        .map(|_| ())
        .map_err(|_| "no day fits this expression, so it never fires".to_owned())
}

/// The moment a wall clock time stands for: the first of two, and the end of the gap for one that was skipped.
fn place(wall: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    const LONGEST_GAP_MINUTES: i64 = 25 * 60;
    (0..=LONGEST_GAP_MINUTES).find_map(|minutes| {
        let shifted = wall.checked_add_signed(TimeDelta::minutes(minutes))?;
        match zone.from_local_datetime(&shifted) {
            MappedLocalTime::Single(moment) | MappedLocalTime::Ambiguous(moment, _) => Some(moment.with_timezone(&Utc)),
            MappedLocalTime::None => None,
        }
    })
}

#[cfg(test)]
mod tests;
