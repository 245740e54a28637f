//! Reading settings and credentials, with every violation at once.

use domain::violation::{Rule, Violation};
use serde_json::{Map, Value};
use url::Url;

use crate::guard::OutboundPolicy;

/// Collects violations while members are taken out of an object.
pub(crate) struct Reader<'a> {
    object: &'a Map<String, Value>,
    at: &'static str,
    known: Vec<&'static str>,
    found: &'a mut Vec<Violation>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(object: &'a Map<String, Value>, at: &'static str, found: &'a mut Vec<Violation>) -> Self {
        Self { object, at, known: Vec::new(), found }
    }

    pub(crate) fn complain(&mut self, rule: Rule, name: &str, detail: &str) {
        self.complain_at(rule, &escape(name), detail);
    }

    /// Complains of a place further down: its steps, as a JSON Pointer has them.
    pub(crate) fn complain_at(&mut self, rule: Rule, steps: &str, detail: &str) {
        self.found.push(Violation::new(rule, format!("{}/{steps}", self.at), detail));
    }

    /// Whether a member is there and not null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.object.get(name).is_some_and(|value| !value.is_null())
    }

    /// A member that is there and not null.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        self.object.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn text(&mut self, name: &'static str, longest: usize) -> Option<String> {
        match self.take(name)? {
            Value::String(text) if text.chars().count() > longest => {
                self.complain(Rule::TooLong, name, &format!("at most {longest} characters"));
                None
            }
            Value::String(text) if text.is_empty() => {
                self.complain(Rule::InvalidFormat, name, "an empty text; leave it out instead");
                None
            }
            Value::String(text) => Some(text.clone()),
            _ => {
                self.complain(Rule::InvalidFormat, name, "a text");
                None
            }
        }
    }

    /// A text that must be there.
    pub(crate) fn needed(&mut self, name: &'static str, longest: usize) -> String {
        if !self.has(name) {
            self.complain(Rule::Required, name, &format!("{name} is needed"));
        }
        self.text(name, longest).unwrap_or_default()
    }

    pub(crate) fn number(&mut self, name: &'static str, range: std::ops::RangeInclusive<u32>, default: u32) -> u32 {
        let Some(value) = self.take(name) else { return default };
        let Some(number) = value.as_i64() else {
            self.complain(Rule::InvalidFormat, name, "a whole number");
            return default;
        };
        match u32::try_from(number) {
            Ok(number) if range.contains(&number) => number,
            _ => {
                self.complain(Rule::OutOfRange, name, &format!("between {} and {}", range.start(), range.end()));
                default
            }
        }
    }

    /// A JSON Pointer that leads somewhere within a document.
    pub(crate) fn pointer(&mut self, name: &'static str) -> Option<String> {
        let text = self.text(name, 500)?;
        let escapes_are_whole = text.split('~').skip(1).all(|after| after.starts_with(['0', '1']));
        if text.starts_with('/') && escapes_are_whole {
            return Some(text);
        }
        self.complain(Rule::InvalidFormat, name, "a JSON Pointer such as /data/id");
        None
    }

    /// A member that holds further members, at a place of its own.
    pub(crate) fn nested(&mut self, name: &'static str, at: &'static str) -> Option<Reader<'_>> {
        let Some(object) = self.take(name)?.as_object() else {
            self.complain(Rule::InvalidFormat, name, "an object");
            return None;
        };
        Some(Reader::new(object, at, self.found))
    }

    /// Complains of a member that is there although what it is about is not.
    pub(crate) fn only_with(&mut self, name: &'static str, there: bool, detail: &str) {
        if !there && self.has(name) {
            self.complain(Rule::InvalidFormat, name, detail);
        }
    }

    /// Takes over what is wrong within a member, by pointers into it.
    pub(crate) fn add(&mut self, name: &str, found: Vec<Violation>) {
        let at = format!("{}/{}", self.at, escape(name));
        self.found.extend(found.into_iter().map(|one| Violation { pointer: format!("{at}{}", one.pointer), ..one }));
    }

    /// Complains of every member that was not asked for.
    pub(crate) fn finish(mut self) {
        let unknown: Vec<&String> = self.object.keys().filter(|name| !self.known.contains(&name.as_str())).collect();
        for name in unknown {
            self.complain(Rule::UnknownField, name, "there is no such setting");
        }
    }
}

/// The address that a text is, as far as that can be said without asking for its name; otherwise what is wrong with it.
pub(crate) fn address(text: &str, policy: &OutboundPolicy) -> Result<Url, &'static str> {
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("an address without spaces");
    }
    match Url::parse(text) {
        Err(_) => Err("an http or https address"),
        Ok(url) if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) => {
            Err("an http or https address")
        }
        Ok(url) if url.host_str().is_some_and(|host| host.contains(['{', '}', '%'])) => {
            Err("an address whose host is written out")
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            Err("user names and passwords belong into the credentials")
        }
        Ok(url) if url.fragment().is_some() => Err("an address without a fragment"),
        Ok(url) if policy.refuses_literal(&url) => Err("requests may not go to this address"),
        Ok(url) => Ok(url),
    }
}

/// A name as a step of a JSON Pointer.
pub(crate) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
