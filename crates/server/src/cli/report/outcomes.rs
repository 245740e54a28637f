//! The job's file of outcomes: one JSON object per line, read while it grows.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use api_types::Problem;
use api_types::records::RecordReport;
use domain::sync_log::cut;
use uuid::Uuid;

use super::execution::{BadLine, Line};
use crate::http::json::parse_json;

/// Most outcomes in one call.
const BATCH_RECORDS: usize = 1_000;
/// Bytes of outcomes in one call, half of what a body may have.
const BATCH_BYTES: usize = 512 * 1024;
/// The longest line, in bytes.
const LINE_BYTES: u64 = 128 * 1024;
/// Characters of what is wrong with a line: it repeats what stands there, and a report has to hold it.
const REASON_CHARS: usize = 300;
/// Lines that are held at once while the job runs; the rest waits in the file.
const HELD: usize = 2 * BATCH_RECORDS;

/// A file of outcomes and how far it was read.
#[derive(Debug)]
pub(super) struct Outcomes {
    path: PathBuf,
    offset: u64,
    number: u64,
    seen: bool,
}

impl Outcomes {
    /// A file that belongs to this run. What an earlier run left there is put aside, so that it is never reported as
    /// this one's.
    pub(super) fn begin(path: PathBuf) -> (Self, Option<String>) {
        let mut outcomes = Self { path, offset: 0, number: 0, seen: false };
        let trouble = match fs::metadata(&outcomes.path) {
            Ok(found) if found.is_file() && found.len() > 0 => match put_aside(&outcomes.path) {
                Ok(()) => None,
                Err(error) => {
                    outcomes.offset = found.len();
                    Some(format!("{} is there already and cannot be put aside: {error}", outcomes.path.display()))
                }
            },
            _ => None,
        };
        (outcomes, trouble)
    }

    /// Where the job writes.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file was ever there.
    pub(super) const fn seen(&self) -> bool {
        self.seen
    }

    /// Reads what has come since, up to what is held at once.
    pub(super) fn read_on(&mut self, lines: &mut Vec<Line>, bad: &mut Vec<BadLine>) -> io::Result<()> {
        self.read(lines, bad, HELD, false)
    }

    /// Reads all that is left, the last line even without its end.
    pub(super) fn read_rest(&mut self, lines: &mut Vec<Line>, bad: &mut Vec<BadLine>) -> io::Result<()> {
        self.read(lines, bad, usize::MAX, true)
    }

    fn read(&mut self, lines: &mut Vec<Line>, bad: &mut Vec<BadLine>, most: usize, ended: bool) -> io::Result<()> {
        let found = match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found?,
        };
        if !found.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
        }
        self.seen = true;
        if found.len() < self.offset {
            // The job began it anew.
            (self.offset, self.number) = (0, 0);
        }
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut reader = BufReader::new(file);
        while lines.len() < most {
            let mut line = Vec::new();
            let mut length = reader.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line)? as u64;
            if length == 0 {
                break;
            }
            let whole = line.ends_with(b"\n");
            let too_long = !whole && length == LINE_BYTES;
            if too_long {
                length += reader.skip_until(b'\n')? as u64;
            }
            if !whole && !too_long && !ended {
                break;
            }
            self.offset += length;
            self.number += 1;
            if too_long {
                let reason = format!("it is longer than {LINE_BYTES} bytes");
                bad.push(BadLine { number: self.number, reason });
            } else {
                self.take(&line, lines, bad);
            }
        }
        Ok(())
    }

    fn take(&self, line: &[u8], lines: &mut Vec<Line>, bad: &mut Vec<BadLine>) {
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        let read = if line.starts_with(b"{") {
            // As the API takes it, so that the server finds in it what was found here.
            parse_json::<RecordReport>(line).map_err(|error| reason(error.into_problem()))
        } else {
            Err("it is no JSON object".to_owned())
        };
        match read {
            Ok(report) => lines.push(Line { number: self.number, report }),
            Err(reason) => bad.push(BadLine { number: self.number, reason }),
        }
    }
}

/// What is wrong with a line, in the API's words for a body.
fn reason(problem: Problem) -> String {
    let mut reasons: Vec<String> =
        problem.errors.into_iter().map(|error| format!("{} {}", error.pointer, error.detail)).collect();
    if reasons.is_empty() {
        reasons.push(problem.detail.replacen("the body", "it", 1));
    }
    cut(&reasons.join("; "), REASON_CHARS).to_owned()
}

fn put_aside(path: &Path) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".old");
    fs::rename(path, name)
}

/// What fits into one call.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The outcomes, one per record.
    pub(super) records: Vec<RecordReport>,
    /// Of how many lines, from the first on.
    pub(super) lines: usize,
}

/// The first lines, as many as fit into one call. A record that stands on several of them is told once, by what says
/// most.
pub(super) fn first_batch(lines: &[Line], most: usize) -> Batch {
    let mut batch = Batch::default();
    let mut places: HashMap<(&str, Uuid), usize> = HashMap::new();
    let mut bytes = 0;
    for line in lines {
        let report = &line.report;
        bytes += serde_json::to_vec(report).map_or(0, |json| json.len() + 1);
        let place = places.get(&(report.source_record_type.as_str(), report.source_record_id)).copied();
        if batch.lines > 0
            && (bytes > BATCH_BYTES || (place.is_none() && batch.records.len() >= most.min(BATCH_RECORDS)))
        {
            break;
        }
        batch.lines += 1;
        if let Some(place) = place {
            batch.records[place] = together(&batch.records[place], report);
        } else {
            places.insert((report.source_record_type.as_str(), report.source_record_id), batch.records.len());
            batch.records.push(report.clone());
        }
    }
    batch
}

/// What two lines say of one record: the later one counts, unless it says less.
fn together(earlier: &RecordReport, later: &RecordReport) -> RecordReport {
    let weight = |report: &RecordReport| (report.outcome.is_delivered(), report.outcome.is_final());
    let (stands, other) = if weight(later) >= weight(earlier) { (later, earlier) } else { (earlier, later) };
    let mut report = stands.clone();
    report.label = report.label.or_else(|| other.label.clone());
    if report.amount.is_none() {
        report.amount = other.amount;
        report.currency = report.currency.or_else(|| other.currency.clone());
    }
    report.external_reference_id = report.external_reference_id.or_else(|| other.external_reference_id.clone());
    report.request_payload_hash = report.request_payload_hash.or_else(|| other.request_payload_hash.clone());
    report
}

/// Takes the lines of some of a batch's records out; they are bad for the given reasons. Returns whether there were any.
pub(super) fn refuse(
    lines: &mut Vec<Line>,
    batch: &Batch,
    refused: &HashMap<usize, String>,
    bad: &mut Vec<BadLine>,
) -> bool {
    let reasons: HashMap<(&str, Uuid), &String> = refused
        .iter()
        .filter_map(|(index, reason)| {
            let report = batch.records.get(*index)?;
            Some(((report.source_record_type.as_str(), report.source_record_id), reason))
        })
        .collect();
    let before = lines.len();
    let mut place = 0;
    lines.retain(|line| {
        place += 1;
        let key = (line.report.source_record_type.as_str(), line.report.source_record_id);
        match reasons.get(&key).filter(|_| place <= batch.lines) {
            Some(reason) => {
                bad.push(BadLine { number: line.number, reason: (*reason).clone() });
                false
            }
            None => true,
        }
    });
    lines.len() < before
}

#[cfg(test)]
mod tests;
