//! Histories as plain data, so that one that fails can be shrunk and told.

use domain::record::{RecordOutcome, Resolution};
use proptest::prelude::*;
use proptest::sample::select;

/// One thing that happens. Numbers that name a sync or a record are taken modulo what there is.
#[derive(Clone, Debug)]
pub enum Step {
    /// An external runner starts a sync, some minutes before the present.
    Start {
        integration: usize,
        queued: bool,
        backfill: bool,
        minutes_ago: i64,
        lease: Option<i64>,
        about: Option<usize>,
    },
    /// It says what happened to records; `back` attempts before the latest.
    Report { sync: usize, back: u16, outcomes: Vec<(usize, RecordOutcome)> },
    /// It ends its attempt, with counts of its own or without.
    Finish { sync: usize, back: u16, succeeded: bool, counts: Option<(i64, i64)>, remarks: bool },
    /// A person asks for a retry.
    RequestRetry { sync: usize },
    /// A runner claims what waits.
    Claim { sync: usize },
    /// Syncs that have ended are handed in, some minutes apart from each other.
    Import { integration: usize, minutes_ago: i64, count: i64, succeeded: bool, backfill: bool, records: usize },
    /// A person decides about a record.
    Resolve { sync: usize, record: usize, decision: Resolution },
    /// An integration is paused, or goes on.
    Pause { integration: usize, paused: bool },
    /// The clock is set, forwards or backwards.
    SetClock { minutes: i64 },
    /// What ran out is closed.
    Sweep,
}

fn start() -> impl Strategy<Value = Step> {
    let times = (0_i64..3_000, select(vec![None, Some(60), Some(7_200), Some(86_400)]));
    let about = prop::option::weighted(0.3, 0..RECORDS);
    (0..2_usize, prop::bool::weighted(0.25), prop::bool::weighted(0.1), times, about).prop_map(
        |(integration, queued, backfill, (minutes_ago, lease), about)| Step::Start {
            integration,
            queued,
            backfill,
            minutes_ago,
            lease,
            about,
        },
    )
}

fn report() -> impl Strategy<Value = Step> {
    let outcomes = prop::collection::vec((0..RECORDS, select(RecordOutcome::ALL.to_vec())), 1..5);
    (0..8_usize, late(), outcomes).prop_map(|(sync, back, outcomes)| Step::Report { sync, back, outcomes })
}

/// Mostly the latest attempt, sometimes the one before it.
fn late() -> impl Strategy<Value = u16> {
    prop_oneof![5 => Just(0), 1 => Just(1)]
}

fn finish() -> impl Strategy<Value = Step> {
    let counts = prop::option::weighted(0.4, (0_i64..4, 0_i64..3));
    (0..8_usize, late(), any::<bool>(), counts, prop::bool::weighted(0.2))
        .prop_map(|(sync, back, succeeded, counts, remarks)| Step::Finish { sync, back, succeeded, counts, remarks })
}

fn import() -> impl Strategy<Value = Step> {
    let kind = (prop::bool::weighted(0.2), prop::bool::weighted(0.15), 0..4_usize);
    (0..2_usize, 0_i64..20_000, 1_i64..25, kind).prop_map(
        |(integration, minutes_ago, count, (succeeded, backfill, records))| Step::Import {
            integration,
            minutes_ago,
            count,
            succeeded,
            backfill,
            records,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let decisions = select(Resolution::ALL.to_vec());
    prop_oneof![
        6 => start(),
        6 => report(),
        7 => finish(),
        4 => (0..8_usize).prop_map(|sync| Step::RequestRetry { sync }),
        4 => (0..8_usize).prop_map(|sync| Step::Claim { sync }),
        2 => import(),
        2 => (0..8_usize, 0..RECORDS, decisions).prop_map(|(sync, record, decision)| Step::Resolve { sync, record, decision }),
        1 => (0..2_usize, any::<bool>()).prop_map(|(integration, paused)| Step::Pause { integration, paused }),
        4 => (-900_i64..2_000).prop_map(|minutes| Step::SetClock { minutes }),
        3 => Just(Step::Sweep),
    ]
}

/// How many records a history is about.
pub const RECORDS: usize = 6;

/// Some thirty steps.
pub fn history() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 20..40)
}
