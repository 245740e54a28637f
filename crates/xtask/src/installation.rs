//! A whole running installation: mail inbox, stand-in accounting service, source app and server, filled with syncs.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::guard::{Guarded, Setup};
use crate::npm;
use crate::place::Place;
use crate::progress::{Step, step};
use crate::shell;

/// The demonstration's administrator.
pub const EMAIL: &str = "demo@syncwatch.example";
/// The administrator's password; the installation listens on the loopback address only.
pub const PASSWORD: &str = "demo-demo-demo";
/// The demonstration's organization.
pub const ORGANIZATION: &str = "Fagforbundet Demo";

/// Recovering a database after a crash can take this long.
const PATIENCE: Duration = Duration::from_mins(5);

/// Where the services of an installation listen: five ports in a row.
#[derive(Clone, Copy)]
pub struct Ports(u16);

impl Ports {
    /// Checks that the five ports from `first` on are free.
    pub fn from(first: u16) -> Result<Self> {
        let ports = Self(first);
        ensure!(first <= u16::MAX - 4, "port {first} leaves no room for the four after it");
        for port in first..=first + 4 {
            ensure!(
                is_free(port),
                "port {port} on 127.0.0.1 is taken: end what uses it, or choose five others with `--port` \
                 (the server takes the first, its helpers the next four)"
            );
        }
        Ok(ports)
    }

    /// Finds five free ports.
    pub fn any() -> Result<Self> {
        for _ in 0..100 {
            let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            if let Ok(ports) = Self::from(first) {
                return Ok(ports);
            }
        }
        anyhow::bail!("there are no five free ports in a row")
    }

    fn server(self) -> u16 {
        self.0
    }

    fn inbox(self) -> u16 {
        self.0 + 1
    }

    fn smtp(self) -> u16 {
        self.0 + 2
    }

    fn accounting(self) -> u16 {
        self.0 + 3
    }

    fn source_app(self) -> u16 {
        self.0 + 4
    }
}

/// A running installation; dropping it ends all its processes.
pub struct Installation {
    /// The dashboard and the API.
    pub server: String,
    /// The inbox that catches every e-mail.
    pub inbox: String,
    /// The accounting service that the syncs write to.
    pub accounting: String,
    /// The app that the records come from.
    pub source_app: String,
    /// In the order in which they are stopped: the server first.
    services: Vec<Guarded>,
}

impl Installation {
    /// Starts everything in `data` and fills it, unless an earlier start did.
    pub fn start(place: &Place, data: &Path, ports: Ports, release: bool) -> Result<Self> {
        let modules = npm::install(place, "tests/peers")?;
        let state = data.join("demo");
        let logs = data.join("log");
        for directory in [&state, &logs] {
            fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
        }
        let begin = Begin { place, data, state, logs, ports, release };
        let (inbox, accounting, source_app, server) = step("Starting the services", |step| {
            step.detail("mail inbox");
            let inbox = begin.inbox(&modules)?;
            step.detail("accounting service");
            let accounting = begin.accounting()?;
            step.detail("source app");
            let source_app = begin.source_app()?;
            step.detail("server and database");
            Ok((inbox, accounting, source_app, begin.server()?))
        })?;
        let address = |port| format!("http://127.0.0.1:{port}");
        let installation = Self {
            server: address(ports.server()),
            inbox: address(ports.inbox()),
            accounting: address(ports.accounting()),
            source_app: address(ports.source_app()),
            services: vec![server, source_app, accounting, inbox],
        };
        step("Filling the demonstration", |step| begin.seed(step, &installation))?;
        Ok(installation)
    }

    /// An error where one of the processes has ended.
    pub fn check(&mut self) -> Result<()> {
        self.services.iter_mut().try_for_each(Guarded::check)
    }

    /// Ends everything, the server first.
    pub fn stop(self) -> Result<()> {
        self.services.into_iter().try_for_each(Guarded::stop)
    }
}

/// What starting needs to know.
struct Begin<'a> {
    place: &'a Place,
    data: &'a Path,
    state: PathBuf,
    logs: PathBuf,
    ports: Ports,
    release: bool,
}

impl Begin<'_> {
    fn inbox(&self, modules: &Path) -> Result<Guarded> {
        let mut command = Command::new("node");
        command
            .arg(modules.join("maildev/bin/maildev"))
            .args(["--ip", "127.0.0.1", "--smtp", &self.ports.smtp().to_string()])
            .args(["--web", &self.ports.inbox().to_string(), "--silent"]);
        let mut inbox = self.guarded("the mail inbox", "inbox", &command, false)?;
        wait_for(&mut inbox, || answers(self.ports.inbox(), "/healthz") && !is_free(self.ports.smtp()))?;
        Ok(inbox)
    }

    fn accounting(&self) -> Result<Guarded> {
        let mut command = self.demo();
        command.args(["accounting", "--port", &self.ports.accounting().to_string(), "--log"]);
        command.arg(self.state.join("accounting.jsonl"));
        let mut accounting = self.guarded("the accounting service", "accounting", &command, true)?;
        accounting.ready()?;
        Ok(accounting)
    }

    fn source_app(&self) -> Result<Guarded> {
        let mut command = self.demo();
        command.args(["source-app", "--port", &self.ports.source_app().to_string()]);
        command.args(["--server", &format!("http://127.0.0.1:{}", self.ports.server()), "--key-file"]);
        command.arg(self.key_file()).arg("--data").arg(self.state.join("records.json"));
        let mut source_app = self.guarded("the source app", "source-app", &command, true)?;
        source_app.ready()?;
        Ok(source_app)
    }

    fn server(&self) -> Result<Guarded> {
        let mut command = self.syncwatch();
        command.arg("serve");
        let mut server = self.guarded("the server", "server", &command, false)?;
        wait_for(&mut server, || answers(self.ports.server(), "/readyz"))?;
        Ok(server)
    }

    fn seed(&self, step: &Step, installation: &Installation) -> Result<()> {
        if !self.key_file().is_file() {
            step.detail("administrator and machine key");
            let mut user = self.syncwatch();
            user.args(["user", "create", "--email", EMAIL, "--name", "Demo Administrator"]).args([
                "--organization",
                ORGANIZATION,
                "--role",
                "org_admin",
                "--password-stdin",
            ]);
            shell::fed(&mut user, PASSWORD)?;
            let mut key = self.syncwatch();
            key.args(["key", "create", "--organization", ORGANIZATION, "--name", "source app"])
                .args(["--scopes", "records:write"]);
            let text = shell::captured(&mut key)?;
            write_private(&self.key_file(), &text)?;
        }
        step.detail("integrations and syncs");
        let mut seed = self.demo();
        seed.args(["seed", "--server", &installation.server, "--accounting", &installation.accounting])
            .args(["--source-app-base", &installation.source_app, "--admin-email", EMAIL, "--state-dir"])
            .arg(&self.state)
            .arg("--key-file")
            .arg(self.key_file())
            .env("SYNCWATCH_DEMO_ADMIN_PASSWORD", PASSWORD);
        shell::logged(step, &self.logs.join("seed.log"), &mut seed)
    }

    fn key_file(&self) -> PathBuf {
        self.state.join("machine-key.json")
    }

    fn demo(&self) -> Command {
        Command::new(self.place.built("syncwatch-demo", self.release))
    }

    /// The server's program, set up by its environment alone.
    fn syncwatch(&self) -> Command {
        let mut command = Command::new(self.place.built("syncwatch", self.release));
        for (name, _) in std::env::vars_os() {
            // What a person has set for an installation of their own must not reach this one.
            if name.to_string_lossy().starts_with("SYNCWATCH_") {
                command.env_remove(name);
            }
        }
        command
            .env_remove("DATABASE_URL")
            .env("SYNCWATCH_LISTEN", format!("127.0.0.1:{}", self.ports.server()))
            .env("SYNCWATCH_PUBLIC_URL", format!("http://127.0.0.1:{}", self.ports.server()))
            .env("SYNCWATCH_DATA_DIR", self.data.join("server"))
            .env("SYNCWATCH_DASHBOARD_DIR", self.place.at("dist"))
            .env("SYNCWATCH_SMTP_URL", format!("smtp://127.0.0.1:{}", self.ports.smtp()))
            .env("SYNCWATCH_MAIL_FROM", "Syncwatch <syncwatch@syncwatch.example>")
            .env("SYNCWATCH_OUTBOUND_ALLOW", "127.0.0.0/8")
            // Whoever looks on has come to press the button.
            .env("SYNCWATCH_AUTOMATIC_RETRIES", "0");
        command
    }

    fn guarded(&self, name: &str, log: &str, command: &Command, says_ready: bool) -> Result<Guarded> {
        let log = self.logs.join(format!("{log}.log"));
        Guarded::start(name, command, Setup { says_ready, ..Setup::with_log(log) })
    }
}

fn wait_for(service: &mut Guarded, is_up: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_up() {
        service.check()?;
        ensure!(Instant::now() < deadline, "a service was not ready within {} minutes", PATIENCE.as_secs() / 60);
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Whether a GET on the loopback address is answered with 200.
fn answers(port: u16, path: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head == *b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Writes a file that only this user can read.
fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let refusal = Ports::from(port).err().unwrap().to_string();
        assert!(refusal.contains(&port.to_string()), "{refusal}");
        assert!(Ports::from(u16::MAX).is_err());
    }

    #[test]
    fn only_200_counts_as_an_answer() {
        for (answer, expected) in
            [("HTTP/1.1 200 OK\r\n\r\n", true), ("HTTP/1.1 503 Away\r\n\r\n", false), ("x", false)]
        {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 256];
                let count = stream.read(&mut request).unwrap();
                assert!(String::from_utf8_lossy(&request[..count]).starts_with("GET /readyz HTTP/1.1"));
                stream.write_all(answer.as_bytes()).unwrap();
            });
            assert_eq!(answers(port, "/readyz"), expected, "{answer:?}");
            server.join().unwrap();
        }
    }
}
