//! What `syncwatch report` is told on its command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use domain::integration::SyncType;
use domain::sync_log::draft::{DEFAULT_LEASE_SECONDS, MAX_LEASE_SECONDS, check_client_run_id};
use url::Url;
use uuid::Uuid;

/// What `report` takes.
#[derive(Debug, Args)]
pub(in crate::cli) struct ReportArgs {
    /// Address of Syncwatch
    #[arg(long, env = "SYNCWATCH_URL", value_name = "URL", value_parser = web_address)]
    pub(super) url: Url,
    /// The integration whose sync the job is
    #[arg(long, env = "SYNCWATCH_INTEGRATION", value_name = "ID")]
    pub(super) integration: Uuid,
    /// A file with the machine's key, as `syncwatch key create` prints it; otherwise `SYNCWATCH_CLIENT_ID` and
    /// `SYNCWATCH_CLIENT_SECRET` name it
    #[arg(long, env = "SYNCWATCH_CREDENTIALS", value_name = "FILE")]
    pub(super) credentials: Option<PathBuf>,
    /// What is synchronised; the integration's own kind if left out
    #[arg(long, value_name = "TYPE")]
    pub(super) sync_type: Option<SyncType>,
    /// The job's own name for this run; a second run of the same name is the same sync
    #[arg(long, value_name = "NAME", value_parser = run_name)]
    pub(super) client_run_id: Option<String>,
    /// Where the job writes what happened to each record, one JSON object per line; a temporary file if left out.
    /// The job finds the path in `SYNCWATCH_OUTCOMES_FILE`
    #[arg(long, value_name = "FILE")]
    pub(super) records_file: Option<PathBuf>,
    /// Seconds without a sign of life until the run counts as abandoned
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_LEASE_SECONDS,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_LEASE_SECONDS)))]
    pub(super) lease: u32,
    /// Seconds for which the report is tried again when the job has ended
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=3600))]
    pub(super) patience: u32,
    /// Where reports wait that could not be handed over; by default in the user's state directory
    #[arg(long, env = "SYNCWATCH_SPOOL", value_name = "DIRECTORY")]
    pub(super) spool: Option<PathBuf>,
    /// Instead of a run of its own: claim each retry that waits, and run the job for it with `SYNCWATCH_SYNC_ID`,
    /// `SYNCWATCH_ATTEMPT` and `SYNCWATCH_RECORDS_FILE` (the records to send again, one JSON object per line; unset where
    /// everything is to be sent)
    #[arg(long, conflicts_with_all = ["client_run_id", "sync_type"])]
    pub(super) claim_retries: bool,
    /// The job and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

fn web_address(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("{error}"))?;
    // The address is told in messages and kept with reports that wait: it is no place for a password.
    let anonymous = url.username().is_empty() && url.password().is_none();
    let plain = url.query().is_none() && url.fragment().is_none();
    if matches!(url.scheme(), "http" | "https") && url.has_host() && anonymous && plain {
        Ok(url)
    } else {
        Err("an http or https address such as https://syncwatch.example".to_owned())
    }
}

/// As the ledger takes it: a name that it refuses would be told only after the job.
fn run_name(text: &str) -> Result<String, String> {
    match check_client_run_id(text, "").into_iter().next() {
        None => Ok(text.to_owned()),
        Some(broken) => Err(broken.detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runs_name_is_one_that_the_ledger_takes() {
        for good in ["nightly-1", "  x", "å".repeat(200).as_str()] {
            assert_eq!(run_name(good), Ok(good.to_owned()));
        }
        for bad in ["", " \t", "x".repeat(201).as_str()] {
            assert!(run_name(bad).unwrap_err().contains("200 characters"), "{bad}");
        }
    }

    #[test]
    fn an_address_holds_no_secret() {
        web_address("https://syncwatch.example/base").unwrap();
        for bad in ["syncwatch.example", "ftp://a", "http://kari:x@a", "http://a?key=x", "http://a#x"] {
            web_address(bad).unwrap_err();
        }
    }
}
