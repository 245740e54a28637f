//! The English mails.

use chrono::{Datelike, Timelike};
use domain::incident::{IncidentKind, NotificationKind};

use super::IncidentMail;
use super::letter::{Letter, group_lines, name, one_line, quoted};
use crate::Language;

const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub(super) fn letter(mail: &IncidentMail) -> Letter {
    let (integration, organization) = (name(&mail.integration_name), name(&mail.organization_name));
    let (of, since) = (format!("The integration “{integration}” of {organization}"), moment(mail));
    let opened = mail.kind == NotificationKind::IncidentOpened;
    let (subject, heading, first) = match (mail.kind, mail.incident_kind) {
        (NotificationKind::IncidentOpened, IncidentKind::ConsecutiveFailures) => {
            let failed = failed_syncs(mail.failed_syncs);
            (
                format!("{integration}: {failed}"),
                format!("{integration} is failing"),
                format!("{of} has been failing since {since}: {failed}."),
            )
        }
        (NotificationKind::IncidentOpened, IncidentKind::Stale) => (
            format!("{integration}: no sync has been completed in time"),
            format!("{integration} is overdue"),
            format!("{of} has been overdue since {since}: no sync has been completed in the time it is allowed."),
        ),
        (NotificationKind::IncidentResolved, IncidentKind::ConsecutiveFailures) => (
            format!("{integration}: working again"),
            format!("{integration} is working again"),
            format!("{of} is working again. It had been failing since {since}."),
        ),
        (NotificationKind::IncidentResolved, IncidentKind::Stale) => (
            format!("{integration}: working again"),
            format!("{integration} is working again"),
            format!("{of} is working again. It had been overdue since {since}."),
        ),
    };
    let mut paragraphs = vec![first];
    if let Some(count) = mail.failed_records.filter(|count| *count > 0) {
        paragraphs.push(match (opened, count) {
            (true, 1) => "1 record was not delivered.".to_owned(),
            (true, _) => format!("{count} records were not delivered."),
            (false, 1) => "1 record of the failed syncs has still not been delivered.".to_owned(),
            (false, _) => format!("{count} records of the failed syncs have still not been delivered."),
        });
    }
    let lines = group_lines(&mail.error_groups, records, "field", |more| match more {
        1 => "and 1 further kind of error".to_owned(),
        _ => format!("and {more} further kinds of error"),
    });
    let words = mail.error_message.as_deref().map(quoted).filter(|words| !words.is_empty());
    let closing = format!(
        "You receive this e-mail because you are an administrator of {organization} in Syncwatch. \
         It was sent automatically; replies are not read."
    );
    Letter {
        language: Language::En,
        subject,
        heading,
        greeting: "Hello,",
        paragraphs,
        groups: (opened && !lines.is_empty()).then(|| ("What went wrong:".to_owned(), lines)),
        quote: words.filter(|_| opened).map(|words| ("The external system said:".to_owned(), words)),
        link_label: match (opened, mail.incident_kind) {
            (true, IncidentKind::ConsecutiveFailures) => "Open it to see what failed, correct it and try again:",
            (true, IncidentKind::Stale) => "Open it to see when it last ran and to start a sync:",
            (false, _) => "Open the integration:",
        },
        link: one_line(&mail.link, 2_000),
        closing: if opened {
            vec!["You will be told when a sync has succeeded again.".to_owned(), closing]
        } else {
            vec![closing]
        },
    }
}

fn failed_syncs(count: i32) -> String {
    match count {
        ..=1 => "the last sync failed".to_owned(),
        _ => format!("the last {count} syncs failed"),
    }
}

fn records(count: i64) -> String {
    match count {
        1 => "1 record".to_owned(),
        _ => format!("{count} records"),
    }
}

/// For example `Friday 20 November 2026 at 14:03 (Europe/Oslo)`.
fn moment(mail: &IncidentMail) -> String {
    let local = mail.since.with_timezone(&mail.time_zone);
    let weekday = WEEKDAYS.get(local.weekday().num_days_from_monday() as usize).unwrap_or(&"");
    let month = MONTHS.get(local.month0() as usize).unwrap_or(&"");
    format!(
        "{weekday} {} {month} {} at {:02}:{:02} ({})",
        local.day(),
        local.year(),
        local.hour(),
        local.minute(),
        mail.time_zone.name()
    )
}
