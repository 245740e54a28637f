//! Settings that take more than a word: their forms, their defaults, and what is wrong with them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use archive::Location;
use domain::retention::{LEAST_ACCOUNTING_YEARS, RetentionYears};
use url::Url;

use super::{ARCHIVE_DIRECTORY, ArchiveConfig, LogConfig, LogFormat, OutboundConfig, Secret, Settings};

/// Callers can cause the HTTP library's lines at will.
const DEFAULT_FILTER: &str = "info,actix_server=warn,actix_http=off";

pub(super) fn read_public_url(settings: &mut Settings, listen: SocketAddr) -> Url {
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

pub(super) fn loopback_url(port: u16) -> Url {
    // A constant address with a port number parses.
    Url::parse(&format!("http://127.0.0.1:{port}")).unwrap_or_else(|_| unreachable!("a constant address parses"))
}

pub(super) fn read_database_url(settings: &mut Settings, name: &str) -> Option<Secret> {
    let text = settings.text(name)?;
    if !(text.starts_with("postgres://") || text.starts_with("postgresql://")) {
        settings.error(name, "starts with postgres:// or postgresql://");
    }
    Some(Secret::new(text))
}

pub(super) fn read_archive(settings: &mut Settings, data_dir: &Path) -> ArchiveConfig {
    const NAME: &str = "SYNCWATCH_ARCHIVE_URL";
    let default = Location::directory(&data_dir.join(ARCHIVE_DIRECTORY));
    let location = match settings.text(NAME).map(|text| Location::parse(&text)) {
        None => default,
        Some(Ok(location)) => location,
        Some(Err(what)) => {
            settings.error(NAME, &what);
            default
        }
    };
    if let Err(error) = crate::archive::open(&location) {
        settings.error(NAME, &crate::http::problem::Chain(&error).to_string());
    }
    let accounting = settings.parse_within(
        "SYNCWATCH_ARCHIVE_ACCOUNTING_YEARS",
        LEAST_ACCOUNTING_YEARS..=100,
        LEAST_ACCOUNTING_YEARS,
    );
    let operational = settings.parse_within("SYNCWATCH_ARCHIVE_OPERATIONAL_YEARS", 1..=100, 2);
    ArchiveConfig { location, years: RetentionYears { accounting, operational } }
}

pub(super) fn read_log(settings: &mut Settings) -> LogConfig {
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

pub(super) fn check_outbound(outbound: &OutboundConfig, settings: &mut Settings) {
    if let Err(error) = crate::state::outbound_policy(outbound) {
        settings.error("SYNCWATCH_OUTBOUND_ALLOW", &error);
    }
}

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

pub(super) fn default_dashboard_dir() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|exe| exe.parent().map(|dir| dir.join("dist")));
    beside.into_iter().chain([PathBuf::from("dist")]).find(|dir| dir.join("index.html").is_file())
}

/// Root serves the machine; anybody else has a data directory of their own.
pub(super) fn default_data_dir() -> PathBuf {
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
