//! `syncwatch archive`: months out of the database into files, and files away when their time has come.

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, Months, NaiveDate, Utc};
use clap::{Args, Subcommand};
use store::archives::{Maintenance, month_of};

use crate::archive::run::{Plan, Run};
use crate::clock::Clock;
use crate::config::Config;
use crate::connection_file::Connections;
use crate::ledger::earliest_start;

/// Months after which a month can leave the database, at the earliest.
const LEAST_MONTHS: u32 = 12;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct ArchiveArgs {
    #[command(subcommand)]
    command: Option<ArchiveCommand>,
    /// How old a month's newest sync must be: years or months, at least a year (`1y`, `18m`)
    #[arg(long, default_value = "1y", value_parser = parse_months)]
    older_than: u32,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Subcommand)]
enum ArchiveCommand {
    /// Delete files whose retention has ended, for good
    Expire {
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
}

/// Archives, or lets expire.
pub(super) async fn run(config: &Config, args: &ArchiveArgs) -> anyhow::Result<()> {
    let files = crate::archive::open(&config.archive.location).context("SYNCWATCH_ARCHIVE_URL")?;
    let mut maintenance = connect(config).await?;
    let mut progress = |line: &str| eprintln!("{line}");
    let mut run = Run { maintenance: &mut maintenance, files: &files, progress: &mut progress };
    let now = Clock::system().now();
    if let Some(ArchiveCommand::Expire { dry_run }) = args.command {
        let done = run.expire(config.archive.years, now.date_naive(), dry_run).await?;
        let verb = if dry_run { "would expire" } else { "expired" };
        println!("{} months of organizations with {} rows {verb}", done.months, done.rows);
        return Ok(());
    }
    let plan = Plan {
        cutoff: months_before(now, args.older_than).context("that is too long ago")?,
        empty_before: month_of(earliest_start(now)),
        dry_run: args.dry_run,
    };
    let done = run.archive(plan).await?;
    if args.dry_run {
        println!("{} months would be archived, {} wait", done.months, done.waiting);
    } else {
        println!("{} months with {} rows were archived, {} wait", done.months, done.rows, done.waiting);
    }
    Ok(())
}

/// As the maintenance role: the configured connection, or the one of the server that runs here.
async fn connect(config: &Config) -> anyhow::Result<Maintenance> {
    // A second installation of the provider is refused, harmlessly.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = match (&config.database.maintenance_url, &config.database.url) {
        (Some(url), _) => url.expose().to_owned(),
        (None, None) => Connections::read(&config.data_dir)?.owner_url,
        (None, Some(_)) => {
            bail!("SYNCWATCH_MAINTENANCE_DATABASE_URL is needed: a connection of the role syncwatch_maintenance")
        }
    };
    Maintenance::connect(&url).await.context("connecting to the database")
}

fn months_before(now: DateTime<Utc>, months: u32) -> Option<DateTime<Utc>> {
    let day: NaiveDate = now.date_naive().checked_sub_months(Months::new(months))?;
    Some(day.and_time(now.time()).and_utc())
}

/// `2y` or `18m`, in months.
fn parse_months(text: &str) -> anyhow::Result<u32> {
    let (number, months) = match text.strip_suffix('y') {
        Some(years) => (years, 12),
        None => (text.strip_suffix('m').context("years or months, such as 1y or 18m")?, 1),
    };
    let number: u32 = number.parse().context("years or months, such as 1y or 18m")?;
    let months = number.checked_mul(months).filter(|months| *months <= 1200).context("at most a century")?;
    ensure!(months >= LEAST_MONTHS, "at least a year");
    Ok(months)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_years_or_months_and_at_least_a_year() {
        assert_eq!(parse_months("1y").unwrap(), 12);
        assert_eq!(parse_months("18m").unwrap(), 18);
        for text in ["", "y", "0y", "11m", "1", "400d", "-1y", "101y", "99999999999y"] {
            assert!(parse_months(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_year_before_a_leap_day_is_the_day_before() {
        let leap: DateTime<Utc> = "2028-02-29T12:00:00Z".parse().unwrap();
        assert_eq!(months_before(leap, 12), Some("2027-02-28T12:00:00Z".parse().unwrap()));
    }
}
