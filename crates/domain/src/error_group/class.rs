//! What kind of failure an error is, so that the reader knows what to do about it.

use std::sync::LazyLock;

use regex::Regex;

use crate::record::RecordError;

wire_enum! {
    /// What kind of failure an error is.
    ErrorClass {
        /// A value the external system does not take.
        Value = "value",
        /// Something that must be there is not: a field without a value, or a thing that is referred to.
        Missing = "missing",
        /// The external system has it already.
        Duplicate = "duplicate",
        /// The external system does not let us.
        Permission = "permission",
        /// Too many requests, or an allowance used up.
        Throttled = "throttled",
        /// The accounting period is closed.
        ClosedPeriod = "closed_period",
        /// The external system is away or broken.
        Outage = "outage",
        /// None of these.
        Other = "other",
    }
}

/// Says what kind of failure an error is: by its code and the HTTP status first, by its words (English and Norwegian)
/// second, and by the mere presence of a field last.
pub fn classify(error: &RecordError, http_status: Option<i16>) -> ErrorClass {
    let code = error.code.to_ascii_lowercase();
    by_code(&code)
        .or_else(|| http_status.and_then(by_clear_status))
        .or_else(|| {
            // A code such as `invalid` says less than the words may: a closed period is often reported under it.
            let said = by_words(&error.message);
            let vague = says_invalid(&code);
            said.filter(|class| !vague || matches!(class, ErrorClass::ClosedPeriod | ErrorClass::Duplicate))
                .or(vague.then_some(ErrorClass::Value))
        })
        .or_else(|| http_status.and_then(by_vague_status))
        .unwrap_or(if error.field.is_some() { ErrorClass::Value } else { ErrorClass::Other })
}

/// Codes of Dataverse that say what is wrong by themselves.
const DATAVERSE: [(&str, ErrorClass); 14] = [
    ("0x80044331", ErrorClass::Value),
    ("0x8004431a", ErrorClass::Value),
    ("0x80048d19", ErrorClass::Value),
    ("0x80060892", ErrorClass::Duplicate),
    ("0x80040237", ErrorClass::Duplicate),
    ("0x80040333", ErrorClass::Duplicate),
    ("0x80040217", ErrorClass::Missing),
    ("0x80060891", ErrorClass::Missing),
    ("0x80040220", ErrorClass::Permission),
    ("0x80048306", ErrorClass::Permission),
    ("0x80072321", ErrorClass::Throttled),
    ("0x80072322", ErrorClass::Throttled),
    ("0x80072326", ErrorClass::Throttled),
    ("0x0", ErrorClass::Value),
];

/// Codes of Syncwatch's own, and of those who give it tokens, whose words would lead astray.
const OWN: [(&str, ErrorClass); 28] = [
    ("timeout", ErrorClass::Outage),
    ("no_answer", ErrorClass::Outage),
    ("connect_timeout", ErrorClass::Outage),
    ("connection_refused", ErrorClass::Outage),
    ("unreachable", ErrorClass::Outage),
    ("dns_failure", ErrorClass::Outage),
    ("tls_failure", ErrorClass::Outage),
    ("not_json", ErrorClass::Outage),
    ("answer_too_large", ErrorClass::Outage),
    ("results_missing", ErrorClass::Outage),
    ("partial_answer", ErrorClass::Outage),
    ("unexpected_answer", ErrorClass::Outage),
    ("token_service_failed", ErrorClass::Outage),
    ("server_error", ErrorClass::Outage),
    ("token_too_late", ErrorClass::Outage),
    ("system_unavailable", ErrorClass::Outage),
    ("system_busy", ErrorClass::Throttled),
    ("source_unavailable", ErrorClass::Outage),
    ("source_gone", ErrorClass::Missing),
    ("no_data", ErrorClass::Missing),
    ("already_there", ErrorClass::Duplicate),
    ("credentials_refused", ErrorClass::Permission),
    ("destination_refused", ErrorClass::Permission),
    ("invalid_grant", ErrorClass::Permission),
    ("invalid_resource", ErrorClass::Permission),
    ("invalid_scope", ErrorClass::Permission),
    ("no_token", ErrorClass::Permission),
    ("token_refused", ErrorClass::Permission),
];

/// Parts of other systems' codes, lower-case, with everything but letters and digits as an underscore. The first that
/// fits counts, so the narrower ones come first.
const CODE_PARTS: [(&[&str], ErrorClass); 6] = [
    (
        &["closed_period", "period_closed", "period_locked", "locked_period", "closedperiod", "periodclosed"],
        ErrorClass::ClosedPeriod,
    ),
    (
        &[
            "rate_limit",
            "ratelimit",
            "concurrency_limit",
            "insufficient_credits",
            "too_many_requests",
            "throttl",
            "quota",
        ],
        ErrorClass::Throttled,
    ),
    (&["duplicate", "already_exist", "alreadyexist", "unique", "already_delivered"], ErrorClass::Duplicate),
    (
        &[
            "forbidden",
            "unauthori",
            "permission",
            "access_denied",
            "accessdenied",
            "privilege",
            "invalid_client",
            "invalid_token",
            "unauthenticated",
            "insufficient_scope",
        ],
        ErrorClass::Permission,
    ),
    (
        &["timeout", "timed_out", "unavailable", "connection", "internal_server_error", "bad_gateway", "dns", "outage"],
        ErrorClass::Outage,
    ),
    (
        &["missing", "required", "not_found", "notfound", "blank", "does_not_exist", "empty", "null"],
        ErrorClass::Missing,
    ),
];

fn by_code(code: &str) -> Option<ErrorClass> {
    if let Some((_, class)) = DATAVERSE.iter().chain(&OWN).find(|(known, _)| *known == code) {
        return Some(*class);
    }
    let plain: String = code.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    CODE_PARTS.iter().find(|(parts, _)| parts.iter().any(|part| plain.contains(part))).map(|(_, class)| *class)
}

/// Codes that say no more than that something is wrong with a value.
fn says_invalid(code: &str) -> bool {
    ["invalid", "argument", "range", "too_long", "too_short", "length", "type", "format", "minimum", "maximum", "value"]
        .iter()
        .any(|part| code.contains(part))
}

const fn by_clear_status(status: i16) -> Option<ErrorClass> {
    match status {
        429 => Some(ErrorClass::Throttled),
        401 | 403 | 407 => Some(ErrorClass::Permission),
        408 | 502..=504 => Some(ErrorClass::Outage),
        _ => None,
    }
}

const fn by_vague_status(status: i16) -> Option<ErrorClass> {
    match status {
        404 | 410 => Some(ErrorClass::Missing),
        409 | 412 => Some(ErrorClass::Duplicate),
        500..=599 => Some(ErrorClass::Outage),
        _ => None,
    }
}

/// The first pattern that fits counts; `mangler tilgang` is a permission before it is something missing.
static WORDS: LazyLock<Vec<(Regex, ErrorClass)>> = LazyLock::new(|| {
    [
        (
            concat!(
                r"(?:period|fiscal year|accounting year|posting date|regnskapsår|termin|måned).{0,60}",
                r"\b(?:closed|locked|stengt|lukket|låst|avsluttet|sperret)",
                r"|\b(?:closed|locked|stengt|lukket|låst|avsluttet|sperret)e?\b.{0,20}(?:period|termin|regnskapsår|fiscal year)",
            ),
            ErrorClass::ClosedPeriod,
        ),
        (
            r"rate.?limit|too many requests|throttl|quota|for mange (?:forespørsler|kall)|\bkvote",
            ErrorClass::Throttled,
        ),
        (
            concat!(
                r"duplicate|already (?:been|exist|registered|in use|used|booked|taken)|unique constraint|must be unique",
                r"|is not unique|duplikat|dublett|(?:finnes|eksisterer) allerede|finnes fra før|allerede (?:registrert|i bruk|bokført|brukt)",
                r"|må være unik",
            ),
            ErrorClass::Duplicate,
        ),
        (
            concat!(
                r"permission|forbidden|unauthori[sz]ed|not authori[sz]ed|access (?:is )?denied|privilege|not allowed to",
                r"|(?:ikke|mangler|manglende|ingen|har ikke) (?:nødvendig )?(?:lese|skrive)?tilgang|rettighet|ikke autorisert|adgang nektet",
            ),
            ErrorClass::Permission,
        ),
        (
            concat!(
                r"time-?out|timed out|service (?:is )?(?:temporarily )?unavailable|temporarily unavailable|connection (?:was )?(?:refused|reset|closed)",
                r"|internal server error|bad gateway|under maintenance|tidsavbrudd|midlertidig utilgjengelig|vedlikehold|intern feil",
            ),
            ErrorClass::Outage,
        ),
        (
            concat!(
                r"required|missing|(?:must not|may not|can ?not|can't) be (?:blank|null|empty)|not found|(?:does|do) not exist|doesn't exist",
                r"|(?:was|is) not provided|no such|må (?:fylles ut|angis|oppgis|ha (?:en )?verdi)|mangler|påkrevd|obligatorisk",
                r"|finnes ikke|ikke funnet|fant ikke|eksisterer ikke|kan ikke være tom",
            ),
            ErrorClass::Missing,
        ),
        (
            concat!(
                r"invalid|not (?:a )?valid|must be|must have|out of range|outside the valid range|too (?:long|short|large|small)|exceeds",
                r"|expected|undeclared property|could not find a property|ugyldig|ikke (?:en )?gyldig|må være|for (?:lang|kort|stor|liten)\b",
                r"|utenfor|feil format|overskrider",
            ),
            ErrorClass::Value,
        ),
    ]
    .into_iter()
    .filter_map(|(pattern, class)| Some((Regex::new(&format!("(?i:{pattern})")).ok()?, class)))
    .collect()
});

fn by_words(message: &str) -> Option<ErrorClass> {
    WORDS.iter().find(|(words, _)| words.is_match(message)).map(|(_, class)| *class)
}
