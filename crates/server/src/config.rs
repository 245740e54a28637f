//! Everything an operator can set: a struct per concern, every error told at once.
//!
//! Each setting is an environment variable. The same names, in lower case and without `SYNCWATCH_`, may stand in the
//! TOML file that `SYNCWATCH_CONFIG` names; the environment wins.

mod master_key;
mod secret;
mod settings;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use url::Url;

pub use secret::Secret;
pub use settings::{ConfigErrors, Settings};

/// Callers can cause the HTTP library's lines at will.
const DEFAULT_FILTER: &str = "info,actix_server=warn,actix_http=off";

/// The server's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The HTTP server.
    pub http: HttpConfig,
    /// The database.
    pub database: DatabaseConfig,
    /// `SYNCWATCH_DATA_DIR`: the embedded database, the master key and the connection file live here. Default:
    /// `/var/lib/syncwatch` as root, otherwise `syncwatch` in the user's data directory.
    pub data_dir: PathBuf,
    /// Where the master key comes from.
    pub master_key: MasterKey,
    /// Outgoing e-mail.
    pub mail: MailConfig,
    /// Requests to external systems.
    pub outbound: OutboundConfig,
    /// Background work.
    pub worker: WorkerConfig,
    /// What a caller may ask for.
    pub limits: LimitsConfig,
    /// Tokens and sessions.
    pub sessions: SessionConfig,
    /// Logs.
    pub log: LogConfig,
}

/// The HTTP server.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// `SYNCWATCH_LISTEN`: address and port. Default: `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// `SYNCWATCH_PUBLIC_URL`: how people and runners reach the server; also the issuer of its tokens. Default: `http://`
    /// and the listening address.
    pub public_url: Url,
    /// `SYNCWATCH_DASHBOARD_DIR`: the built dashboard. Default: `dist` beside the program or in the working directory,
    /// where there is one.
    pub dashboard_dir: Option<PathBuf>,
    /// `SYNCWATCH_TRUST_FORWARDED_FOR`: whether the last address in `X-Forwarded-For` is the caller's (`true` behind a
    /// proxy that sets it). Default: `false`.
    pub trust_forwarded_for: bool,
    /// `SYNCWATCH_HTTP_THREADS`: threads that serve requests. Default: one per core.
    pub threads: usize,
}

impl HttpConfig {
    /// Whether the public address is behind TLS.
    pub fn is_https(&self) -> bool {
        self.public_url.scheme() == "https"
    }
}

/// The database.
#[derive(Clone, Debug)]
pub struct DatabaseConfig {
    /// `DATABASE_URL`: the application role's connection. Without it the server runs its own PostgreSQL.
    pub url: Option<Secret>,
    /// `SYNCWATCH_MIGRATE_DATABASE_URL`: the connection that `migrate`, `user` and `key` use; it may create roles.
    pub migrate_url: Option<Secret>,
    /// `SYNCWATCH_DATABASE_CONNECTIONS`: connections of a process at most. Default: 20.
    pub max_connections: u32,
}

/// Where the master key comes from.
#[derive(Clone, Debug)]
pub enum MasterKey {
    /// `SYNCWATCH_MASTER_KEY`: 32 bytes in base64; older keys may follow, separated by commas.
    Given(Secret),
    /// `SYNCWATCH_MASTER_KEY_FILE`: a file with one key per line.
    File(PathBuf),
    /// A file `master.key` in the data directory, made at first start (only with the embedded database).
    InDataDir,
}

/// Outgoing e-mail.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// `SYNCWATCH_SMTP_URL`: for example `smtps://user:password@mail.example`. Without it e-mails wait in the outbox.
    pub smtp_url: Option<Secret>,
    /// `SYNCWATCH_MAIL_FROM`: the sender. Default: `Syncwatch <syncwatch@localhost>`.
    pub from: String,
}

/// Requests to external systems.
#[derive(Clone, Debug)]
pub struct OutboundConfig {
    /// `SYNCWATCH_OUTBOUND_ALLOW`: loopback and private ranges that may be reached, as CIDR blocks separated by commas.
    /// Default: none.
    pub allow: Vec<String>,
}

/// Background work.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// `SYNCWATCH_WORKER_CONCURRENCY`: syncs that run at once in a process. Default: 4.
    pub concurrency: usize,
}

/// What a caller may ask for.
#[derive(Clone, Debug)]
pub struct LimitsConfig {
    /// `SYNCWATCH_RATE_LIMIT`: requests per minute and token (and per address without one); 0 turns it off.
    /// Default: 6000.
    pub requests_per_minute: u32,
    /// `SYNCWATCH_LOGIN_RATE_LIMIT`: sign-ins per minute for an e-mail address from one network address; 0 turns it off.
    /// Default: 10.
    pub logins_per_minute: u32,
}

/// Tokens and sessions.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Seconds an access token lives.
    pub access_seconds: u32,
    /// Days after which a session that nobody used ends.
    pub refresh_days: u32,
}

/// Logs.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// `SYNCWATCH_LOG`: a filter such as `info,server=debug`. Default: `info` without what the HTTP
    /// library says of callers' broken requests.
    pub filter: String,
    /// `SYNCWATCH_LOG_FORMAT`: `text` or `json`. Default: `text`.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Config {
    /// Reads the process's environment and the file it names.
    pub fn load() -> Result<Self, ConfigErrors> {
        Self::read(Settings::from_process()?)
    }

    /// Reads settings; every error at once.
    pub fn read(mut settings: Settings) -> Result<Self, ConfigErrors> {
        let listen: SocketAddr =
            settings.parse("SYNCWATCH_LISTEN", "an address and port such as 127.0.0.1:8080", || {
                SocketAddr::from(([127, 0, 0, 1], 8080))
            });
        let public_url = read_public_url(&mut settings, listen);
        let dashboard_dir = match settings.text("SYNCWATCH_DASHBOARD_DIR").map(PathBuf::from) {
            Some(dir) if dir.is_dir() => Some(dir),
            Some(_) => {
                settings.error("SYNCWATCH_DASHBOARD_DIR", "is no directory");
                None
            }
            None => default_dashboard_dir(),
        };
        let url = read_database_url(&mut settings, "DATABASE_URL");
        let migrate_url = read_database_url(&mut settings, "SYNCWATCH_MIGRATE_DATABASE_URL");
        let data_dir = settings.text("SYNCWATCH_DATA_DIR").map_or_else(default_data_dir, PathBuf::from);
        let key_text = settings.text("SYNCWATCH_MASTER_KEY").map(Secret::new);
        let key_file = settings.text("SYNCWATCH_MASTER_KEY_FILE").map(PathBuf::from);
        let master_key = match (key_text, key_file) {
            (Some(_), Some(_)) => {
                settings.error("SYNCWATCH_MASTER_KEY", "and SYNCWATCH_MASTER_KEY_FILE exclude each other");
                MasterKey::InDataDir
            }
            (Some(text), None) => MasterKey::Given(text),
            (None, Some(file)) => MasterKey::File(file),
            (None, None) => MasterKey::InDataDir,
        };
        if let MasterKey::Given(text) = &master_key
            && let Err(error) = crate::vault::Vault::from_text(text.expose())
        {
            settings.error("SYNCWATCH_MASTER_KEY", &error.to_string());
        }
        let config = Self {
            http: HttpConfig {
                listen,
                public_url,
                dashboard_dir,
                trust_forwarded_for: settings.parse("SYNCWATCH_TRUST_FORWARDED_FOR", "true or false", || false),
                threads: settings.parse_within("SYNCWATCH_HTTP_THREADS", 1..=256, cores()),
            },
            database: DatabaseConfig {
                url,
                migrate_url,
                max_connections: settings.parse_within("SYNCWATCH_DATABASE_CONNECTIONS", 2..=1000, 20),
            },
            data_dir,
            master_key,
            mail: MailConfig {
                smtp_url: settings.text("SYNCWATCH_SMTP_URL").map(Secret::new),
                from: settings
                    .text("SYNCWATCH_MAIL_FROM")
                    .unwrap_or_else(|| "Syncwatch <syncwatch@localhost>".to_owned()),
            },
            outbound: OutboundConfig { allow: settings.list("SYNCWATCH_OUTBOUND_ALLOW") },
            worker: WorkerConfig { concurrency: settings.parse_within("SYNCWATCH_WORKER_CONCURRENCY", 1..=256, 4) },
            limits: LimitsConfig {
                requests_per_minute: settings.parse_within("SYNCWATCH_RATE_LIMIT", 0..=10_000_000, 6000),
                logins_per_minute: settings.parse_within("SYNCWATCH_LOGIN_RATE_LIMIT", 0..=1_000_000, 10),
            },
            sessions: SessionConfig { access_seconds: 600, refresh_days: 14 },
            log: read_log(&mut settings),
        };
        check_outbound(&config.outbound, &mut settings);
        settings.finish()?;
        Ok(config)
    }

    /// Whether the server runs its own PostgreSQL.
    pub fn is_embedded(&self) -> bool {
        self.database.url.is_none()
    }

    /// A configuration for tests: an ephemeral port, no limits that a test run would meet, loopback allowed.
    pub fn for_tests(database_url: &str, data_dir: &Path) -> Self {
        Self {
            http: HttpConfig {
                listen: SocketAddr::from(([127, 0, 0, 1], 0)),
                public_url: loopback_url(8080),
                dashboard_dir: None,
                trust_forwarded_for: false,
                threads: 1,
            },
            database: DatabaseConfig {
                url: Some(Secret::new(database_url.to_owned())),
                migrate_url: None,
                max_connections: 8,
            },
            data_dir: data_dir.to_path_buf(),
            master_key: MasterKey::Given(Secret::new(crate::vault::Vault::generate_key())),
            mail: MailConfig { smtp_url: None, from: "Syncwatch <syncwatch@localhost>".to_owned() },
            outbound: OutboundConfig { allow: vec!["127.0.0.0/8".to_owned()] },
            worker: WorkerConfig { concurrency: 2 },
            limits: LimitsConfig { requests_per_minute: 0, logins_per_minute: 0 },
            sessions: SessionConfig { access_seconds: 600, refresh_days: 14 },
            log: LogConfig { filter: "warn".to_owned(), format: LogFormat::Text },
        }
    }
}

fn read_public_url(settings: &mut Settings, listen: SocketAddr) -> Url {
    let default = || {
        let host = if listen.ip().is_unspecified() { "127.0.0.1".to_owned() } else { listen.ip().to_string() };
        let host = if listen.is_ipv6() && !listen.ip().is_unspecified() { format!("[{host}]") } else { host };
        Url::parse(&format!("http://{host}:{}", listen.port())).unwrap_or_else(|_| loopback_url(listen.port()))
    };
    let url: Url = settings.parse("SYNCWATCH_PUBLIC_URL", "an http or https address", default);
    let plain = matches!(url.scheme(), "http" | "https")
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty();
    if !plain {
        settings.error("SYNCWATCH_PUBLIC_URL", "is an http or https address without a path");
    }
    url
}

fn loopback_url(port: u16) -> Url {
    // A constant address with a port number parses.
    Url::parse(&format!("http://127.0.0.1:{port}")).unwrap_or_else(|_| unreachable!("a constant address parses"))
}

fn read_database_url(settings: &mut Settings, name: &str) -> Option<Secret> {
    let text = settings.text(name)?;
    if !(text.starts_with("postgres://") || text.starts_with("postgresql://")) {
        settings.error(name, "starts with postgres:// or postgresql://");
    }
    Some(Secret::new(text))
}

fn read_log(settings: &mut Settings) -> LogConfig {
    let filter = settings.text("SYNCWATCH_LOG").unwrap_or_else(|| DEFAULT_FILTER.to_owned());
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&filter) {
        settings.error("SYNCWATCH_LOG", &error.to_string());
    }
    let format = match settings.text("SYNCWATCH_LOG_FORMAT").as_deref() {
        None | Some("text") => LogFormat::Text,
        Some("json") => LogFormat::Json,
        Some(_) => {
            settings.error("SYNCWATCH_LOG_FORMAT", "is text or json");
            LogFormat::Text
        }
    };
    LogConfig { filter, format }
}

fn check_outbound(outbound: &OutboundConfig, settings: &mut Settings) {
    if let Err(error) = crate::state::outbound_policy(outbound) {
        settings.error("SYNCWATCH_OUTBOUND_ALLOW", &error);
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

fn default_dashboard_dir() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|exe| exe.parent().map(|dir| dir.join("dist")));
    beside.into_iter().chain([PathBuf::from("dist")]).find(|dir| dir.join("index.html").is_file())
}

/// Root serves the machine; anybody else has a data directory of their own.
fn default_data_dir() -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    match home {
        Some(home) if !is_root() => {
            std::env::var_os("XDG_DATA_HOME").map_or_else(|| home.join(".local/share"), PathBuf::from).join("syncwatch")
        }
        _ => PathBuf::from("/var/lib/syncwatch"),
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(test)]
mod tests;
