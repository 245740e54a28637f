//! From a source record to what the external system takes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::{DateTime, NaiveDate, SecondsFormat};
use rust_decimal::Decimal;
use serde_json::Value;
use uuid::Uuid;

use super::{
    BIND, Field, Kind, MAPPING_INVALID_VALUE, MAPPING_MISSING_VALUE, MAPPING_TOO_LARGE, Mapping, Node, Origin,
};
use crate::amount::parse_amount;
use crate::record::RecordError;

/// Most lines of a record: as many nodes as Xledger takes at once.
const MAX_LINES: usize = 500;
/// Most bytes of a record's nodes, by their names and texts.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Most errors of a record: no more are kept.
const MAX_ERRORS: usize = 50;
/// Most words of a map that an error offers.
const MAX_HINTS: usize = 20;

/// What [`text`] takes, in words.
pub(super) const SCALAR: &str = "a text, a whole number, true or false";

impl Mapping {
    /// What is sent of a record: one node, or one for each line, in their order.
    ///
    /// A value that is absent, null or an empty text is missing. The errors never quote the record's values.
    pub fn apply(&self, payload: &Value) -> Result<Vec<Node>, Vec<RecordError>> {
        let lines = self.count_lines(payload).map_err(|error| vec![error])?;
        let (mut nodes, mut errors, mut bytes) = (Vec::with_capacity(lines), Vec::new(), 0);
        for line in 0..lines {
            let mut node = Node::new();
            for (name, field) in &self.fields {
                let place = self.place(field, line);
                match field.value(payload, place.as_deref()) {
                    Ok(None) => {}
                    Ok(Some(value)) => {
                        bytes += name.len() + value.as_str().map_or(8, str::len);
                        put(&mut node, name, if field.is_bind() { BIND } else { "" }, value);
                    }
                    Err(fault) => errors.push(fault.told(name, place)),
                }
                if bytes > MAX_BYTES {
                    let message = format!("the record would become more than {MAX_BYTES} bytes");
                    return Err(vec![error(MAPPING_TOO_LARGE, message, None)]);
                }
                if errors.len() == MAX_ERRORS {
                    return Err(errors);
                }
            }
            nodes.push(node);
        }
        if errors.is_empty() { Ok(nodes) } else { Err(errors) }
    }

    /// How many nodes a record becomes; one where it becomes none.
    pub fn size_of(&self, payload: &Value) -> usize {
        self.count_lines(payload).unwrap_or(1)
    }

    /// How many nodes a record becomes.
    pub(super) fn count_lines(&self, payload: &Value) -> Result<usize, RecordError> {
        let Some(pointer) = &self.lines else { return Ok(1) };
        let (code, message) = match payload.pointer(pointer) {
            Some(Value::Array(lines)) if (1..=MAX_LINES).contains(&lines.len()) => return Ok(lines.len()),
            Some(Value::Array(lines)) if lines.len() > MAX_LINES => {
                (MAPPING_TOO_LARGE, format!("the record has more than {MAX_LINES} lines"))
            }
            None | Some(Value::Null | Value::Array(_)) => (MAPPING_MISSING_VALUE, "the record has no lines".to_owned()),
            Some(_) => (MAPPING_INVALID_VALUE, "the record's lines are not a list".to_owned()),
        };
        Err(error(code, message, Some(pointer.clone())))
    }
}

/// Why a field has no value.
pub(super) enum Fault<'a> {
    /// The record has none.
    Missing,
    /// The record's value cannot be written so; what could be.
    Unfit(&'static str),
    /// The record's value is none of these words.
    Unmapped(&'a BTreeMap<String, Value>),
}

impl Fault<'_> {
    fn told(&self, name: &str, place: Option<String>) -> RecordError {
        let (code, message) = match self {
            Self::Missing => (MAPPING_MISSING_VALUE, format!("{name}: the record has no value for it")),
            Self::Unfit(wanted) => (MAPPING_INVALID_VALUE, format!("{name}: the record's value is not {wanted}")),
            Self::Unmapped(_) => (MAPPING_INVALID_VALUE, format!("{name}: the record's value is no word of the map")),
        };
        let hints = match self {
            Self::Unmapped(map) => map.keys().take(MAX_HINTS).cloned().collect(),
            Self::Missing | Self::Unfit(_) => Vec::new(),
        };
        RecordError { field_name: Some(name.to_owned()), hints, ..error(code, message, place) }
    }
}

fn error(code: &str, message: String, field: Option<String>) -> RecordError {
    RecordError { code: code.to_owned(), message, field, ..RecordError::default() }
}

impl Field {
    /// The field's value as it is sent, `None` where an optional one is missing; `place` is where it stands in the
    /// record.
    pub(super) fn value(&self, payload: &Value, place: Option<&str>) -> Result<Option<Value>, Fault<'_>> {
        let value = match &self.origin {
            Origin::Constant { value } => value,
            Origin::Source { map, required, .. } => {
                let found = place.and_then(|place| payload.pointer(place));
                let Some(found) = found.filter(|found| !is_nothing(found)) else {
                    return if *required { Err(Fault::Missing) } else { Ok(None) };
                };
                if map.is_empty() {
                    found
                } else {
                    text(found).and_then(|word| map.get(&*word)).ok_or(Fault::Unmapped(map))?
                }
            }
        };
        match &self.kind {
            None => Ok(Some(value.clone())),
            Some(kind) => kind.fit(value).map(Some).map_err(Fault::Unfit),
        }
    }
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(str::is_empty)
}

impl Kind {
    /// The value as the external system wants it; otherwise what would have been one.
    pub(super) fn fit(&self, value: &Value) -> Result<Value, &'static str> {
        let (fitted, wanted) = match self {
            Self::Text => (text(value).map(Value::from), SCALAR),
            Self::Integer => (whole(value).map(Value::from), "a whole number"),
            Self::Decimal => {
                (amount(value).and_then(json_number), "a decimal such as 1250.5, as a text, with at most 15 digits")
            }
            Self::Money => {
                let amount = amount(value).map(|amount| amount.to_string().into());
                (amount, "an amount such as 1250.00, as a text, or a whole number")
            }
            Self::Date => (date(value), "a date such as 2026-11-20"),
            Self::Datetime => (datetime(value), "a time such as 2026-11-20T13:03:06+01:00"),
            Self::Boolean => (value.as_bool().map(Value::from), "true or false"),
            Self::Id => (whole(value).map(|id| id.to_string().into()), "a whole number, perhaps as a text"),
            Self::Bind { set, key: Some(key) } => {
                let reference = text(value).map(|text| format!("/{set}({key}='{}')", key_literal(&text)).into());
                (reference, SCALAR)
            }
            Self::Bind { set, key: None } => {
                let id = value.as_str().and_then(|text| Uuid::parse_str(text).ok());
                (id.map(|id| format!("/{set}({})", id.hyphenated()).into()), "a row's id, a UUID")
            }
        };
        fitted.ok_or(wanted)
    }
}

/// The value in its one spelling. A fraction as a JSON number has none: it may have lost digits on its way here.
pub(super) fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text.as_str())),
        Value::Number(number) if !number.is_f64() => Some(Cow::Owned(number.to_string())),
        Value::Bool(flag) => Some(Cow::Owned(flag.to_string())),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<i64> {
    let text = text(value)?;
    text.parse::<i64>().ok().filter(|number| number.to_string() == text)
}

fn amount(value: &Value) -> Option<Decimal> {
    let amount = parse_amount(&text(value)?)?;
    // There is no negative nothing.
    Some(if amount.is_zero() { amount.abs() } else { amount })
}

/// The same number in JSON, if it is still the same for readers that take every number for a binary fraction.
fn json_number(amount: Decimal) -> Option<Value> {
    let text = amount.normalize().to_string();
    let number: f64 = text.parse().ok()?;
    if Decimal::from_str_exact(&number.to_string()).ok()? != amount {
        return None;
    }
    Some(text.parse::<i64>().map_or_else(|_| number.into(), Value::from))
}

fn date(value: &Value) -> Option<Value> {
    let text = value.as_str()?;
    let date: NaiveDate = text.parse().ok()?;
    // Chrono takes more spellings, and years of more digits.
    (text.len() == 10 && date.to_string() == text).then(|| text.into())
}

fn datetime(value: &Value) -> Option<Value> {
    let moment = DateTime::parse_from_rfc3339(value.as_str()?).ok()?;
    Some(moment.to_rfc3339_opts(SecondsFormat::AutoSi, true).into())
}

/// A text within an alternate key: apostrophes doubled (OData), and what has a meaning in addresses escaped (RFC 3986).
fn key_literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'\'' => literal.push_str("''"),
            _ if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => literal.push(char::from(byte)),
            _ => {
                let _ = write!(literal, "%{byte:02X}");
            }
        }
    }
    literal
}

/// Puts a value where its name says: `account.code` is the member `code` of the member `account`.
fn put(node: &mut Node, name: &str, suffix: &str, value: Value) {
    let Some((first, rest)) = name.split_once('.') else {
        node.insert(format!("{name}{suffix}"), value);
        return;
    };
    // Always an object: no field stands above another.
    if let Value::Object(below) = node.entry(first).or_insert_with(|| Value::Object(Node::new())) {
        put(below, rest, suffix, value);
    }
}
