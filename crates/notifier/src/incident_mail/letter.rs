//! A letter's parts, written out as plain text and as HTML, so that the two never say different things.

use domain::redaction::redact;

use super::{GroupLine, RenderedMail};
use crate::Language;

/// Groups beyond this many are only counted.
const MAX_GROUPS: usize = 10;
/// Characters of one error message; the whole one stands in the dashboard.
const MAX_MESSAGE: usize = 500;
/// Characters of a name in the subject.
const MAX_NAME: usize = 80;

/// The sentences of one mail in one language.
pub(super) struct Letter {
    pub language: Language,
    pub subject: String,
    /// The HTML part's heading: the subject's statement as a sentence of its own.
    pub heading: String,
    pub greeting: &'static str,
    pub paragraphs: Vec<String>,
    /// The introduction of the groups and one line each.
    pub groups: Option<(String, Vec<String>)>,
    /// The introduction of the external system's words and the words.
    pub quote: Option<(String, String)>,
    pub link_label: &'static str,
    pub link: String,
    pub closing: Vec<String>,
}

impl Letter {
    /// Both parts and the subject.
    pub(super) fn render(&self) -> RenderedMail {
        RenderedMail { subject: one_line(&self.subject, 200), text: self.text(), html: self.html() }
    }

    fn text(&self) -> String {
        let mut blocks = vec![self.greeting.to_owned()];
        blocks.extend(self.paragraphs.iter().cloned());
        if let Some((introduction, lines)) = &self.groups {
            let lines: Vec<_> = lines.iter().map(|line| format!("- {line}")).collect();
            blocks.push(format!("{introduction}\n{}", lines.join("\n")));
        }
        if let Some((introduction, words)) = &self.quote {
            blocks.push(format!("{introduction}\n> {words}"));
        }
        blocks.push(format!("{}\n{}", self.link_label, self.link));
        blocks.extend(self.closing.iter().cloned());
        blocks.join("\n\n") + "\n"
    }

    fn html(&self) -> String {
        let paragraph = |text: &str| format!("<p>{}</p>\n", escape(text));
        let mut body = vec![format!("<h1 style=\"font-size:1.25rem\">{}</h1>\n", escape(&self.heading))];
        body.push(paragraph(self.greeting));
        body.extend(self.paragraphs.iter().map(|text| paragraph(text)));
        if let Some((introduction, lines)) = &self.groups {
            let items: Vec<_> = lines.iter().map(|line| format!("<li>{}</li>\n", escape(line))).collect();
            body.push(format!("{}<ul>\n{}</ul>\n", paragraph(introduction), items.concat()));
        }
        if let Some((introduction, words)) = &self.quote {
            body.push(format!("{}<blockquote>{}</blockquote>\n", paragraph(introduction), escape(words)));
        }
        body.push(self.html_link());
        body.extend(self.closing.iter().map(|text| paragraph(text)));
        format!(
            "<!doctype html>\n<html lang=\"{language}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n</head>\n\
             <body style=\"font-family:sans-serif;line-height:1.5;max-width:40rem\">\n{body}</body>\n</html>\n",
            language = self.language,
            title = escape(&one_line(&self.subject, 200)),
            body = body.concat(),
        )
    }

    /// Only web addresses become links: a `javascript:` address is shown, never clickable.
    fn html_link(&self) -> String {
        let (label, link) = (escape(self.link_label), escape(&self.link));
        if self.link.starts_with("https://") || self.link.starts_with("http://") {
            format!("<p>{label}<br><a href=\"{link}\">{link}</a></p>\n")
        } else {
            format!("<p>{label}<br>{link}</p>\n")
        }
    }
}

/// The lines of the error groups; `records` says a number of records, `more` how many kinds were left out.
pub(super) fn group_lines(
    groups: &[GroupLine],
    records: impl Fn(i64) -> String,
    field_word: &str,
    more: impl Fn(usize) -> String,
) -> Vec<String> {
    let mut lines: Vec<_> = groups
        .iter()
        .take(MAX_GROUPS)
        .map(|group| {
            let field = group
                .field
                .as_deref()
                .map(|pointer| one_line(pointer.trim_start_matches(['#', '/']), MAX_NAME))
                .filter(|field| !field.is_empty())
                .map(|field| format!(" ({field_word}: {field})"))
                .unwrap_or_default();
            format!("{}: {}{field}", records(group.count), quoted(&group.message))
        })
        .collect();
    if groups.len() > MAX_GROUPS {
        lines.push(more(groups.len() - MAX_GROUPS));
    }
    lines
}

/// The external system's words on one line, without personal data.
pub(super) fn quoted(words: &str) -> String {
    one_line(&redact(words), MAX_MESSAGE)
}

/// A name as it may stand in a subject or sentence.
pub(super) fn name(text: &str) -> String {
    one_line(text, MAX_NAME)
}

/// On one line, without control characters (a subject with a line break would begin another header), at most `max`
/// characters.
pub(super) fn one_line(text: &str, max: usize) -> String {
    let spaced: String = text.chars().map(|c| if is_unprintable(c) { ' ' } else { c }).collect();
    let mut line = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((cut, _)) = line.char_indices().nth(max) {
        line.truncate(cut);
        line.push('…');
    }
    line
}

/// Control characters, and those that turn the direction of the text around them.
fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
