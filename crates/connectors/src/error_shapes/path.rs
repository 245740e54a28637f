//! The ways in which systems write a path: JSON Pointers, dotted paths, brackets, arrays.

use serde_json::Value;

use super::{MAX_NAME, MAX_SEGMENTS, Segment, clean};

/// Names that systems use for "the whole object" where others name a field.
const WHOLE: &[&str] = &["", "$", "#", "_", "base", "non_field_errors", "nonfielderrors", "__all__", "__root__"];

/// Whether a name stands for the whole object rather than for a field.
pub(super) fn is_whole(name: &str) -> bool {
    WHOLE.iter().any(|whole| name.eq_ignore_ascii_case(whole))
}

/// Reads a path from one text: `/lines/0/account`, `#/age`, `$.lines[0].account`, `lines.0.account`, `Amount`.
pub(crate) fn from_text(text: &str) -> Vec<Segment> {
    let text: String = text.trim().chars().take(MAX_NAME * 4).collect();
    let pointer = text.strip_prefix('#').unwrap_or(&text);
    let steps: Vec<String> = if let Some(pointer) = pointer.strip_prefix('/') {
        pointer.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
    } else {
        text.split(['.', '[', ']', '/']).map(|step| step.trim_matches(['"', '\'', ' ']).to_owned()).collect()
    };
    let mut path: Vec<Segment> =
        steps.iter().filter(|step| !step.is_empty()).take(MAX_SEGMENTS).map(|s| step(s)).collect();
    // Only the last step may say "the whole object": elsewhere it is a member of that name.
    if matches!(path.last(), Some(Segment::Key(last)) if is_whole(last)) {
        path.pop();
    }
    if matches!(path.first(), Some(Segment::Key(first)) if first == "$" || first == "#") {
        path.remove(0);
    }
    path
}

/// Reads a path from an array of names and numbers, as FastAPI and GraphQL write it.
pub(super) fn from_array(steps: &[Value]) -> Vec<Segment> {
    let mut path: Vec<Segment> = steps
        .iter()
        .take(MAX_SEGMENTS)
        .filter_map(|value| match value {
            Value::String(name) => Some(step(name)),
            Value::Number(number) => number.as_u64().and_then(|n| usize::try_from(n).ok()).map(Segment::Index),
            _ => None,
        })
        .collect();
    if matches!(path.last(), Some(Segment::Key(last)) if is_whole(last)) {
        path.pop();
    }
    path
}

/// The path as one text, for the name that people see when the system gave an array.
pub(super) fn to_text(path: &[Segment]) -> String {
    let steps = path.iter().map(|segment| match segment {
        Segment::Key(name) => name.clone(),
        Segment::Index(index) => index.to_string(),
    });
    steps.collect::<Vec<_>>().join(".")
}

/// One step, as its name says: an element's where the name is a number.
pub(super) fn step(name: &str) -> Segment {
    // "0" as a member's name is how form-minded frameworks write an array's element.
    if name.len() <= 9 && name.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty() {
        return name.parse().map_or_else(|_| Segment::Key(name.to_owned()), Segment::Index);
    }
    Segment::Key(clean(name, MAX_NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str) -> String {
        to_text(&from_text(path))
    }

    #[test]
    fn every_way_of_writing_a_path_is_read() {
        for written in
            ["/lines/0/acct", "#/lines/0/acct", "$.lines[0].acct", "lines.0.acct", "lines/0/acct", "lines[0][acct]"]
        {
            assert_eq!(text(written), "lines.0.acct", "{written}");
        }
        assert_eq!(from_text("/a~1b/c~0d"), vec![Segment::Key("a/b".into()), Segment::Key("c~d".into())]);
        assert_eq!(text("[3].Amount"), "3.Amount");
        for whole in ["", "/", "#", "$", "non_field_errors", "base"] {
            assert!(from_text(whole).is_empty(), "{whole}");
        }
        assert_eq!(text("lines.0.non_field_errors"), "lines.0");
        assert_eq!(from_text(&"a.".repeat(500)).len(), MAX_SEGMENTS);
    }
}
