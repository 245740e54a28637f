//! Signals: the job's while it runs, and a wish to stop otherwise.

use std::fs;
use std::future::poll_fn;
use std::io::{self, IsTerminal as _};
use std::task::Poll;

use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind};

/// What is handed to the job.
const HANDED_ON: [Signal; 6] = [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2];
/// What means the end; the others are words between a job and whoever runs it.
const ENDING: [Signal; 4] = [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT];
/// What a terminal's keys send to the job as well.
const TYPED: [Signal; 2] = [Signal::INT, Signal::QUIT];

/// Signals that are meant for the job.
pub(super) struct Signals {
    listened: Vec<(Signal, unix::Signal)>,
    /// At a terminal, Ctrl-C reaches the job by itself.
    at_terminal: bool,
    /// Whether one came that means the end.
    stopped: bool,
}

impl Signals {
    /// From now on they do not end this process.
    pub(super) fn listen() -> io::Result<Self> {
        // Under `nohup` the job is to live on, too: what is listened to, a job would no longer ignore.
        let hangup_ignored = fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, Signal::HUP));
        let listened = HANDED_ON
            .into_iter()
            .filter(|signal| *signal != Signal::HUP || !hangup_ignored)
            .map(|signal| unix::signal(SignalKind::from_raw(signal.as_raw())).map(|listened| (signal, listened)))
            .collect::<io::Result<_>>()?;
        let at_terminal = io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal();
        Ok(Self { listened, at_terminal, stopped: false })
    }

    /// Waits for one.
    pub(super) async fn next(&mut self) -> Signal {
        let signal = poll_fn(|context| {
            let came = self.listened.iter_mut().find_map(|(signal, listened)| {
                matches!(listened.poll_recv(context), Poll::Ready(Some(()))).then_some(*signal)
            });
            came.map_or(Poll::Pending, Poll::Ready)
        })
        .await;
        self.stopped |= ENDING.contains(&signal);
        signal
    }

    /// Waits for one that means the end.
    pub(super) async fn stop(&mut self) {
        loop {
            if ENDING.contains(&self.next().await) {
                return;
            }
        }
    }

    /// Whether one came that means the end, be it that it was handed to a job.
    pub(super) const fn stopped(&self) -> bool {
        self.stopped
    }

    /// Whether the job has got a signal by itself.
    pub(super) fn reaches_job_by_itself(&self, signal: Signal) -> bool {
        self.at_terminal && TYPED.contains(&signal)
    }
}

/// Whether a process of which the system says this ignores a signal.
fn ignores(status: &str, signal: Signal) -> bool {
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    // The first signal is the lowest bit.
    ignored.is_some_and(|ignored| (ignored >> (signal.as_raw() - 1)) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_read_from_the_systems_word() {
        let status = |mask: &str| format!("Name:\tsyncwatch\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\n");
        assert!(ignores(&status("0000000000000001"), Signal::HUP));
        assert!(ignores(&status("0000000000001003"), Signal::INT));
        assert!(!ignores(&status("0000000000001002"), Signal::HUP), "blocked is not ignored");
        assert!(!ignores("Name:\tsyncwatch\n", Signal::HUP));
    }
}
