//! A record out of what a source says of it.

use domain::amount::{can_be_kept, parse_amount};
use domain::violation::Rule;
use serde_json::Value;
use uuid::Uuid;

use super::SourceRecord;
use crate::error_shapes::clean;
use crate::reader::Reader;

/// Characters of a label that are kept.
const MAX_LABEL: usize = 200;

/// Where a record's parts stand in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pointers {
    pub(super) id: String,
    pub(super) label: Option<String>,
    pub(super) amount: Option<String>,
    pub(super) currency: Option<String>,
    /// Without it, the record as a whole is sent.
    pub(super) payload: Option<String>,
}

/// Why there is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRecord {
    Id,
    Payload,
}

impl Pointers {
    /// Reads a record. An amount that the ledger cannot keep, or that has no currency, is left out: the external system
    /// is the one to complain of it.
    pub(super) fn record(&self, item: &Value) -> Result<SourceRecord, NoRecord> {
        let at = |pointer: Option<&str>| pointer.and_then(|pointer| item.pointer(pointer));
        let id = item.pointer(&self.id).and_then(Value::as_str).and_then(|id| Uuid::try_parse(id.trim()).ok());
        let id = id.ok_or(NoRecord::Id)?;
        let payload = match &self.payload {
            Some(pointer) => item.pointer(pointer),
            None => Some(item),
        };
        let payload = payload.filter(|payload| payload.is_object()).ok_or(NoRecord::Payload)?.clone();
        let told = |pointer: &Option<String>| at(pointer.as_deref()).and_then(text);
        Ok(record(id, told(&self.label), told(&self.amount), told(&self.currency), payload))
    }
}

/// A record out of its parts, as far as they can be kept.
pub(super) fn record(
    id: Uuid,
    label: Option<String>,
    amount: Option<String>,
    currency: Option<String>,
    payload: Value,
) -> SourceRecord {
    let label = label.map(|label| clean(&label, MAX_LABEL)).filter(|label| !label.is_empty());
    let currency = currency.filter(|code| is_currency(code));
    let amount = amount.and_then(|amount| parse_amount(amount.trim())).filter(|amount| can_be_kept(*amount));
    let (amount, currency) = match (amount, currency) {
        (Some(amount), Some(currency)) => (Some(amount), Some(currency)),
        _ => (None, None),
    };
    SourceRecord { id, label, amount, currency, payload }
}

/// The type of a source's records, from its settings.
pub(super) fn record_type(reader: &mut Reader<'_>) -> String {
    let record_type = reader.needed("type", 100);
    if !record_type.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')) {
        reader.complain(Rule::InvalidFormat, "type", "letters, digits, points, hyphens and underscores");
    }
    record_type
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn is_currency(code: &str) -> bool {
    code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}
