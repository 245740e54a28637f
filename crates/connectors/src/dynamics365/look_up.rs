//! Looking up a record's row by its key: what the answer says, and what it leaves open.
//!
//! Both wrong words do harm: a row that is wrongly missing is made twice (or not at all, since its key keeps it from
//! being made), one that is wrongly there never. So only Dataverse's own word for either is believed.

use domain::asking::Asked;
use domain::record::RecordError;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::codes::{self, Meaning};
use super::settings::Settings;
use crate::credentials::Credentials;
use crate::error_shapes::parse_body;
use crate::exchange::{Answer, Completeness, Exchange};
use crate::wording;

/// Reads the answers to look-ups.
#[derive(Clone, Copy)]
pub(super) struct LookUp<'a> {
    pub(super) settings: &'a Settings,
    pub(super) credentials: &'a Credentials,
}

impl LookUp<'_> {
    /// What an exchange says of a record.
    pub(super) fn said(&self, id: Uuid, exchange: &Exchange) -> Asked {
        match exchange {
            Exchange::Answered(answer) => self.answered(id, answer),
            Exchange::NeverLeft(trouble) | Exchange::NoAnswer(trouble) => {
                self.unclear(trouble.code, &format!("Asked whether it has the record: {}", trouble.message))
            }
        }
    }

    /// What an exchange without parts says of each of several records.
    pub(super) fn said_of_all(&self, exchange: &Exchange) -> Asked {
        match self.said(Uuid::nil(), exchange) {
            Asked::Unclear(error) => Asked::Unclear(error),
            // It is not about any of them.
            _ => self.incomplete(),
        }
    }

    /// What an answer says of a record.
    pub(super) fn answered(&self, id: Uuid, answer: &Answer) -> Asked {
        let status = answer.status;
        if answer.completeness != Completeness::Whole {
            return self.incomplete();
        }
        if (200..300).contains(&status) {
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            return self.found(id, &body);
        }
        let complaints = parse_body(&answer.body, answer.content_type.as_deref());
        // A set or a column that is not there is answered with 404 as well, under other codes.
        if status == 404 && codes::meaning(&complaints) == Some(Meaning::Missing) {
            return Asked::Absent;
        }
        let said = complaints.first().map_or("", |complaint| complaint.message.as_str());
        let message = format!("Asked whether it has the record, the system answered {status}. {said}");
        let code = complaints.first().and_then(|complaint| complaint.code.clone());
        self.unclear(&code.unwrap_or_else(|| format!("HTTP_{status}")), &message)
    }

    fn found(&self, id: Uuid, body: &Value) -> Asked {
        let key = self.settings.key_attribute.as_str();
        let row = body.as_object();
        let named = row.and_then(|row| row.get(key)).and_then(Value::as_str);
        match (row, named) {
            (Some(row), Some(named)) if Uuid::try_parse(named).ok() == Some(id) => {
                Asked::Found { reference: own_id(row, key) }
            }
            (Some(_), Some(_)) => {
                let message = "Asked whether it has the record, the system answered about something else.";
                self.unclear("LOOK_UP_MISMATCH", message)
            }
            _ => {
                let message = "Asked whether it has the record, the system's answer does not say.";
                self.unclear("LOOK_UP_UNCLEAR", message)
            }
        }
    }

    /// What is said where nothing, or not everything, came.
    pub(super) fn incomplete(&self) -> Asked {
        let message = "Asked whether it has the record, the system's answer did not come whole.";
        self.unclear("LOOK_UP_INCOMPLETE", message)
    }

    fn unclear(&self, code: &str, message: &str) -> Asked {
        Asked::Unclear(self.word(code, message))
    }

    fn word(&self, code: &str, message: &str) -> RecordError {
        wording::own(self.credentials, code, message)
    }
}

/// The row's own id: where one column is asked for, Dataverse answers with the primary key beside it.
fn own_id(row: &Map<String, Value>, key: &str) -> Option<String> {
    let is_id = |(name, value): &(&String, &Value)| {
        name.as_str() != key && !name.contains('@') && value.as_str().is_some_and(|text| Uuid::try_parse(text).is_ok())
    };
    let mut ids = row.iter().filter(is_id).filter_map(|(_, value)| value.as_str());
    let first = ids.next()?;
    ids.next().is_none().then(|| first.to_owned())
}

#[cfg(test)]
mod tests;
