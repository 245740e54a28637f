//! The settings of a source that is a PostgreSQL database, parsed with every violation at once.

use std::net::IpAddr;
use std::time::Duration;

use domain::violation::{Rule, Violation};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use url::Host;

use super::query;
use crate::credentials::{self, Credentials};
use crate::guard::OutboundPolicy;
use crate::reader::Reader;
use crate::source::record;

/// What a source that is a PostgreSQL database needs to know.
pub(crate) struct Settings {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: String,
    /// Whose certificates are believed; without it, nothing is encrypted and nobody has to show one.
    pub(super) roots: Option<RootCertStore>,
    /// The records that have changed since `$1`.
    pub(super) list_query: String,
    /// The record whose id is `$1`.
    pub(super) fetch_query: String,
    /// Records of a part of the list.
    pub(super) page_size: usize,
    pub(super) record_type: String,
    pub(super) concurrency: usize,
    pub(super) timeout: Duration,
}

/// As whom the database is read.
pub(crate) struct Login {
    pub(super) username: String,
    pub(super) password: String,
    /// The same, for taking it out of texts.
    pub(super) credentials: Credentials,
}

impl Login {
    fn of(credentials: Credentials) -> Option<Self> {
        let Credentials::Basic { username, password } = &credentials else { return None };
        let (username, password) = (username.clone(), password.clone());
        Some(Self { username, password, credentials })
    }
}

/// Parses both documents, or says everything that is wrong with them.
pub(crate) fn parse(
    settings: &Value,
    credentials: Option<&Value>,
    policy: &OutboundPolicy,
) -> Result<(Settings, Login), Vec<Violation>> {
    let mut found = Vec::new();
    let parsed = settings.as_object().map(|object| read(Reader::new(object, "/settings/source", &mut found), policy));
    let before = found.len();
    let login = credentials::parse(credentials, &mut found).and_then(Login::of);
    if login.is_none() && found.len() == before {
        let detail = "the name and the password of a role that may only read, as type basic";
        found.push(Violation::new(Rule::Required, "/credentials", detail));
    }
    match (parsed, login) {
        (Some(parsed), Some(login)) if found.is_empty() => Ok((parsed, login)),
        _ => Err(found),
    }
}

fn read(mut reader: Reader<'_>, policy: &OutboundPolicy) -> Settings {
    // Settings of another kind are not read here.
    reader.take("kind");
    let host = host(&mut reader, policy);
    let port = reader.number("port", 1..=65_535, 5_432);
    let database = reader.needed("database", 63);
    if database.chars().any(char::is_control) {
        reader.complain(Rule::InvalidFormat, "database", "a name without control characters");
    }
    let roots = roots(&mut reader);
    let record_type = record::record_type(&mut reader);
    let list_query = reading_query(&mut reader, "list_query", false);
    let fetch_query = reading_query(&mut reader, "fetch_query", true);
    let page_size = reader.number("page_size", 1..=10_000, 500) as usize;
    let concurrency = reader.number("concurrency", 1..=16, 4) as usize;
    let timeout = Duration::from_millis(reader.number("timeout_ms", 100..=120_000, 15_000).into());
    reader.finish();
    Settings {
        host,
        port: u16::try_from(port).unwrap_or(5_432),
        database,
        roots,
        list_query,
        fetch_query,
        page_size,
        record_type,
        concurrency,
        timeout,
    }
}

/// A name, or an address that may be connected to.
fn host(reader: &mut Reader<'_>, policy: &OutboundPolicy) -> String {
    let host = reader.needed("host", 255);
    if host.is_empty() {
        return host;
    }
    let wrong = match host.parse::<IpAddr>() {
        Ok(address) if policy.allows(address) => None,
        Ok(_) => Some("requests may not go to this address"),
        Err(_) => {
            let is_name = matches!(Host::parse(&host), Ok(Host::Domain(_))) && ServerName::try_from(&*host).is_ok();
            (!is_name).then_some("the name of a host, or its address, without a port")
        }
    };
    if let Some(wrong) = wrong {
        reader.complain(Rule::InvalidFormat, "host", wrong);
    }
    host
}

/// Whose certificates are believed: those of the public, or of the authorities that are named instead.
fn roots(reader: &mut Reader<'_>) -> Option<RootCertStore> {
    let tls = reader.text("tls", 20);
    let given = reader.text("ca_certificate", 50_000);
    if tls.as_deref() == Some("disable") {
        reader.only_with("ca_certificate", false, "only with tls verify-full");
        return None;
    }
    if !matches!(tls.as_deref(), None | Some("verify-full")) {
        reader.complain(Rule::UnknownValue, "tls", "verify-full or disable");
    }
    if given.as_deref().is_some_and(|pem| pem.contains("PRIVATE KEY")) {
        // Settings are no secret.
        reader.complain(Rule::InvalidFormat, "ca_certificate", "certificates alone, without a private key");
    }
    let mut roots = RootCertStore::empty();
    let Some(pem) = given else {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return Some(roots);
    };
    let all_taken = CertificateDer::pem_slice_iter(pem.as_bytes())
        .all(|certificate| certificate.is_ok_and(|certificate| roots.add(certificate).is_ok()));
    if !all_taken || roots.is_empty() {
        reader.complain(Rule::InvalidFormat, "ca_certificate", "certificates of authorities in PEM form");
    }
    Some(roots)
}

fn reading_query(reader: &mut Reader<'_>, name: &'static str, of_one_record: bool) -> String {
    let text = reader.needed(name, 20_000);
    if text.is_empty() {
        return text;
    }
    let wrong = match query::seen(&text) {
        Err(wrong) => Some(wrong),
        Ok(seen) if seen.parameters.iter().any(|number| *number != 1) => Some("no other parameter than $1"),
        Ok(seen) if of_one_record && seen.parameters.is_empty() => Some("a query with $1 in it, the record's id"),
        // What it leaves out would not be asked for again: the next reading begins where this one did.
        Ok(seen) if !of_one_record && seen.is_cut_short => Some("all records, without LIMIT, OFFSET and FETCH"),
        Ok(_) => None,
    };
    if let Some(wrong) = wrong {
        reader.complain(Rule::InvalidFormat, name, wrong);
    }
    text
}
