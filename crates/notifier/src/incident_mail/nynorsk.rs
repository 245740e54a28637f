//! The nynorsk mails.

use chrono::{Datelike, Timelike};
use domain::incident::{IncidentKind, NotificationKind};

use super::IncidentMail;
use super::letter::{Letter, group_lines, name, one_line, quoted};
use crate::Language;

const WEEKDAYS: [&str; 7] = ["måndag", "tysdag", "onsdag", "torsdag", "fredag", "laurdag", "søndag"];
const MONTHS: [&str; 12] = [
    "januar",
    "februar",
    "mars",
    "april",
    "mai",
    "juni",
    "juli",
    "august",
    "september",
    "oktober",
    "november",
    "desember",
];

pub(super) fn letter(mail: &IncidentMail) -> Letter {
    let (integration, organization) = (name(&mail.integration_name), name(&mail.organization_name));
    let (of, since) = (format!("Integrasjonen «{integration}» hos {organization}"), moment(mail));
    let opened = mail.kind == NotificationKind::IncidentOpened;
    let (subject, heading, first) = match (mail.kind, mail.incident_kind) {
        (NotificationKind::IncidentOpened, IncidentKind::ConsecutiveFailures) => {
            let failed = failed_syncs(mail.failed_syncs);
            (
                format!("{integration}: {failed}"),
                format!("{integration} feilar"),
                format!("{of} har feila sidan {since}: {failed}."),
            )
        }
        (NotificationKind::IncidentOpened, IncidentKind::Stale) => (
            format!("{integration}: inga synkronisering er fullført i tide"),
            format!("{integration} er forseinka"),
            format!("{of} har vore forseinka sidan {since}: inga synkronisering er fullført innan fristen."),
        ),
        (NotificationKind::IncidentResolved, IncidentKind::ConsecutiveFailures) => (
            format!("{integration}: verkar igjen"),
            format!("{integration} verkar igjen"),
            format!("{of} verkar igjen. Han hadde feila sidan {since}."),
        ),
        (NotificationKind::IncidentResolved, IncidentKind::Stale) => (
            format!("{integration}: verkar igjen"),
            format!("{integration} verkar igjen"),
            format!("{of} verkar igjen. Han hadde vore forseinka sidan {since}."),
        ),
    };
    let mut paragraphs = vec![first];
    if let Some(count) = mail.failed_records.filter(|count| *count > 0) {
        let records = records(count);
        paragraphs.push(if opened {
            format!("{records} vart ikkje {}.", delivered(count))
        } else {
            format!("{records} frå synkroniseringane som feila, er framleis ikkje {}.", delivered(count))
        });
    }
    let lines = group_lines(&mail.error_groups, records, "felt", |more| match more {
        1 => "og 1 annan type feil".to_owned(),
        _ => format!("og {more} andre typar feil"),
    });
    let words = mail.error_message.as_deref().map(quoted).filter(|words| !words.is_empty());
    let closing = format!(
        "Du får denne e-posten fordi du er administrator for {organization} i Syncwatch. \
         Han er send automatisk, og svar blir ikkje lesne."
    );
    Letter {
        language: Language::Nn,
        subject,
        heading,
        greeting: "Hei!",
        paragraphs,
        groups: (opened && !lines.is_empty()).then(|| ("Dette gjekk gale:".to_owned(), lines)),
        quote: words.filter(|_| opened).map(|words| ("Det eksterne systemet svara:".to_owned(), words)),
        link_label: match (opened, mail.incident_kind) {
            (true, IncidentKind::ConsecutiveFailures) => {
                "Opne han for å sjå kva som feila, rette det og prøve på nytt:"
            }
            (true, IncidentKind::Stale) => {
                "Opne han for å sjå når han sist vart køyrd, og for å starte ei synkronisering:"
            }
            (false, _) => "Opne integrasjonen:",
        },
        link: one_line(&mail.link, 2_000),
        closing: if opened {
            vec!["Du får beskjed når ei synkronisering har lukkast igjen.".to_owned(), closing]
        } else {
            vec![closing]
        },
    }
}

fn failed_syncs(count: i32) -> String {
    match count {
        ..=1 => "den siste synkroniseringa feila".to_owned(),
        _ => format!("dei {count} siste synkroniseringane feila"),
    }
}

fn records(count: i64) -> String {
    match count {
        1 => "1 post".to_owned(),
        _ => format!("{count} postar"),
    }
}

const fn delivered(count: i64) -> &'static str {
    match count {
        1 => "levert",
        _ => "leverte",
    }
}

/// For example `fredag 20. november 2026 kl. 14.03 (Europe/Oslo)`.
fn moment(mail: &IncidentMail) -> String {
    let local = mail.since.with_timezone(&mail.time_zone);
    let weekday = WEEKDAYS.get(local.weekday().num_days_from_monday() as usize).unwrap_or(&"");
    let month = MONTHS.get(local.month0() as usize).unwrap_or(&"");
    format!(
        "{weekday} {}. {month} {} kl. {:02}.{:02} ({})",
        local.day(),
        local.year(),
        local.hour(),
        local.minute(),
        mail.time_zone.name()
    )
}
