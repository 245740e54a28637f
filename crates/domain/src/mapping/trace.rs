//! From the external system's answer back to the source record.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde_json::Value;

use super::apply::text;
use super::{BIND, Field, Mapping, Origin};

/// What takes the place of a personal value.
const PLACEHOLDER: &str = "[value]";

impl Mapping {
    /// JSON Pointer into the source record to what a node's field was made of; `None` for constants, and for names that
    /// mean no field or several.
    ///
    /// The name is the field's own (`account.code`), in any case of letters, or that of a member it lies in (`account`)
    /// where no other field taken from the record lies there.
    pub fn trace(&self, node: usize, name: &str) -> Option<String> {
        if node != 0 && self.lines.is_none() {
            return None;
        }
        let name = name.strip_suffix(BIND).unwrap_or(name);
        if let Some(field) = self.fields.get(name) {
            return self.place(field, node);
        }
        let is_meant = |own: &str| {
            own.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
                && matches!(own.as_bytes().get(name.len()), None | Some(b'.'))
        };
        let meant = self.fields.iter().filter(|(own, _)| is_meant(own));
        let mut places = meant.filter_map(|(_, field)| self.place(field, node));
        let first = places.next()?;
        places.next().is_none().then_some(first)
    }

    /// The external system's words without the record's personal values, wherever one stands as a word or words of its
    /// own.
    pub fn without_personal(&self, payload: &Value, words: &str) -> String {
        let mut values = BTreeSet::new();
        let lines = self.count_lines(payload).unwrap_or(0);
        for field in self.fields.values().filter(|field| field.is_personal()) {
            for line in 0..lines {
                let place = self.place(field, line);
                let found = place.as_deref().and_then(|place| payload.pointer(place));
                let sent = field.value(payload, place.as_deref()).ok().flatten();
                values.extend(found.into_iter().chain(sent.as_ref()).filter_map(text).map(Cow::into_owned));
            }
        }
        let mut values: Vec<String> = values.into_iter().filter(|value| !value.is_empty()).collect();
        values.sort_by_key(|value| Reverse(value.len()));
        values.iter().fold(words.to_owned(), |words, value| without(&words, value))
    }

    /// Where the value of a node's field stands in the source record.
    pub(super) fn place(&self, field: &Field, node: usize) -> Option<String> {
        let Origin::Source { from, per_line, .. } = &field.origin else { return None };
        Some(match &self.lines {
            Some(lines) if *per_line => format!("{lines}/{node}{from}"),
            _ => from.clone(),
        })
    }
}

fn without(words: &str, value: &str) -> String {
    let mut clean = String::with_capacity(words.len());
    let mut kept = 0;
    for (start, _) in words.match_indices(value) {
        let end = start + value.len();
        let goes_on =
            words[..start].ends_with(char::is_alphanumeric) || words[end..].starts_with(char::is_alphanumeric);
        if !goes_on {
            clean.push_str(&words[kept..start]);
            clean.push_str(PLACEHOLDER);
            kept = end;
        }
    }
    clean.push_str(&words[kept..]);
    clean
}
