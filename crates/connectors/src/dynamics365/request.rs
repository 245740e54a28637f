//! Requests to Dataverse: where a record's row is, and what is to become of it.

use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use serde_json::{Map, Value};
use url::Url;
use uuid::Uuid;

use super::batch;
use super::settings::{Settings, Write};
use crate::connector::OutboundRecord;

/// What errors are to explain of themselves; not their trace, which may hold personal data.
const EXPLAINED: &str =
    "odata.include-annotations=\"Microsoft.PowerApps.CDS.ErrorDetails*,Microsoft.PowerApps.CDS.HelpLink\"";
/// That what follows a failure is done all the same.
const CONTINUED: &str = "odata.continue-on-error";
/// Stands between parts. No part holds it: neither addresses nor JSON have line breaks.
const BOUNDARY: &str = "batch_syncwatch";

/// A request that can be made again with another token.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<String>,
}

/// Headers of every request.
fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    for name in ["odata-version", "odata-maxversion"] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static("4.0"));
    }
    headers
}

fn prefer(headers: &mut HeaderMap, wanted: &'static str) {
    headers.insert(HeaderName::from_static("prefer"), HeaderValue::from_static(wanted));
}

/// Where the row of a record is. (Its id and the names need no escaping.)
fn row_url(settings: &Settings, id: Uuid) -> Option<Url> {
    let Settings { root, mapping, key_attribute, .. } = settings;
    root.join(&format!("{}({key_attribute}='{id}')", mapping.entity())).ok()
}

/// The request by which a record becomes a row.
pub(super) fn write(settings: &Settings, record: &OutboundRecord, row: &Map<String, Value>) -> Option<Outgoing> {
    let mut headers = headers();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    prefer(&mut headers, EXPLAINED);
    let condition = match settings.write {
        Write::Create => Some(IF_NONE_MATCH),
        Write::Update => Some(IF_MATCH),
        Write::Upsert => None,
    };
    if let Some(name) = condition {
        headers.insert(name, HeaderValue::from_static("*"));
    }
    let body = serde_json::to_string(row).ok()?;
    Some(Outgoing {
        method: Method::PATCH,
        url: row_url(settings, record.source_record_id)?,
        headers,
        body: Some(body),
    })
}

/// The request that looks up a record's row. The answer holds the row's own id as well.
pub(super) fn look_up(settings: &Settings, record: &OutboundRecord) -> Option<Outgoing> {
    let mut url = row_url(settings, record.source_record_id)?;
    url.set_query(Some(&format!("$select={}", settings.key_attribute)));
    Some(read(url))
}

/// The request that tells who asks.
pub(super) fn who_am_i(settings: &Settings) -> Option<Outgoing> {
    settings.root.join("WhoAmI").ok().map(read)
}

/// The request that shows whether rows can be read, and have the column they are found by.
pub(super) fn any_row(settings: &Settings) -> Option<Outgoing> {
    let mut url = settings.root.join(settings.mapping.entity()).ok()?;
    url.set_query(Some(&format!("$select={}&$top=1", settings.key_attribute)));
    Some(read(url))
}

fn read(url: Url) -> Outgoing {
    Outgoing { method: Method::GET, url, headers: headers(), body: None }
}

/// One request for several, whose failures don't keep the others from being done.
pub(super) fn together(settings: &Settings, parts: &[Outgoing]) -> Option<Outgoing> {
    let mut headers = headers();
    prefer(&mut headers, CONTINUED);
    headers.insert(CONTENT_TYPE, HeaderValue::from_str(&format!("multipart/mixed; boundary={BOUNDARY}")).ok()?);
    let url = settings.root.join("$batch").ok()?;
    Some(Outgoing { method: Method::POST, url, headers, body: Some(batch::write(BOUNDARY, parts)) })
}

#[cfg(test)]
mod tests;
