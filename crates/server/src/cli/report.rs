//! `syncwatch report`: runs a job and reports it as a sync.
//!
//! Monitoring never stops the job: whatever happens between here and the server, the job runs, its streams are its own,
//! and its exit status is this program's. A report that cannot be handed over is kept in a file for the next run.

mod api;
mod arguments;
mod credentials;
mod delivery;
mod execution;
mod job;
mod live;
mod outcomes;
mod patience;
mod retries;
mod signals;
mod spool;
mod trouble;

use std::convert::Infallible;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Notify;
use uuid::Uuid;

use self::api::Api;
use self::credentials::Credentials;
use self::delivery::deliver;
use self::execution::{BadLine, Execution, Run, TOLD_LINES, Target};
use self::job::{End, Job};
use self::live::Live;
use self::outcomes::Outcomes;
use self::patience::Patience;
use self::signals::Signals;
use self::spool::Spool;
use self::trouble::Trouble;
use crate::clock::Clock;

pub(super) use self::arguments::ReportArgs;

/// Where the job finds the path of its file of outcomes.
const OUTCOMES_FILE: &str = "SYNCWATCH_OUTCOMES_FILE";
/// How long an earlier report is tried again, one by one: long enough for an answer that takes its time.
const EARLIER: Duration = Duration::from_secs(15);

/// Says something to whoever looks at the job's standard error; nobody may be there.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "syncwatch report: {text}");
}

/// What every execution of one call shares.
struct Session {
    args: ReportArgs,
    api: Api,
    spool: Option<Spool>,
}

/// Runs the job, reports it, and exits as it did.
pub(super) async fn run(args: ReportArgs) -> anyhow::Result<ExitCode> {
    let credentials = Credentials::read(args.credentials.as_deref()).map_err(|error| format!("{error:#}"));
    let api = Api::new(&args.url, credentials, Clock::system());
    let spool = Spool::of(args.spool.clone());
    let session = Session { args, api, spool };
    let mut signals = Signals::listen()?;
    let status = if session.args.claim_retries {
        retries::run(&session, &mut signals).await
    } else {
        let target = session.new_run();
        session.execute(target, Vec::new(), &mut signals).await
    };
    Ok(ExitCode::from(status))
}

impl Session {
    fn new_run(&self) -> Target {
        let program = self.args.command.first().map(|program| Path::new(program).file_name().unwrap_or(program));
        Target::Run(Box::new(Run {
            integration_config_id: self.args.integration,
            connector_type: None,
            sync_type: self.args.sync_type,
            client_run_id: self.args.client_run_id.clone().unwrap_or_else(|| format!("report:{}", Uuid::now_v7())),
            started_at: self.api.now(),
            lease_seconds: self.args.lease,
            // Arguments may hold secrets.
            metadata: json!({ "runner": "syncwatch report", "program": program.map(|name| name.to_string_lossy()) }),
        }))
    }

    /// Runs the job once and reports it. Returns what to exit with.
    async fn execute(&self, target: Target, mut variables: Vec<(&str, Option<OsString>)>, signals: &mut Signals) -> u8 {
        let own_place = if self.args.records_file.is_none() { Place::make() } else { None };
        let path =
            self.args.records_file.clone().or_else(|| own_place.as_ref().map(|place| place.file("outcomes.jsonl")));
        let outcomes = path.map(|path| {
            // The job may work in another directory.
            let path = std::path::absolute(&path).unwrap_or(path);
            let (outcomes, trouble) = Outcomes::begin(path);
            if let Some(trouble) = trouble {
                say(&trouble);
            }
            variables.push((OUTCOMES_FILE, Some(outcomes.path().into())));
            outcomes
        });
        let met = Notify::new();
        let mut live = Live::new(self, target, outcomes, &met);
        let end = match Job::start(&self.args.command, &variables) {
            Ok(mut job) => {
                let ended = tokio::select! {
                    ended = job.end(signals) => ended,
                    never = live.accompany() => match never {},
                    never = self.hand_over_meanwhile(&met) => match never {},
                };
                // The system does not say how the job ended; it must not look as if all were well.
                ended.unwrap_or_else(|error| End::unknown(&error))
            }
            Err(end) => {
                say(end.failure.as_ref().map_or("", |failure| failure.message.as_str()));
                end
            }
        };
        let status = end.status;
        let mut execution = live.ended(end, self.args.records_file.is_some());
        let patience = Patience::of(Duration::from_secs(u64::from(self.args.patience)));
        let delivered = tokio::select! {
            delivered = deliver(&self.api, &mut execution, patience) => delivered,
            () = signals.stop() => {
                Err(Trouble::Away { what: "told to stop before the report was taken".to_owned(), wait: None })
            }
        };
        self.keep_bad_lines(&execution, own_place.as_ref());
        match delivered {
            Ok(()) => tokio::select! {
                () = self.hand_over_earlier() => {}
                () = signals.stop() => {}
            },
            Err(Trouble::Refused(refusal)) => {
                let kept = self.spool.as_ref().map(|spool| spool.keep_refused(&execution));
                self.say_kept(&Trouble::Refused(refusal), kept, "is refused and", "");
            }
            Err(trouble) => {
                let kept = self.spool.as_ref().map(|spool| spool.keep(&execution));
                self.say_kept(&trouble, kept, "could not be handed over and", "; the next run hands it over");
            }
        }
        status
    }

    fn say_kept(&self, trouble: &Trouble, kept: Option<anyhow::Result<PathBuf>>, why: &str, then: &str) {
        let base = self.api.base();
        match kept {
            Some(Ok(path)) => say(&format!("the report {why} is kept as {}{then} ({base}: {trouble})", path.display())),
            Some(Err(error)) => say(&format!("the report {why} is LOST ({base}: {trouble}): {error:#}")),
            None => say(&format!("the report {why} is LOST ({base}: {trouble}): name a directory with --spool")),
        }
    }

    /// Lines that are no outcomes are told by number; the file itself stays, so that they are not lost.
    fn keep_bad_lines(&self, execution: &Execution, own_place: Option<&Place>) {
        if execution.outcomes_missing {
            say("the job wrote no file of outcomes");
        }
        say_bad_lines(&execution.bad_lines);
        if execution.bad_lines.is_empty() {
            return;
        }
        // A file that the caller named is the caller's already.
        let Some(place) = own_place else { return };
        match self.spool.as_ref().map(|spool| spool.keep_lines(&place.file("outcomes.jsonl"))) {
            Some(Ok(path)) => say(&format!("the outcomes are kept as {}", path.display())),
            Some(Err(error)) => say(&format!("the outcomes could not be kept: {error:#}")),
            None => {}
        }
    }

    /// What earlier runs could not hand over, as soon as the server has been met. Cut short by the job's end, it is done
    /// once more then; twice is harmless.
    async fn hand_over_meanwhile(&self, met: &Notify) -> Infallible {
        met.notified().await;
        self.hand_over_earlier().await;
        std::future::pending().await
    }

    async fn hand_over_earlier(&self) {
        if let Some(spool) = &self.spool {
            hand_over_earlier(&self.api, spool, self.args.integration).await;
        }
    }
}

fn say_bad_lines(lines: &[BadLine]) {
    for line in lines.iter().take(TOLD_LINES) {
        say(&format!("outcomes, line {}: {}", line.number, line.reason));
    }
    if let Some(more) = lines.len().checked_sub(TOLD_LINES).filter(|more| *more > 0) {
        say(&format!("outcomes: and {more} further lines"));
    }
}

/// Hands over what earlier runs could not, as far as the server takes it.
async fn hand_over_earlier(api: &Api, spool: &Spool, integration: Uuid) {
    for (path, mut execution) in spool.waiting(api.base(), api.client_id(), integration) {
        let known = execution.bad_lines.len();
        match deliver(api, &mut execution, Patience::of(EARLIER)).await {
            Ok(()) if execution.bad_lines.len() > known => {
                say(&format!("the earlier report {} was not taken as a whole and is put aside", path.display()));
                say_bad_lines(&execution.bad_lines[known..]);
                Spool::put_aside(&path);
            }
            Ok(()) => Spool::forget(&path),
            Err(trouble @ Trouble::Refused(_)) => {
                say(&format!("the earlier report {} is refused and put aside: {trouble}", path.display()));
                Spool::put_aside(&path);
            }
            Err(_) => return,
        }
    }
}

/// A directory of the run's own, which goes with it.
struct Place(PathBuf);

impl Place {
    fn make() -> Option<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = std::env::temp_dir().join(format!("syncwatch-report-{}", Uuid::new_v4().simple()));
        match std::fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Some(Self(path)),
            Err(error) => {
                say(&format!("there is no place for the job's outcomes: {}: {error}", path.display()));
                None
            }
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
