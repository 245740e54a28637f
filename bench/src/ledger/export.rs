//! The server's memory while a million syncs are exported.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use chrono::TimeDelta;

use super::Side;
use crate::figure::Figure;
use crate::memory;
use crate::moment::ago;

/// Syncs that are exported, if there are as many.
const WANTED: i64 = 1_000_000;
/// The 13 months that the ledger is filled over.
const MONTHS_IN_DAYS: i64 = 396;
/// Most bytes above what the idle server holds.
const BOUND: u64 = 30_000_000;
/// Until the server that has just started has come to rest.
const REST: Duration = Duration::from_secs(3);

/// Exports the newest million of the large organization and reads as fast as the server writes.
pub(super) async fn measure(side: &Side<'_>) -> Result<Figure> {
    let client = side.client().await?;
    // A call of each kind has been made before: an idle server is one that has worked.
    client.get("/api/v1/sync-logs?limit=200").await?.expect(200)?;
    tokio::time::sleep(REST).await;
    let pid = side.server.pid()?;
    let idle = memory::usage(pid)?.present;
    memory::forget_peak(pid)?;

    let large = &side.ledger.large;
    // Its syncs lie evenly over 13 months.
    let share = i32::try_from(large.rows.min(WANTED) * 1_000 / large.rows)?;
    let from = ago(TimeDelta::days(MONTHS_IN_DAYS) * share / 1_000);
    let begun = Instant::now();
    let mut answer = client.stream(&format!("/api/v1/sync-logs/export?from={from}")).await?;
    let (mut lines, mut bytes) = (0_usize, 0);
    while let Some(chunk) = answer.chunk().await? {
        lines += chunk.split(|byte| *byte == b'\n').count() - 1;
        bytes += chunk.len();
    }
    let seconds = begun.elapsed().as_secs_f64();
    let peak = memory::usage(pid)?.peak;
    let wanted = usize::try_from(large.rows.min(WANTED))?;
    ensure!(lines * 10 >= wanted * 9, "the export has {lines} lines, there are {wanted} syncs");

    let above = peak.saturating_sub(idle);
    let figure = Figure {
        name: format!("server's memory while exporting {lines} syncs ({} MB)", bytes / 1_000_000),
        measured: format!("{:.1} MB above idle", megabytes(above)),
        baseline: format!("{:.1} MB idle", megabytes(idle)),
        ratio: None,
        samples: format!("1 export, {seconds:.0} s"),
        bound: format!("≤ {} MB above", BOUND / 1_000_000),
        holds: above <= BOUND,
    };
    Ok(figure.tell())
}

#[expect(clippy::cast_precision_loss, reason = "a few hundred megabytes")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}
