//! Files of comma-separated values (RFC 4180), however long, in constant memory.
//!
//! A body is made page by page as the reader takes it: whoever reads slowly slows the reading of the database, and
//! whoever goes away ends it. Each page is read in a short transaction of its own, so that a reader who stands still
//! holds no connection and nothing that maintenance would wait for. What breaks midway breaks the connection off, so
//! that half a file never looks like a whole one.

use std::future::ready;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use csv::{Terminator, WriterBuilder};
use futures::StreamExt as _;

use super::problem::{ApiError, Chain};
use super::shell::current_request_id;

/// Rows of the first page.
const FIRST_PAGE: i64 = 100;
/// Rows of a page at most.
const LARGEST_PAGE: i64 = 1_000;
/// Bytes that a page is meant to have: few rows are read at once where rows are long.
const PAGE_BYTES: usize = 256 * 1024;

/// What stands on one line.
pub(super) trait Line {
    /// The columns' names.
    const COLUMNS: &'static [&'static str];

    /// The columns' values, in the same order.
    fn cells(&self) -> Vec<String>;
}

/// Where lines come from.
pub(super) trait Source {
    /// What they are.
    type Line: Line;

    /// Up to `limit` lines after those given before; none once there are no more.
    async fn next(&mut self, limit: i64) -> Result<Vec<Self::Line>, ApiError>;
}

/// Answers with a file of all lines. The first page is read before anything is answered, so that what fails at once is
/// told as a problem.
pub(super) async fn respond<S: Source + 'static>(file_name: &str, source: S) -> Result<HttpResponse, ApiError> {
    let mut file = File { source, limit: FIRST_PAGE };
    let mut opening = encode_line(<S::Line as Line>::COLUMNS)?;
    let first = file.next().await?;
    let is_empty = first.is_none();
    opening.extend(first.unwrap_or_default());
    let request_id = current_request_id();
    let rest = futures::stream::try_unfold(Some(file).filter(|_| !is_empty), move |file| {
        let request_id = request_id.clone();
        async move {
            let Some(mut file) = file else { return Ok(None) };
            match file.next().await {
                Ok(page) => Ok(page.map(|page| (Bytes::from(page), Some(file)))),
                Err(error) => {
                    tracing::warn!(request_id, error = %Chain(&error), "an export broke off");
                    Err(std::io::Error::other("the export broke off"))
                }
            }
        }
    });
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/csv; charset=utf-8"))
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{file_name}\"")))
        .streaming(futures::stream::once(ready(Ok(Bytes::from(opening)))).chain(rest)))
}

struct File<S> {
    source: S,
    limit: i64,
}

impl<S: Source> File<S> {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, FileError> {
        let lines = self.source.next(self.limit).await?;
        if lines.is_empty() {
            return Ok(None);
        }
        let page = encode(lines.iter().map(Line::cells))?;
        self.limit = next_limit(self.limit, lines.len(), page.len());
        Ok(Some(page))
    }
}

/// Why a file can't go on.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error(transparent)]
    Read(#[from] ApiError),
    #[error("a line could not be written")]
    Csv(#[from] csv::Error),
    #[error("a page could not be written")]
    Io(#[from] std::io::Error),
}

impl From<FileError> for ApiError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Read(error) => error,
            other => Self::internal(Chain(&other)),
        }
    }
}

/// As many rows as are likely to fill a page, but at most twice as many as before.
fn next_limit(limit: i64, lines: usize, bytes: usize) -> i64 {
    let fitting = i64::try_from(PAGE_BYTES * lines / bytes.max(1)).unwrap_or(LARGEST_PAGE);
    fitting.clamp(1, LARGEST_PAGE).min(limit * 2)
}

fn encode_line(cells: &[&str]) -> Result<Vec<u8>, FileError> {
    encode(std::iter::once(cells.iter().map(|cell| (*cell).to_owned()).collect()))
}

fn encode(lines: impl Iterator<Item = Vec<String>>) -> Result<Vec<u8>, FileError> {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    for line in lines {
        writer.write_record(&line)?;
    }
    Ok(writer.into_inner().map_err(csv::IntoInnerError::into_error)?)
}

/// A cell with somebody's words. A spreadsheet would take some of them for a formula; an apostrophe keeps it from that.
pub(super) fn text(words: Option<&str>) -> String {
    let words = words.unwrap_or_default();
    let is_formula = words.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    if is_formula { format!("'{words}") } else { words.to_owned() }
}

/// A cell with a number, an id, or a word of the API's own.
pub(super) fn plain(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// A cell with a moment.
pub(super) fn moment(at: Option<DateTime<Utc>>) -> String {
    at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use actix_web::body::{BodySize, MessageBody as _, to_bytes};

    use super::*;

    struct Word(String);

    impl Line for Word {
        const COLUMNS: &'static [&'static str] = &["word", "length"];

        fn cells(&self) -> Vec<String> {
            vec![text(Some(&self.0)), plain(Some(self.0.len()))]
        }
    }

    struct Words(VecDeque<Result<Vec<&'static str>, ApiError>>);

    impl Source for Words {
        type Line = Word;

        async fn next(&mut self, _: i64) -> Result<Vec<Word>, ApiError> {
            let page = self.0.pop_front().unwrap_or(Ok(Vec::new()))?;
            Ok(page.into_iter().map(|word| Word(word.to_owned())).collect())
        }
    }

    fn broken() -> ApiError {
        ApiError::internal("as it should be")
    }

    async fn file(pages: Vec<Result<Vec<&'static str>, ApiError>>) -> Result<HttpResponse, ApiError> {
        respond("words.csv", Words(pages.into())).await
    }

    #[actix_web::test]
    async fn a_file_has_a_header_and_every_page() {
        let response = file(vec![Ok(vec!["a", "b,c"]), Ok(vec!["say \"d\"", "e\nf"])]).await.unwrap();
        assert_eq!(response.headers().get(header::CONTENT_TYPE).unwrap(), "text/csv; charset=utf-8");
        let disposition = response.headers().get(header::CONTENT_DISPOSITION).unwrap();
        assert_eq!(disposition, "attachment; filename=\"words.csv\"");
        assert_eq!(response.body().size(), BodySize::Stream);
        let bytes = to_bytes(response.into_body()).await.unwrap();
        assert_eq!(bytes, "word,length\r\na,1\r\n\"b,c\",3\r\n\"say \"\"d\"\"\",7\r\n\"e\nf\",3\r\n");
    }

    #[actix_web::test]
    async fn a_file_without_lines_has_its_header() {
        let bytes = to_bytes(file(vec![]).await.unwrap().into_body()).await.unwrap();
        assert_eq!(bytes, "word,length\r\n");
    }

    #[actix_web::test]
    async fn what_fails_at_once_is_a_problem_and_what_fails_midway_breaks_off() {
        let error = file(vec![Err(broken())]).await.unwrap_err();
        assert_eq!(error.code(), api_types::ErrorCode::Internal);
        let response = file(vec![Ok(vec!["a"]), Err(broken())]).await.unwrap();
        assert!(to_bytes(response.into_body()).await.is_err());
    }

    #[test]
    fn words_are_never_formulas() {
        for words in ["=1+1", "+47 12 34", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1"] {
            assert_eq!(text(Some(words)), format!("'{words}"));
        }
        for words in ["", "a=1", "1-1", "'=1", " -"] {
            assert_eq!(text(Some(words)), words);
        }
        assert_eq!(text(None), "");
        assert_eq!(plain(Some(-12)), "-12", "a number is no formula");
    }

    #[test]
    fn pages_grow_slowly_and_shrink_at_once() {
        assert_eq!(next_limit(100, 100, 100 * 200), 200);
        assert_eq!(next_limit(800, 800, 800 * 200), LARGEST_PAGE);
        assert_eq!(next_limit(1_000, 1_000, 1_000 * 16_000), 16);
        assert_eq!(next_limit(16, 16, 16 * 10_000_000), 1);
    }
}
