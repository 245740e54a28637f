//! Reading a mapping from JSON, or saying everything that is wrong with it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::apply::{SCALAR, text};
use super::{Field, Kind, Mapping, Origin};
use crate::violation::{Rule, Violation};

/// Most fields of a mapping.
const MAX_FIELDS: usize = 200;
/// Most steps of an external name or of a pointer.
const MAX_STEPS: usize = 8;
/// Longest name, in characters.
const MAX_NAME: usize = 200;
/// Longest pointer, in characters.
const MAX_POINTER: usize = 500;
/// Longest constant, in characters.
const MAX_CONSTANT: usize = 4_000;
/// Most entries of a map.
const MAX_ENTRIES: usize = 1_000;

impl Mapping {
    /// Reads a mapping, or says everything that is wrong with it, with pointers into the mapping.
    pub fn parse(mapping: &Value) -> Result<Self, Vec<Violation>> {
        let Some(object) = mapping.as_object() else {
            return Err(vec![Violation::new(Rule::InvalidFormat, "", "an object with `entity` and `fields`")]);
        };
        let mut found = Vec::new();
        let mapping = read(Reader::new(object, String::new(), &mut found));
        if found.is_empty() { Ok(mapping) } else { Err(found) }
    }
}

/// What takes the place of something wrong is never seen: its violation is.
fn read(mut reader: Reader<'_>) -> Mapping {
    let entity = reader.needed_identifier("entity");
    let lines = reader.pointer("lines");
    let fields = reader.fields();
    if !reader.has("lines") {
        for (name, _) in fields.iter().filter(|(_, field)| field.is_per_line()) {
            let at = format!("/fields/{}/per_line", escape(name));
            reader.found.push(Violation::new(Rule::InvalidFormat, at, "only where the mapping has `lines`"));
        }
    } else if !fields.is_empty() && !fields.values().any(Field::is_per_line) {
        // A record of two lines would be booked twice.
        reader.complain(Rule::InvalidFormat, "lines", "no field is `per_line`, so every line would become the same");
    }
    reader.finish();
    Mapping { entity, lines, fields }
}

fn field(mut reader: Reader<'_>) -> Field {
    let is_constant = reader.has("value");
    let kind = reader.kind(!is_constant && !reader.has("map"));
    let origin = if is_constant { reader.constant(kind.as_ref()) } else { reader.source(kind.as_ref()) };
    reader.finish();
    Field { origin, kind }
}

/// Collects violations while members are taken out of an object.
struct Reader<'a> {
    object: &'a Map<String, Value>,
    /// JSON Pointer of the object.
    at: String,
    known: Vec<&'static str>,
    found: &'a mut Vec<Violation>,
}

impl<'a> Reader<'a> {
    fn new(object: &'a Map<String, Value>, at: String, found: &'a mut Vec<Violation>) -> Self {
        Self { object, at, known: Vec::new(), found }
    }

    fn complain(&mut self, rule: Rule, name: &str, detail: impl Into<String>) {
        self.found.push(Violation::new(rule, format!("{}/{}", self.at, escape(name)), detail));
    }

    fn has(&self, name: &str) -> bool {
        self.object.get(name).is_some_and(|value| !value.is_null())
    }

    /// A member that is there and not null.
    fn take(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.object.get(name).filter(|value| !value.is_null())
    }

    fn fields(&mut self) -> BTreeMap<String, Field> {
        let mut fields = BTreeMap::new();
        let Some(value) = self.take("fields") else {
            self.complain(Rule::Required, "fields", "`fields` is needed");
            return fields;
        };
        let Some(members) = value.as_object().filter(|members| !members.is_empty()) else {
            self.complain(Rule::InvalidFormat, "fields", "an object with at least one field");
            return fields;
        };
        if members.len() > MAX_FIELDS {
            self.complain(Rule::TooLong, "fields", format!("at most {MAX_FIELDS} fields"));
            return fields;
        }
        for (name, value) in members {
            let at = format!("/fields/{}", escape(name));
            if !is_name(name) {
                let detail = format!("a name such as account.code, of at most {MAX_STEPS} steps");
                self.found.push(Violation::new(Rule::InvalidFormat, at.clone(), detail));
            }
            if let Some(above) = above(name).find(|above| members.contains_key(*above)) {
                let detail = format!("{above} is a field of its own");
                self.found.push(Violation::new(Rule::Duplicate, at.clone(), detail));
            }
            if let Some(object) = value.as_object() {
                fields.insert(name.clone(), field(Reader::new(object, at, self.found)));
            } else {
                self.found.push(Violation::new(Rule::InvalidFormat, at, "an object with `from` or `value`"));
            }
        }
        fields
    }

    fn constant(&mut self, kind: Option<&Kind>) -> Origin {
        let value = self.take("value").cloned().unwrap_or_default();
        self.check_constant("/value", &value, kind);
        Origin::Constant { value }
    }

    fn source(&mut self, kind: Option<&Kind>) -> Origin {
        if !self.has("from") {
            self.complain(Rule::Required, "from", "`from` or `value` is needed");
        }
        Origin::Source {
            from: self.pointer("from").unwrap_or_default(),
            map: self.map(kind),
            required: self.flag("required"),
            per_line: self.flag("per_line"),
            personal: self.flag("personal"),
        }
    }

    fn map(&mut self, kind: Option<&Kind>) -> BTreeMap<String, Value> {
        let Some(value) = self.take("map") else { return BTreeMap::new() };
        let Some(entries) = value.as_object().filter(|entries| !entries.is_empty()) else {
            self.complain(Rule::InvalidFormat, "map", "an object with at least one word");
            return BTreeMap::new();
        };
        if entries.len() > MAX_ENTRIES {
            self.complain(Rule::TooLong, "map", format!("at most {MAX_ENTRIES} words"));
            return BTreeMap::new();
        }
        for (word, value) in entries {
            self.check_constant(&format!("/map/{}", escape(word)), value, kind);
        }
        entries.iter().map(|(word, value)| (word.clone(), value.clone())).collect()
    }

    fn check_constant(&mut self, at: &str, value: &Value, kind: Option<&Kind>) {
        let (rule, detail) = match value {
            Value::String(text) if text.chars().count() > MAX_CONSTANT => {
                (Rule::TooLong, format!("at most {MAX_CONSTANT} characters"))
            }
            _ if text(value).is_none() => (Rule::InvalidFormat, SCALAR.to_owned()),
            _ => match kind.and_then(|kind| kind.fit(value).err()) {
                Some(wanted) => (Rule::InvalidFormat, wanted.to_owned()),
                None => return,
            },
        };
        self.found.push(Violation::new(rule, format!("{}{at}", self.at), detail));
    }

    fn kind(&mut self, is_needed: bool) -> Option<Kind> {
        if is_needed && !self.has("as") {
            self.complain(Rule::Required, "as", "`as` says how the value is written");
        }
        Some(match self.text("as", MAX_NAME)? {
            "text" => Kind::Text,
            "integer" => Kind::Integer,
            "decimal" => Kind::Decimal,
            "money" => Kind::Money,
            "date" => Kind::Date,
            "datetime" => Kind::Datetime,
            "boolean" => Kind::Boolean,
            "id" => Kind::Id,
            "bind" => Kind::Bind { set: self.needed_identifier("set"), key: self.identifier("key") },
            _ => {
                let detail = "text, integer, decimal, money, date, datetime, boolean, id or bind";
                self.complain(Rule::UnknownValue, "as", detail);
                return None;
            }
        })
    }

    fn text(&mut self, name: &'static str, longest: usize) -> Option<&'a str> {
        let value = self.take(name)?;
        match value.as_str() {
            Some(text) if text.chars().count() > longest => {
                self.complain(Rule::TooLong, name, format!("at most {longest} characters"));
                None
            }
            Some(text) if !text.is_empty() => Some(text),
            _ => {
                self.complain(Rule::InvalidFormat, name, "a text");
                None
            }
        }
    }

    fn identifier(&mut self, name: &'static str) -> Option<String> {
        let text = self.text(name, MAX_NAME)?;
        if is_identifier(text) {
            return Some(text.to_owned());
        }
        self.complain(Rule::InvalidFormat, name, "letters, digits and underscores, with no digit first");
        None
    }

    fn needed_identifier(&mut self, name: &'static str) -> String {
        if !self.has(name) {
            self.complain(Rule::Required, name, format!("`{name}` is needed"));
        }
        self.identifier(name).unwrap_or_default()
    }

    fn pointer(&mut self, name: &'static str) -> Option<String> {
        let text = self.text(name, MAX_POINTER)?;
        let escapes_are_whole = text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
        if text.starts_with('/') && escapes_are_whole && text.matches('/').count() <= MAX_STEPS {
            return Some(text.to_owned());
        }
        let detail = format!("a JSON Pointer such as /cost_center, of at most {MAX_STEPS} steps");
        self.complain(Rule::InvalidFormat, name, detail);
        None
    }

    fn flag(&mut self, name: &'static str) -> bool {
        let Some(value) = self.take(name) else { return false };
        value.as_bool().unwrap_or_else(|| {
            self.complain(Rule::InvalidFormat, name, "true or false");
            false
        })
    }

    /// Complains of every member that was not asked for.
    fn finish(mut self) {
        let is_unknown = |name: &&String| self.has(name) && !self.known.contains(&name.as_str());
        let unknown: Vec<&String> = self.object.keys().filter(is_unknown).collect();
        for name in unknown {
            self.complain(Rule::UnknownField, name, "there is no such member, or it does not go with the others");
        }
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME && name.split('.').count() <= MAX_STEPS && name.split('.').all(is_identifier)
}

fn is_identifier(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The names of what a field lies in.
fn above(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('.').map(move |(at, _)| &name[..at])
}

/// A name as a step of a JSON Pointer.
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
