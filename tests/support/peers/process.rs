//! Child processes that don't outlive the test, however it ends.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

/// How long a peer may take until it is ready.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// Runs the program, waits until its own standard input ends, and kills the program: the input ends with the test's
/// process, even a killed one. The output is left to the program alone, so that its end is seen.
const UNTIL_INPUT_ENDS: &str = r#""$@" </dev/null & child=$!; exec >&-; read -r _; kill -9 "$child""#;

/// A running peer; dropping it kills it.
#[derive(Debug)]
pub(super) struct Peer {
    _input: ChildStdin,
    _child: Child,
}

impl Peer {
    /// Starts a program. With `announces`, waits for its line `ready ADDRESS` and returns the address.
    pub(super) async fn start(mut command: Command, announces: bool) -> anyhow::Result<(Self, String)> {
        let program = command.as_std().get_program().to_owned();
        let arguments: Vec<_> = command.as_std().get_args().map(ToOwned::to_owned).collect();
        let mut wrapped = Command::new("/bin/sh");
        wrapped.args(["-c", UNTIL_INPUT_ENDS, "sh"]).arg(&program).args(arguments);
        for (name, value) in command.as_std_mut().get_envs() {
            if let Some(value) = value {
                wrapped.env(name, value);
            }
        }
        Self::spawn(wrapped, &program, announces).await
    }

    /// Starts a program that ends by itself when its standard input does, and returns the address of its line
    /// `ready ADDRESS`.
    pub(super) async fn start_with_input(command: Command) -> anyhow::Result<(Self, String)> {
        let program = command.as_std().get_program().to_owned();
        Self::spawn(command, &program, true).await
    }

    async fn spawn(mut command: Command, program: &OsStr, announces: bool) -> anyhow::Result<(Self, String)> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {}", program.display()))?;
        let input = child.stdin.take().context("the peer has no standard input")?;
        let output = child.stdout.take().context("the peer has no standard output")?;
        let peer = Self { _input: input, _child: child };
        let mut lines = BufReader::new(output).lines();
        let mut address = String::new();
        if announces {
            let line = tokio::time::timeout(PATIENCE, lines.next_line())
                .await
                .with_context(|| format!("{} is not ready", program.display()))??;
            let Some(line) = line else { bail!("{} ended before it was ready", program.display()) };
            line.strip_prefix("ready ")
                .context("the peer said something else than that it is ready")?
                .clone_into(&mut address);
        }
        // Read on, so that the peer never stands at a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok((peer, address))
    }
}

/// A path that the environment names.
pub(super) fn from_environment(name: &str) -> anyhow::Result<PathBuf> {
    let path = PathBuf::from(std::env::var_os(name).with_context(|| format!("{name} is not set"))?);
    ensure!(path.exists(), "{name} names {}, which is not there", path.display());
    Ok(path)
}

/// A command of Node's for a script, with the peers' modules beside it.
pub(super) fn node(script: &Path) -> Command {
    let mut command = Command::new("node");
    command.arg(script);
    command
}
