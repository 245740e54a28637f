//! The job itself: a child process that notices nothing of being watched.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::execution::Failure;
use super::signals::Signals;

/// Error code of every job that ended with a failure.
const EXIT_STATUS: &str = "EXIT_STATUS";
/// The longest line of the job's words that is kept, in bytes.
const LINE_BYTES: usize = 16 * 1024;
/// How long nothing may come of the job's words when it has ended and somebody it started still holds them open.
const SILENCE: Duration = Duration::from_secs(2);
/// How long somebody it started may go on talking.
const LAST_WORDS: Duration = Duration::from_mins(1);

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// What the wrapper is to exit with: the job's own status, or 128 and the signal that killed it.
    pub(super) status: u8,
    /// Why it failed, if it did.
    pub(super) failure: Option<Failure>,
}

impl End {
    /// The system does not say how the job ended.
    pub(super) fn unknown(error: &io::Error) -> Self {
        let message = format!("how the job ended is not known: {error}");
        Self { status: u8::MAX, failure: Some(Failure { code: EXIT_STATUS.to_owned(), message }) }
    }
}

/// A running job.
pub(super) struct Job {
    child: Child,
    words: JoinHandle<()>,
    last: Arc<Mutex<LastLine>>,
}

impl Job {
    /// Starts a command with further variables in its environment, and without those that have no value.
    pub(super) fn start(command: &[OsString], variables: &[(&str, Option<OsString>)]) -> Result<Self, End> {
        let (program, arguments) =
            command.split_first().map_or((OsStr::new(""), command), |(first, rest)| (first.as_os_str(), rest));
        let mut command = Command::new(program);
        command.args(arguments).stderr(Stdio::piped());
        for (name, value) in variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let mut child = command.spawn().map_err(|error| not_started(program, &error))?;
        let last = Arc::<Mutex<LastLine>>::default();
        let words = tokio::spawn(pass_on(child.stderr.take(), Arc::clone(&last)));
        Ok(Self { child, words, last })
    }

    /// Waits for the end and hands signals over until then.
    pub(super) async fn end(&mut self, signals: &mut Signals) -> io::Result<End> {
        let status = loop {
            tokio::select! {
                // One that also ended the job is not taken for a wish to end the delivery of the report.
                biased;
                signal = signals.next() => if !signals.reaches_job_by_itself(signal) {
                    self.hand_over(signal);
                },
                status = self.child.wait() => break status?,
            }
        };
        self.hear_out().await;
        let last = lock(&self.last).text();
        Ok(end_of(status, &last))
    }

    /// Waits for the rest of what the job said; much may still be on its way. A process that it left behind may hold its
    /// standard error open for as long as it likes.
    async fn hear_out(&mut self) {
        let until = Instant::now() + LAST_WORDS;
        while Instant::now() < until {
            let heard = lock(&self.last).heard;
            if timeout(SILENCE, &mut self.words).await.is_ok() {
                return;
            }
            if lock(&self.last).heard == heard {
                break;
            }
        }
        self.words.abort();
    }

    fn hand_over(&self, signal: Signal) {
        // There is a number as long as the end was not seen, so it is nobody else's.
        let process = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(process) = process {
            let _ = kill_process(process, signal);
        }
    }
}

/// As shells say it: 127 for a program that is not there, 126 for one that cannot be run.
fn not_started(program: &OsStr, error: &io::Error) -> End {
    let status = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
    let message = format!("{} cannot be started: {error}", program.display());
    End { status, failure: Some(Failure { code: EXIT_STATUS.to_owned(), message }) }
}

fn end_of(status: ExitStatus, last_words: &str) -> End {
    let (status, message) = match (status.code(), status.signal()) {
        (Some(0), _) => return End { status: 0, failure: None },
        (Some(code), _) => {
            let words = if last_words.is_empty() { format!("exit status {code}") } else { last_words.to_owned() };
            (u8::try_from(code).unwrap_or(u8::MAX), words)
        }
        (None, signal) => {
            let signal = signal.unwrap_or(0);
            let after = if last_words.is_empty() { String::new() } else { format!("; before: {last_words}") };
            (u8::try_from(128 + signal).unwrap_or(u8::MAX), format!("killed by signal {signal}{after}"))
        }
    };
    End { status, failure: Some(Failure { code: EXIT_STATUS.to_owned(), message }) }
}

/// Passes the job's standard error on as it is, and keeps its last line.
async fn pass_on(words: Option<ChildStderr>, last: Arc<Mutex<LastLine>>) {
    let Some(mut words) = words else { return };
    let mut out = Some(tokio::io::stderr());
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = match words.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => length,
        };
        lock(&last).take(&buffer[..length]);
        // Nobody may be left to read it; the job goes on all the same.
        if let Some(open) = &mut out
            && (open.write_all(&buffer[..length]).await.is_err() || open.flush().await.is_err())
        {
            out = None;
        }
    }
}

fn lock(last: &Mutex<LastLine>) -> MutexGuard<'_, LastLine> {
    last.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The last line that says something.
#[derive(Debug, Default)]
struct LastLine {
    /// Bytes so far; only whether it changes matters.
    heard: usize,
    current: Vec<u8>,
    whole: Vec<u8>,
}

impl LastLine {
    fn take(&mut self, bytes: &[u8]) {
        self.heard = self.heard.wrapping_add(bytes.len());
        for byte in bytes {
            if matches!(byte, b'\n' | b'\r') {
                self.end_line();
            } else if self.current.len() < LINE_BYTES {
                self.current.push(*byte);
            }
        }
    }

    fn end_line(&mut self) {
        if !plain(&self.current).is_empty() {
            self.whole = std::mem::take(&mut self.current);
        }
        self.current.clear();
    }

    fn text(&mut self) -> String {
        self.end_line();
        plain(&self.whole)
    }
}

/// A line without what is only meant for a terminal.
fn plain(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            if characters.next() == Some('[') {
                // Up to the letter that ends the sequence.
                let _ = characters.find(|end| ('\u{40}'..='\u{7e}').contains(end));
            }
        } else if !character.is_control() || character == '\t' {
            plain.push(character);
        }
    }
    plain.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(parts: &[&[u8]]) -> String {
        let mut last = LastLine::default();
        for part in parts {
            last.take(part);
        }
        last.text()
    }

    #[test]
    fn the_last_line_that_says_something_is_kept() {
        assert_eq!(last(&[b"Traceback\n  File \"x\"\nValueError: ", b"9999\n\n  \n"]), "ValueError: 9999");
        assert_eq!(last(&[b"10 %\r50 %\r"]), "50 %");
        assert_eq!(last(&[b"without an end"]), "without an end");
        assert_eq!(last(&[b"", b"\n\n"]), "");
        assert_eq!(last(&[b"\x1b[1;31mError:\x1b[0m no\xff\x07\n\x1b[0m\n"]), "Error: no\u{fffd}");
        assert_eq!(last(&["x".repeat(20_000).as_bytes(), b"\n"]).len(), LINE_BYTES);
    }

    #[test]
    fn the_end_is_told_as_shells_tell_it() {
        let end = |raw: i32, words: &str| end_of(ExitStatus::from_raw(raw), words);
        assert_eq!(end(0, "a warning"), End { status: 0, failure: None });
        let failure = |end: End| (end.status, end.failure.unwrap().message);
        assert_eq!(failure(end(3 << 8, "boom")), (3, "boom".to_owned()));
        assert_eq!(failure(end(3 << 8, "")), (3, "exit status 3".to_owned()));
        assert_eq!(failure(end(9, "")), (137, "killed by signal 9".to_owned()));
        assert_eq!(failure(end(15, "stopping")), (143, "killed by signal 15; before: stopping".to_owned()));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_told_like_a_shell_does() {
        let missing = Job::start(&["/does/not/exist".into()], &[]).err().unwrap();
        assert_eq!(missing.status, 127);
        let directory = Job::start(&["/".into()], &[]).err().unwrap();
        assert_eq!((directory.status, directory.failure.unwrap().code), (126, EXIT_STATUS.to_owned()));
    }
}
