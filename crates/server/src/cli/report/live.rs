//! Reporting while the job runs: the start, signs of life, and outcomes as they come.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::delivery::{append_some, begin};
use super::execution::{BadLine, Execution, Line, Target};
use super::job::End;
use super::outcomes::Outcomes;
use super::trouble::Trouble;
use super::{Session, say};

/// How often the file of outcomes is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// The longest pause while nobody answers.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What is known and done while the job runs.
pub(super) struct Live<'a> {
    session: &'a Session,
    target: Target,
    outcomes: Option<Outcomes>,
    lines: Vec<Line>,
    bad_lines: Vec<BadLine>,
    /// Reports go on: the server has neither refused them nor closed the attempt.
    goes_on: bool,
    /// The last trouble that was told; told once.
    told: bool,
    last_sign: Instant,
    /// Told once the server has taken something.
    met: &'a Notify,
}

impl<'a> Live<'a> {
    /// Nothing was reported yet.
    pub(super) fn new(session: &'a Session, target: Target, outcomes: Option<Outcomes>, met: &'a Notify) -> Self {
        Self {
            session,
            target,
            outcomes,
            lines: Vec::new(),
            bad_lines: Vec::new(),
            goes_on: true,
            told: false,
            last_sign: Instant::now(),
            met,
        }
    }

    /// Reports until it is dropped, at any point: what was not acknowledged is reported again in the end.
    pub(super) async fn accompany(&mut self) -> Infallible {
        // A third of the lease leaves time for two more tries.
        let beat = Duration::from_secs(u64::from(self.session.args.lease)) / 3;
        let look = LOOK.min(beat);
        let mut pause = look;
        loop {
            pause = match self.report(beat).await {
                Ok(()) => look,
                Err(trouble) => {
                    self.tell(&trouble);
                    self.goes_on &= matches!(trouble, Trouble::Away { .. });
                    // Often enough to keep the lease, and no more often than that.
                    (pause * 2).min(LONGEST_PAUSE).min(beat).max(look)
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn report(&mut self, beat: Duration) -> Result<(), Trouble> {
        self.read_outcomes();
        if !self.goes_on {
            return Ok(());
        }
        let (sync_id, attempt) = match &mut self.target {
            Target::Attempt { sync_id, attempt } => (*sync_id, *attempt),
            Target::Run(run) => {
                let begun = begin(&self.session.api, run).await?;
                self.last_sign = Instant::now();
                let Some(sync_id) = begun else {
                    say("this client_run_id stands for a sync that has ended");
                    self.goes_on = false;
                    return Ok(());
                };
                self.target = Target::Attempt { sync_id, attempt: 0 };
                return Ok(());
            }
        };
        self.met.notify_one();
        while !self.lines.is_empty() {
            append_some(&self.session.api, sync_id, attempt, &mut self.lines, &mut self.bad_lines).await?;
            self.last_sign = Instant::now();
            self.read_outcomes();
        }
        if self.last_sign.elapsed() >= beat {
            self.session.api.go_on(sync_id, attempt).await?;
            self.last_sign = Instant::now();
        }
        Ok(())
    }

    fn read_outcomes(&mut self) {
        if let Some(outcomes) = &mut self.outcomes {
            // A file that cannot be read now is read, and told, in the end.
            let _ = outcomes.read_on(&mut self.lines, &mut self.bad_lines);
        }
    }

    fn tell(&mut self, trouble: &Trouble) {
        if !self.told {
            self.told = true;
            say(&format!("the job goes on without being reported ({}: {trouble})", self.session.api.base()));
        }
    }

    /// Everything that is left to report when the job has ended.
    pub(super) fn ended(mut self, end: End, file_was_named: bool) -> Execution {
        let named_and_missing = match &mut self.outcomes {
            Some(outcomes) => {
                if let Err(error) = outcomes.read_rest(&mut self.lines, &mut self.bad_lines) {
                    say(&format!("{} cannot be read: {error}", outcomes.path().display()));
                    self.bad_lines.push(BadLine { number: 0, reason: format!("the file cannot be read: {error}") });
                }
                file_was_named && !outcomes.seen()
            }
            None => file_was_named,
        };
        Execution {
            url: self.session.api.base().to_owned(),
            client_id: self.session.api.client_id().map(str::to_owned),
            integration: self.session.args.integration,
            target: self.target,
            completed_at: self.session.api.now(),
            failure: end.failure,
            records: self.lines,
            bad_lines: self.bad_lines,
            outcomes_missing: named_and_missing,
        }
    }
}
