//! JSON knows one kind of number: `40.0` is 40, and some languages write every number like that. Serde would take it for
//! a fraction, so whole numbers are written without one before a body is read.

use std::borrow::Cow;

/// The text with every number like `40.0` written as `40`; texts within it stay as they are.
pub(super) fn written(text: &str) -> Cow<'_, str> {
    if !text.contains(".0") {
        return Cow::Borrowed(text);
    }
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c == '"' || c.is_ascii_digit()) {
        let (before, from) = rest.split_at(at);
        whole.push_str(before);
        let end = if from.starts_with('"') { end_of_text(from) } else { end_of_number(from) };
        let (token, after) = from.split_at(end);
        whole.push_str(if from.starts_with('"') { token } else { without_zeros(token) });
        rest = after;
    }
    whole.push_str(rest);
    Cow::Owned(whole)
}

/// Where a text that begins with a quotation mark ends; broken JSON is told by who reads it.
fn end_of_text(from: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in from.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    from.len()
}

fn end_of_number(from: &str) -> usize {
    from.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-'))).unwrap_or(from.len())
}

fn without_zeros(number: &str) -> &str {
    match number.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() && fraction.bytes().all(|byte| byte == b'0') => whole,
        _ => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_loses_its_zeros() {
        assert_eq!(written(r#"{"a": 40.0, "b": [-1.00,2.0]}"#), r#"{"a": 40, "b": [-1,2]}"#);
        assert_eq!(written("0.0"), "0");
    }

    #[test]
    fn everything_else_stays() {
        for text in
            [r#"{"a": 1.05, "b": 1.0e3, "c": 1e-3}"#, r#"{"v": "1.0", "\"2.0": "3.0\\"}"#, r#"{"a": 1.}"#, r#""1.0"#]
        {
            assert_eq!(written(text), text);
        }
    }
}
