//! What is known of one execution of a job: kept, in memory or on disk, until Syncwatch has taken it.

use api_types::records::RecordReport;
use chrono::{DateTime, Utc};
use domain::integration::{ConnectorType, SyncType};
use domain::sync_log::SyncWarning;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// Warning code of a line of outcomes that could not be taken.
const OUTCOME_NOT_TAKEN: &str = "OUTCOME_NOT_TAKEN";
/// Warning code of a file of outcomes that was named and is not there.
const OUTCOMES_FILE_MISSING: &str = "OUTCOMES_FILE_MISSING";
/// Most lines that are told one by one.
pub(super) const TOLD_LINES: usize = 20;

/// One execution of a job that has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Execution {
    /// Where it is to be reported.
    pub(super) url: String,
    /// The key it was to be reported with, where one was known.
    pub(super) client_id: Option<String>,
    /// The integration.
    pub(super) integration: Uuid,
    /// What it is an execution of.
    pub(super) target: Target,
    /// When it ended.
    pub(super) completed_at: DateTime<Utc>,
    /// Why it failed, if it did.
    pub(super) failure: Option<Failure>,
    /// Outcomes that Syncwatch has not taken yet.
    #[serde(default)]
    pub(super) records: Vec<Line>,
    /// Lines that are no outcomes, or that Syncwatch refused.
    #[serde(default)]
    pub(super) bad_lines: Vec<BadLine>,
    /// Whether the job wrote no file of outcomes although one was named.
    #[serde(default)]
    pub(super) outcomes_missing: bool,
}

/// What a job is an execution of.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Target {
    /// A run of its own, which Syncwatch does not know of, or perhaps does not.
    Run(Box<Run>),
    /// An attempt that Syncwatch knows of.
    Attempt {
        /// The sync.
        sync_id: Uuid,
        /// The attempt's number.
        attempt: u16,
    },
}

/// How a run began.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Run {
    /// The integration.
    pub(super) integration_config_id: Uuid,
    /// The integration's connector, once it is known.
    pub(super) connector_type: Option<ConnectorType>,
    /// What is synchronised, once it is known.
    pub(super) sync_type: Option<SyncType>,
    /// The run's own name, which makes a report that comes twice the same sync.
    pub(super) client_run_id: String,
    /// When it began.
    pub(super) started_at: DateTime<Utc>,
    /// Seconds without a report until it counts as abandoned.
    pub(super) lease_seconds: u32,
    /// What ran.
    pub(super) metadata: Value,
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failure {
    /// Machine-readable code.
    pub(super) code: String,
    /// The job's last words.
    pub(super) message: String,
}

/// One record's outcome, and the line it stood on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: u64,
    /// What happened to the record.
    pub(super) report: RecordReport,
}

/// A line that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BadLine {
    /// Counted from 1.
    pub(super) number: u64,
    /// What is wrong with it.
    pub(super) reason: String,
}

impl Execution {
    /// What Syncwatch is to remark on: each line that was not taken, by its number.
    pub(super) fn warnings(&self) -> Vec<SyncWarning> {
        let warning = |code: &str, message: String| SyncWarning { code: code.to_owned(), message, pointer: None };
        let mut warnings = Vec::new();
        if self.outcomes_missing {
            let message = "the file of outcomes that was named is not there";
            warnings.push(warning(OUTCOMES_FILE_MISSING, message.to_owned()));
        }
        for line in self.bad_lines.iter().take(TOLD_LINES) {
            warnings.push(warning(OUTCOME_NOT_TAKEN, format!("line {}: {}", line.number, line.reason)));
        }
        if let Some(more) = self.bad_lines.len().checked_sub(TOLD_LINES).filter(|more| *more > 0) {
            warnings.push(warning(OUTCOME_NOT_TAKEN, format!("and {more} further lines")));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_that_was_not_taken_is_told_up_to_a_number() {
        let bad = |number| BadLine { number, reason: "it is no JSON".to_owned() };
        let mut execution = Execution {
            url: String::new(),
            client_id: None,
            integration: Uuid::nil(),
            target: Target::Attempt { sync_id: Uuid::nil(), attempt: 0 },
            completed_at: DateTime::UNIX_EPOCH,
            failure: None,
            records: Vec::new(),
            bad_lines: vec![bad(7)],
            outcomes_missing: false,
        };
        assert_eq!(execution.warnings()[0].message, "line 7: it is no JSON");
        execution.bad_lines = (1..=57).map(bad).collect();
        let warnings = execution.warnings();
        assert_eq!((warnings.len(), warnings[20].message.as_str()), (21, "and 37 further lines"));
        execution.bad_lines.truncate(TOLD_LINES);
        assert_eq!(execution.warnings().len(), TOLD_LINES);
        execution.outcomes_missing = true;
        assert_eq!(execution.warnings()[0].code, OUTCOMES_FILE_MISSING);
    }
}
