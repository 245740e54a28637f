//! The Norwegian (bokmål) mails.

use chrono::{Datelike, Timelike};
use domain::incident::{IncidentKind, NotificationKind};

use super::IncidentMail;
use super::letter::{Letter, group_lines, name, one_line, quoted};
use crate::Language;

const WEEKDAYS: [&str; 7] = ["mandag", "tirsdag", "onsdag", "torsdag", "fredag", "lørdag", "søndag"];
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
                format!("{integration} feiler"),
                format!("{of} har feilet siden {since}: {failed}."),
            )
        }
        (NotificationKind::IncidentOpened, IncidentKind::Stale) => (
            format!("{integration}: ingen synkronisering er fullført i tide"),
            format!("{integration} er forsinket"),
            format!("{of} har vært forsinket siden {since}: ingen synkronisering er fullført innen fristen."),
        ),
        (NotificationKind::IncidentResolved, IncidentKind::ConsecutiveFailures) => (
            format!("{integration}: virker igjen"),
            format!("{integration} virker igjen"),
            format!("{of} virker igjen. Den hadde feilet siden {since}."),
        ),
        (NotificationKind::IncidentResolved, IncidentKind::Stale) => (
            format!("{integration}: virker igjen"),
            format!("{integration} virker igjen"),
            format!("{of} virker igjen. Den hadde vært forsinket siden {since}."),
        ),
    };
    let mut paragraphs = vec![first];
    if let Some(count) = mail.failed_records.filter(|count| *count > 0) {
        let records = records(count);
        paragraphs.push(if opened {
            format!("{records} ble ikke levert.")
        } else {
            format!("{records} fra synkroniseringene som feilet, er fortsatt ikke levert.")
        });
    }
    let lines = group_lines(&mail.error_groups, records, "felt", |more| match more {
        1 => "og 1 annen type feil".to_owned(),
        _ => format!("og {more} andre typer feil"),
    });
    let words = mail.error_message.as_deref().map(quoted).filter(|words| !words.is_empty());
    let closing = format!(
        "Du får denne e-posten fordi du er administrator for {organization} i Syncwatch. \
         Den er sendt automatisk, og svar blir ikke lest."
    );
    Letter {
        language: Language::Nb,
        subject,
        heading,
        greeting: "Hei!",
        paragraphs,
        groups: (opened && !lines.is_empty()).then(|| ("Dette gikk galt:".to_owned(), lines)),
        quote: words.filter(|_| opened).map(|words| ("Det eksterne systemet svarte:".to_owned(), words)),
        link_label: match (opened, mail.incident_kind) {
            (true, IncidentKind::ConsecutiveFailures) => {
                "Åpne den for å se hva som feilet, rette det og prøve på nytt:"
            }
            (true, IncidentKind::Stale) => {
                "Åpne den for å se når den sist ble kjørt, og for å starte en synkronisering:"
            }
            (false, _) => "Åpne integrasjonen:",
        },
        link: one_line(&mail.link, 2_000),
        closing: if opened {
            vec!["Du får beskjed når en synkronisering har lykkes igjen.".to_owned(), closing]
        } else {
            vec![closing]
        },
    }
}

fn failed_syncs(count: i32) -> String {
    match count {
        ..=1 => "den siste synkroniseringen feilet".to_owned(),
        _ => format!("de {count} siste synkroniseringene feilet"),
    }
}

fn records(count: i64) -> String {
    match count {
        1 => "1 post".to_owned(),
        _ => format!("{count} poster"),
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
