//! The big ledger: the same operations with 10 million syncs and with 100 thousand, in one PostgreSQL, beside what
//! PostgreSQL alone does with the same statements.

mod export;
mod import;
mod lists;
mod reports;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, anyhow, ensure};

use crate::client::Client;
use crate::figure::Figure;
use crate::fill::{self, Filled, Ledger, Size};
use crate::installation::Installation;
use crate::pgbench;

/// Syncs of the small ledger.
const SMALL_ROWS: i64 = 100_000;
/// Its database.
const SMALL: &str = "syncwatch_small";
/// How much smaller a quick run is.
const QUICK: i64 = 50;

/// What there is to be, and with what.
#[derive(Clone, Debug)]
pub struct Options {
    /// Syncs of the large ledger, if they are named.
    pub rows: Option<i64>,
    /// Organizations of both.
    pub organizations: i32,
    /// Where the large ledger stays; with the bench it goes, if none is named.
    pub directory: Option<PathBuf>,
    /// Fewer and shorter rounds.
    pub quick: bool,
    /// The server's program.
    pub server: Option<PathBuf>,
    /// The built dashboard.
    pub dist: PathBuf,
    /// PostgreSQL's load generator.
    pub pgbench: Option<PathBuf>,
}

impl Options {
    fn size(&self) -> Result<Size> {
        let scale = if self.quick { QUICK } else { 1 };
        let rows = self.rows.unwrap_or(10_000_000 / scale);
        ensure!(self.organizations >= 2, "there are at least 2 organizations");
        ensure!(rows >= 10_000, "a ledger of fewer than 10000 syncs says nothing");
        Ok(Size { rows, organizations: self.organizations })
    }
}

/// A ledger and the server that serves it.
struct Side<'a> {
    server: &'a Installation,
    ledger: Ledger,
    /// Syncs that it was filled with.
    rows: i64,
}

impl Side<'_> {
    /// A machine's client of the large organization, with a token for the next ten minutes.
    async fn client(&self) -> Result<Client> {
        self.client_of(&self.ledger.large).await
    }

    async fn client_of(&self, organization: &Filled) -> Result<Client> {
        self.server.machine_of(&organization.name).await
    }
}

/// How long and how often.
#[derive(Clone, Copy, Debug)]
struct Rounds {
    number: usize,
    seconds: usize,
}

impl Rounds {
    fn samples(self) -> String {
        format!("{} × {} s", self.number, self.seconds)
    }
}

/// Fills the large ledger and leaves it where it was asked for.
pub async fn fill(options: &Options) -> Result<()> {
    ensure!(options.directory.is_some(), "where shall the ledger lie? Name it with --dir");
    let server = start(options).await?;
    let filled = fill::fill(server.owner_url(), options.size()?).await;
    server.stop().await?;
    filled.map(drop)
}

/// Measures everything. A measurement that fails is a missed bound; the others go on.
pub async fn measure(options: &Options, interrupted: impl Future<Output = Result<()>>) -> Result<Vec<Figure>> {
    let pgbench = pgbench::find(options.pgbench.as_deref())?;
    let size = options.size()?;
    let small = Size { rows: SMALL_ROWS.min(size.rows / 10), ..size };
    let server = start(options).await?;
    let measured = async {
        let ledger = fill::fill(server.owner_url(), size).await?;
        // Before anything else has made the server grow.
        let large = Side { server: &server, ledger, rows: size.rows };
        let mut figures = vec![told("memory of an export", export::measure(&large).await.map(|figure| vec![figure]))];
        let beside = server.start_beside(&options.dist, SMALL).await?;
        let rest = async {
            let ledger = fill::fill(beside.owner_url(), small).await?;
            measure_both(&large, &Side { server: &beside, ledger, rows: small.rows }, &pgbench, options.quick).await
        };
        let rest = rest.await;
        beside.stop().await?;
        figures.push(rest?);
        anyhow::Ok(figures.concat())
    };
    // Interrupted, the servers and what does not stay are still to be cleared away.
    let measured = tokio::select! {
        measured = measured => measured,
        interrupted = interrupted => interrupted.and(Err(anyhow!("interrupted"))),
    };
    server.stop().await?;
    measured
}

async fn start(options: &Options) -> Result<Installation> {
    Installation::start_in(options.server.as_deref(), &options.dist, options.directory.as_deref()).await
}

async fn measure_both(large: &Side<'_>, small: &Side<'_>, pgbench: &Path, quick: bool) -> Result<Vec<Figure>> {
    let begun = Instant::now();
    let rounds = if quick { Rounds { number: 1, seconds: 3 } } else { Rounds { number: 3, seconds: 8 } };
    let many = if quick { rounds } else { Rounds { number: 5, ..rounds } };
    let figures = [
        told("statements", reports::statements(large, pgbench).await.map(|figure| vec![figure])),
        told("reporting", reports::many(large, small, pgbench, many).await),
        told("reporting to one", reports::one(large, pgbench, rounds).await.map(|figure| vec![figure])),
        told("recordFinishedSync", reports::finished(large, pgbench, rounds).await.map(|figure| vec![figure])),
        told("listSyncs", lists::latest(large, pgbench, rounds).await.map(|figure| vec![figure])),
        told("failed only", lists::nothing(large, small, rounds).await.map(|figure| vec![figure])),
        told("pages", lists::pages(large, quick).await.map(|figure| vec![figure])),
        told("filters", lists::filters(large, quick).await),
        told("importSyncs", import::measure(large, quick).await.map(|figure| vec![figure])),
    ];
    println!("measured in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(figures.concat())
}

/// The figures, or one that says why there are none.
fn told(name: &str, figures: Result<Vec<Figure>>) -> Vec<Figure> {
    figures.unwrap_or_else(|error| vec![Figure::failed(name, &error).tell()])
}
