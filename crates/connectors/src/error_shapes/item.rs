//! One complaint: which of an object's members say what, where and why.

use serde_json::{Map, Value};

use super::{MAX_CODE, MAX_HINTS, MAX_MESSAGE, MAX_NAME, MAX_SEGMENTS, ParsedError, Segment, clean, jackson, path};

/// Members that hold the words, the most telling first.
const MESSAGE: &[&str] = &[
    "detail",
    "msg",
    "message",
    "defaultmessage",
    "description",
    "reason",
    "error_description",
    "error_message",
    "errormessage",
    "developererrormessage",
    "exceptionmessage",
    "usermessage",
    "title",
    "summary",
    "error",
    "issue",
];
/// Members that hold the code, the most telling first.
const CODE: &[&str] = &["code", "errorcode", "error_code", "error", "issue", "type", "status", "keyword"];
/// Members that name the field, the most telling first.
const FIELD: &[&str] = &[
    "pointer",
    "loc",
    "location",
    "attr",
    "field",
    "fieldname",
    "field_name",
    "param",
    "target",
    "property",
    "propertyname",
    "propertypath",
    "attribute",
    "parameter",
    "argument",
    "instancepath",
    "datapath",
    "member",
];
/// Members that list valid values.
const HINTS: &[&str] = &["examplevalidinputs", "allowedvalues", "allowed_values", "validvalues"];

/// A member by name, whatever its case.
pub(super) fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// Whether an object is a complaint rather than a map from fields to complaints: it has words of its own.
pub(super) fn is_complaint(object: &Map<String, Value>) -> bool {
    MESSAGE.iter().any(|name| matches!(member(object, name), Some(Value::String(_))))
}

/// Where an object stands, which decides how its `path` is to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The whole answer: `path` is the request's own path.
    Head,
    /// An entry of a list of complaints.
    Entry,
    /// An entry of a GraphQL answer's list: `path` is a place in the answer, not in what was sent.
    GraphqlEntry,
}

/// Reads one complaint; `None` if the object has no words.
pub(super) fn read(object: &Map<String, Value>, place: Place) -> Option<ParsedError> {
    let said = MESSAGE.iter().find_map(|name| text(member(object, name)?))?;
    let message = without_echo(&said);
    let extensions = member(object, "extensions").and_then(Value::as_object);
    let (mut field_name, mut place_named) = field(object, extensions, place);
    if place_named.is_empty() && field_name.is_none() {
        if let Some(chain) = jackson::place(&said) {
            field_name = Some(path::to_text(&chain));
            place_named = chain;
        } else if let Some(named) = field_in_message(&message) {
            place_named = path::from_text(&named);
            field_name = Some(named);
        }
    }
    if !place_named.is_empty()
        && place_named.len() < MAX_SEGMENTS
        && let Some(named) = member_in_message(&message)
        && place_named.last() != Some(&named)
    {
        place_named.push(named);
        field_name = Some(path::to_text(&place_named));
    }
    Some(ParsedError {
        path: place_named,
        code: code(object, extensions, &said),
        message: clean(&message, MAX_MESSAGE),
        field_name: field_name.filter(|name| !path::is_whole(name)).map(|name| clean(&name, MAX_NAME)),
        hints: hints(object, extensions, &message),
    })
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.chars().take(MAX_MESSAGE * 2).collect()),
        _ => None,
    }
}

fn code(object: &Map<String, Value>, extensions: Option<&Map<String, Value>>, said: &str) -> Option<String> {
    let mut status_like = None;
    let own = CODE.iter().filter_map(|name| member(object, name).map(|value| (*name, value)));
    let extended = extensions.and_then(|inner| member(inner, "code")).map(|value| ("code", value));
    for (name, value) in own.chain(extended) {
        let found = match value {
            Value::String(text) => text.trim().to_owned(),
            Value::Number(number) => number.to_string(),
            _ => continue,
        };
        let is_word = !found.is_empty() && !found.contains(char::is_whitespace) && !found.contains("://");
        // `issue` and `error` hold the code only where something else holds the words.
        let is_the_message = matches!(name, "issue" | "error") && found == said && found.contains(' ');
        let is_number = found.bytes().all(|b| b.is_ascii_digit());
        if !is_word || is_the_message || found.starts_with("about:") || found.starts_with("urn:") {
            continue;
        }
        if is_number && name == "status" {
            continue;
        }
        if is_number && found.len() == 3 {
            status_like.get_or_insert(found);
        } else {
            return Some(clean(&found, MAX_CODE));
        }
    }
    status_like
}

fn field(
    object: &Map<String, Value>,
    extensions: Option<&Map<String, Value>>,
    place: Place,
) -> (Option<String>, Vec<Segment>) {
    if let Some(source) = member(object, "source").and_then(Value::as_object) {
        let named = ["pointer", "parameter"].iter().find_map(|name| text(member(source, name)?));
        if let Some(named) = named {
            let read = path::from_text(&named);
            return (Some(named), read);
        }
    }
    for name in FIELD {
        match member(object, name) {
            Some(Value::Array(steps)) if matches!(*name, "loc" | "location") => return of_array(steps),
            // A word such as "body" beside a path: the path says more.
            Some(Value::String(_)) if *name == "location" => {}
            Some(Value::String(named)) if !named.trim().is_empty() => {
                return (Some(named.clone()), path::from_text(named));
            }
            _ => {}
        }
    }
    for name in ["argument", "field", "attribute"] {
        if let Some(named) = extensions.and_then(|inner| text(member(inner, name)?)) {
            let read = path::from_text(&named);
            return (Some(named), read);
        }
    }
    if member(object, "reason").is_some()
        && let Some(named) = member(object, "name").and_then(text)
    {
        let read = path::from_text(&named);
        return (Some(named), read);
    }
    match member(object, "path") {
        Some(Value::Array(steps)) if place == Place::Entry && extensions.is_none() => of_array(steps),
        Some(Value::String(named)) if place == Place::Entry && !named.starts_with('/') && !named.is_empty() => {
            (Some(named.clone()), path::from_text(named))
        }
        _ => (None, Vec::new()),
    }
}

fn of_array(steps: &[Value]) -> (Option<String>, Vec<Segment>) {
    let read = path::from_array(steps);
    let named = path::to_text(&read);
    ((!named.is_empty()).then_some(named), read)
}

fn hints(object: &Map<String, Value>, extensions: Option<&Map<String, Value>>, message: &str) -> Vec<String> {
    let listed = HINTS.iter().find_map(|name| {
        let found = extensions.and_then(|inner| member(inner, name)).or_else(|| member(object, name));
        found.and_then(Value::as_array)
    });
    let scalars = listed.into_iter().flatten().filter_map(|value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Object(inner) => ["code", "description", "dbId"].iter().find_map(|name| text(member(inner, name)?)),
        _ => None,
    });
    scalars
        .chain(listed_in(message))
        .map(|hint| clean(&hint, MAX_NAME))
        .filter(|hint| !hint.is_empty())
        .take(MAX_HINTS)
        .collect()
}

/// The values that only the sentence has, at its end: Dataverse.
fn listed_in(message: &str) -> impl Iterator<Item = String> {
    const BEFORE: &str = "Accepted Values: ";
    let listed = message.find(BEFORE).and_then(|start| message.get(start + BEFORE.len()..)).unwrap_or_default();
    listed.split(',').map(|value| value.trim_end_matches('.').to_owned())
}

/// GraphQL servers quote a refused variable in full, and Jackson a refused value: what was sent is not to be kept.
pub(super) fn without_echo(message: &str) -> String {
    jackson::without_echo(message).unwrap_or_else(|| without_variable(message))
}

fn without_variable(message: &str) -> String {
    const QUOTED: &str = " got invalid value ";
    let Some(start) = message.find(QUOTED) else { return message.to_owned() };
    let after = start + QUOTED.len();
    // The last of each mark: the quoted value may hold the same words.
    let rest = [" at \"", "; "].iter().filter_map(|mark| message[after..].rfind(mark)).min();
    let rest = rest.map_or("", |offset| &message[after + offset..]);
    format!("{}{}{rest}", &message[..start], QUOTED.trim_end())
}

/// The field's name where only the sentence has it: Dataverse and GraphQL coercion.
fn field_in_message(message: &str) -> Option<String> {
    const FORMS: &[(&str, &str)] = &[
        ("length of the '", "' attribute"),
        ("undeclared property '", "'"),
        ("Could not find a property named '", "'"),
        ("; Field \"", "\" "),
        ("; Field \"", "\""),
        ("of '", "' on record of type"),
        ("Argument \"", "\" has invalid value"),
    ];
    FORMS.iter().find_map(|(before, after)| {
        let start = message.find(before)? + before.len();
        let length = message[start..].find(after)?;
        let named = &message[start..start + length];
        (!named.is_empty() && named.len() <= 100 && !named.contains(char::is_whitespace)).then(|| named.to_owned())
    })
}

/// The member that is missing or too much, where the complaint's own place is the object around it and only the
/// sentence has the member's name: what Ajv checks, and so Prism. Without it a missing amount would be shown as a fault
/// of the whole record.
fn member_in_message(message: &str) -> Option<Segment> {
    const BEFORE: &[&str] = &[
        "must have required property '",
        "must NOT have additional properties; found '",
        "must NOT have unevaluated properties: '",
    ];
    let named = BEFORE.iter().find_map(|before| message.split_once(*before)?.1.strip_suffix('\''))?;
    (!named.trim().is_empty()).then(|| path::step(named))
}
