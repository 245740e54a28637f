//! From a path as the external system writes it to a place in the record that was sent.

use serde_json::Value;

use super::{MAX_SEGMENTS, Segment};

/// Members that frameworks wrap around what was sent.
const WRAPPERS: &[&str] =
    &["body", "data", "attributes", "input", "inputs", "request", "payload", "record", "node", "value", "dto"];
/// Parts of a request that are not its body.
const ELSEWHERE: &[&str] = &["query", "path", "header", "headers", "cookie"];

/// Others of its kind that are looked at for the spelling of a member that one lacks.
const MAX_BESIDE: usize = 20;

/// What was sent in one request.
#[derive(Clone, Debug)]
pub struct SentBody<'a> {
    /// The records' payloads, in order.
    pub payloads: Vec<&'a Value>,
    /// `None`: the body was the one payload itself. `Some(None)`: an array of them. `Some(Some(name))`: an object with
    /// the array under a name.
    pub batch: Option<Option<&'a str>>,
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Which record of the request; `None` when the complaint is about the request as a whole.
    pub record: Option<usize>,
    /// JSON Pointer into that record; `None` when the complaint is about the whole of it.
    pub pointer: Option<String>,
}

/// Finds the record and the field a path means.
pub fn locate(path: &[Segment], sent: &SentBody<'_>) -> Located {
    let Some(member) = sent.batch else {
        let only = sent.payloads.first();
        return Located { record: Some(0), pointer: only.and_then(|payload| within(path, payload, sent)) };
    };
    let mut rest = path;
    while let Some((first, after)) = rest.split_first() {
        match first {
            Segment::Index(index) => {
                if let Some(payload) = sent.payloads.get(*index) {
                    return Located { record: Some(*index), pointer: within(after, payload, sent) };
                }
                break;
            }
            Segment::Key(name) if member.is_some_and(|member| same(member, name)) || is_one_of(name, WRAPPERS) => {
                rest = after;
            }
            Segment::Key(_) => break,
        }
    }
    match sent.payloads.as_slice() {
        [only] => Located { record: Some(0), pointer: within(path, only, sent) },
        _ => Located { record: None, pointer: None },
    }
}

/// What stands beside an object: others of its kind, by which a member that it lacks is spelled.
#[derive(Clone, Copy)]
enum Beside<'a> {
    /// Records of the request.
    Records(&'a [&'a Value]),
    /// Elements of an array.
    Elements(&'a [Value]),
    /// Nothing.
    Nothing,
}

impl<'a> Beside<'a> {
    /// The first spelling of a name.
    fn spelling(self, name: &str) -> Option<&'a str> {
        match self {
            Self::Records(records) => records.iter().take(MAX_BESIDE).find_map(|record| own_name(record, name)),
            Self::Elements(elements) => elements.iter().take(MAX_BESIDE).find_map(|element| own_name(element, name)),
            Self::Nothing => None,
        }
    }
}

/// The pointer into one payload, with wrappers taken off and names mapped onto the payload's own, or those of the others.
fn within(path: &[Segment], payload: &Value, sent: &SentBody<'_>) -> Option<String> {
    let mut rest = path;
    loop {
        match rest.split_first() {
            Some((Segment::Key(name), after)) if own_name(payload, name).is_none() => {
                if is_one_of(name, ELSEWHERE) && path.len() == rest.len() && after.len() <= 1 {
                    return None;
                }
                if !is_one_of(name, WRAPPERS) {
                    break;
                }
                rest = after;
            }
            // A list of one around the record.
            Some((Segment::Index(0), after)) if payload.is_object() && payload.get("0").is_none() => rest = after,
            _ => break,
        }
    }
    let mut pointer = String::new();
    let mut here = Some(payload);
    let mut beside = Beside::Records(&sent.payloads);
    for segment in rest.iter().take(MAX_SEGMENTS) {
        if let (Segment::Key(_), Some(Value::Array(entries))) = (segment, here) {
            // Rails leaves out which element it means, where nobody asked for it: the only one, or else just the list.
            let [only @ Value::Object(_)] = entries.as_slice() else { break };
            pointer.push_str("/0");
            here = Some(only);
            beside = Beside::Nothing;
        }
        let step = match segment {
            Segment::Index(index) => index.to_string(),
            Segment::Key(name) => {
                let own = here.and_then(|here| own_name(here, name)).or_else(|| beside.spelling(name));
                own.unwrap_or(name).to_owned()
            }
        };
        beside = match here {
            Some(Value::Array(entries)) => Beside::Elements(entries),
            _ => Beside::Nothing,
        };
        here = match here {
            Some(Value::Array(entries)) => step.parse::<usize>().ok().and_then(|index| entries.get(index)),
            Some(Value::Object(object)) => object.get(&step),
            _ => None,
        };
        pointer.push('/');
        pointer.push_str(&step.replace('~', "~0").replace('/', "~1"));
    }
    (!pointer.is_empty()).then_some(pointer)
}

/// The payload's own spelling of a member's name, when exactly one fits.
fn own_name<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    let object = value.as_object()?;
    if let Some((own, _)) = object.get_key_value(name) {
        return Some(own);
    }
    let mut fitting = object.keys().filter(|own| same(own, name));
    let first = fitting.next()?;
    fitting.next().is_none().then_some(first)
}

/// `costCenter`, `CostCenter`, `cost_center` and `cost-center` are one name.
fn same(one: &str, other: &str) -> bool {
    let letters = |name: &str| -> Vec<char> {
        name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
    };
    letters(one) == letters(other)
}

fn is_one_of(name: &str, set: &[&str]) -> bool {
    set.iter().any(|word| name.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error_shapes::path::from_text;

    fn single(path: &str, payload: &Value) -> Option<String> {
        locate(&from_text(path), &SentBody { payloads: vec![payload], batch: None }).pointer
    }

    #[test]
    fn names_are_mapped_onto_the_payloads_own() {
        let sent = json!({ "cost_center": "9999", "lines": [{ "Account": 1 }], "a/b": 1, "Twin": 1, "twin": 2 });
        let cases = [
            ("costCenter", "/cost_center"),
            ("CostCenter", "/cost_center"),
            ("cost_center", "/cost_center"),
            ("body.cost_center", "/cost_center"),
            ("/data/attributes/costCenter", "/cost_center"),
            ("$.Lines[0].account", "/lines/0/Account"),
            ("/a~1b", "/a~1b"),
            ("missing", "/missing"),
            ("TWIN", "/TWIN"),
            ("i[0].node.postedDate", "/i/0/node/postedDate"),
        ];
        for (path, pointer) in cases {
            assert_eq!(single(path, &sent).as_deref(), Some(pointer), "{path}");
        }
        for whole in ["", "body", "/data", "query.page", "header.authorization"] {
            assert_eq!(single(whole, &sent), None, "{whole}");
        }
    }

    #[test]
    fn an_element_without_its_number_is_the_only_one_or_else_the_list_is_named() {
        let lines = |lines: Value| json!({ "lines": lines });
        let cases = [
            (lines(json!([{ "account": "1" }])), "/lines/0/account"),
            (lines(json!([{ "text": "taxi" }])), "/lines/0/account"),
            (lines(json!([{ "account": "1" }, { "account": "2" }])), "/lines"),
            (lines(json!(["1"])), "/lines"),
            (lines(json!([])), "/lines"),
            (lines(json!(null)), "/lines/account"),
        ];
        for (sent, pointer) in cases {
            assert_eq!(single("lines.account", &sent).as_deref(), Some(pointer), "{sent}");
        }
    }

    #[test]
    fn a_member_that_is_missing_is_spelled_as_beside_it() {
        let (one, two) =
            (json!({ "lines": [{ "text": "a" }, { "unit_price": 1 }, null] }), json!({ "cost_center": "1" }));
        let sent = SentBody { payloads: vec![&one, &two], batch: Some(Some("items")) };
        let cases = [
            ("Items[0].CostCenter", "/cost_center"),
            ("Items[0].Lines[0].UnitPrice", "/lines/0/unit_price"),
            ("Items[0].Lines[2].UnitPrice", "/lines/2/unit_price"),
            ("Items[0].Lines[0].CostCenter", "/lines/0/CostCenter"),
            ("Items[1].Lines[0].UnitPrice", "/lines/0/UnitPrice"),
            ("Items[1].Period", "/Period"),
        ];
        for (path, pointer) in cases {
            assert_eq!(locate(&from_text(path), &sent).pointer.as_deref(), Some(pointer), "{path}");
        }
    }

    #[test]
    fn a_payloads_own_member_is_not_taken_for_a_wrapper() {
        let sent = json!({ "data": { "amount": 1 }, "path": "x" });
        assert_eq!(single("data.amount", &sent).as_deref(), Some("/data/amount"));
        assert_eq!(single("path", &sent).as_deref(), Some("/path"));
    }

    #[test]
    fn records_of_a_batch_are_found() {
        let (one, two) = (json!({ "amount": 1 }), json!({ "amount": 2 }));
        let under = SentBody { payloads: vec![&one, &two], batch: Some(Some("items")) };
        let bare = SentBody { payloads: vec![&one, &two], batch: Some(None) };
        let place = |path: &str, sent: &SentBody<'_>| {
            let found = locate(&from_text(path), sent);
            (found.record, found.pointer)
        };
        for path in ["body.items.1.amount", "/items/1/amount", "$.Items[1].Amount", "items.1.amount"] {
            assert_eq!(place(path, &under), (Some(1), Some("/amount".into())), "{path}");
        }
        for path in ["body.1.amount", "/1/amount", "$[1].Amount", "[1].Amount", "/data/1/attributes/amount"] {
            assert_eq!(place(path, &bare), (Some(1), Some("/amount".into())), "{path}");
        }
        assert_eq!(place("items.1", &under), (Some(1), None));
        for path in ["items.2.amount", "claims.1.amount", "currency", "items", ""] {
            assert_eq!(place(path, &under), (None, None), "{path}");
        }
    }
}
