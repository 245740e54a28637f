//! Geometry of the bars of the last syncs: what was delivered grows up from a line, what failed hangs below it, so
//! that the shape tells a failure even without its colour.

use domain::health::RecentSync;

/// Width of one bar with its gap.
pub const STEP: f64 = 8.0;
/// Width of one bar.
pub const BAR: f64 = 6.0;
/// Where the line is, from the top.
pub const BASELINE: f64 = 30.0;
/// Height of the picture.
pub const HEIGHT: f64 = 48.0;
/// How many bars there is room for.
pub const BARS: usize = domain::health::RECENT_SYNCS;

/// How a sync ended, for its bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything arrived.
    Good,
    /// It arrived, with remarks.
    Warned,
    /// Something did not arrive.
    Bad,
}

/// One bar: `up` above the line, `down` below it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// Left edge.
    pub x: f64,
    /// Height above the line.
    pub up: f64,
    /// Height below the line.
    pub down: f64,
    /// How the sync ended.
    pub ending: Ending,
}

/// How a sync ended.
pub fn ending(sync: &RecentSync) -> Ending {
    if sync.status.is_failure() {
        Ending::Bad
    } else if sync.warnings > 0 || sync.counts_mismatch || sync.records_failed.is_some_and(|failed| failed > 0) {
        Ending::Warned
    } else {
        Ending::Good
    }
}

/// Bars for syncs given newest first; the newest stands rightmost.
pub fn bars(recent: &[RecentSync]) -> Vec<Bar> {
    let most =
        recent.iter().map(|sync| size(sync.records_processed).max(size(sync.records_failed))).fold(1.0, f64::max);
    // The square root keeps a day of 5 records visible beside one of 500.
    let scale = |count: f64, room: f64| if count <= 0.0 { 0.0 } else { (count / most).sqrt().mul_add(room - 3.0, 3.0) };
    let place = |index: usize| f64::from(u32::try_from(BARS.saturating_sub(index + 1)).unwrap_or(0)) * STEP;
    recent
        .iter()
        .take(BARS)
        .enumerate()
        .map(|(index, sync)| {
            let ending = ending(sync);
            let delivered = scale(size(sync.records_processed), BASELINE - 2.0);
            let failed = scale(size(sync.records_failed), HEIGHT - BASELINE - 2.0);
            let (up, down) = match ending {
                Ending::Bad if failed == 0.0 => (delivered, HEIGHT - BASELINE - 2.0),
                Ending::Bad => (delivered, failed.max(4.0)),
                _ => (delivered.max(3.0), failed),
            };
            Bar { x: place(index), up, down, ending }
        })
        .collect()
}

fn size(count: Option<i32>) -> f64 {
    f64::from(count.unwrap_or(0).max(0))
}

/// How many of the syncs ended how: good, warned, bad.
pub fn tally(recent: &[RecentSync]) -> (usize, usize, usize) {
    recent.iter().fold((0, 0, 0), |(good, warned, bad), sync| match ending(sync) {
        Ending::Good => (good + 1, warned, bad),
        Ending::Warned => (good, warned + 1, bad),
        Ending::Bad => (good, warned, bad + 1),
    })
}

#[cfg(test)]
mod tests {
    use domain::sync_log::SyncStatus;
    use uuid::Uuid;

    use super::*;
    use crate::lights::tests::at;

    fn sync(status: SyncStatus, processed: i32, failed: i32) -> RecentSync {
        RecentSync {
            id: Uuid::nil(),
            started_at: at("2026-11-17T13:00:00Z"),
            completed_at: at("2026-11-17T13:00:05Z"),
            status,
            records_total: Some(processed + failed),
            records_processed: Some(processed),
            records_failed: Some(failed),
            duration_ms: 5_000,
            warnings: 0,
            counts_mismatch: false,
            awaits_posting: false,
        }
    }

    #[test]
    fn the_newest_stands_rightmost_and_failures_hang_down() {
        let bars = bars(&[sync(SyncStatus::Failed, 28, 12), sync(SyncStatus::Success, 40, 0)]);
        assert!(bars[0].x > bars[1].x);
        assert!(bars[0].down > 0.0 && bars[0].up > 0.0);
        assert!(bars[1].down.abs() < f64::EPSILON && bars[1].up > bars[0].up);
    }

    #[test]
    fn every_bar_can_be_seen_and_stays_inside() {
        let many: Vec<RecentSync> = (0..40)
            .map(|n| match n % 4 {
                0 => sync(SyncStatus::Failed, 0, 0),
                1 => sync(SyncStatus::Success, 0, 0),
                2 => sync(SyncStatus::Failed, 0, 100_000),
                _ => sync(SyncStatus::Success, 100_000, 0),
            })
            .collect();
        let bars = bars(&many);
        assert_eq!(bars.len(), BARS);
        for bar in bars {
            assert!(bar.up + bar.down >= 3.0, "{bar:?}");
            assert!(bar.up <= BASELINE && bar.down <= HEIGHT - BASELINE && bar.x >= 0.0, "{bar:?}");
        }
    }

    #[test]
    fn the_tally_counts_every_ending() {
        let mut warned = sync(SyncStatus::RetriedSuccess, 5, 0);
        warned.warnings = 1;
        assert_eq!(tally(&[warned, sync(SyncStatus::Failed, 0, 1), sync(SyncStatus::Success, 1, 0)]), (1, 1, 1));
    }
}
