use chrono::{DateTime, Duration, Utc};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::health::{HealthSettings, RECENT_SYNCS, RecentSync, judge};
use crate::sync_log::SyncStatus;

fn start() -> DateTime<Utc> {
    "2026-11-02T06:00:00Z".parse().unwrap()
}

fn sync(number: usize, status: SyncStatus) -> RecentSync {
    let started_at = start() + Duration::hours(i64::try_from(number).unwrap());
    RecentSync {
        id: Uuid::from_u128(number as u128),
        started_at,
        completed_at: started_at + Duration::minutes(if matches!(status, SyncStatus::RetriedFailed) { 2 } else { 1 }),
        status,
        records_total: None,
        records_processed: None,
        records_failed: None,
        duration_ms: 60_000,
        warnings: 0,
        counts_mismatch: false,
        awaits_posting: false,
    }
}

fn settings() -> HealthSettings {
    HealthSettings { paused: false, created_at: start(), next_expected_at: None, policy: HealthPolicy::default() }
}

/// Takes the syncs in one by one and follows the decisions.
fn story(statuses: &[SyncStatus]) -> Vec<IncidentDecision> {
    let (mut facts, mut open) = (HealthFacts::default(), false);
    let mut told = Vec::new();
    for (number, status) in statuses.iter().enumerate() {
        let sync = sync(number, *status);
        let now = sync.completed_at;
        facts.record(sync);
        let health = judge(&facts, &settings(), now);
        let decision = decide_by_health(&facts, &settings().policy, &health, open);
        assert_eq!(decision, decide(&facts, &settings().policy, health.light, open));
        assert_eq!(decision, decide_at(&facts, &settings(), now, open, status.is_success()));
        match decision {
            IncidentDecision::Open(_) => open = true,
            IncidentDecision::Resolve => open = false,
            IncidentDecision::None => {}
        }
        told.push(decision);
    }
    told
}

use IncidentDecision::{None as Nothing, Open, Resolve};
use IncidentKind::{ConsecutiveFailures, Stale};
use SyncStatus::{Failed, RetriedFailed, RetriedSuccess, Success};

#[test]
fn two_failures_open_and_a_success_resolves() {
    assert_eq!(
        story(&[Success, Failed, Failed, Failed, RetriedFailed, Success, Success, Failed, Success]),
        [Nothing, Nothing, Open(ConsecutiveFailures), Nothing, Nothing, Resolve, Nothing, Nothing, Nothing]
    );
    assert_eq!(story(&[Failed, RetriedSuccess, Failed, RetriedFailed]).last(), Some(&Open(ConsecutiveFailures)));
}

#[test]
fn a_retry_is_not_another_sync() {
    let mut facts = HealthFacts::default();
    facts.record(sync(0, Failed));
    facts.record(sync(0, RetriedFailed));
    assert_eq!(facts.consecutive_failures, 1);
    assert_eq!(decide(&facts, &HealthPolicy::default(), Light::Red, false), Nothing);
}

#[test]
fn staleness_opens_once_and_a_success_resolves() {
    for first in [None, Some(Success), Some(Failed)] {
        let mut facts = HealthFacts::default();
        if let Some(status) = first {
            facts.record(sync(0, status));
        }
        let policy = settings().policy;
        let decide_at = |facts: &HealthFacts, hours, open| {
            let health = judge(facts, &settings(), start() + Duration::hours(hours));
            decide_by_health(facts, &policy, &health, open)
        };
        assert_eq!(decide_at(&facts, 47, false), Nothing, "{first:?}");
        assert_eq!(decide_at(&facts, 49, false), Open(Stale), "{first:?}");
        assert_eq!(decide_at(&facts, 50, true), Nothing, "{first:?}");
        facts.record(sync(50, Success));
        assert_eq!(decide_at(&facts, 51, true), Resolve, "{first:?}");
        assert_eq!(decide_at(&facts, 51, false), Nothing, "{first:?}");
    }
}

#[test]
fn the_threshold_is_the_integrations() {
    for threshold in [0, 1, 3, 30] {
        let policy = HealthPolicy { failure_threshold: threshold, ..HealthPolicy::default() };
        let mut facts = HealthFacts::default();
        for number in 0..30_usize {
            facts.record(sync(number, Failed));
            let opens = number + 1 >= threshold.max(1) as usize;
            let expected = if opens { Open(ConsecutiveFailures) } else { Nothing };
            assert_eq!(decide(&facts, &policy, Light::Red, false), expected, "{threshold}, {number}");
        }
    }
}

#[test]
fn a_paused_integration_is_silent() {
    let mut facts = HealthFacts::default();
    for number in 0..5 {
        facts.record(sync(number, Failed));
    }
    let paused = HealthSettings { paused: true, ..settings() };
    let health = judge(&facts, &paused, start() + Duration::hours(100));
    for open in [false, true] {
        assert_eq!(decide_by_health(&facts, &paused.policy, &health, open), Nothing);
    }
}

/// A success whose records await their posting.
fn awaiting(number: usize) -> RecentSync {
    RecentSync { warnings: 1, awaits_posting: true, ..sync(number, Success) }
}

fn taken_in(syncs: impl IntoIterator<Item = RecentSync>) -> HealthFacts {
    let mut facts = HealthFacts::default();
    for sync in syncs {
        facts.record(sync);
    }
    facts
}

#[test]
fn what_awaits_its_posting_neither_counts_nor_resolves() {
    let decide = |syncs: &[RecentSync], hours, open| {
        let facts = taken_in(syncs.iter().cloned());
        decide_at(&facts, &settings(), start() + Duration::hours(hours), open, false)
    };
    let failed = [sync(0, Failed), sync(1, Failed)];
    let waits = [failed[0].clone(), failed[1].clone(), awaiting(2)];
    assert_eq!(taken_in(waits.clone()).consecutive_failures, 2);
    assert_eq!(decide(&waits, 3, true), Nothing);
    assert_eq!(decide(&[failed[0].clone(), awaiting(2)], 3, false), Nothing);
    // Found posted, or refused.
    let [posted, refused] = [RetriedSuccess, RetriedFailed].map(|status| sync(2, status));
    assert_eq!(decide(&[failed[0].clone(), failed[1].clone(), posted], 3, true), Resolve);
    assert_eq!(decide(&[failed[0].clone(), refused], 3, false), Open(ConsecutiveFailures));
    // However many wait, one that failed before them is counted, and one that is known to have succeeded resolves.
    let refused_before = [sync(0, RetriedFailed), sync(1, RetriedFailed), awaiting(2), awaiting(3)];
    assert_eq!(decide(&refused_before, 4, false), Open(ConsecutiveFailures));
    let posted_before = [sync(0, Failed), sync(1, RetriedSuccess), awaiting(2), awaiting(3)];
    assert_eq!(decide(&posted_before, 4, true), Resolve);
    assert_eq!(decide(&posted_before, 4, false), Nothing);
    // It is fresh, so none opens; nor does it end one that opened for want of syncs.
    assert_eq!(decide(&[sync(0, Success), awaiting(50)], 51, false), Nothing);
    assert_eq!(decide(&[sync(0, Success), awaiting(50)], 51, true), Nothing);
    assert_eq!(decide(&[awaiting(50)], 51, true), Nothing);
    assert_eq!(decide(&[sync(0, Success), sync(50, RetriedSuccess)], 51, true), Resolve);
}

#[test]
fn where_all_that_is_kept_awaits_an_older_success_resolves() {
    let now = start() + Duration::hours(45);
    let decide = |facts: &HealthFacts, succeeded| decide_at(facts, &settings(), now, true, succeeded);
    let mut facts = taken_in((10..10 + RECENT_SYNCS).map(awaiting));
    assert_eq!(decide(&facts, false), Nothing);
    assert_eq!(decide(&facts, true), Resolve);
    // Others that are older than all that is kept have failed since.
    facts.count_run(2, Some(start()));
    assert_eq!(decide(&facts, true), Nothing);
    // What is kept says it itself.
    let failed_since = taken_in([awaiting(1), sync(2, Failed), awaiting(3)]);
    assert_eq!(decide(&failed_since, true), Nothing);
}

proptest! {
    /// Openings and resolutions alternate; an incident opens exactly at the second failure in a row.
    #[test]
    fn openings_and_resolutions_alternate(failures in prop::collection::vec(any::<bool>(), 0..60)) {
        let statuses: Vec<_> = failures.iter().map(|failed| if *failed { Failed } else { Success }).collect();
        let (mut open, mut run) = (false, 0);
        for (decision, failed) in story(&statuses).into_iter().zip(failures) {
            run = if failed { run + 1 } else { 0 };
            let expected = match (open, run) {
                (false, 2..) => Open(ConsecutiveFailures),
                (true, 0) => Resolve,
                _ => Nothing,
            };
            prop_assert_eq!(decision, expected);
            open = match decision { Open(_) => true, Resolve => false, Nothing => open };
        }
    }
}
