//! A PostgreSQL cluster for one run of the tests: fast, in a temporary directory, gone afterwards.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::fs::statvfs;
use tempfile::TempDir;

use crate::guard::{Guarded, Setup};
use crate::place::Place;
use crate::progress::step;
use crate::shell;
use crate::system;

const PATIENCE: Duration = Duration::from_mins(1);
/// Where Linux keeps files in memory.
const MEMORY: &str = "/dev/shm";
/// Bytes that must be free there; the tests need about a quarter of them.
const ROOM: u64 = 8 << 30;
/// The superuser's password; the cluster listens on the loopback address and lives for minutes.
const PASSWORD: &str = "throwaway";

/// Durability is given up for speed: nothing in this cluster is to outlive the run.
const CONFIGURATION: [&str; 10] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=300",
    "shared_buffers=256MB",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "log_min_messages=warning",
    "timezone=UTC",
    "max_wal_size=4GB",
];

/// The running cluster.
pub struct Throwaway {
    /// Address of the maintenance database for the superuser.
    pub url: String,
    server: Guarded,
}

impl Throwaway {
    /// Makes and starts a cluster.
    pub fn start(place: &Place) -> Result<Self> {
        let programs = programs(place)?;
        step("Starting a throwaway PostgreSQL", |_| start(&programs))
    }

    /// An error where it has ended.
    pub fn check(&mut self) -> Result<()> {
        self.server.check()
    }

    /// Stops it; its directory goes with it.
    pub fn stop(self) -> Result<()> {
        self.server.stop()
    }
}

/// The directory of PostgreSQL's server programs, which are installed where that can be done.
pub fn programs(place: &Place) -> Result<PathBuf> {
    let packages = ["postgresql", "postgresql-client"];
    system::need(place, "PostgreSQL 15 or newer (server programs)", &packages, system::postgres_programs)
}

/// A directory for the cluster; in memory, where there is plenty: each test's database is a thousand small files.
fn directory() -> Result<TempDir> {
    let is_roomy = statvfs(MEMORY).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= ROOM);
    let mut builder = tempfile::Builder::new();
    builder.prefix("syncwatch-test-");
    Ok(if is_roomy { builder.tempdir_in(MEMORY)? } else { builder.tempdir()? })
}

fn start(programs: &Path) -> Result<Throwaway> {
    let directory = directory()?;
    let account = if system::is_root() {
        let account = system::unprivileged().context("there is neither a user `postgres` nor `nobody`")?;
        chown(directory.path(), Some(account.0), Some(account.1))?;
        Some(account)
    } else {
        None
    };
    let password_file = directory.path().join("password");
    fs::write(&password_file, PASSWORD)?;
    fs::set_permissions(&password_file, fs::Permissions::from_mode(0o644))?;
    let data = directory.path().join("data");
    let mut initdb = Command::new(programs.join("initdb"));
    initdb
        .args(["--no-sync", "--encoding=UTF8", "--username=postgres", "--auth=scram-sha-256", "--pwfile"])
        .arg(&password_file)
        .arg("--pgdata")
        .arg(&data)
        .env("LC_ALL", "C.UTF-8")
        .current_dir(directory.path());
    if let Some((user, group)) = account {
        initdb.uid(user).gid(group);
    }
    shell::captured(&mut initdb)?;

    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let mut service = Command::new(programs.join("postgres"));
    service.arg("-D").arg(&data).args(["-p", &port.to_string()]);
    service.args(CONFIGURATION.iter().flat_map(|setting| ["-c", setting]));
    let log = directory.path().join("postgres.log");
    // From here on the guard removes the directory.
    let then_remove = Some(directory.keep());
    let setup = Setup { account, then_remove, interrupt: true, ..Setup::with_log(log) };
    let mut server = Guarded::start("the throwaway PostgreSQL", &service, setup)?;
    wait_until_ready(&mut server, &data)?;
    Ok(Throwaway { url: format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/postgres"), server })
}

fn wait_until_ready(server: &mut Guarded, data: &Path) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let pid_file = data.join("postmaster.pid");
    while !fs::read_to_string(&pid_file)
        .is_ok_and(|text| text.lines().nth(7).is_some_and(|line| line.trim() == "ready"))
    {
        server.check()?;
        ensure!(Instant::now() < deadline, "the throwaway PostgreSQL was not ready within a minute");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
