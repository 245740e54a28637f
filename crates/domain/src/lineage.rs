//! What an `OpenLineage` run event means for the ledger.

use serde::{Deserialize, Serialize};

use crate::integration::Runner;
use crate::sync_log::SyncStatus;
use crate::sync_log::draft::MAX_LEASE_SECONDS;
use crate::violation::{Rule, Violation};

/// Error code of a run that reported `FAIL`.
pub const OPENLINEAGE_FAIL: &str = "OPENLINEAGE_FAIL";
/// Error code of a run that reported `ABORT`.
pub const OPENLINEAGE_ABORT: &str = "OPENLINEAGE_ABORT";
/// Longest namespace of a job, in characters.
pub const MAX_NAMESPACE_CHARS: usize = 200;
/// Longest name of a job, in characters.
pub const MAX_NAME_CHARS: usize = 400;

wire_enum! {
    /// What happened to a run, in `OpenLineage`'s words.
    LineageEventType {
        /// It began.
        Start = "START",
        /// It goes on.
        Running = "RUNNING",
        /// It ended well.
        Complete = "COMPLETE",
        /// It ended with a failure.
        Fail = "FAIL",
        /// It was stopped before its end.
        Abort = "ABORT",
        /// Further facts about it; says nothing of its state.
        Other = "OTHER",
    }
}

/// The `OpenLineage` job whose runs are an integration's syncs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LineageJob {
    /// The job's namespace, at most 200 characters.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 200))]
    pub namespace: String,
    /// The job's name within the namespace, at most 400 characters.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 400))]
    pub name: String,
    /// Seconds without an event until a run counts as abandoned, 1–86,400; a day if left out, since few jobs say
    /// anything between their start and their end.
    #[serde(default = "a_day")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 86_400))]
    pub lease_seconds: u32,
}

const fn a_day() -> u32 {
    MAX_LEASE_SECONDS
}

impl LineageJob {
    /// Every broken rule, with pointers below `/lineage_job`.
    pub fn violations(&self, runner: Runner) -> Vec<Violation> {
        let mut found = Vec::new();
        if runner == Runner::Managed {
            let detail = "only an external runner reports by OpenLineage";
            found.push(Violation::new(Rule::InvalidFormat, "/lineage_job", detail));
        }
        let texts = [
            ("/lineage_job/namespace", &self.namespace, MAX_NAMESPACE_CHARS),
            ("/lineage_job/name", &self.name, MAX_NAME_CHARS),
        ];
        for (pointer, text, most) in texts {
            if text.is_empty() {
                found.push(Violation::new(Rule::Required, pointer, "it is needed"));
            } else if text.chars().count() > most {
                found.push(Violation::new(Rule::TooLong, pointer, format!("at most {most} characters")));
            } else if text.contains('\0') {
                found.push(Violation::new(Rule::InvalidFormat, pointer, "the character U+0000 cannot be stored"));
            }
        }
        if !(1..=MAX_LEASE_SECONDS).contains(&self.lease_seconds) {
            found.push(Violation::new(Rule::OutOfRange, "/lineage_job/lease_seconds", "between 1 and 86400"));
        }
        found
    }
}

/// What an event asks of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineageStep {
    /// Begin the run's sync.
    Start,
    /// Record the run's sync, which has ended already.
    Record,
    /// Extend the lease of the run's first attempt.
    Extend,
    /// End the run's first attempt; whether that is still possible is the status machine's to say.
    Finish,
    /// Nothing: the event says no more than what is known.
    Nothing,
}

impl LineageEventType {
    /// Whether it ends the run, and how.
    pub const fn verdict(self) -> Option<bool> {
        match self {
            Self::Complete => Some(true),
            Self::Fail | Self::Abort => Some(false),
            Self::Start | Self::Running | Self::Other => None,
        }
    }

    /// What the event asks of the ledger, given the run's sync (status and number of its latest attempt) if there is
    /// one.
    ///
    /// Events may come twice, late and out of order. A run is its sync's first attempt: once a retry has been asked
    /// for, no event of the run says anything new.
    pub const fn step(self, known: Option<(SyncStatus, u16)>) -> LineageStep {
        match (self, known) {
            (Self::Start | Self::Running, None) => LineageStep::Start,
            (Self::Complete | Self::Fail | Self::Abort, None) => LineageStep::Record,
            (Self::Running | Self::Other, Some((SyncStatus::InProgress, 0))) => LineageStep::Extend,
            (Self::Complete | Self::Fail | Self::Abort, Some((status, 0)))
                if !matches!(status, SyncStatus::Pending) =>
            {
                LineageStep::Finish
            }
            _ => LineageStep::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(namespace: &str, name: &str) -> LineageJob {
        LineageJob { namespace: namespace.to_owned(), name: name.to_owned(), lease_seconds: a_day() }
    }

    #[test]
    fn every_order_of_a_runs_events_leads_to_one_sync() {
        use LineageEventType as Event;
        for event in Event::ALL.iter().copied() {
            let first = match event {
                Event::Start | Event::Running => LineageStep::Start,
                Event::Other => LineageStep::Nothing,
                _ => LineageStep::Record,
            };
            assert_eq!(event.step(None), first, "{event}");
            for status in SyncStatus::ALL.iter().copied() {
                let step = event.step(Some((status, 0)));
                assert!(!matches!(step, LineageStep::Start | LineageStep::Record), "{event} at {status} begins again");
                assert_eq!(step == LineageStep::Finish, event.verdict().is_some() && status != SyncStatus::Pending);
                assert_eq!(event.step(Some((status, 1))), LineageStep::Nothing, "{event} after a retry");
            }
        }
        assert_eq!(Event::Start.step(Some((SyncStatus::Success, 0))), LineageStep::Nothing);
        assert_eq!(Event::Other.step(Some((SyncStatus::InProgress, 0))), LineageStep::Extend);
    }

    #[test]
    fn a_job_has_both_names_and_belongs_to_an_external_runner() {
        let rules = |job: &LineageJob, runner| -> Vec<(Rule, String)> {
            job.violations(runner).into_iter().map(|found| (found.rule, found.pointer)).collect()
        };
        assert!(rules(&job("cron", "payroll/nightly"), Runner::External).is_empty());
        let expected = [
            (Rule::InvalidFormat, "/lineage_job".to_owned()),
            (Rule::Required, "/lineage_job/namespace".to_owned()),
            (Rule::TooLong, "/lineage_job/name".to_owned()),
            (Rule::OutOfRange, "/lineage_job/lease_seconds".to_owned()),
        ];
        let wrong = LineageJob { lease_seconds: 0, ..job("", &"x".repeat(MAX_NAME_CHARS + 1)) };
        assert_eq!(rules(&wrong, Runner::Managed), expected);
        assert_eq!(rules(&job("a\0", "b"), Runner::External).len(), 1);
        // Characters, not bytes.
        let longest = job(&"ø".repeat(MAX_NAMESPACE_CHARS), &"🦀".repeat(MAX_NAME_CHARS));
        assert!(rules(&longest, Runner::External).is_empty());
        let longer = job(&"ø".repeat(MAX_NAMESPACE_CHARS + 1), "x");
        assert_eq!(rules(&longer, Runner::External), [(Rule::TooLong, "/lineage_job/namespace".to_owned())]);
    }

    #[test]
    fn the_lease_is_a_day_if_left_out() {
        let job: LineageJob = serde_json::from_str(r#"{"namespace": "cron", "name": "payroll"}"#).unwrap();
        assert_eq!(job.lease_seconds, 86_400);
    }
}
