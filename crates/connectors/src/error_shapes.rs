//! Reading other systems' error bodies.
//!
//! A body is understood by its structure alone: the content type is a hint, and no system is known by name. The shapes
//! are those of RFC 9457 and 7807, JSON:API, OData and Dataverse, GraphQL (Xledger), Laravel, Django REST framework
//! with and without standardized errors, ASP.NET, `FastAPI`, Prism, Spring, Tripletex, Rails, Stripe, Google, `PayPal`,
//! Visma and OAuth; whatever else has lists of complaints with a message and a field is read the same way. Values that
//! echo what was sent (`input`, `rejectedValue`, what GraphQL and Jackson quote) are never taken over. Depth, length and
//! number are bounded.

mod container;
mod field;
mod item;
mod jackson;
mod path;
mod text;

use serde_json::Value;

pub use field::{Located, SentBody, locate};
pub(crate) use path::from_text;
pub use text::clean;

/// Complaints taken from one body at most.
pub(crate) const MAX_COMPLAINTS: usize = 1_000;
/// Nesting that is followed.
pub(crate) const MAX_DEPTH: usize = 8;
/// Steps a path may have.
pub(crate) const MAX_SEGMENTS: usize = 16;
/// Characters of a message that are kept.
pub(crate) const MAX_MESSAGE: usize = 4_000;
/// Characters of a code that are kept.
pub(crate) const MAX_CODE: usize = 100;
/// Characters of a field's name, of a step of a path, of a hint that are kept.
pub(crate) const MAX_NAME: usize = 200;
/// Hints that are kept for one complaint.
pub(crate) const MAX_HINTS: usize = 20;

/// One step from a document to a place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// A member of an object.
    Key(String),
    /// An element of an array.
    Index(usize),
}

/// One complaint of an external system, before it is known which record it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedError {
    /// Where in the request, as far as the system says.
    pub path: Vec<Segment>,
    /// The system's own code.
    pub code: Option<String>,
    /// The system's own words.
    pub message: String,
    /// The field as the system wrote it.
    pub field_name: Option<String>,
    /// Valid values the system offers.
    pub hints: Vec<String>,
}

/// Everything an answer's body complains of; empty when nothing in it can be read as a complaint.
pub fn parse_body(body: &[u8], content_type: Option<&str>) -> Vec<ParsedError> {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => parse_json(&value),
        Err(_) => text::parse(&String::from_utf8_lossy(body), content_type),
    }
}

/// Everything a JSON document complains of.
pub fn parse_json(value: &Value) -> Vec<ParsedError> {
    container::collect(value)
}

/// The complaints under one member that holds warnings, as they stand beside a success.
pub fn parse_warnings(value: &Value) -> Vec<ParsedError> {
    container::collect_list(value)
}

/// Whether a body is a page for people rather than an answer for programs.
pub fn is_html(body: &[u8], content_type: Option<&str>) -> bool {
    text::is_html(&String::from_utf8_lossy(&body[..body.len().min(512)]), content_type)
}

#[cfg(test)]
mod tests;
