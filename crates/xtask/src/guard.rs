//! Children that end with their parent, however that ends.
//!
//! Between this program and each service it starts stands a guard: this program again, which holds one end of a pipe.
//! The kernel closes the pipe when the parent goes, even by SIGKILL, and the guard then ends the service.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

/// How long a service may take to end when asked to.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// What the hidden subcommand takes.
#[derive(Args)]
pub struct Options {
    /// User and group to run the program as
    #[arg(long, num_args = 2)]
    account: Option<Vec<u32>>,
    /// Directory to remove when the program has ended
    #[arg(long)]
    then_remove: Option<PathBuf>,
    /// End the program with SIGINT rather than SIGTERM
    #[arg(long)]
    interrupt: bool,
    /// The program and its arguments
    #[arg(last = true, required = true)]
    program: Vec<OsString>,
}

/// The body of the guard: runs the program, and ends it when standard input closes.
pub fn run(options: &Options) -> Result<ExitCode> {
    let (program, arguments) = options.program.split_first().context("no program")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped());
    if let Some([user, group]) = options.account.as_deref() {
        command.uid(*user).gid(*group).current_dir("/");
    }
    let mut child = command.spawn().with_context(|| format!("{} cannot be run", program.display()))?;
    let (sender, parent_gone) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while std::io::stdin().read(&mut buffer).is_ok_and(|count| count > 0) {}
        // The program may have ended first.
        let _ = sender.send(());
    });
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        match parent_gone.recv_timeout(POLL) {
            Err(RecvTimeoutError::Timeout) => {}
            _ => break end(&mut child, if options.interrupt { Signal::INT } else { Signal::TERM })?,
        }
    };
    if let Some(directory) = &options.then_remove {
        std::fs::remove_dir_all(directory)?;
    }
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn end(child: &mut Child, signal: Signal) -> Result<ExitStatus> {
    // Its own standard input closes first: some of the services take that as the sign.
    drop(child.stdin.take());
    if let Some(pid) = Pid::from_raw(child.id().cast_signed()) {
        // A child that was not waited for keeps its number, so this reaches no stranger.
        let _ = kill_process(pid, signal);
    }
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(POLL);
    }
    child.kill()?;
    Ok(child.wait()?)
}

/// How to start a service under a guard.
pub struct Setup {
    /// User and group to run it as.
    pub account: Option<(u32, u32)>,
    /// A directory that goes when the service has ended.
    pub then_remove: Option<PathBuf>,
    /// Whether it ends on SIGINT rather than SIGTERM.
    pub interrupt: bool,
    /// Where its output goes.
    pub log: PathBuf,
    /// Whether it says on standard output, rather than in its log, that it is ready.
    pub says_ready: bool,
}

impl Setup {
    /// As this user, ended by SIGTERM, with all output in a log.
    pub fn with_log(log: PathBuf) -> Self {
        Self { account: None, then_remove: None, interrupt: false, log, says_ready: false }
    }
}

/// A service that runs under a guard; dropping it ends the service without waiting.
pub struct Guarded {
    name: String,
    guard: Child,
    lifeline: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    log: PathBuf,
}

impl Guarded {
    /// Starts a service.
    pub fn start(name: &str, service: &Command, setup: Setup) -> Result<Self> {
        // On Linux by the kernel's own link: building the tests replaces this program's file while it runs.
        let this = if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { std::env::current_exe()? };
        let mut guard = Command::new(&this);
        guard.arg("guard");
        if let Some((user, group)) = setup.account {
            guard.args(["--account", &user.to_string(), &group.to_string()]);
        }
        if let Some(directory) = setup.then_remove {
            guard.arg("--then-remove").arg(directory);
        }
        if setup.interrupt {
            guard.arg("--interrupt");
        }
        guard.arg("--").arg(service.get_program()).args(service.get_args());
        for (variable, value) in service.get_envs() {
            match value {
                Some(value) => guard.env(variable, value),
                None => guard.env_remove(variable),
            };
        }
        if let Some(directory) = service.get_current_dir() {
            guard.current_dir(directory);
        }
        let log = &setup.log;
        let output = std::fs::File::create(log).with_context(|| format!("{} cannot be written", log.display()))?;
        guard.stdout(if setup.says_ready { Stdio::piped() } else { output.try_clone()?.into() }).stderr(output);
        // Ctrl-C is for this program alone, which then ends the services in order.
        guard.process_group(0).stdin(Stdio::piped());
        let mut guard = guard.spawn().with_context(|| {
            let place = service.get_current_dir().map(|directory| format!(" in {}", directory.display()));
            format!(
                "{name} cannot be started: its guard, {}, does not run{}",
                this.display(),
                place.unwrap_or_default()
            )
        })?;
        Ok(Self {
            name: name.to_owned(),
            lifeline: guard.stdin.take(),
            stdout: guard.stdout.take(),
            guard,
            log: setup.log,
        })
    }

    /// Reads the line `ready <address>` that a service prints, and returns the address.
    pub fn ready(&mut self) -> Result<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        let mut stdout = self.stdout.take().context("the service is not one that says so")?;
        while stdout.read(&mut byte)? == 1 && byte != *b"\n" {
            line.push(byte[0]);
        }
        let line = String::from_utf8_lossy(&line);
        let Some(address) = line.trim().strip_prefix("ready ") else {
            bail!("{} did not start{}", self.name, self.logged());
        };
        // What else it says there goes to nobody, but must not block it.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        Ok(address.to_owned())
    }

    /// An error where the service has ended.
    pub fn check(&mut self) -> Result<()> {
        let status = self.guard.try_wait()?;
        ensure!(status.is_none(), "{} ended by itself{}", self.name, self.logged());
        Ok(())
    }

    /// Ends the service and waits for it.
    pub fn stop(mut self) -> Result<()> {
        drop(self.lifeline.take());
        self.guard.wait()?;
        Ok(())
    }

    fn logged(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(20)..].join("\n    ");
        format!("; the end of {}:\n    {tail}", self.log.display())
    }
}
