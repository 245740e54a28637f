//! Starts and kills the small program that holds an embedded database.
#![expect(clippy::unwrap_used, reason = "a helper of tests: a panic is the failed test")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A value in the environment of every driver which must not travel further.
pub const SECRET: &str = "8e1f-not-for-the-database";

/// A data directory and the user who runs the server on it.
#[derive(Debug)]
pub struct Place {
    directory: TempDir,
    program: PathBuf,
    /// The ordinary user to become; none for the user who runs the tests.
    user: Option<u32>,
}

/// One place for the user who runs the tests and, where that is root, one for an ordinary user.
pub fn places() -> Vec<Place> {
    let built = std::env::current_exe().unwrap();
    let built = built.parent().unwrap().parent().unwrap().join("examples/embedded_db");
    let directory = tempfile::tempdir().unwrap();
    let root = fs::metadata(directory.path()).unwrap().uid() == 0;
    let mut places = vec![Place { directory, program: built.clone(), user: None }];
    if root {
        // `nobody`: PostgreSQL insists on a user with a name.
        let (user, directory) = (65_534, tempfile::tempdir().unwrap());
        // The build directory may be root's alone.
        let program = directory.path().join("program");
        fs::copy(built, &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        chown(directory.path(), Some(user), Some(user)).unwrap();
        places.push(Place { directory, program, user: Some(user) });
    }
    places
}

impl Place {
    pub fn data_dir(&self) -> &Path {
        self.directory.path()
    }

    pub fn home(&self) -> PathBuf {
        self.data_dir().join("postgres")
    }

    pub fn is_root(&self) -> bool {
        fs::metadata(self.data_dir()).unwrap().uid() == 0
    }

    pub fn as_database_user<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let owner = fs::metadata(self.home()).unwrap();
        if self.is_root() || self.user.is_some() { command.uid(owner.uid()).gid(owner.gid()) } else { command }
    }

    fn command(&self, data_dir: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(data_dir).env("SYNCWATCH_KEY", SECRET).current_dir("/");
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    }
}

/// A running driver, with its database ready.
pub struct Driver {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    home: PathBuf,
    pub url: String,
}

impl Driver {
    pub fn start(place: &Place) -> Self {
        let mut child = place.command(place.data_dir()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let Some(url) = line.trim().strip_prefix("ready ") else { panic!("{place:?} did not start: {line}") };
        Self { input: child.stdin.take().unwrap(), child, output, home: place.home(), url: url.to_owned() }
    }

    /// What a driver that cannot start says.
    pub fn refused(place: &Place, data_dir: &Path) -> String {
        let output = place.command(data_dir).stderr(Stdio::piped()).output().unwrap();
        assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    pub fn stop(mut self) {
        drop(self.input);
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "stopped\n");
        assert!(self.child.wait().unwrap().success());
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let _ = self.child.wait();
        line.trim().to_owned()
    }

    pub fn sql(&self, statement: &str) -> String {
        let output = Command::new("psql")
            .args(["-X", "-w", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", &self.url, "-c", statement])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    pub fn postmaster(&self) -> u32 {
        let text = fs::read_to_string(self.home.join("cluster/postmaster.pid")).unwrap();
        text.lines().next().unwrap().trim().parse().unwrap()
    }

    /// The postmaster's parent.
    pub fn supervisor(&self) -> u32 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.postmaster())).unwrap();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
        parent.trim().parse().unwrap()
    }
}

/// SIGKILL, and the wait until it has struck.
pub fn kill(process: u32) {
    assert!(Command::new("kill").args(["-9", &process.to_string()]).status().unwrap().success());
    until("the killed process is gone", || !alive(process));
}

/// Whether the process exists and is no zombie.
pub fn alive(process: u32) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z')))
}

pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !condition() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
