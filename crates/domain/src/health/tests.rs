mod histories;

use std::collections::VecDeque;

use proptest::prelude::*;
use proptest::sample::Index;
use uuid::Uuid;

use super::*;
use crate::sync_log::{SyncState, SyncStatus, Transition};

fn at(hours: i64) -> DateTime<Utc> {
    "2026-11-02T06:00:00Z".parse::<DateTime<Utc>>().unwrap() + Duration::hours(hours)
}

/// A sync that began at an hour and took a minute.
fn sync(hour: i64, status: SyncStatus) -> RecentSync {
    RecentSync {
        id: Uuid::from_u128(u128::try_from(hour + 10_000).unwrap()),
        started_at: at(hour),
        completed_at: at(hour) + Duration::minutes(1),
        status,
        records_total: Some(40),
        records_processed: Some(40),
        records_failed: Some(0),
        duration_ms: 60_000,
        warnings: 0,
        counts_mismatch: false,
        awaits_posting: false,
    }
}

/// The same sync after a retry that ended at an hour.
fn retried(mut sync: RecentSync, hour: i64, succeeded: bool) -> RecentSync {
    sync.status = SyncStatus::finished(1, succeeded);
    sync.completed_at = at(hour);
    sync
}

fn facts(syncs: impl IntoIterator<Item = RecentSync>) -> HealthFacts {
    let mut facts = HealthFacts::default();
    for sync in syncs {
        facts.record(sync);
    }
    facts
}

fn settings() -> HealthSettings {
    HealthSettings { paused: false, created_at: at(0), next_expected_at: None, policy: HealthPolicy::default() }
}

fn codes(health: &Health) -> Vec<ReasonCode> {
    health.reasons.iter().map(|reason| reason.code).collect()
}

use Light::{Green, Grey, Red, Yellow};
use ReasonCode as R;
use SyncStatus::{Failed, RetriedFailed, RetriedSuccess, Success};

#[test]
fn the_table_in_the_order_of_its_rows() {
    let warned = RecentSync { warnings: 2, ..sync(0, Success) };
    let partial = RecentSync { records_failed: Some(3), records_processed: Some(37), ..sync(0, Success) };
    let uneven = RecentSync { counts_mismatch: true, ..sync(0, RetriedSuccess) };
    let awaiting = RecentSync { warnings: 1, awaits_posting: true, ..sync(1, Success) };
    for (what, syncs, now, light, reasons) in [
        ("new", vec![], 1, Grey, vec![R::NotYetDue]),
        ("never synced", vec![], 49, Red, vec![R::Stale]),
        ("failed", vec![sync(0, Failed)], 1, Red, vec![R::LastSyncFailed]),
        ("retry failed", vec![sync(0, RetriedFailed)], 1, Red, vec![R::LastSyncFailed]),
        ("failed and stale", vec![sync(0, Failed)], 100, Red, vec![R::LastSyncFailed, R::Stale]),
        ("stale", vec![sync(0, Success)], 49, Red, vec![R::Stale]),
        ("stale before yellow", vec![warned.clone()], 49, Red, vec![R::Stale]),
        ("warnings", vec![warned], 1, Yellow, vec![R::LastSyncWarnings]),
        ("partial", vec![partial], 1, Yellow, vec![R::PartialFailure]),
        ("uneven", vec![uneven], 1, Yellow, vec![R::CountsMismatch]),
        ("awaits posting", vec![sync(0, Failed), awaiting.clone()], 2, Yellow, vec![R::LastSyncWarnings]),
        ("awaits posting for long", vec![awaiting], 50, Red, vec![R::Stale]),
        ("fine", vec![sync(0, Success)], 1, Green, vec![R::LastSyncSucceeded]),
        ("mended", vec![sync(0, RetriedSuccess)], 48, Green, vec![R::LastSyncSucceeded]),
        ("newest counts", vec![sync(0, Failed), sync(1, Success)], 2, Green, vec![R::LastSyncSucceeded]),
        ("newest failed", vec![sync(0, Success), sync(1, Failed)], 2, Red, vec![R::LastSyncFailed]),
    ] {
        let facts = facts(syncs);
        let health = judge(&facts, &settings(), at(now));
        assert_eq!((health.light, codes(&health)), (light, reasons), "{what}");
        let paused = judge(&facts, &HealthSettings { paused: true, ..settings() }, at(now));
        assert_eq!((paused.light, codes(&paused)), (Grey, vec![R::Paused]), "{what}, paused");
    }
}

#[test]
fn reasons_carry_their_numbers() {
    let mut failing = facts([RecentSync { records_failed: Some(12), ..sync(0, Failed) }]);
    failing.undelivered.records = 15;
    let health = judge(&failing, &settings(), at(72));
    assert_eq!(
        health.reasons,
        [
            Reason::counted(R::LastSyncFailed, 12),
            Reason { code: R::Stale, count: None, hours: Some(48) },
            Reason::counted(R::UndeliveredRecords, 15),
        ]
    );
    // What earlier syncs left behind is told beside the light and doesn't change it.
    let mut green = facts([sync(0, Success)]);
    green.undelivered.records = 15;
    let health = judge(&green, &settings(), at(1));
    assert_eq!((health.light, codes(&health)), (Green, vec![R::LastSyncSucceeded, R::UndeliveredRecords]));
}

#[test]
fn a_new_integration_is_grey_until_its_first_sync_is_due() {
    let schedule = Schedule { cron: "0 6 16 11 *".to_owned(), time_zone: "UTC".to_owned() };
    let none = HealthFacts::default();
    let expected = next_expected_at(&schedule, &none, at(0));
    assert_eq!(expected, Some(at(14 * 24)));
    let settings = HealthSettings { next_expected_at: expected, ..settings() };
    assert_eq!(judge(&none, &settings, at(14 * 24 - 1)).light, Grey);
    let missed = judge(&none, &settings, at(14 * 24));
    assert_eq!((missed.light, missed.since), (Red, at(48)));
    assert_eq!(missed.next_expected_at, expected);
    assert_eq!(
        next_expected_at(&schedule, &facts([sync(14 * 24, Failed)]), at(0)).unwrap().to_rfc3339(),
        "2027-11-16T06:00:00+00:00"
    );
}

#[test]
fn freshness_counts_from_the_end_and_is_inclusive() {
    let facts = facts([sync(0, Success)]);
    let edge = at(48) + Duration::minutes(1);
    assert_eq!(stale_at(&facts, &settings()), edge);
    assert_eq!(judge(&facts, &settings(), edge).light, Green);
    let stale = judge(&facts, &settings(), edge + Duration::milliseconds(1));
    assert_eq!((stale.light, stale.since), (Red, edge));
}

#[test]
fn a_business_calendar_spares_the_weekend() {
    // Friday 6 November 2026, 07:00 in Oslo.
    let facts = facts([sync(4 * 24, Success)]);
    let mut settings = settings();
    assert_eq!(judge(&facts, &settings, at(6 * 24 + 1)).light, Red);
    settings.policy.business_days_only = true;
    assert_eq!(judge(&facts, &settings, at(6 * 24 + 1)).light, Green, "Sunday");
    assert_eq!(judge(&facts, &settings, at(8 * 24 + 1)).light, Red, "Tuesday");
    settings.policy.freshness_hours = u32::MAX;
    assert_eq!(judge(&facts, &settings, at(8 * 24)).light, Green);
    settings.policy.business_days_only = false;
    assert_eq!(judge(&facts, &settings, at(8 * 24)).light, Green);
}

#[test]
fn since_is_the_moment_the_colour_came() {
    let minute = Duration::minutes(1);
    let warned = |hour| RecentSync { warnings: 1, ..sync(hour, Success) };
    for (what, syncs, since) in [
        ("green run", vec![sync(0, Failed), sync(10, Success), sync(20, Success)], at(10) + minute),
        ("yellow run", vec![sync(0, Success), warned(10), warned(20)], at(10) + minute),
        ("green after yellow", vec![warned(0), sync(20, Success)], at(20) + minute),
        ("red run", vec![sync(0, Success), sync(10, Failed), sync(20, Failed)], at(10) + minute),
        ("mended by a retry", vec![retried(sync(0, Failed), 20, true)], at(20)),
        ("a failed retry keeps it red", vec![retried(sync(0, Failed), 20, false)], at(0)),
        ("an older one mended later", vec![retried(sync(0, Failed), 20, true), sync(10, Success)], at(10) + minute),
        ("an older one failed again later", vec![retried(sync(0, Failed), 20, false), sync(10, Failed)], at(0)),
        ("red in between for want of syncs", vec![sync(-60, Success), sync(10, Success)], at(10) + minute),
    ] {
        assert_eq!(judge(&facts(syncs), &settings(), at(21)).since, since, "{what}");
    }
}

#[test]
fn a_retry_of_the_last_sync_that_succeeds_makes_it_green() {
    let mut facts = facts([sync(0, Failed), sync(10, Failed)]);
    assert_eq!((facts.consecutive_failures, facts.failing_since), (2, Some(at(0) + Duration::minutes(1))));
    facts.record(retried(sync(10, Failed), 20, true));
    assert_eq!((facts.consecutive_failures, facts.failing_since), (0, None));
    assert_eq!(judge(&facts, &settings(), at(21)).light, Green);
}

#[test]
fn a_retry_of_an_older_sync_refreshes_nothing() {
    let mut facts = facts([sync(0, Failed), sync(10, Success)]);
    let stale = stale_at(&facts, &settings());
    facts.record(retried(sync(0, Failed), 50, true));
    assert_eq!(stale_at(&facts, &settings()), stale);
    assert_eq!(judge(&facts, &settings(), at(70)).light, Red);
}

#[test]
fn a_retry_that_nobody_claimed_turns_green_into_yellow() {
    let mut facts = facts([sync(0, Success)]);
    facts.record(RecentSync { warnings: 1, ..sync(0, Success) });
    assert_eq!(judge(&facts, &settings(), at(1)).light, Yellow);
}

#[test]
fn a_run_longer_than_the_list_is_carried_along() {
    let many = i64::try_from(RECENT_SYNCS).unwrap() + 5;
    let mut facts = facts((0..many).map(|hour| sync(hour, Failed)));
    assert_eq!(facts.consecutive_failures, 35);
    assert_eq!((facts.recent.len(), facts.failing_since), (RECENT_SYNCS, Some(at(0) + Duration::minutes(1))));
    facts.record(sync(many - 1, Failed));
    facts.record(sync(0, Failed));
    facts.record(retried(sync(many - 1, Failed), 100, false));
    assert_eq!(facts.consecutive_failures, 35, "repeats, failed retries and what fell off the list count nothing");
    facts.record(sync(many, Success));
    facts.record(sync(many + 1, Failed));
    assert_eq!(facts.consecutive_failures, 1);
}

#[test]
fn partly_failed_syncs_end_by_policy() {
    for (policy, processed, undelivered, succeeded) in [
        (PartialFailure::Error, 40, 0, true),
        (PartialFailure::Error, 28, 12, false),
        (PartialFailure::Warning, 28, 12, true),
        (PartialFailure::Warning, 0, 40, false),
        (PartialFailure::Error, 0, 0, true),
    ] {
        assert_eq!(tolerates(policy, processed, undelivered), succeeded, "{policy} {processed} {undelivered}");
    }
}

/// Reports of up to 30 syncs: each one's attempts, in the order in which they ended.
fn history() -> impl Strategy<Value = Vec<Vec<RecentSync>>> {
    let attempts = prop::collection::vec((any::<bool>(), 1_i64..30, 0_i32..3), 1..4);
    prop::collection::vec(attempts, 1..=RECENT_SYNCS).prop_map(|syncs| {
        syncs
            .into_iter()
            .enumerate()
            .map(|(hour, attempts)| {
                let hour = i64::try_from(hour).unwrap();
                let mut end = hour;
                let mut reports = Vec::new();
                for (number, (succeeded, took, warnings)) in attempts.into_iter().enumerate() {
                    end += took;
                    let status = SyncStatus::finished(u16::try_from(number).unwrap(), succeeded);
                    reports.push(RecentSync { completed_at: at(end), status, warnings, ..sync(hour, status) });
                }
                reports
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// However the reports of different syncs come between each other, repeated and mixed with running syncs, they leave
    /// what the last report of each sync says.
    #[test]
    fn the_order_of_arrival_does_not_matter(
        history in history(),
        order in prop::collection::vec(any::<Index>(), 0..200),
        now in 0_i64..120,
    ) {
        let expected = {
            let mut latest: Vec<_> = history.iter().map(|reports| reports.last().unwrap().clone()).collect();
            latest.reverse();
            latest
        };
        let mut waiting: Vec<VecDeque<RecentSync>> = history.into_iter().map(VecDeque::from).collect();
        let mut folded = HealthFacts::default();
        for index in order {
            let which = index.index(waiting.len());
            if let Some(report) = waiting[which].pop_front() {
                folded.record(report.clone());
                folded.record(report);
            }
        }
        folded.record(RecentSync { status: SyncStatus::InProgress, ..sync(500, SyncStatus::InProgress) });
        for report in waiting.into_iter().rev().flatten() {
            folded.record(report);
        }

        let run = expected.iter().take_while(|sync| sync.status.is_failure()).count();
        prop_assert_eq!(&folded.recent, &expected);
        prop_assert_eq!(usize::try_from(folded.consecutive_failures).unwrap(), run);
        prop_assert_eq!(folded.failing_since.is_some(), run > 0);
        prop_assert_eq!(&folded, &facts(expected.clone()));
        let health = judge(&folded, &settings(), at(now));
        prop_assert_eq!(health.light == Green, codes(&health) == [R::LastSyncSucceeded]);
        prop_assert!(!health.reasons.is_empty());
    }

    /// What the ledger says last of a sync holds, wherever the clock was set in between.
    #[test]
    fn the_clock_does_not_say_which_report_is_newer(succeeded in any::<bool>(), hour in -50_i64..50) {
        let abandoned = sync(0, Failed);
        let late = RecentSync { completed_at: at(hour), ..sync(0, SyncStatus::finished(0, succeeded)) };
        prop_assert_eq!(facts([abandoned, late.clone()]), facts([late]));
    }

    /// The light is green only if the last sync succeeded in full within its window.
    #[test]
    fn green_is_never_false(history in history(), now in 0_i64..120) {
        let facts = facts(history.into_iter().flatten());
        let health = judge(&facts, &settings(), at(now));
        let last = facts.last_sync().unwrap();
        let sound = last.status.is_success() && last.warnings == 0 && at(now) <= last.completed_at + Duration::hours(48);
        prop_assert_eq!(health.light == Green, sound);
        prop_assert!(health.since <= last.completed_at.max(at(now)));
    }
}

/// The light follows the status machine: a sync that is running or waiting holds its former light.
#[test]
fn a_running_retry_holds_the_light() {
    let state = SyncState { retryable_records: true, ..SyncState::started(false) };
    let failed = state.apply(Transition::Finish { attempt: 0, succeeded: false }).unwrap();
    let mut facts = facts([sync(0, failed.status)]);
    let running = failed.apply(Transition::RequestRetry).and_then(|state| state.apply(Transition::Claim)).unwrap();
    facts.record(sync(0, running.status));
    assert_eq!(judge(&facts, &settings(), at(1)).light, Red);
}
