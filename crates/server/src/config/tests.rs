//! What an operator can get wrong, and how it is told.

use super::*;

fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    Config::read(Settings::from_pairs(pairs))
}

#[test]
fn nothing_set_gives_the_defaults() {
    let config = read(&[]).unwrap();
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.http.public_url.as_str(), "http://127.0.0.1:8080/");
    assert!(config.is_embedded());
    assert_eq!((config.worker.concurrency, config.worker.lease_seconds), (64, 45));
}

#[test]
fn every_error_is_told_at_once_by_name() {
    let errors = read(&[
        ("SYNCWATCH_LISTEN", "everywhere"),
        ("SYNCWATCH_PUBLIC_URL", "ftp://example.org/x"),
        ("SYNCWATCH_WORKER_CONCURRENCY", "0"),
        ("SYNCWATCH_WORKER_LEASE_SECONDS", "61"),
        ("SYNCWATCH_AUTOMATIC_RETRIES", "7"),
        ("DATABASE_URL", "mysql://x"),
        ("SYNCWATCH_MASTER_KEY", "short"),
        ("SYNCWATCH_LOG_FORMAT", "xml"),
        ("SYNCWATCH_ARCHIVE_URL", "ftp://example.org/archive"),
        ("SYNCWATCH_ARCHIVE_ACCOUNTING_YEARS", "4"),
        ("SYNCWATCH_MAINTENANCE_DATABASE_URL", "mysql://x"),
    ])
    .unwrap_err()
    .to_string();
    for name in [
        "SYNCWATCH_LISTEN",
        "SYNCWATCH_PUBLIC_URL",
        "SYNCWATCH_WORKER_CONCURRENCY",
        "SYNCWATCH_WORKER_LEASE_SECONDS",
        "SYNCWATCH_AUTOMATIC_RETRIES",
        "DATABASE_URL",
        "SYNCWATCH_MASTER_KEY",
        "SYNCWATCH_LOG_FORMAT",
        "SYNCWATCH_ARCHIVE_URL",
        "SYNCWATCH_ARCHIVE_ACCOUNTING_YEARS",
        "SYNCWATCH_MAINTENANCE_DATABASE_URL",
    ] {
        assert!(errors.contains(name), "{name} is missing in: {errors}");
    }
}

#[test]
fn an_external_database_needs_a_master_key() {
    let errors = read(&[("DATABASE_URL", "postgres://app@db/syncwatch")]).map(|config| config.vault());
    assert!(errors.unwrap().is_err());
}

#[test]
fn the_environment_wins_over_the_file() {
    let settings = Settings::from_pairs(&[("SYNCWATCH_LISTEN", "127.0.0.1:9000")])
        .with_file("listen = \"127.0.0.1:1\"\nrate_limit = 5\noutbound_allow = [\"127.0.0.0/8\"]\n")
        .unwrap();
    let config = Config::read(settings).unwrap();
    assert_eq!(config.http.listen.port(), 9000);
    assert_eq!(config.limits.requests_per_minute, 5);
    assert_eq!(config.outbound.allow, ["127.0.0.0/8"]);
}

#[test]
fn an_unknown_name_in_the_file_is_an_error() {
    let settings = Settings::from_pairs(&[]).with_file("lisen = \"127.0.0.1:1\"").unwrap();
    assert!(Config::read(settings).unwrap_err().to_string().contains("lisen"));
}

#[test]
fn debug_shows_no_secret() {
    let config = read(&[
        ("DATABASE_URL", "postgres://app:hunter2@db/syncwatch"),
        ("SYNCWATCH_SMTP_URL", "smtp://u:hunter2@mail"),
    ])
    .unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}
