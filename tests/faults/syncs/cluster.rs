//! A PostgreSQL of a case's own, which loses nothing that it has committed when it is killed.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use server::serve::with_database;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use store::admin::{AdminConnection, NewUser};
use store::migrate::{self, APP, RolePasswords};
use tempfile::TempDir;
use tests::peers::Port;
use tokio::process::Command;

use crate::process::Process;

/// The two administrators.
pub const ADMINISTRATORS: [&str; 2] = ["kari@example.org", "ola@example.org"];
/// Everybody's password, the database's roles' too: the cluster listens on the loopback address and lives for minutes.
pub const PASSWORD: &str = "correct-horse-battery-staple";

/// Names the directory of PostgreSQL's programs.
const VARIABLE: &str = "SYNCWATCH_TEST_POSTGRES_PROGRAMS";
const DATABASE: &str = "syncwatch";
/// How long PostgreSQL may take until it is ready.
const PATIENCE: Duration = Duration::from_mins(1);
const AGAIN: Duration = Duration::from_millis(20);

/// A commit is in the write-ahead log before it is answered. Nothing waits for the disk: processes are killed here, and not
/// the machine.
const CONFIGURATION: [&str; 9] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=60",
    "shared_buffers=32MB",
    "synchronous_commit=on",
    "fsync=off",
    "full_page_writes=off",
    "log_min_messages=warning",
    "timezone=UTC",
];

/// User and group that the cluster runs as, where this process is root.
type Account = Option<(u32, u32)>;

/// A directory that the database's user can pass through.
pub fn directory() -> anyhow::Result<TempDir> {
    let passable = Permissions::from_mode(0o711);
    Ok(tempfile::Builder::new().prefix("syncwatch-faults-").permissions(passable).tempdir()?)
}

/// A migrated cluster with two administrators, at rest, for copying.
pub struct Template {
    directory: TempDir,
    programs: PathBuf,
    account: Account,
}

impl Template {
    /// Makes one.
    pub async fn make() -> anyhow::Result<Self> {
        // A second installation of the provider is refused, harmlessly.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let programs = std::env::var_os(VARIABLE).with_context(|| format!("{VARIABLE} is not set"))?;
        let directory = directory()?;
        let account = account(directory.path())?;
        let template = Self { directory, programs: programs.into(), account };
        template.initialise().await?;
        let mut cluster = Cluster {
            directory: template.directory.path().to_owned(),
            programs: template.programs.clone(),
            account,
            port: Port::reserve()?,
            postmaster: None,
        };
        cluster.start().await?;
        let passwords = RolePasswords { app: Some(PASSWORD.to_owned()), ..RolePasswords::default() };
        migrate::run(&with_database(&cluster.url("postgres"), "postgres")?, DATABASE, &passwords).await?;
        let password_hash = server::auth::password::hash(PASSWORD.to_owned()).await?;
        let mut owner = AdminConnection::connect(&cluster.owner_url()).await?;
        let organization = owner.organization("Forening").await?;
        for email in ADMINISTRATORS {
            let user =
                NewUser { email, name: "Admin", password_hash: &password_hash, language: "en", role: "org_admin" };
            owner.user(organization, &user).await?;
        }
        drop(owner);
        cluster.stop().await?;
        Ok(template)
    }

    async fn initialise(&self) -> anyhow::Result<()> {
        let data = data_in(self.directory.path());
        fs::create_dir(&data)?;
        fs::set_permissions(&data, Permissions::from_mode(0o700))?;
        if let Some((user, group)) = self.account {
            chown(&data, Some(user), Some(group))?;
        }
        let password_file = self.directory.path().join("password");
        fs::write(&password_file, PASSWORD)?;
        fs::set_permissions(&password_file, Permissions::from_mode(0o644))?;
        let mut initdb = Command::new(self.programs.join("initdb"));
        initdb
            .args(["--no-sync", "--encoding=UTF8", "--username=postgres", "--auth=scram-sha-256", "--pwfile"])
            .arg(&password_file)
            .arg("--pgdata")
            .arg(&data)
            .env("LC_ALL", "C.UTF-8")
            .current_dir(self.directory.path());
        done(as_account(&mut initdb, self.account)).await
    }
}

/// A case's cluster.
pub struct Cluster {
    directory: PathBuf,
    programs: PathBuf,
    account: Account,
    // Kept while the cluster is down, too.
    port: Port,
    postmaster: Option<Process>,
}

impl Cluster {
    /// Copies the template into a case's directory, and starts the copy.
    pub async fn copy(template: &Template, directory: &Path) -> anyhow::Result<Self> {
        let mut copy = Command::new("cp");
        copy.arg("-a").arg(data_in(template.directory.path())).arg(data_in(directory));
        done(&mut copy).await?;
        let mut cluster = Self {
            directory: directory.to_owned(),
            programs: template.programs.clone(),
            account: template.account,
            port: Port::reserve()?,
            postmaster: None,
        };
        cluster.start().await?;
        Ok(cluster)
    }

    fn url(&self, role: &str) -> String {
        format!("postgres://{role}:{PASSWORD}@127.0.0.1:{}/{DATABASE}", self.port.number())
    }

    /// The application role's address.
    pub fn app_url(&self) -> String {
        self.url(APP)
    }

    /// The address of a superuser, who may act as the owner.
    pub fn owner_url(&self) -> String {
        self.url("postgres")
    }

    async fn start(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let postmaster = self.launch().await?;
            while !postmaster.has_ended() {
                if self.is_ready(&postmaster) {
                    self.postmaster = Some(postmaster);
                    return Ok(());
                }
                ensure!(Instant::now() < deadline, "PostgreSQL is not ready");
                tokio::time::sleep(AGAIN).await;
            }
            // It refuses to start while something that was killed still ends.
            ensure!(Instant::now() < deadline, "PostgreSQL does not start");
        }
    }

    async fn launch(&self) -> anyhow::Result<Process> {
        let mut command = Process::command(&self.programs.join("postgres"), "INT");
        command
            .arg("-D")
            .arg(data_in(&self.directory))
            .args(["-p", &self.port.number().to_string()])
            .args(CONFIGURATION.iter().flat_map(|setting| ["-c", setting]))
            .current_dir(&self.directory);
        as_account(&mut command, self.account);
        Process::start(command, &self.directory.join("postgres.log")).await
    }

    fn is_ready(&self, postmaster: &Process) -> bool {
        let Ok(text) = fs::read_to_string(data_in(&self.directory).join("postmaster.pid")) else { return false };
        let mut lines = text.lines().map(str::trim);
        lines.next() == Some(postmaster.number()) && lines.nth(6) == Some("ready")
    }

    fn postmaster(&mut self) -> anyhow::Result<Process> {
        self.postmaster.take().context("PostgreSQL does not run")
    }

    /// Kills it with SIGKILL and starts it again.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        self.postmaster()?.kill().await?;
        self.start().await
    }

    /// Ends every connection and starts it again.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.stop().await?;
        self.start().await
    }

    /// Ends it as an operator does who is in a hurry.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        let postmaster = self.postmaster()?;
        postmaster.signal("INT").await?;
        postmaster.end().await
    }
}

/// One number from a database.
pub async fn number(url: &str, query: &'static str) -> anyhow::Result<i64> {
    let mut connection = PgConnection::connect(url).await?;
    let number = sqlx::query_scalar(query).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(number)
}

fn data_in(directory: &Path) -> PathBuf {
    directory.join("cluster")
}

/// Whom PostgreSQL runs as: it refuses root.
fn account(own: &Path) -> anyhow::Result<Account> {
    if fs::metadata(own)?.uid() != 0 {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd")?;
    let found = ["postgres", "nobody"].iter().find_map(|wanted| {
        passwd.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            match fields[..] {
                [name, _, user, group, ..] if name == *wanted => Some((user.parse().ok()?, group.parse().ok()?)),
                _ => None,
            }
        })
    });
    Ok(Some(found.context("there is neither a user `postgres` nor `nobody`")?))
}

fn as_account(command: &mut Command, account: Account) -> &mut Command {
    if let Some((user, group)) = account {
        command.uid(user).gid(group);
    }
    command
}

async fn done(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().await?;
    let program = command.as_std().get_program().display().to_string();
    ensure!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
