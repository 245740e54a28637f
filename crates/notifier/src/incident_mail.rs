//! What an administrator is told about an incident.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use domain::incident::{IncidentKind, NotificationKind};

use crate::Language;

mod english;
mod letter;
mod norwegian;
mod nynorsk;

/// The facts of one mail about one incident, the same for every recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncidentMail {
    /// Whether the incident opened or was resolved.
    pub kind: NotificationKind,
    /// Why it opened.
    pub incident_kind: IncidentKind,
    /// The integration's display name.
    pub integration_name: String,
    /// The organization's display name.
    pub organization_name: String,
    /// When the trouble began; in a recovery notice too.
    pub since: DateTime<Utc>,
    /// The zone in which `since` is shown, named beside it.
    pub time_zone: Tz,
    /// Syncs in a row that failed.
    pub failed_syncs: i32,
    /// The external system's own words about the last failed sync.
    pub error_message: Option<String>,
    /// What went wrong with the records, by kind of error, most frequent first.
    pub error_groups: Vec<GroupLine>,
    /// Records that did not arrive; in a recovery notice, those that still have not.
    pub failed_records: Option<i64>,
    /// The address of the integration or the failed sync in the dashboard.
    pub link: String,
}

/// One kind of error and how many records it hit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupLine {
    /// Records with this error.
    pub count: i64,
    /// The external system's own words.
    pub message: String,
    /// JSON Pointer to the field, where it is known.
    pub field: Option<String>,
}

/// A mail's content in one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedMail {
    /// One line, without control characters.
    pub subject: String,
    /// The plain text part, to be placed first.
    pub text: String,
    /// The HTML part: the same sentences, everything escaped.
    pub html: String,
}

/// Writes the mail in a language.
///
/// The external system's words are redacted once more, so that a message stored before a rule of redaction was added
/// does not leave by mail.
pub fn render(mail: &IncidentMail, language: Language) -> RenderedMail {
    let letter = match language {
        Language::En => english::letter(mail),
        Language::Nb => norwegian::letter(mail),
        Language::Nn => nynorsk::letter(mail),
    };
    letter.render()
}

#[cfg(test)]
mod tests;
