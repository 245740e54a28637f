//! What was booked, for people.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::Value;

use super::Office;
use super::book::{Entry, Kind};
use super::rules::{ACCOUNTS, BRANCHES, COST_CENTERS, COURSES, Period};
use crate::clock;
use crate::html::{Language, escape, page};

/// Entries shown of each kind; the whole log is at `/api/log`.
const SHOWN: usize = 100;

pub(super) async fn overview(request: HttpRequest, office: Data<Office>) -> HttpResponse {
    let language = Language::of(&request);
    let entries = office.with_book(|book| book.entries().to_vec());
    let title = language.pick("Fjordregnskap – booked records", "Fjordregnskap – bokførte poster");
    let body = format!(
        "<header><p><strong>Fjordregnskap</strong><span>{}</span></p></header>\n<main>\n<h1>{}</h1>\n{}{}{}{}</main>\n",
        language.pick(
            "An invented accounting service, part of a demonstration",
            "Et oppdiktet regnskapssystem, del av en demonstrasjon"
        ),
        language.pick("What was booked", "Dette er bokført"),
        rules(language),
        table(&entries, Kind::Voucher, language.pick("Vouchers", "Bilag"), language),
        table(&entries, Kind::Participant, language.pick("Enrolments", "Påmeldinger"), language),
        table(&entries, Kind::Member, language.pick("Members", "Medlemmer"), language),
    );
    page(StatusCode::OK, language, title, &body)
}

/// What a person needs to correct a rejected record.
fn rules(language: Language) -> String {
    let named = |list: &[(&str, &str)]| {
        list.iter().map(|(code, name)| format!("{code} {}", escape(name))).collect::<Vec<_>>().join(", ")
    };
    let present = Period::of(clock::now());
    let rows = [
        (language.pick("Cost centres", "Kostnadssteder"), named(&COST_CENTERS)),
        (language.pick("Accounts", "Kontoer"), named(&ACCOUNTS)),
        (language.pick("Open periods", "Åpne perioder"), format!("{}, {present}", present.oldest_open())),
        (
            language.pick("Amount", "Beløp"),
            language.pick("above 0, at most 50 000, in NOK or EUR", "over 0, høyst 50 000, i NOK eller EUR").to_owned(),
        ),
        (language.pick("Courses", "Kurs"), COURSES.join(", ")),
        (language.pick("Branches", "Lokallag"), BRANCHES.join(", ")),
    ];
    let rows: Vec<_> =
        rows.iter().map(|(name, value)| format!("<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>\n")).collect();
    format!(
        "<div class=\"table\"><table><caption>{}</caption>\n<tbody>\n{}</tbody></table></div>\n",
        language.pick("What is accepted", "Dette godtas"),
        rows.concat(),
    )
}

fn table(entries: &[Entry], kind: Kind, title: &str, language: Language) -> String {
    let of_kind: Vec<_> = entries.iter().rev().filter(|entry| entry.kind == kind).collect();
    let heading = format!("<h2>{title} ({})</h2>\n", of_kind.len());
    if of_kind.is_empty() {
        return format!("{heading}<p>{}</p>\n", language.pick("Nothing yet.", "Ingenting ennå."));
    }
    let rows: Vec<_> = of_kind
        .iter()
        .take(SHOWN)
        .map(|entry| {
            format!(
                "<tr><td>{}</td><td><time datetime=\"{}\">{}</time></td><td>{}</td></tr>\n",
                escape(&entry.reference),
                entry.time.to_rfc3339(),
                entry.time.format("%Y-%m-%d %H:%M:%S UTC"),
                escape(&summary(&entry.record)),
            )
        })
        .collect();
    format!(
        "{heading}<div class=\"table\"><table>\n<thead><tr><th scope=\"col\">{}</th><th scope=\"col\">{}</th>\
         <th scope=\"col\">{}</th></tr></thead>\n<tbody>\n{}</tbody></table></div>\n",
        language.pick("Reference", "Referanse"),
        language.pick("Received", "Mottatt"),
        language.pick("Record", "Post"),
        rows.concat(),
    )
}

fn summary(record: &Value) -> String {
    let fields = record.as_object().into_iter().flatten();
    fields.map(|(name, value)| format!("{name}: {}", value.as_str().unwrap_or("…"))).collect::<Vec<_>>().join(" · ")
}
