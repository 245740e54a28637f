//! Background work: managed syncs, leases, schedules, freshness, e-mail, webhooks, sealing, partitions.
//!
//! Each job is claimed with a lease and a commit, does its IO outside any transaction, and records what came of it. Any
//! number of processes may run it side by side.

mod ask;
mod batching;
mod dispatch;
mod lease;
mod mail;
mod moment;
mod outcomes;
mod pace;
mod read;
pub mod seal;
mod send;
mod slots;
mod sweeps;
mod sync;
mod webhooks;

use std::sync::Arc;
use std::time::{Duration, Instant};

use connectors::GuardedClients;
use store::PlainTx;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::http::problem::Chain;
use crate::state::AppState;
use pace::Systems;
use slots::Slots;
use sync::Senders;

/// How often the queue is looked at if nobody in this process says that there is something in it.
const QUEUE_PERIOD: Duration = Duration::from_millis(500);
/// How often leases, schedules, freshness and the date are looked at.
const SWEEP_PERIOD: Duration = Duration::from_secs(1);
/// How often the outbox is looked at.
const MAIL_PERIOD: Duration = Duration::from_millis(500);
/// How often the webhooks' outbox is looked at if nobody in this process says that there is something in it.
const WEBHOOK_PERIOD: Duration = Duration::from_millis(500);
/// How often webhooks that were settled long ago are deleted.
const PURGE_PERIOD: Duration = Duration::from_hours(6);
/// How often what closed is sealed.
const SEAL_PERIOD: Duration = Duration::from_millis(500);

/// The part of all connections that syncs leave to everybody else, and one of few: to requests, to the heartbeats of
/// leases, to whatever is short.
const CONNECTIONS_LEFT: usize = 4;

/// Runs all background work until it is told to stop; then ends what is under way.
pub async fn run(state: AppState, shutdown: CancellationToken) {
    let owner = Uuid::now_v7();
    let partitions = Arc::default();
    tokio::join!(
        run_syncs(state.clone(), owner, shutdown.clone()),
        periodically(SWEEP_PERIOD, shutdown.clone(), || sweeps::sweep(state.clone())),
        periodically(SWEEP_PERIOD, shutdown.clone(), || {
            sweeps::ensure_partitions(state.clone(), Arc::clone(&partitions))
        }),
        mail::run(state.clone(), MAIL_PERIOD, shutdown.clone()),
        webhooks::run(state.clone(), WEBHOOK_PERIOD, shutdown.clone()),
        periodically(PURGE_PERIOD, shutdown.clone(), || sweeps::purge_webhooks(state.clone())),
        periodically(SEAL_PERIOD, shutdown.clone(), || seal::sweep(state.clone())),
    );
}

/// Takes waiting managed syncs from the queue, as many at a time as the operator allows.
async fn run_syncs(state: AppState, owner: Uuid, shutdown: CancellationToken) {
    let mut slots = Slots::new(state.config.worker.concurrency);
    // Many that begin at once, each with thousands of records, would keep all connections for minutes.
    let share = share_of(state.config.database.max_connections);
    let state = AppState { db: state.db.sharing(share), ..state };
    // All requests are made in this task's runtime.
    let senders = Senders { clients: GuardedClients::new(&state.outbound), systems: Systems::default() };
    let mut tick = interval(QUEUE_PERIOD);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = state.jobs.notified() => {}
            _ = tick.tick() => {}
            Some(()) = slots.ended() => {}
        }
        if let Err(error) = take_queued(&state, owner, &senders, &mut slots, &shutdown).await {
            tracing::warn!(error = %Chain(&error), "the queue could not be read");
        }
    }
    while slots.ended().await.is_some() {}
}

/// How many connections the transactions of syncs may hold at a time, of so many.
fn share_of(connections: u32) -> usize {
    let all = usize::try_from(connections).unwrap_or(usize::MAX);
    all.saturating_sub((all / CONNECTIONS_LEFT).max(1)).max(1)
}

async fn take_queued(
    state: &AppState,
    owner: Uuid,
    senders: &Senders,
    slots: &mut Slots,
    shutdown: &CancellationToken,
) -> Result<(), store::StoreError> {
    if slots.free() == 0 {
        return Ok(());
    }
    let waiting = {
        let mut tx = PlainTx::begin(&state.db.whole()).await?;
        // Some of those that wait may just be being claimed here, and some be left to others.
        let most = state.config.worker.concurrency + slots.taken();
        store::active_syncs::queue(&mut tx, i64::try_from(most).unwrap_or(i64::MAX)).await?
    };
    for active in waiting {
        if !slots.admits(&active, Instant::now()) {
            continue;
        }
        let (state, senders, shutdown) = (state.clone(), senders.clone(), shutdown.clone());
        let waiting = active.clone();
        // Claimed beside the others: that may take a while for a large retry.
        slots.begin(&active, async move {
            let Some((claimed, lease)) = sync::claim(&state, owner, &waiting, &shutdown).await else { return false };
            sync::execute(&state, claimed, lease, &senders, &shutdown).await;
            true
        });
    }
    Ok(())
}

/// Does a job again and again until told to stop.
async fn periodically<F: Future<Output = ()> + Send>(
    period: Duration,
    shutdown: CancellationToken,
    job: impl Fn() -> F + Send,
) {
    let mut tick = interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = tick.tick() => job().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syncs_leave_connections_to_others() {
        assert_eq!([2, 3, 4, 8, 20, 1_000].map(share_of), [1, 2, 3, 6, 15, 750]);
    }
}
