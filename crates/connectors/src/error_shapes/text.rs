//! Plain text and pages: what they say, bounded, and without what a database cannot hold.

use super::item::without_echo;
use super::{MAX_MESSAGE, ParsedError};

/// Characters of a body that are looked at when it isn't JSON.
const MAX_SCANNED: usize = 64 * 1024;

/// The text without control characters (line feeds and tabs stay), trimmed and cut to a number of characters.
pub fn clean(text: &str, max: usize) -> String {
    let kept = text.trim().chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t'));
    kept.take(max).collect()
}

/// Whether a body is a page.
pub(super) fn is_html(start: &str, content_type: Option<&str>) -> bool {
    let declared = content_type.unwrap_or_default().to_ascii_lowercase();
    let start = start.trim_start_matches(['\u{feff}', ' ', '\r', '\n', '\t']).get(..15).unwrap_or(start.trim_start());
    let start = start.to_ascii_lowercase();
    declared.starts_with("text/html")
        || declared.starts_with("application/xhtml")
        || start.starts_with("<!doctype html")
        || start.starts_with("<html")
}

/// The one complaint that a body without structure holds, if it says anything.
pub(super) fn parse(body: &str, content_type: Option<&str>) -> Vec<ParsedError> {
    let body: String = body.chars().take(MAX_SCANNED).collect();
    // JSON that broke off: quoting it would quote whatever it echoes.
    if body.trim_start().starts_with(['{', '[']) {
        return Vec::new();
    }
    let said = if is_html(&body, content_type) || body.trim_start().starts_with('<') {
        // The title and the first heading: the rest of an error page may show the server's variables.
        let title = element(&body, "title").filter(|title| !title.is_empty());
        let heading = element(&body, "h1").filter(|heading| !heading.is_empty());
        match (title, heading) {
            (Some(title), Some(heading)) if title != heading && !heading.contains(&title) => {
                format!("{title}: {heading}")
            }
            (_, Some(heading)) => heading,
            (Some(title), None) => title,
            (None, None) => element(&body, "message").or_else(|| element(&body, "Message")).unwrap_or_default(),
        }
    } else {
        clean(&without_echo(&body), MAX_MESSAGE)
    };
    if said.is_empty() { Vec::new() } else { vec![ParsedError { message: said, ..ParsedError::default() }] }
}

/// The text of the first element of a name.
fn element(body: &str, name: &str) -> Option<String> {
    // ASCII lower-casing keeps every byte's position, so positions in one are positions in the other.
    let lower = body.to_ascii_lowercase();
    let name = name.to_ascii_lowercase();
    let open = lower.find(&format!("<{name}>")).or_else(|| lower.find(&format!("<{name} ")))?;
    let start = open + lower[open..].find('>')? + 1;
    let end = start + lower[start..].find(&format!("</{name}"))?;
    Some(clean(&without_tags(&body[start..end]), 500))
}

fn without_tags(text: &str) -> String {
    let mut inside = false;
    let kept: String = text
        .chars()
        .filter(|c| {
            match c {
                '<' => inside = true,
                '>' if inside => {
                    inside = false;
                    return false;
                }
                _ => {}
            }
            !inside
        })
        .collect();
    let plain = kept
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&#x27;", "'")
        .replace("&nbsp;", " ")
        .replace("&amp;", "&");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &str, content_type: &str) -> String {
        parse(body, Some(content_type)).pop().map(|found| found.message).unwrap_or_default()
    }

    #[test]
    fn pages_say_their_title_and_heading() {
        let page = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><h1>Upstream &amp; gone</h1><pre>SECRET=1</pre>";
        assert_eq!(said(page, "text/html"), "502 Bad Gateway: Upstream & gone");
        let page = "<html><title>Server Error</title><h1 class=\"x\">Server <b>Error</b> (500)</h1>";
        assert_eq!(said(page, "text/html; charset=utf-8"), "Server Error (500)");
        assert_eq!(said("<html><body>nothing", "text/html"), "");
        assert_eq!(said("<Error><Message>No such key</Message></Error>", "application/xml"), "No such key");
    }

    #[test]
    fn plain_text_is_kept_and_cut() {
        assert_eq!(said("  upstream timed\u{0}out \n", "text/plain"), "upstream timedout");
        assert_eq!(said(&"å".repeat(9_000), "text/plain").chars().count(), MAX_MESSAGE);
    }

    #[test]
    fn a_page_is_known_by_its_start_or_its_declaration() {
        assert!(is_html("\u{feff}\n <!DOCTYPE html>", None));
        assert!(is_html("<HTML lang=nb>", Some("application/json")));
        assert!(is_html("anything", Some("text/html; charset=utf-8")));
        assert!(!is_html("{\"a\":1}", Some("application/json")));
        assert!(!is_html("ååååååååååå", None));
    }
}
