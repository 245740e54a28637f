//! One PostgreSQL cluster on disk and the postmaster that serves it.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rand::Rng;
use rand::distr::Alphanumeric;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::programs;

const POLL: Duration = Duration::from_millis(50);
/// A server that starts while the last one's database is still starting or ending looks so often whether it has ended: for
/// a minute. Looks are counted, since a machine that stood still in between gave nobody the time to end.
const LOCK_LOOKS: u32 = 1_200;
/// And so often, for five seconds, where that one says it is serving: its server may have been killed a moment ago.
const SERVING_LOOKS: u32 = 100;
/// What the lock file of a serving database says.
const SERVING: &str = "serving";
/// How long a fast shutdown may take (it writes a checkpoint) before an immediate one, which costs a recovery.
const SHUTDOWN_PATIENCE: Duration = Duration::from_mins(1);
/// How long an immediate shutdown may take.
const ABORT_PATIENCE: Duration = Duration::from_secs(10);
/// How long the processes of a killed postmaster may take to notice and end.
const LEFTOVER_PATIENCE: Duration = Duration::from_secs(30);
/// The log of earlier runs is kept up to this size.
const LOG_LIMIT: u64 = 8 * 1024 * 1024;

/// Small in memory, safe on disk, quiet in its log: messages of failed statements may quote personal data.
const CONFIGURATION: [&str; 15] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=100",
    "shared_buffers=128MB",
    "fsync=on",
    "full_page_writes=on",
    "synchronous_commit=on",
    "password_encryption=scram-sha-256",
    "log_min_messages=log",
    "log_min_error_statement=panic",
    "log_error_verbosity=terse",
    "log_timezone=UTC",
    "timezone=UTC",
    "lc_messages=C",
    "logging_collector=off",
];

/// A cluster this process alone may use, as long as it lives.
pub(super) struct Cluster {
    home: PathBuf,
    programs: PathBuf,
    password: String,
    lock: File,
}

/// The postmaster of a cluster, accepting connections.
pub(super) struct Postmaster {
    child: Child,
    log: PathBuf,
    /// Address of the maintenance database for the superuser.
    pub(super) url: String,
}

impl Cluster {
    /// Takes hold of the cluster in `home`: makes it if it is not there, stops what an earlier run left running.
    pub(super) async fn open(home: &Path) -> anyhow::Result<Self> {
        let home = home.canonicalize().with_context(|| format!("{} cannot be reached", home.display()))?;
        let lock = lock(&home).await?;
        let password = password(&home)?;
        let data = home.join("cluster");
        let programs = if data.exists() {
            stop_leftover(&data).await?;
            let series = fs::read_to_string(data.join("PG_VERSION")).context("the cluster names no version")?;
            let series = series.trim().parse().context("the cluster names an odd version")?;
            programs::set_up(&home, &data, &home.join("password"), Some(series)).await?
        } else {
            // Made beside its place and moved there whole: a half-made cluster is never mistaken for a good one.
            let draft = home.join("cluster.new");
            if draft.exists() {
                fs::remove_dir_all(&draft)?;
            }
            let programs = programs::set_up(&home, &draft, &home.join("password"), None).await?;
            fs::rename(&draft, &data)?;
            File::open(&home)?.sync_all()?;
            programs
        };
        fs::write(data.join("pg_hba.conf"), "# Written at every start.\nhost all all 127.0.0.1/32 scram-sha-256\n")?;
        Ok(Self { home, programs, password, lock })
    }

    /// Starts PostgreSQL and waits until it has recovered and accepts connections.
    pub(super) async fn start(&self) -> anyhow::Result<Postmaster> {
        let deadline = Instant::now() + LEFTOVER_PATIENCE;
        loop {
            match self.try_start().await? {
                Ok(postmaster) => return Ok(postmaster),
                // Processes of a killed postmaster end by themselves soon; a port can be taken between choice and use.
                Err(report) if is_passing(&report) && Instant::now() < deadline => {
                    tokio::time::sleep(10 * POLL).await;
                }
                Err(report) => bail!("PostgreSQL ended while starting: {report}"),
            }
        }
    }

    /// Says in the lock file whether the database is serving, for a second server that finds it taken.
    pub(super) fn set_serving(&self, serving: bool) -> std::io::Result<()> {
        self.lock.set_len(0)?;
        if serving { (&self.lock).write_all(SERVING.as_bytes()) } else { Ok(()) }
    }

    async fn try_start(&self) -> anyhow::Result<Result<Postmaster, String>> {
        let data = self.home.join("cluster");
        let log = self.home.join("postgres.log");
        let output = open_log(&log)?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let mut child = Command::new(self.programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-p")
            .arg(port.to_string())
            .args(CONFIGURATION.iter().flat_map(|setting| ["-c", setting]))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{} cannot be started", self.programs.join("postgres").display()))?;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Err(format!("{status}. {}", last_lines(&log))));
            }
            if child.id().is_some_and(|pid| is_ready(&data, pid)) {
                let url = format!("postgres://postgres:{}@127.0.0.1:{port}/postgres", self.password);
                return Ok(Ok(Postmaster { child, log, url }));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Postmaster {
    /// Resolves when PostgreSQL ends by itself, with a description of its end.
    pub(super) async fn ended(&mut self) -> String {
        let status = self.child.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
        format!("PostgreSQL ended: {status}. {}", last_lines(&self.log))
    }

    /// Stops PostgreSQL: open transactions are rolled back, everything committed is written out.
    pub(super) async fn stop(mut self) -> anyhow::Result<ExitStatus> {
        for (signal, patience) in [(Signal::INT, SHUTDOWN_PATIENCE), (Signal::QUIT, ABORT_PATIENCE)] {
            if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
                // It may have ended between the question and the signal: the wait below tells.
                let _ = kill_process(pid, signal);
            }
            if let Ok(status) = tokio::time::timeout(patience, self.child.wait()).await {
                return Ok(status?);
            }
        }
        self.child.kill().await?;
        Ok(self.child.wait().await?)
    }
}

/// Keeps a second server off the same directory; waits for one that is just ending.
async fn lock(home: &Path) -> anyhow::Result<File> {
    let path = home.join("lock");
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
    let mut looks = 0;
    loop {
        looks += 1;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) => {
                let serving = fs::read_to_string(&path).is_ok_and(|text| text == SERVING);
                if looks > if serving { SERVING_LOOKS } else { LOCK_LOOKS } {
                    bail!("another running Syncwatch uses {}", home.display());
                }
                tokio::time::sleep(POLL).await;
            }
            Err(fs::TryLockError::Error(error)) => return Err(error.into()),
        }
    }
}

/// The superuser's password: made once, then read from its file, which only the database's user can read.
fn password(home: &Path) -> anyhow::Result<String> {
    let path = home.join("password");
    match fs::read_to_string(&path) {
        Ok(password) => {
            ensure!(!password.is_empty(), "{} is empty", path.display());
            return Ok(password);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
    ensure!(!home.join("cluster").exists(), "the database's password file {} is missing", path.display());
    let password: String = rand::rng().sample_iter(Alphanumeric).take(32).map(char::from).collect();
    let draft = home.join("password.new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&draft)?;
    file.write_all(password.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, &path)?;
    Ok(password)
}

/// Stops a postmaster that outlived its supervisor, and clears a lock file whose number another process now has.
async fn stop_leftover(data: &Path) -> anyhow::Result<()> {
    let pid_file = data.join("postmaster.pid");
    let Some(pid) = fs::read_to_string(&pid_file)
        .ok()
        .and_then(|text| text.lines().next()?.trim().parse().ok())
        .and_then(Pid::from_raw)
    else {
        return Ok(());
    };
    if !serves(pid, data) {
        // PostgreSQL itself clears the file of a dead process, but gives up where the number is in use again. It still
        // refuses to start beside processes that hold this cluster's shared memory.
        if rustix::process::test_kill_process(pid).is_ok() {
            fs::remove_file(&pid_file)?;
        }
        return Ok(());
    }
    for (signal, patience) in
        [(Signal::INT, SHUTDOWN_PATIENCE), (Signal::QUIT, ABORT_PATIENCE), (Signal::KILL, ABORT_PATIENCE)]
    {
        // Gone between the look and the signal is just as well.
        let _ = kill_process(pid, signal);
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if !serves(pid, data) {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }
    bail!("an earlier PostgreSQL (process {pid}) of this data directory does not end", pid = pid.as_raw_nonzero());
}

/// Whether the process is alive and the postmaster of `data`: it works in that directory.
fn serves(pid: Pid, data: &Path) -> bool {
    let pid = pid.as_raw_nonzero();
    if cfg!(target_os = "linux") {
        return fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|directory| directory == data);
    }
    std::process::Command::new("ps")
        .args(["-o", "args=", "-p", &pid.to_string()])
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(&*data.to_string_lossy()))
}

/// Whether `postmaster.pid` says that the process accepts connections.
fn is_ready(data: &Path, pid: u32) -> bool {
    let Ok(text) = fs::read_to_string(data.join("postmaster.pid")) else { return false };
    let mut lines = text.lines().map(str::trim);
    lines.next() == Some(&pid.to_string()) && lines.nth(6) == Some("ready")
}

/// Whether a failed start is worth another try.
fn is_passing(report: &str) -> bool {
    ["still in use", "could not bind", "lock file \"postmaster.pid\" already exists"]
        .iter()
        .any(|phrase| report.contains(phrase))
}

fn open_log(path: &Path) -> std::io::Result<File> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() > LOG_LIMIT) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// The end of the log, as one line.
fn last_lines(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(4).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_process_in_the_right_state_is_ready() {
        let directory = tempfile::tempdir().unwrap();
        let write = |text: &str| fs::write(directory.path().join("postmaster.pid"), text).unwrap();
        assert!(!is_ready(directory.path(), 42));
        write("42\n/data\n1700000000\n5432\n\n127.0.0.1\n 7 8\nstarting\n");
        assert!(!is_ready(directory.path(), 42));
        write("42\n/data\n1700000000\n5432\n\n127.0.0.1\n 7 8\nready   \n");
        assert!(is_ready(directory.path(), 42));
        assert!(!is_ready(directory.path(), 43));
    }

    #[test]
    fn the_password_is_made_once_and_kept_from_others() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let first = password(directory.path()).unwrap();
        assert_eq!(first.len(), 32);
        assert_eq!(password(directory.path()).unwrap(), first);
        let mode = fs::metadata(directory.path().join("password")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_cluster_without_its_password_is_refused_rather_than_given_a_new_one() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("cluster")).unwrap();
        assert!(password(directory.path()).unwrap_err().to_string().contains("missing"));
    }

    #[test]
    fn only_passing_failures_are_tried_again() {
        assert!(is_passing("FATAL:  pre-existing shared memory block (key 1, ID 2) is still in use"));
        assert!(is_passing("LOG:  could not bind IPv4 address \"127.0.0.1\": Address already in use"));
        assert!(!is_passing("FATAL:  could not access file \"global/pg_control\": Permission denied"));
    }
}
