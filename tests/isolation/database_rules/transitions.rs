//! The table of transitions, and the retry limit: every pair of statuses is tried, and the domain's own status machine
//! says which pass.

use std::collections::BTreeSet;

use domain::sync_log::{MAX_RETRIES, SyncState, SyncStatus, Transition};
use uuid::Uuid;

use super::story::{ENDED, ERROR, End, Life, NO_COUNTS, NO_ERROR, NOT_ENDED, ONE_FAILED};
use super::{Db, NOT_PERMITTED, RULE, Refused, partition, tried};

/// A sync somewhere in its life, and what the domain knows of it.
struct Stage {
    what: &'static str,
    life: Life,
    state: SyncState,
}

fn stage(what: &'static str, life: Life, status: SyncStatus, former: Option<SyncStatus>) -> Stage {
    let retry_count = u16::try_from(life.attempt).unwrap();
    Stage { what, life, state: SyncState { status, retry_count, former, retryable_records: true, abandoned: false } }
}

/// A sync in every state it can be in.
async fn stages(db: &mut Db) -> Vec<Stage> {
    use SyncStatus::{Failed, InProgress, Pending, RetriedFailed, RetriedSuccess, Success};
    let mut stages = vec![
        stage("announced", db.announced().await, Pending, None),
        stage("running", db.started().await, InProgress, None),
        stage("failed", db.ended(End::Failed).await, Failed, Some(Failed)),
        stage("given up", db.given_up().await, Failed, Some(Failed)),
        stage("success with a failed record", db.ended(End::WithFailedRecord).await, Success, Some(Success)),
        stage("retry failed", db.retried(1, End::Failed).await, RetriedFailed, Some(RetriedFailed)),
        stage(
            "retry succeeded with a failed record",
            db.retried(2, End::WithFailedRecord).await,
            RetriedSuccess,
            Some(RetriedSuccess),
        ),
        stage("tenth retry failed", db.retried(10, End::Failed).await, RetriedFailed, Some(RetriedFailed)),
        stage(
            "tenth retry succeeded with a failed record",
            db.retried(10, End::WithFailedRecord).await,
            RetriedSuccess,
            Some(RetriedSuccess),
        ),
    ];
    for (what, retries, status) in [("clean", 0, Success), ("clean retry", 1, RetriedSuccess)] {
        let life = if retries == 0 { db.ended(End::Clean).await } else { db.retried(1, End::Clean).await };
        let mut clean = stage(what, life, status, Some(status));
        clean.state.retryable_records = false;
        stages.push(clean);
    }
    for (what, retries, status) in [("abandoned", 0, Failed), ("abandoned retry", 1, RetriedFailed)] {
        let life = if retries == 0 { db.ended(End::Abandoned).await } else { db.retried(1, End::Abandoned).await };
        let mut abandoned = stage(what, life, status, Some(status));
        abandoned.state.abandoned = true;
        stages.push(abandoned);
    }
    for (what, end, former) in [
        ("retry of a failure waits", End::Failed, Failed),
        ("retry of a success waits", End::WithFailedRecord, Success),
        ("retry of what was abandoned waits", End::Abandoned, Failed),
    ] {
        let ended = db.ended(end).await;
        let mut waits = stage(what, db.asked(ended).await, Pending, Some(former));
        waits.state.abandoned = end == End::Abandoned;
        stages.push(waits);
    }
    let given_up = db.given_up().await;
    stages.push(stage("retry of what nobody claimed waits", db.asked(given_up).await, Pending, Some(Failed)));
    let retried = db.retried(1, End::Failed).await;
    stages.push(stage("second retry waits", db.asked(retried).await, Pending, Some(RetriedFailed)));
    let failed = db.ended(End::Failed).await;
    let asked = db.asked(failed).await;
    stages.push(stage("retry runs", db.claimed(asked, 1).await, InProgress, Some(Failed)));
    stages
}

/// Where the domain's machine leads to in one step: status and number of retries.
fn allowed(state: SyncState) -> BTreeSet<(SyncStatus, u16)> {
    let finish = |succeeded| Transition::Finish { attempt: state.retry_count, succeeded };
    [
        Transition::Claim,
        Transition::GiveUp,
        finish(true),
        finish(false),
        Transition::RequestRetry,
        Transition::RetryNotClaimed,
    ]
    .into_iter()
    .filter_map(|transition| state.apply(transition).ok())
    .map(|next| (next.status, next.retry_count))
    .collect()
}

/// Changes that make a row of a status whole in every other respect.
fn becoming(status: SyncStatus) -> String {
    let rest = match status {
        SyncStatus::Pending => NOT_ENDED.to_owned(),
        SyncStatus::InProgress => format!("{NOT_ENDED}, {NO_COUNTS}, {NO_ERROR}"),
        SyncStatus::Success | SyncStatus::RetriedSuccess => format!("{ENDED}, {ONE_FAILED}, {NO_ERROR}"),
        SyncStatus::Failed | SyncStatus::RetriedFailed => format!("{ENDED}, {ONE_FAILED}, {ERROR}"),
    };
    format!("status = '{status}', {rest}")
}

#[tokio::test]
async fn every_pair_of_statuses_is_as_the_status_machine_says() {
    let mut db = Db::new().await;
    let (mut passed, mut refused) = (0, 0);
    for Stage { what, life, state } in stages(&mut db).await {
        let allowed = allowed(state);
        for status in SyncStatus::ALL.iter().copied().filter(|status| *status != state.status) {
            for retry_count in [state.retry_count.saturating_sub(1), state.retry_count, state.retry_count + 1] {
                let statement = life.set(&format!("{}, retry_count = {retry_count}", becoming(status)));
                let outcome = db.tried(&statement).await;
                let way = format!("{what}: {} {} → {status} {retry_count}", state.status, state.retry_count);
                if allowed.contains(&(status, retry_count)) {
                    assert_eq!(outcome, Ok(()), "{way}");
                    passed += 1;
                } else {
                    let Err(Refused { code, rule }) = outcome else { panic!("{way} passed") };
                    let rules = ["sync_status_transition", "retry_limit_enforcement", "immutable_after_terminal_state"];
                    assert!(code == RULE && rules.contains(&rule.as_str()), "{way}: {code} {rule}");
                    refused += 1;
                }
            }
        }
    }
    assert!(passed >= 20 && refused >= 150, "{passed} passed, {refused} refused");
}

#[tokio::test]
async fn every_step_of_the_machine_ends_where_the_database_can_be() {
    let mut db = Db::new().await;
    // A status of its own, too, is as the rules want it: the same row once more.
    for Stage { what, life, state } in stages(&mut db).await {
        let again = life.set("status = status");
        let outcome = db.tried(&again).await;
        if state.status.is_active() || state.abandoned {
            assert_eq!(outcome, Ok(()), "{what}");
        } else {
            assert_eq!(outcome, Err(Refused::rule("immutable_after_terminal_state")), "{what}");
        }
    }
}

#[tokio::test]
async fn ten_retries_and_no_way_around() {
    let mut db = Db::new().await;
    let most = i16::try_from(MAX_RETRIES).unwrap();
    let tenth = db.retried(most, End::Failed).await;
    let asked = format!("status = 'pending', {NOT_ENDED}");
    assert_eq!(db.refused(tenth.set(&asked)).await, Refused::rule("sync_status_transition"));
    // Nor by letting the number stand, by taking it back, or by claiming a retry as a first attempt.
    let failed = db.retried(3, End::Failed).await;
    for number in [0, 2, 11] {
        let back = failed.set(&format!("retry_count = {number}"));
        assert_eq!(db.refused(back).await, Refused::rule("retry_limit_enforcement"), "{number}");
    }
    let waits = db.asked(failed).await;
    let claim = |number: i16| waits.set(&format!("{}, retry_count = {number}", becoming(SyncStatus::InProgress)));
    for number in [0, 2, 3, 5, 10, 11] {
        assert_eq!(db.refused(claim(number)).await, Refused::rule("retry_limit_enforcement"), "{number}");
    }
    assert_eq!(db.tried(claim(4)).await, Ok(()));
    let announced = db.announced().await;
    let first = |number: i16| announced.set(&format!("status = 'in_progress', retry_count = {number}"));
    assert_eq!(db.refused(first(1)).await, Refused::rule("retry_limit_enforcement"));
    assert_eq!(db.tried(first(0)).await, Ok(()));
    let attempt = waits.attempt(&db, 11).insert();
    assert_eq!(db.refused(attempt).await, Refused::rule("sync_attempts_attempt_number_check"));
}

#[tokio::test]
async fn a_retry_that_nobody_claimed_gives_back_what_the_latest_attempt_left() {
    let mut db = Db::new().await;
    let retried = db.retried(1, End::WithFailedRecord).await;
    let waits = db.asked(retried).await;
    let back = |status: &str| waits.set(&format!("status = '{status}', {ENDED}, {NO_ERROR}"));
    assert_eq!(db.tried(back("retried_success")).await, Ok(()));
    for other in ["success", "retried_failed", "failed"] {
        let statement = waits
            .set(&format!("status = '{other}', {ENDED}, {}", if other.ends_with("failed") { ERROR } else { NO_ERROR }));
        assert_eq!(db.refused(statement).await, Refused::rule("sync_status_transition"), "{other}");
    }
}

/// As one is whose records were accepted and await their posting.
#[tokio::test]
async fn a_success_is_retried_for_a_record_of_unknown_fate() {
    let mut db = Db::new().await;
    let asked = format!("status = 'pending', {NOT_ENDED}");
    for (outcome, passes) in [("unknown", true), ("succeeded", false)] {
        let life = db.started().await;
        let record = life.outcome(&db, Uuid::now_v7(), outcome);
        db.run(record.insert()).await;
        let ended = db.end(life, End::Clean).await;
        let expected = if passes { Ok(()) } else { Err(Refused::rule("sync_status_transition")) };
        assert_eq!(db.tried(ended.set(&asked)).await, expected, "{outcome}");
    }
}

#[tokio::test]
async fn no_status_is_changed_in_a_partition_by_name() {
    let mut db = Db::new().await;
    let life = db.started().await;
    let by_name =
        life.set(&becoming(SyncStatus::Success)).replace("sync_logs", &partition("sync_logs", life.started_at));
    let denied = Err(Refused::by(NOT_PERMITTED, ""));
    assert_eq!(db.tried(&by_name).await, denied);
    for role in ["syncwatch_reader", "syncwatch_maintenance"] {
        let mut session = db.role(role).await;
        for statement in [life.set(&becoming(SyncStatus::Success)), by_name.clone()] {
            assert_eq!(tried(&mut session, &statement).await, denied, "{role}: {statement}");
        }
    }
}
