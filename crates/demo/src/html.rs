//! What the demonstration's pages have in common.

use actix_web::HttpRequest;
use actix_web::http::header::ACCEPT_LANGUAGE;
use actix_web::{HttpResponse, http::StatusCode};

/// The language of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Norwegian,
}

impl Language {
    /// Norwegian where the browser asks for any Norwegian before English.
    pub(crate) fn of(request: &HttpRequest) -> Self {
        let wanted = request.headers().get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Self::wanted(wanted)
    }

    fn wanted(accept_language: &str) -> Self {
        let mut ranked: Vec<(f32, Self)> = accept_language
            .split(',')
            .filter_map(|range| {
                let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
                let quality = parameters.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.parse().ok())?;
                match tag.trim().to_ascii_lowercase().split('-').next() {
                    Some("nb" | "nn" | "no") => Some((quality, Self::Norwegian)),
                    Some("en") => Some((quality, Self::English)),
                    _ => None,
                }
            })
            .collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        ranked.first().map_or(Self::English, |(_, language)| *language)
    }

    /// The BCP 47 tag.
    pub(crate) fn tag(self) -> &'static str {
        self.pick("en", "nb")
    }

    /// The text in this language.
    pub(crate) fn pick<T>(self, english: T, norwegian: T) -> T {
        match self {
            Self::English => english,
            Self::Norwegian => norwegian,
        }
    }
}

/// Text made safe for content and quoted attributes.
pub(crate) fn escape(text: &str) -> String {
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

/// A whole page; `title` is plain text, `body` is HTML.
pub(crate) fn page(status: StatusCode, language: Language, title: &str, body: &str) -> HttpResponse {
    let html = format!(
        "<!doctype html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        language.tag(),
        escape(title),
    );
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header(("Cache-Control", "no-store"))
        .insert_header(("X-Content-Type-Options", "nosniff"))
        .insert_header((
            "Content-Security-Policy",
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ))
        .body(html)
}

/// Colours and shapes after Designsystemet's, in few lines.
const STYLE: &str = "
:root{color-scheme:light dark;--accent:#0062ba;--on-accent:#fff;--text:#1e2b3c;--quiet:#4b5b6e;--page:#fff;--tint:#f4f6f8;
--line:#68758a;--ok:#e5f4e9;--ok-line:#2a7f45;--bad:#fbe9e9;--bad-line:#b8272c}
@media(prefers-color-scheme:dark){:root{--accent:#7cb6f0;--on-accent:#0b1a2b;--text:#e9edf2;--quiet:#b4bfcc;--page:#151b22;
--tint:#1f2832;--line:#8795a6;--ok:#17331f;--ok-line:#63c483;--bad:#3d1a1c;--bad-line:#f08a8d}}
*{box-sizing:border-box}
body{margin:0;font:1.125rem/1.5 Inter,system-ui,sans-serif;color:var(--text);background:var(--page)}
header{background:var(--tint);border-bottom:1px solid var(--line)}
header p,main{max-width:56rem;margin:0 auto;padding:1rem}
header strong{display:block}header span{color:var(--quiet)}
h1{font-size:1.75rem;line-height:1.3;margin:.5rem 0 1rem}h2{font-size:1.375rem;margin:2rem 0 .5rem}
a{color:var(--accent)}main p{max-width:65ch}
:focus-visible{outline:3px solid var(--text);outline-offset:3px;border-radius:2px}
.table{overflow-x:auto}table{border-collapse:collapse;width:100%}
caption{text-align:left;font-weight:600;padding:.5rem 0}
th,td{text-align:left;padding:.5rem .75rem;border-bottom:1px solid var(--line);vertical-align:top}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
label{display:block;font-weight:600;margin-top:1rem}
input{font:inherit;color:inherit;background:var(--page);border:1px solid var(--line);border-radius:4px;padding:.5rem .75rem;
display:block;width:100%;max-width:28rem}
button{display:block;font:inherit;font-weight:600;margin-top:1.5rem;padding:.625rem 1.25rem;border:2px solid var(--accent);border-radius:4px;
background:var(--accent);color:var(--on-accent);cursor:pointer}
.notice{padding:1rem;border-left:6px solid var(--ok-line);background:var(--ok);max-width:65ch}
.notice.bad{border-color:var(--bad-line);background:var(--bad)}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browser_chooses_the_language() {
        for (header, language) in [
            ("", Language::English),
            ("nb-NO,nb;q=0.9,en;q=0.8", Language::Norwegian),
            ("nn", Language::Norwegian),
            ("en-GB,no;q=0.5", Language::English),
            ("nb;q=0.2, en;q=0.7", Language::English),
            ("de, nb;q=rubbish, *", Language::English),
        ] {
            assert_eq!(Language::wanted(header), language, "{header}");
        }
    }
}
