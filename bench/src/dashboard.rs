//! The dashboard's first load: every file it takes, over the wire.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, HeaderMap};

use crate::figure::Figure;
use crate::installation::Installation;

/// Most bytes over the wire, heads of answers included.
const BOUND: usize = 600_000;

/// Loads the page and all that it, and what it loads, names.
pub async fn measure(installation: &Installation, dist: &Path) -> Result<Figure> {
    ensure!(
        dist.join("index.html").is_file(),
        "{} holds no dashboard: build it (`cargo xtask up` does), or leave it out with --skip-dashboard",
        dist.display()
    );
    #[expect(clippy::disallowed_methods, reason = "the bench's own addresses")]
    let http = reqwest::Client::builder().no_proxy().no_gzip().build()?;
    let known = files(dist)?;
    let mut waiting = vec![String::from("index.html")];
    let mut seen: BTreeSet<String> = waiting.iter().cloned().collect();
    let (mut wire, mut plain) = (0, 0);
    while let Some(name) = waiting.pop() {
        // The page's own address, as a person opens it.
        let path = if name == "index.html" { "" } else { &name };
        let answer = http
            .get(format!("{}/{path}", installation.url))
            .header(ACCEPT, "text/html, */*")
            .header(ACCEPT_ENCODING, "gzip, br")
            .send()
            .await?
            .error_for_status()?;
        let head = head_bytes(answer.headers());
        wire += head + answer.bytes().await?.len();
        let content = std::fs::read(dist.join(&name)).with_context(|| format!("reading {name}"))?;
        plain += content.len();
        if has_ending(&name, &["html", "js", "css"]) {
            let text = String::from_utf8_lossy(&content);
            let named = known.iter().filter(|file| text.contains(&format!("/{file}")));
            waiting.extend(named.filter(|file| seen.insert((*file).clone())).cloned());
        }
    }
    let figure = Figure {
        name: format!("dashboard's first load, {} files", seen.len()),
        measured: format!("{:.0} kB over the wire", kilobytes(wire)),
        baseline: format!("{:.0} kB uncompressed", kilobytes(plain)),
        ratio: Some(kilobytes(wire) / kilobytes(plain)),
        samples: "1 load".to_owned(),
        bound: format!("≤ {} kB", BOUND / 1000),
        holds: wire <= BOUND,
    };
    Ok(figure.tell())
}

/// The names of the dashboard's files, without their compressed twins.
fn files(dist: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dist)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_twin = has_ending(&name, &["br", "gz"]);
        if entry.file_type()?.is_file() && !name.starts_with('.') && !is_twin {
            names.push(name);
        }
    }
    Ok(names)
}

fn has_ending(name: &str, endings: &[&str]) -> bool {
    Path::new(name).extension().is_some_and(|own| endings.iter().any(|ending| own == *ending))
}

fn head_bytes(headers: &HeaderMap) -> usize {
    // The status line, and an empty line at the end.
    let frame = "HTTP/1.1 200 OK\r\n\r\n".len();
    frame + headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum::<usize>()
}

#[expect(clippy::cast_precision_loss, reason = "a few megabytes")]
fn kilobytes(bytes: usize) -> f64 {
    bytes as f64 / 1000.0
}
