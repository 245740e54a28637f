//! The canonical form: what is hashed, byte by byte.
//!
//! A form begins with its version and kind. Each field is a tag, the number of its bytes (four, big-endian) and the bytes,
//! so that no byte can move from one field to the next; a field without a value is the tag 0 alone.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::Hash;

/// The version that stands at the beginning of every form.
pub const VERSION: &str = "syncwatch/seal/1/";

const NOTHING: u8 = 0;
const TEXT: u8 = 1;
const NUMBER: u8 = 2;
const UUID: u8 = 3;
const MOMENT: u8 = 4;
const FLAG: u8 = 5;
const BYTES: u8 = 6;
const DECIMAL: u8 = 7;
const JSON: u8 = 8;
const SOMETHING: u8 = 9;

/// A form that is being written.
#[derive(Clone, Debug)]
pub struct Form(Vec<u8>);

impl Form {
    /// An empty form of a kind.
    pub fn new(kind: &str) -> Self {
        let mut form = Self(VERSION.as_bytes().to_vec());
        form.0.extend_from_slice(kind.as_bytes());
        form
    }

    /// SHA-256 of the form.
    pub fn hash(&self) -> Hash {
        Sha256::digest(&self.0).into()
    }

    /// Moves what was written so far into a hash that goes on, so that a long form takes no memory.
    pub(super) fn drain_into(&mut self, hasher: &mut Sha256) {
        hasher.update(&self.0);
        self.0.clear();
    }

    /// The form's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn field(&mut self, tag: u8, bytes: &[u8]) -> &mut Self {
        self.0.push(tag);
        self.0.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// A text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.field(TEXT, text.as_bytes())
    }

    /// A whole number.
    pub fn number(&mut self, number: i64) -> &mut Self {
        self.field(NUMBER, &number.to_be_bytes())
    }

    /// An id.
    pub fn uuid(&mut self, id: Uuid) -> &mut Self {
        self.field(UUID, id.as_bytes())
    }

    /// A moment, in microseconds since 1970.
    pub fn moment(&mut self, moment: DateTime<Utc>) -> &mut Self {
        self.field(MOMENT, &moment.timestamp_micros().to_be_bytes())
    }

    /// Yes or no.
    pub fn flag(&mut self, flag: bool) -> &mut Self {
        self.field(FLAG, &[u8::from(flag)])
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.field(BYTES, bytes)
    }

    /// A decimal number, without superfluous zeros.
    pub fn decimal(&mut self, number: Decimal) -> &mut Self {
        self.field(DECIMAL, number.normalize().to_string().as_bytes())
    }

    /// A JSON text by its value: spaces and the order of members do not matter. A text that is no JSON stands as it is.
    pub fn json(&mut self, text: &str) -> &mut Self {
        match serde_json::from_str::<Value>(text) {
            Ok(value) => {
                let mut bytes = Vec::with_capacity(text.len());
                write_json(&value, &mut bytes);
                self.field(JSON, &bytes)
            }
            Err(_) => self.text(text),
        }
    }

    /// A field that may have no value.
    pub fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T) -> &mut Self) -> &mut Self {
        if let Some(value) = value {
            self.0.push(SOMETHING);
            write(self, value)
        } else {
            self.0.push(NOTHING);
            self
        }
    }
}

/// JSON without spaces, members in the order of their names' bytes, numbers as serde writes them.
fn write_json(value: &Value, into: &mut Vec<u8>) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<(&String, &Value)> = members.iter().collect();
            members.sort_by(|left, right| left.0.as_bytes().cmp(right.0.as_bytes()));
            into.push(b'{');
            for (index, (name, member)) in members.into_iter().enumerate() {
                if index > 0 {
                    into.push(b',');
                }
                into.extend_from_slice(Value::String(name.clone()).to_string().as_bytes());
                into.push(b':');
                write_json(member, into);
            }
            into.push(b'}');
        }
        Value::Array(items) => {
            into.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    into.push(b',');
                }
                write_json(item, into);
            }
            into.push(b']');
        }
        plain => into.extend_from_slice(plain.to_string().as_bytes()),
    }
}
