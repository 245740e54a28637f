//! How fast an attempt may send: what its external system has said to anybody, and what else is under way to it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use connectors::Connector;
use domain::pacing::{Bucket, Held, HeldBy, Passage, SystemState, Verdict};
use store::{OrgTx, StoreError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::lease::Lease;
use crate::clock::Clock;
use crate::http::problem::Chain;
use crate::ledger::Claimed;
use crate::state::AppState;

/// How often whoever waits looks at the clock, which may be set.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What an answer said, and the luck of whoever has to wait for it.
type Said = (Verdict, f64);

/// The external systems that this process sends to.
#[derive(Clone, Default)]
pub(super) struct Systems(Arc<Mutex<BySystem>>);

/// By organization and id.
type BySystem = HashMap<(Uuid, Uuid), Arc<System>>;

impl Systems {
    fn get(&self, organization_id: Uuid, id: Uuid) -> Arc<System> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What nobody here sends to is remembered by the database alone.
        known.retain(|_, system| Arc::strong_count(system) > 1);
        Arc::clone(known.entry((organization_id, id)).or_default())
    }
}

/// One of them, as far as this process knows.
#[derive(Default)]
pub(super) struct System {
    known: Mutex<Known>,
    freed: Notify,
}

#[derive(Default)]
struct Known {
    state: SystemState,
    under_way: usize,
}

impl System {
    fn known<T>(&self, look: impl FnOnce(&mut Known) -> T) -> T {
        look(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes in what all share of it; a wait that this process has heard of, and that the others have yet to be told of,
    /// stays.
    fn learn(&self, mut shared: SystemState, now: DateTime<Utc>) {
        self.known(|known| {
            if let Some(heard) = known.state.pause(now)
                && shared.pause(now).is_none_or(|until| until < heard)
            {
                shared.paused_until = Some(heard);
            }
            known.state = shared;
        });
    }

    /// Resolves when a request has ended after this was called.
    pub(super) fn freed(&self) -> impl Future<Output = ()> + Send + '_ {
        self.freed.notified()
    }
}

/// The right to have one request under way; given back when it is dropped.
pub(super) struct Permit(Arc<System>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.known(|known| known.under_way -= 1);
        self.0.freed.notify_waiters();
    }
}

/// The pace of one attempt.
pub(super) struct Pace {
    organization_id: Uuid,
    id: Uuid,
    rate: Option<Bucket>,
    /// Requests at once, by the integration's settings.
    limit: usize,
    /// Those of them that are this process's.
    share: AtomicUsize,
    insists: AtomicBool,
    system: Arc<System>,
}

impl Pace {
    /// The pace at which an attempt sends to a system, before it has sent anything.
    pub(super) fn new(systems: &Systems, id: Uuid, claimed: &Claimed, connector: &dyn Connector) -> Self {
        let organization_id = claimed.sync.organization_id;
        let limit = connector.concurrency().max(1);
        Self {
            organization_id,
            id,
            rate: connector.rate(),
            limit,
            share: AtomicUsize::new(limit),
            insists: AtomicBool::new(claimed.by_person),
            system: systems.get(organization_id, id),
        }
    }

    /// The system, to wait for.
    pub(super) fn system(&self) -> Arc<System> {
        Arc::clone(&self.system)
    }

    /// Asks for requests to leave, within the transaction that marks what they hold.
    pub(super) async fn pass(&self, tx: &mut OrgTx, wanted: usize, now: DateTime<Utc>) -> Result<Passage, StoreError> {
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        let insists = self.insists.load(Ordering::SeqCst);
        let (mut state, senders) = store::external_systems::find_with_senders(tx, self.id).await?;
        let mut passed = state.clone();
        let mut passage = passed.pass(self.rate, wanted, insists, now);
        if passed != state {
            state = store::external_systems::lock(tx, self.id, now).await?;
            passed = state.clone();
            passage = passed.pass(self.rate, wanted, insists, now);
            if passed != state {
                store::external_systems::update(tx, self.id, &passed, now).await?;
            }
        }
        let share = self.limit / usize::try_from(senders).unwrap_or(usize::MAX).max(1);
        self.share.store(share.max(1), Ordering::SeqCst);
        self.insists.fetch_and(passage.granted == 0, Ordering::SeqCst);
        self.system.learn(passed, now);
        Ok(passage)
    }

    /// The same for requests that hold nothing.
    pub(super) async fn pass_alone(&self, state: &AppState, wanted: usize) -> Result<Passage, StoreError> {
        let mut tx = OrgTx::begin(&state.db, self.organization_id).await?;
        let passage = self.pass(&mut tx, wanted, state.clock.now()).await?;
        tx.commit().await?;
        Ok(passage)
    }

    /// What keeps everything from the system, as far as this process knows.
    pub(super) fn stopped(&self, now: DateTime<Utc>) -> Option<Held> {
        let held = self.system.known(|known| known.state.held(now))?;
        match held.by {
            HeldBy::Pause => Some(held),
            HeldBy::Breaker if !self.insists.load(Ordering::SeqCst) => Some(held),
            HeldBy::Breaker | HeldBy::Probe | HeldBy::Rate => None,
        }
    }

    /// How many requests may be under way in this process, of which so many are this attempt's own.
    pub(super) fn room(&self, own: usize) -> usize {
        let others = self.system.known(|known| known.under_way).saturating_sub(own);
        self.share.load(Ordering::SeqCst).saturating_sub(others)
    }

    /// The right to have one more request under way.
    pub(super) fn enter(&self) -> Option<Permit> {
        let share = self.share.load(Ordering::SeqCst);
        let enters = self.system.known(|known| {
            let enters = known.under_way < share;
            known.under_way += usize::from(enters);
            enters
        });
        enters.then(|| Permit(Arc::clone(&self.system)))
    }

    /// Takes in what answers say of the system, for this process alone; returns what there is to tell the others.
    pub(super) fn take_in(&self, verdicts: &[Verdict], now: DateTime<Utc>) -> Vec<Said> {
        let said: Vec<Said> = verdicts.iter().map(|verdict| (*verdict, rand::random())).collect();
        let changed = self.system.known(|known| {
            let before = known.state.clone();
            take_in_all(&mut known.state, &said, now);
            before != known.state
        });
        if changed { said } else { Vec::new() }
    }

    /// Tells the others, who share it through the database.
    pub(super) async fn tell(&self, state: &AppState, said: &[Said]) {
        if said.is_empty() {
            return;
        }
        let now = state.clock.now();
        match self.share_with_others(state, said, now).await {
            Ok(shared) => self.system.learn(shared, now),
            Err(error) => {
                let organization_id = self.organization_id;
                tracing::warn!(%organization_id, error = %Chain(&error), "a system's standing could not be written");
            }
        }
    }

    async fn share_with_others(
        &self,
        state: &AppState,
        said: &[Said],
        now: DateTime<Utc>,
    ) -> Result<SystemState, StoreError> {
        let mut tx = OrgTx::begin(&state.db, self.organization_id).await?;
        let mut known = store::external_systems::lock(&mut tx, self.id, now).await?;
        take_in_all(&mut known, said, now);
        store::external_systems::update(&mut tx, self.id, &known, now).await?;
        tx.commit().await?;
        Ok(known)
    }
}

fn take_in_all(state: &mut SystemState, said: &[Said], now: DateTime<Utc>) {
    for (verdict, random) in said {
        state.take_in(*verdict, now, *random);
    }
}

/// Waits until a moment, or until nobody wants to know any more.
pub(super) async fn wait(clock: &Clock, until: DateTime<Utc>, lease: &Lease, shutdown: &CancellationToken) {
    while clock.now() < until && !lease.is_lost() && !shutdown.is_cancelled() {
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            () = shutdown.cancelled() => {}
            () = lease.lost() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::pacing::Standing;

    use super::*;

    fn pace(systems: &Systems, share: usize) -> Pace {
        let (organization_id, id) = (Uuid::nil(), Uuid::nil());
        let system = systems.get(organization_id, id);
        let (limit, share, insists) = (share, AtomicUsize::new(share), AtomicBool::new(false));
        Pace { organization_id, id, rate: None, limit, share, insists, system }
    }

    #[tokio::test]
    async fn syncs_to_one_system_share_its_requests_at_once() {
        let systems = Systems::default();
        let (one, other) = (pace(&systems, 2), pace(&systems, 3));
        let first = one.enter().unwrap();
        let _second = other.enter().unwrap();
        assert!(one.enter().is_none(), "two are under way");
        let _third = other.enter().unwrap();
        assert!(other.enter().is_none());
        assert_eq!((one.room(1), other.room(2)), (0, 2));
        let system = one.system();
        let freed = system.freed();
        drop(first);
        freed.await;
        assert_eq!(other.room(2), 3);
    }

    #[test]
    fn a_wait_that_was_heard_is_heeded_before_the_others_know_of_it() {
        let systems = Systems::default();
        let (one, other) = (pace(&systems, 2), pace(&systems, 2));
        let now = DateTime::UNIX_EPOCH;
        let busy = Verdict { standing: Standing::Throttled, retry_after: Some(Duration::from_secs(7)) };
        assert_eq!(one.take_in(&[busy], now).len(), 1);
        // Somebody else asks the database meanwhile.
        other.system.learn(SystemState::default(), now);
        let until = other.stopped(now).unwrap().until;
        assert_eq!(until, now + Duration::from_secs(7));
        other.system.learn(SystemState::default(), until);
        assert_eq!(one.stopped(until), None);
    }

    #[test]
    fn a_system_is_forgotten_when_nobody_sends_to_it() {
        let systems = Systems::default();
        let used = pace(&systems, 1);
        drop(systems.get(Uuid::nil(), Uuid::from_u128(1)));
        drop(systems.get(Uuid::nil(), Uuid::from_u128(2)));
        assert_eq!(systems.0.lock().unwrap().len(), 2, "those in use, and the latest");
        drop(used);
    }
}
