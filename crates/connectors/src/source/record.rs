//! A record out of what a source says of it.

use domain::amount::{can_be_kept, parse_amount};
use serde_json::Value;
use uuid::Uuid;

use super::SourceRecord;
use crate::error_shapes::clean;

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
        let label = at(self.label.as_deref())
            .and_then(text)
            .map(|label| clean(&label, MAX_LABEL))
            .filter(|label| !label.is_empty());
        let currency = at(self.currency.as_deref()).and_then(text).filter(|code| is_currency(code));
        let amount = at(self.amount.as_deref()).and_then(text).and_then(|amount| parse_amount(amount.trim()));
        let (amount, currency) = match (amount.filter(|amount| can_be_kept(*amount)), currency) {
            (Some(amount), Some(currency)) => (Some(amount), Some(currency)),
            _ => (None, None),
        };
        Ok(SourceRecord { id, label, amount, currency, payload })
    }
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
