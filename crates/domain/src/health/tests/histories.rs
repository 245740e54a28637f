//! Long histories, longer than the health row's list: step by step the facts say what a plain look at every sync says.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Something that ends: an attempt of the sync that began at an hour, so many minutes after it.
#[derive(Clone, Copy, Debug)]
struct Ends {
    hour: i64,
    succeeded: bool,
    awaits: bool,
    retry: bool,
    minutes: i64,
}

fn ends(hours: i64, successes: u32) -> impl Strategy<Value = Ends> {
    let (succeeded, awaits) = (prop::bool::weighted(f64::from(successes) / 100.0), prop::bool::weighted(0.1));
    let all = (0..hours, succeeded, awaits, prop::bool::weighted(0.3), 0_i64..6_000);
    all.prop_map(|(hour, succeeded, awaits, retry, minutes)| {
        let succeeded = succeeded || awaits;
        Ends { hour, succeeded, awaits, retry, minutes }
    })
}

/// Everything that is known, as it is: the latest word on every sync.
#[derive(Default)]
struct Plain(BTreeMap<i64, RecentSync>);

impl Plain {
    fn newest_first(&self) -> impl Iterator<Item = &RecentSync> {
        self.0.values().rev()
    }

    /// The failed syncs that stand between a place in the list of all and the success before it, which is none while it
    /// awaits.
    fn failures_from(&self, place: usize) -> (i32, Option<DateTime<Utc>>) {
        let run = self.newest_first().skip(place).take_while(|sync| sync.status.is_failure() || sync.awaits_posting);
        let failed: Vec<_> = run.filter(|sync| sync.status.is_failure()).collect();
        let turned_red = |sync: &&RecentSync| match sync.status {
            RetriedFailed => sync.started_at,
            _ => sync.completed_at,
        };
        (i32::try_from(failed.len()).unwrap(), failed.iter().map(turned_red).min())
    }

    fn facts(&self) -> HealthFacts {
        let (consecutive_failures, failing_since) = self.failures_from(0);
        let recent = self.newest_first().take(RECENT_SYNCS).cloned().collect();
        HealthFacts { recent, failing_since, consecutive_failures, ..HealthFacts::default() }
    }
}

fn follow(history: Vec<Ends>) -> Result<(), TestCaseError> {
    let (mut plain, mut facts) = (Plain::default(), HealthFacts::default());
    for Ends { hour, succeeded, awaits, retry, minutes } in history {
        let status = SyncStatus::finished(u16::from(retry), succeeded);
        let completed_at = at(hour) + Duration::minutes(minutes);
        let ended = RecentSync { completed_at, awaits_posting: awaits, ..sync(hour, status) };
        plain.0.insert(hour, ended.clone());
        if facts.record(ended) == FailureRun::Unsure && facts.oldest_of_full_run().is_some() {
            let (beyond, since) = plain.failures_from(RECENT_SYNCS);
            facts.count_run(beyond, since);
        }
        prop_assert_eq!(&facts, &plain.facts());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Syncs in any order, repeated, retried and corrected, seldom a success, some not known yet: runs outgrow the list
    /// and break.
    #[test]
    fn of_many_failures(history in prop::collection::vec(ends(60, 5), 1..150)) {
        follow(history)?;
    }

    /// Few syncs, mixed.
    #[test]
    fn of_both_kinds(history in prop::collection::vec(ends(40, 50), 1..80)) {
        follow(history)?;
    }
}
