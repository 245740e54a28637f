//! Programs that a case kills, and that end with the case however it ends.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::fs::OpenOptions;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;

/// How long a program may take to end once it was told to, or killed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs the program, which says its number first, and sends it a last signal when standard input ends: that ends with the
/// test's process, even a killed one. The output is left to the program and its children alone, so that their end is seen.
/// Until then the shell keeps the program's number, so that no signal goes to a stranger.
const WRAPPER: &str = r#"
/bin/sh -c 'echo "$$"; exec "$@" 2>&1' sh "$@" </dev/null & child=$!
exec >&-
read -r _
kill -s "$0" "$child"
wait "$child"
"#;

/// A running program.
#[derive(Debug)]
pub struct Process {
    number: String,
    ended: watch::Receiver<bool>,
    input: ChildStdin,
    wrapper: Child,
}

impl Process {
    /// The command that runs a program in the wrapper; arguments, environment and user are still to be set. The signal is
    /// its last, where nobody ends it before.
    pub fn command(program: &Path, last_signal: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", WRAPPER, last_signal]).arg(program);
        command
    }

    /// Starts it; what it says goes to the end of the log.
    pub async fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut wrapper = command.spawn().context("starting a shell")?;
        let input = wrapper.stdin.take().context("the shell has no standard input")?;
        let mut output = BufReader::new(wrapper.stdout.take().context("the shell has no standard output")?);
        let mut number = String::new();
        output.read_line(&mut number).await?;
        let number = number.trim().to_owned();
        ensure!(number.parse::<u32>().is_ok(), "no program was started: {number}");
        let mut log = OpenOptions::new().create(true).append(true).open(log).await?;
        let (told, ended) = watch::channel(false);
        tokio::spawn(async move {
            // A log that cannot be written is no reason to let the program stand at a full pipe.
            if tokio::io::copy(&mut output, &mut log).await.is_err() {
                let _ = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
            }
            let _ = told.send(true);
        });
        Ok(Self { number, ended, input, wrapper })
    }

    /// Its number.
    pub fn number(&self) -> &str {
        &self.number
    }

    /// Whether it and all its children have ended.
    pub fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// Sends it a signal.
    pub async fn signal(&self, signal: &str) -> anyhow::Result<()> {
        ensure!(!self.has_ended(), "process {} has ended already", self.number);
        let status = Command::new("kill").args(["-s", signal, &self.number]).stderr(Stdio::null()).status().await?;
        ensure!(status.success(), "process {} was not sent SIG{signal}", self.number);
        Ok(())
    }

    /// Waits until it and all its children have ended and nothing is left of it, not even its number.
    pub async fn end(mut self) -> anyhow::Result<()> {
        let ended = tokio::time::timeout(PATIENCE, self.ended.wait_for(|ended| *ended)).await;
        // Whoever would tell is gone only when the process has ended.
        ended.map(drop).with_context(|| format!("process {} goes on", self.number))?;
        drop(self.input);
        tokio::time::timeout(PATIENCE, self.wrapper.wait()).await.context("a shell goes on")??;
        Ok(())
    }

    /// Kills it with SIGKILL.
    pub async fn kill(self) -> anyhow::Result<()> {
        self.signal("KILL").await?;
        self.end().await
    }
}
