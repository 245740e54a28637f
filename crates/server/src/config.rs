//! Everything an operator can set: a struct per concern, every error told at once.
//!
//! Each setting is an environment variable. The same names, in lower case and without `SYNCWATCH_`, may stand in the
//! TOML file that `SYNCWATCH_CONFIG` names; the environment wins.

mod master_key;
mod reading;
mod secret;
mod settings;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use archive::Location;
use domain::retention::{LEAST_ACCOUNTING_YEARS, RetentionYears};
use domain::retry::MOST_AUTOMATIC;
use url::Url;

use reading::{
    check_outbound, cores, default_dashboard_dir, default_data_dir, loopback_url, read_archive, read_database_url,
    read_log, read_public_url,
};
pub use secret::Secret;
pub use settings::{ConfigErrors, Settings};

/// How long anything waits for a connection to the database.
pub const CONNECTION_PATIENCE: Duration = Duration::from_secs(5);

/// Seconds of a managed sync's lease, if nothing else is set: with the sweep after it, what a dead worker held is free
/// again within a minute.
const LEASE_SECONDS: u32 = 45;

/// Where the archive lies in the data directory, if nothing else is set.
const ARCHIVE_DIRECTORY: &str = "archive";

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
    /// Months that leave the database.
    pub archive: ArchiveConfig,
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
    /// `SYNCWATCH_MAINTENANCE_DATABASE_URL`: the connection of the role `syncwatch_maintenance`, which `archive` uses.
    pub maintenance_url: Option<Secret>,
    /// `SYNCWATCH_DATABASE_CONNECTIONS`: connections of a process at most, of which syncs leave a quarter to requests and
    /// to whatever is short. Default: 20.
    pub max_connections: u32,
    /// How long a request waits for a connection.
    pub patience: Duration,
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

/// Months that leave the database.
#[derive(Clone, Debug)]
pub struct ArchiveConfig {
    /// `SYNCWATCH_ARCHIVE_URL`: `file:///directory` or `s3://bucket/prefix`; for S3 the usual `AWS_…` variables say the
    /// rest. Default: `archive` in the data directory.
    pub location: Location,
    /// `SYNCWATCH_ARCHIVE_ACCOUNTING_YEARS`: years after the end of the accounting year, 5 or more; default: 5.
    /// `SYNCWATCH_ARCHIVE_OPERATIONAL_YEARS`: years after the month, for everything else; default: 2.
    pub years: RetentionYears,
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
    /// `SYNCWATCH_OUTBOUND_ALLOW`: ranges beyond the public ones that may be reached, as CIDR blocks separated by commas.
    /// Default: none.
    pub allow: Vec<String>,
}

/// Background work.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// `SYNCWATCH_WORKER_CONCURRENCY`: syncs that run at once in a process, of which one organization leaves
    /// a quarter to others. Default: 64.
    pub concurrency: usize,
    /// `SYNCWATCH_WORKER_LEASE_SECONDS`: seconds after which a sync without a sign of life from its worker counts as
    /// abandoned. Default: 45.
    pub lease_seconds: u32,
    /// `SYNCWATCH_AUTOMATIC_RETRIES`: how many of a sync's ten retries nobody has to ask for, 0–6. They send what may pass by
    /// itself, and nothing that was refused for good. Default: 6.
    pub automatic_retries: u16,
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
        let maintenance_url = read_database_url(&mut settings, "SYNCWATCH_MAINTENANCE_DATABASE_URL");
        let archive = read_archive(&mut settings, &data_dir);
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
                maintenance_url,
                max_connections: settings.parse_within("SYNCWATCH_DATABASE_CONNECTIONS", 2..=1000, 20),
                patience: CONNECTION_PATIENCE,
            },
            data_dir,
            master_key,
            archive,
            mail: MailConfig {
                smtp_url: settings.text("SYNCWATCH_SMTP_URL").map(Secret::new),
                from: settings
                    .text("SYNCWATCH_MAIL_FROM")
                    .unwrap_or_else(|| "Syncwatch <syncwatch@localhost>".to_owned()),
            },
            outbound: OutboundConfig { allow: settings.list("SYNCWATCH_OUTBOUND_ALLOW") },
            worker: WorkerConfig {
                concurrency: settings.parse_within("SYNCWATCH_WORKER_CONCURRENCY", 1..=256, 64),
                lease_seconds: settings.parse_within("SYNCWATCH_WORKER_LEASE_SECONDS", 5..=60, LEASE_SECONDS),
                automatic_retries: settings.parse_within(
                    "SYNCWATCH_AUTOMATIC_RETRIES",
                    0..=MOST_AUTOMATIC,
                    MOST_AUTOMATIC,
                ),
            },
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
                maintenance_url: None,
                max_connections: 8,
                // Many tests at once on few processors are no reason to refuse.
                patience: Duration::from_mins(1),
            },
            data_dir: data_dir.to_path_buf(),
            master_key: MasterKey::Given(Secret::new(crate::vault::Vault::generate_key())),
            archive: ArchiveConfig {
                location: Location::directory(&data_dir.join(ARCHIVE_DIRECTORY)),
                years: RetentionYears { accounting: LEAST_ACCOUNTING_YEARS, operational: 2 },
            },
            mail: MailConfig { smtp_url: None, from: "Syncwatch <syncwatch@localhost>".to_owned() },
            outbound: OutboundConfig { allow: vec!["127.0.0.0/8".to_owned()] },
            // A test says itself what is retried, and when.
            worker: WorkerConfig { concurrency: 2, lease_seconds: LEASE_SECONDS, automatic_retries: 0 },
            limits: LimitsConfig { requests_per_minute: 0, logins_per_minute: 0 },
            sessions: SessionConfig { access_seconds: 600, refresh_days: 14 },
            log: LogConfig { filter: "warn".to_owned(), format: LogFormat::Text },
        }
    }
}

#[cfg(test)]
mod tests;
