//! Dataverse's codes: what each says of a request, whatever the status it comes with.

use domain::doubt::Certainty;

use crate::connector::Permanence;
use crate::error_shapes::ParsedError;
use crate::exchange::Answer;
use crate::ruling::{Facts, is_throttling, rule};

/// What a code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A value or the form of what was sent was refused.
    Invalid,
    /// A row with a value that only one row may have is there already.
    Duplicate,
    /// The row, or one that is referred to, is not there.
    Missing,
    /// Who asks may not.
    Denied,
    /// It was too much at once.
    Throttled,
}

const CODES: &[(&str, Meaning)] = &[
    ("0x80044331", Meaning::Invalid),   // a text is too long
    ("0x8004431a", Meaning::Invalid),   // an option is out of range
    ("0x80048d19", Meaning::Invalid),   // the payload
    ("0x80060892", Meaning::Duplicate), // an alternate key
    ("0x80040237", Meaning::Duplicate), // a key
    ("0x80040333", Meaning::Duplicate), // a rule for duplicates; may come as 500
    ("0x80040217", Meaning::Missing),   // by id
    ("0x80060891", Meaning::Missing),   // by alternate key
    ("0x80040220", Meaning::Denied),    // a privilege
    ("0x80048306", Meaning::Denied),    // a privilege
    ("0x80072321", Meaning::Throttled), // time of execution
    ("0x80072322", Meaning::Throttled), // number of requests
    ("0x80072326", Meaning::Throttled), // requests at once
];

/// What the complaints of an answer mean; `None` where the status has to say.
pub(super) fn meaning(complaints: &[ParsedError]) -> Option<Meaning> {
    let known = |code: &str| CODES.iter().find(|(known, _)| known.eq_ignore_ascii_case(code)).map(|(_, says)| *says);
    complaints.iter().filter_map(|complaint| complaint.code.as_deref()).find_map(known)
}

/// What a refusal says of its request. The code decides before the status: of some codes the status is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) certainty: Certainty,
    pub(super) permanence: Permanence,
    /// There is a row already; which one is not said.
    pub(super) is_duplicate: bool,
}

/// Judges a status that isn't success.
pub(super) fn refusal(answer: &Answer, complaints: &[ParsedError]) -> Refusal {
    let meaning = meaning(complaints);
    let (certainty, permanence) = match meaning {
        Some(Meaning::Throttled) => (Certainty::NotTaken, Permanence::Transient),
        Some(_) => (Certainty::NotTaken, Permanence::Permanent),
        None => {
            let facts = Facts {
                keyed: false,
                names_field: complaints.iter().any(|complaint| !complaint.path.is_empty()),
                throttled: complaints.iter().any(is_throttling),
                declined: answer.retry_after.is_some(),
            };
            rule(answer.status, facts)
        }
    };
    let is_duplicate = meaning == Some(Meaning::Duplicate) || (meaning.is_none() && answer.status == 412);
    Refusal { certainty, permanence, is_duplicate }
}

/// The column that only the sentence names, by the words it is shown by, in a complaint about a key.
pub(super) fn duplicated(message: &str) -> Option<&str> {
    const BEFORE: &str = "with the same value for ";
    let start = message.find(BEFORE)? + BEFORE.len();
    let rest = message.get(start..)?;
    let named = rest.get(..rest.find(" already exists")?)?.trim();
    (!named.is_empty() && named.chars().count() <= 100).then_some(named)
}

#[cfg(test)]
mod tests;
