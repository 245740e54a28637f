//! Taking personal data out of the external systems' words before they are stored.

mod numbers;

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// The text without national identity numbers, account numbers, e-mail addresses and card numbers, each replaced by
/// a bracketed word that says what stood there.
///
/// Numbers count only with valid check digits, so that invoice numbers, dates, identifiers and other short values,
/// which the reader needs, stay. The time taken grows with the text's length and nothing else.
pub fn redact(text: &str) -> String {
    let text = emails(text);
    let text = replaced(&text, numbers::next_iban);
    let text = replaced(&text, numbers::next_number);
    text.into_owned()
}

/// A part of a text and the word that takes its place.
struct Finding {
    start: usize,
    end: usize,
    word: &'static str,
}

/// The text with every finding replaced; `next` looks for the first one from a place on.
fn replaced(text: &str, next: impl Fn(&str, usize) -> Option<Finding>) -> Cow<'_, str> {
    let mut clean = String::new();
    let mut place = 0;
    while let Some(finding) = next(text, place) {
        clean.push_str(&text[place..finding.start]);
        clean.push_str(finding.word);
        place = finding.end;
    }
    if place == 0 {
        return Cow::Borrowed(text);
    }
    clean.push_str(&text[place..]);
    Cow::Owned(clean)
}

/// Letters reach to the end of Latin Extended-B, for addresses in Norwegian and Sámi; the top-level domain consists of
/// letters, so that `package@1.2.3` stays.
static EMAIL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"[A-Za-z0-9\u{C0}-\u{24F}._%+&~'-]+(?:@|%40)",
        r"(?:[A-Za-z0-9\u{C0}-\u{24F}-]+\.)+(?:xn--[A-Za-z0-9-]+|[A-Za-z\u{C0}-\u{24F}]{2,})",
    ))
    .ok()
});

fn emails(text: &str) -> Cow<'_, str> {
    match EMAIL.as_ref() {
        Some(email) if text.contains('@') || text.contains("%40") => email.replace_all(text, "[e-mail]"),
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests;
