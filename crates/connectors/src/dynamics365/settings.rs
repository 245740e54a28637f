//! The settings of a Dynamics 365 connector, parsed with every violation at once.

use std::time::Duration;

use chrono::TimeDelta;
use domain::asking::{Asking, REPEAT_MARGIN, Recognition};
use domain::credentials::MICROSOFT_TOKEN_SERVICE;
use domain::mapping::Mapping;
use domain::pacing::Bucket;
use domain::violation::{Rule, Violation};
use serde_json::Value;
use url::Url;

use crate::credentials::{ClientCredentials, client};
use crate::guard::OutboundPolicy;
use crate::pacing;
use crate::reader::{Reader, address, escape};

/// Where the Web API lies in an environment.
const WEB_API: &str = "/api/data/v9.2/";
/// Most operations of a `$batch`.
const MOST_ROWS: u32 = 1_000;
/// Most requests that Dataverse works on at once for one user.
const MOST_AT_ONCE: u32 = 52;

/// What may become of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// It is made, and one that is there is left as it is.
    Create,
    /// It is made, or changed where it is there.
    Upsert,
    /// It is changed, and none is made.
    Update,
}

/// What a Dynamics 365 connector needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The root of the environment's Web API.
    pub root: Url,
    /// Where tokens are given.
    pub token_url: Url,
    /// What tokens are for.
    pub scope: String,
    /// How records become rows.
    pub mapping: Mapping,
    /// The column by which a record's row is found, an alternate key of its own: it holds the record's id.
    pub key_attribute: String,
    /// What may become of rows.
    pub write: Write,
    /// Rows in a request, 1–1,000. With 1 each has a request of its own, with more they leave in a `$batch`.
    pub batch_size: usize,
    /// Requests at once, 1–52.
    pub concurrency: usize,
    /// Requests in a time; unless set, Dataverse itself says when it is too much.
    pub rate: Option<Bucket>,
    /// From the start of a request to the end of its answer; half of it, at most 10 s, may go into connecting. No
    /// request begins later than this after its token was asked for.
    pub timeout: Duration,
    /// How long a request may be worked on after it was given up, at most an hour.
    pub settle: Duration,
}

impl Settings {
    /// How Dataverse can be asked about records that were sent with these settings.
    pub fn asking(&self) -> Asking {
        let Self { root, key_attribute, mapping, .. } = self;
        let set = mapping.entity();
        let (by, settled) = match self.write {
            Write::Create => ("if-none-match", Some(self.settled())),
            // What was done already is done again, and changes nothing. That a row is there says nothing: it may have
            // been there before.
            Write::Upsert | Write::Update => ("overwritten", None),
        };
        // What may have been changed is not looked up either once rows are only created: what is found may be the row
        // as it was before.
        let target = format!("{root}\n{set}\n{key_attribute}\n{by}");
        // A repetition is refused where the row is there, for as long as it is. Yet once a look-up would be believed
        // whatever it says, it is the better question: of a record that is refused now, it also says that it is not
        // there.
        let remembers = settled.map(|settled| settled + REPEAT_MARGIN);
        let recognition = Some(Recognition { by: by.to_owned(), remembers });
        Asking { target, recognition, look_up: settled, refusable_for: None }
    }

    /// A request begins at most one timeout after it was meant to, and is given up another later.
    fn settled(&self) -> TimeDelta {
        TimeDelta::from_std(self.settle + self.timeout + self.timeout).unwrap_or(TimeDelta::MAX)
    }
}

/// Parses settings and credentials, or says everything that is wrong with them.
pub fn parse(
    settings: &Value,
    credentials: Option<&Value>,
    policy: &OutboundPolicy,
) -> Result<(Settings, ClientCredentials), Vec<Violation>> {
    let mut found = Vec::new();
    let settings = read(settings, policy, &mut found);
    let credentials = client::parse(credentials, &mut found);
    match (settings, credentials) {
        (Some(settings), Some(credentials)) if found.is_empty() => Ok((settings, credentials)),
        _ => Err(found),
    }
}

/// The settings alone, wherever they lead; `None` if anything is wrong with them.
pub(crate) fn read_leniently(settings: &Value) -> Option<Settings> {
    let anywhere = OutboundPolicy::parse("0.0.0.0/0,::/0").ok()?;
    let mut found = Vec::new();
    read(settings, &anywhere, &mut found).filter(|_| found.is_empty())
}

fn read(settings: &Value, policy: &OutboundPolicy, found: &mut Vec<Violation>) -> Option<Settings> {
    let Some(object) = settings.as_object() else {
        found.push(Violation::new(Rule::InvalidFormat, "/settings", "an object with the connector's settings"));
        return None;
    };
    let mut reader = Reader::new(object, "/settings", found);
    let environment = environment(&mut reader, policy);
    let token_url = token_url(&mut reader, policy);
    let scope = reader.text("scope", 2_000);
    let key_attribute = key_attribute(&mut reader);
    let mapping = mapping(&mut reader, &key_attribute);
    let write = write(&mut reader);
    let batch_size = reader.number("batch_size", 1..=MOST_ROWS, 1) as usize;
    let concurrency = reader.number("concurrency", 1..=MOST_AT_ONCE, 4) as usize;
    let rate = pacing::rate(&mut reader);
    let timeout = Duration::from_millis(reader.number("timeout_ms", 100..=120_000, 30_000).into());
    let settle = Duration::from_secs(reader.number("settle_seconds", 0..=3_600, 60).into());
    let detail = "only where rows are created: that a row is there says nothing otherwise";
    reader.only_with("settle_seconds", write == Write::Create, detail);
    reader.finish();
    let environment = environment?;
    let scope = scope.unwrap_or_else(|| format!("{}/.default", environment.origin().ascii_serialization()));
    let root = environment.join(WEB_API).ok()?;
    Some(Settings {
        root,
        token_url: token_url?,
        scope,
        mapping: mapping?,
        key_attribute,
        write,
        batch_size,
        concurrency,
        rate,
        timeout,
        settle,
    })
}

fn environment(reader: &mut Reader<'_>, policy: &OutboundPolicy) -> Option<Url> {
    let text = reader.needed("environment", 2_000);
    if text.is_empty() {
        return None;
    }
    let wrong = match address(&text, policy) {
        Ok(url) if url.path() == "/" && url.query().is_none() => return Some(url),
        Ok(_) => "an address such as https://contoso.crm4.dynamics.com, without a path",
        Err(wrong) => wrong,
    };
    reader.complain(Rule::InvalidFormat, "environment", wrong);
    None
}

fn token_url(reader: &mut Reader<'_>, policy: &OutboundPolicy) -> Option<Url> {
    let is_named = reader.has("token_url");
    let tenant = reader.text("tenant", 100);
    let named = reader.text("token_url", 2_000);
    match (tenant, named) {
        (Some(_), Some(_)) => {
            reader.complain(Rule::InvalidFormat, "token_url", "a tenant or a token_url, not both");
            None
        }
        (None, Some(named)) => {
            address(&named, policy).map_err(|wrong| reader.complain(Rule::InvalidFormat, "token_url", wrong)).ok()
        }
        (Some(tenant), None) => {
            let is_plain = tenant.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
                && !tenant.starts_with('.');
            if is_plain {
                return Url::parse(&format!("{MICROSOFT_TOKEN_SERVICE}/{tenant}/oauth2/v2.0/token")).ok();
            }
            reader.complain(Rule::InvalidFormat, "tenant", "a tenant's id, or its domain");
            None
        }
        (None, None) => {
            if !is_named && !reader.has("tenant") {
                reader.complain(
                    Rule::Required,
                    "tenant",
                    "tenant, or the token_url of another token service, is needed",
                );
            }
            None
        }
    }
}

fn key_attribute(reader: &mut Reader<'_>) -> String {
    let name = reader.needed("key_attribute", 100);
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !name.is_empty() && (!is_plain || name.as_bytes().first().is_some_and(u8::is_ascii_digit)) {
        reader.complain(Rule::InvalidFormat, "key_attribute", "a column's name, such as contoso_syncid");
    }
    name
}

fn mapping(reader: &mut Reader<'_>, key_attribute: &str) -> Option<Mapping> {
    let Some(value) = reader.take("mapping") else {
        reader.complain(Rule::Required, "mapping", "mapping is needed");
        return None;
    };
    let mapping = Mapping::parse(value).map_err(|found| reader.add("mapping", found)).ok()?;
    reader.add("mapping", unfit(&mapping));
    for name in mapping.names().filter(|name| name.eq_ignore_ascii_case(key_attribute)) {
        let detail = "Syncwatch sets this column itself, to find again what it has sent";
        reader.complain_at(Rule::InvalidFormat, &format!("mapping/fields/{}", escape(name)), detail);
    }
    Some(mapping)
}

/// What of a mapping Dataverse does not take, with pointers into it; the names of tables and columns it knows alone.
pub(crate) fn unfit(mapping: &Mapping) -> Vec<Violation> {
    let mut found = Vec::new();
    if mapping.lines().is_some() {
        let detail = "a record becomes one row, which is found again by its key";
        found.push(Violation::new(Rule::InvalidFormat, "/lines", detail));
    }
    for name in mapping.names().filter(|name| name.contains('.')) {
        let detail = "a column has no members; another row is referred to by `bind`";
        found.push(Violation::new(Rule::InvalidFormat, format!("/fields/{}", escape(name)), detail));
    }
    found
}

fn write(reader: &mut Reader<'_>) -> Write {
    match reader.text("write", 10).as_deref() {
        None | Some("create") => Write::Create,
        Some("upsert") => Write::Upsert,
        Some("update") => Write::Update,
        Some(_) => {
            reader.complain(Rule::UnknownValue, "write", "create, upsert or update");
            Write::Create
        }
    }
}

#[cfg(test)]
mod tests;
