//! A small declarative mapping from source records to what an external system takes.
//!
//! ```json
//! {
//!     "entity": "addGLImportItems",
//!     "lines": "/lines",
//!     "fields": {
//!         "account.code": { "from": "/account", "as": "text", "required": true, "per_line": true },
//!         "amount": { "from": "/amount", "as": "money", "required": true, "per_line": true },
//!         "postedDate": { "from": "/date", "as": "date" },
//!         "text": { "from": "/purpose", "as": "text", "personal": true },
//!         "currency": { "value": "NOK" }
//!     }
//! }
//! ```
//!
//! A record becomes one node, or one for each of its `lines`. A field has the external system's name, with a point
//! before each deeper member; its value is a constant or stands in the record (in the line, where it is `per_line`),
//! perhaps under another word that a `map` translates, and is written `as` the external system wants it. Nothing is
//! guessed: what does not fit is an error that names its place in the record, and nothing is sent.

mod apply;
mod parse;
mod trace;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

/// Code of a value that must be there and is not.
pub const MAPPING_MISSING_VALUE: &str = "MAPPING_MISSING_VALUE";
/// Code of a value that cannot be written as the mapping says.
pub const MAPPING_INVALID_VALUE: &str = "MAPPING_INVALID_VALUE";
/// Code of a record that would become too much.
pub const MAPPING_TOO_LARGE: &str = "MAPPING_TOO_LARGE";

/// What ends the name of a member that refers to another row, as OData has it.
const BIND: &str = "@odata.bind";

/// One node or entity, as the external system takes it.
pub type Node = Map<String, Value>;

/// How source records become nodes; as JSON it is what it was read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mapping {
    entity: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<String>,
    /// By the external system's names; none stands above another.
    fields: BTreeMap<String, Field>,
}

impl Mapping {
    /// What the nodes are: a mutation or an entity set, by the external system's name.
    pub fn entity(&self) -> &str {
        &self.entity
    }

    /// Where a record's lines stand, if each becomes a node.
    pub fn lines(&self) -> Option<&str> {
        self.lines.as_deref()
    }

    /// The external system's names of the fields.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.keys().map(String::as_str)
    }

    /// Those of them that refer to rows as OData does.
    pub fn binds(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(|(_, field)| field.is_bind()).map(|(name, _)| name.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Field {
    #[serde(flatten)]
    origin: Origin,
    /// `None` for constants and words of a map that are sent as they stand.
    #[serde(flatten)]
    kind: Option<Kind>,
}

impl Field {
    const fn is_per_line(&self) -> bool {
        matches!(self.origin, Origin::Source { per_line: true, .. })
    }

    const fn is_personal(&self) -> bool {
        matches!(self.origin, Origin::Source { personal: true, .. })
    }

    const fn is_bind(&self) -> bool {
        matches!(self.kind, Some(Kind::Bind { .. }))
    }
}

/// Where a field's value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Origin {
    /// The same in every node.
    Constant { value: Value },
    /// The source record.
    Source {
        from: String,
        /// The record's words and what takes their place; empty where the value is taken as it is.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        map: BTreeMap<String, Value>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        required: bool,
        /// `from` begins at the line, not at the record.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        per_line: bool,
        /// Taken out of the external system's words before they are kept.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        personal: bool,
    },
}

/// How a value is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "as", rename_all = "snake_case")]
enum Kind {
    /// A text.
    Text,
    /// A whole number.
    Integer,
    /// A number, from a text that holds it exactly.
    Decimal,
    /// An amount as a text.
    Money,
    /// `YYYY-MM-DD`.
    Date,
    /// RFC 3339, with its offset.
    Datetime,
    /// True or false.
    Boolean,
    /// A whole number of 64 bits as a text.
    Id,
    /// A reference to a row of another entity set, by its id or by an alternate key.
    Bind {
        set: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
}

#[cfg(test)]
mod tests;
