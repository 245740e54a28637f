//! The source app's pages, in English and Norwegian, without scripts.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde_json::Value;

use super::records::{Collection, Record, Records};
use crate::html::{Language, escape, page};

/// What happened to a correction.
pub(super) enum Notice<'a> {
    /// It was staged; the state in which Syncwatch has the record.
    Saved(&'a str),
    AlreadyDelivered,
    Failed(String),
}

/// The fields of the demonstration's records, in the order in which they are shown: name, English, Norwegian.
const FIELDS: [(&str, &str, &str); 16] = [
    ("claim_number", "Claim number", "Kravnummer"),
    ("member_number", "Member number", "Medlemsnummer"),
    ("course_code", "Course", "Kurs"),
    ("participant", "Participant", "Deltaker"),
    ("member", "Member", "Medlem"),
    ("name", "Name", "Navn"),
    ("text", "What for", "Formål"),
    ("cost_center", "Cost centre", "Kostnadssted"),
    ("account", "Account", "Konto"),
    ("amount", "Amount", "Beløp"),
    ("currency", "Currency", "Valuta"),
    ("period", "Period", "Periode"),
    ("start_date", "Start date", "Startdato"),
    ("branch", "Branch", "Lokallag"),
    ("joined", "Joined", "Innmeldt"),
    ("status", "Status", "Status"),
];

fn header(language: Language) -> String {
    format!(
        "<header><p><strong>{}</strong><span>{}</span></p></header>\n",
        language.pick("The members' app", "Medlemsappen"),
        language.pick(
            "The source app of a demonstration; every record is invented",
            "Kildesystemet i en demonstrasjon; alle poster er oppdiktet"
        )
    )
}

pub(super) fn list(language: Language, records: &Records) -> HttpResponse {
    let title = language.pick("Records", "Poster");
    let sections: Vec<_> = records.collections.iter().map(|collection| section(language, collection)).collect();
    let sections = if sections.is_empty() {
        format!("<p>{}</p>\n", language.pick("There are no records yet.", "Det er ingen poster ennå."))
    } else {
        sections.concat()
    };
    page(StatusCode::OK, language, title, &format!("{}<main>\n<h1>{title}</h1>\n{sections}</main>\n", header(language)))
}

fn section(language: Language, collection: &Collection) -> String {
    let title = escape(language.pick(&collection.title_en, &collection.title_nb));
    let rows: Vec<_> = collection
        .records
        .iter()
        .map(|record| {
            format!(
                "<tr><th scope=\"row\"><a href=\"/{}/{}\">{}</a></th><td>{}</td></tr>\n",
                escape(&collection.path),
                record.id,
                escape(&record.label),
                escape(&summary(record)),
            )
        })
        .collect();
    format!(
        "<h2>{title}</h2>\n<div class=\"table\"><table>\n<thead><tr><th scope=\"col\">{}</th><th scope=\"col\">{}</th></tr></thead>\n\
         <tbody>\n{}</tbody></table></div>\n",
        language.pick("Record", "Post"),
        language.pick("Content", "Innhold"),
        rows.concat(),
    )
}

fn summary(record: &Record) -> String {
    let texts = FIELDS.iter().filter_map(|(field, ..)| record.payload.get(*field).and_then(Value::as_str));
    texts.collect::<Vec<_>>().join(" · ")
}

pub(super) fn record(
    status: StatusCode,
    language: Language,
    collection: &Collection,
    record: &Record,
    notice: Option<Notice<'_>>,
) -> HttpResponse {
    let known = FIELDS.iter().filter(|(field, ..)| record.payload.contains_key(*field));
    let mut inputs: Vec<_> = known
        .map(|(field, english, norwegian)| input(field, language.pick(english, norwegian), record.payload.get(*field)))
        .collect();
    let unknown = record.payload.iter().filter(|(name, _)| FIELDS.iter().all(|(field, ..)| field != name));
    inputs.extend(unknown.map(|(name, value)| input(name, name, Some(value))));
    let body = format!(
        "{header}<main>\n<p><a href=\"/\">{back}</a></p>\n<h1>{label}</h1>\n{notice}<form method=\"post\">\n{inputs}\
         <button type=\"submit\">{save}</button>\n</form>\n</main>\n",
        header = header(language),
        back = escape(language.pick(&collection.title_en, &collection.title_nb)),
        label = escape(&record.label),
        notice = notice.map(|notice| message(language, &notice)).unwrap_or_default(),
        inputs = inputs.concat(),
        save = language.pick("Save and stage again", "Lagre og klargjør på nytt"),
    );
    page(status, language, &record.label, &body)
}

fn input(field: &str, label: &str, value: Option<&Value>) -> String {
    let value = match value {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let (field, kind) = (escape(field), if field == "amount" { " inputmode=\"decimal\"" } else { "" });
    format!(
        "<label for=\"{field}\">{}</label>\n<input id=\"{field}\" name=\"{field}\" value=\"{}\" maxlength=\"200\" \
         autocomplete=\"off\"{kind}>\n",
        escape(label),
        escape(&value),
    )
}

fn message(language: Language, notice: &Notice<'_>) -> String {
    match notice {
        Notice::Saved("delivered") => format!(
            "<p class=\"notice\" role=\"status\">{}</p>\n",
            language.pick(
                "Saved. The record was delivered before with exactly this content, so nothing more is sent.",
                "Lagret. Posten er allerede levert med nettopp dette innholdet, så ingenting mer blir sendt.",
            )
        ),
        Notice::Saved(_) => format!(
            "<p class=\"notice\" role=\"status\">{}</p>\n",
            language.pick(
                "Saved. The corrected record will be sent with the next sync or retry.",
                "Lagret. Den rettede posten blir sendt med neste synkronisering eller nye forsøk.",
            )
        ),
        Notice::AlreadyDelivered => format!(
            "<p class=\"notice bad\" role=\"alert\">{}</p>\n",
            language.pick(
                "Not saved: the record has already been delivered and can no longer be changed here.",
                "Ikke lagret: posten er allerede levert og kan ikke lenger endres her.",
            )
        ),
        Notice::Failed(cause) => format!(
            "<div class=\"notice bad\" role=\"alert\"><p>{}</p><pre>{}</pre></div>\n",
            language
                .pick("Not saved: Syncwatch did not take the record.", "Ikke lagret: Syncwatch tok ikke imot posten."),
            escape(cause)
        ),
    }
}

fn plain(status: StatusCode, language: Language, title: &str, text: &str) -> HttpResponse {
    let home = language.pick("To the records", "Til postene");
    let body = format!(
        "{}<main>\n<h1>{}</h1>\n{text}<p><a href=\"/\">{home}</a></p>\n</main>\n",
        header(language),
        escape(title)
    );
    page(status, language, title, &body)
}

pub(super) fn not_found(language: Language) -> HttpResponse {
    plain(StatusCode::NOT_FOUND, language, language.pick("There is no such record", "Posten finnes ikke"), "")
}

pub(super) fn refused(language: Language) -> HttpResponse {
    plain(StatusCode::FORBIDDEN, language, language.pick("Not from another site", "Ikke fra et annet nettsted"), "")
}

pub(super) fn broken(language: Language, cause: &str) -> HttpResponse {
    let title = language.pick("The records cannot be read or written", "Postene kan ikke leses eller skrives");
    plain(StatusCode::INTERNAL_SERVER_ERROR, language, title, &format!("<pre>{}</pre>\n", escape(cause)))
}
