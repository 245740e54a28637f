//! How fast an attempt may send: what its external system has said to anybody, and what else is under way to it.

mod turns;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use connectors::Connector;
use domain::pacing::{Bucket, Held, HeldBy, Passage, SystemState, Verdict};
use store::{OrgTx, StoreError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::lease::Lease;
use super::sync::DATABASE_PAUSE;
use crate::clock::Clock;
use crate::http::problem::Chain;
use crate::ledger::Claimed;
use crate::state::AppState;
use turns::{Number, Turns};

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
    turns: Turns,
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
        self.0.known(|known| known.turns.ended());
        self.0.freed.notify_waiters();
    }
}

/// The pace of one attempt.
pub(super) struct Pace {
    organization_id: Uuid,
    id: Uuid,
    rate: Option<Bucket>,
    /// Requests at once, by the integration's settings; a part of them is this process's.
    limit: usize,
    insists: AtomicBool,
    system: Arc<System>,
    number: Number,
}

impl Drop for Pace {
    fn drop(&mut self) {
        self.system.known(|known| known.turns.leave(self.number));
        self.system.freed.notify_waiters();
    }
}

impl Pace {
    /// The pace at which an attempt sends to a system, before it has sent anything.
    pub(super) fn new(systems: &Systems, id: Uuid, claimed: &Claimed, connector: &dyn Connector) -> Self {
        let organization_id = claimed.sync.organization_id;
        let limit = connector.concurrency().max(1);
        let insists = AtomicBool::new(claimed.by_person);
        let system = systems.get(organization_id, id);
        let number = system.known(|known| known.turns.join(limit));
        Self { organization_id, id, rate: connector.rate(), limit, insists, system, number }
    }

    /// The system, to wait for.
    pub(super) fn system(&self) -> Arc<System> {
        Arc::clone(&self.system)
    }

    /// Asks for requests to leave, within the transaction that marks what they hold. What was granted counts once that is
    /// [committed](Self::granted).
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
        self.system.known(|known| known.turns.set_share(self.number, share.max(1)));
        self.system.learn(passed, now);
        Ok(passage)
    }

    /// So many requests were granted for good: whoever insisted has got through.
    pub(super) fn granted(&self, granted: u32) {
        self.insists.fetch_and(granted == 0, Ordering::SeqCst);
    }

    /// The same for requests that hold nothing.
    pub(super) async fn pass_alone(&self, state: &AppState, wanted: usize) -> Result<Passage, StoreError> {
        let mut tx = OrgTx::begin(&state.db, self.organization_id).await?;
        let passage = self.pass(&mut tx, wanted, state.clock.now()).await?;
        tx.commit().await?;
        self.granted(passage.granted);
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

    /// How many requests this attempt may have under way now, which has so many of its own; it waits where that is none.
    pub(super) fn room(&self, own: usize) -> usize {
        self.system.known(|known| known.turns.room(self.number, own, Instant::now()))
    }

    /// The right to have one more request under way, for an attempt that has so many of its own.
    pub(super) fn enter(&self, own: usize) -> Option<Permit> {
        let had_waited = self.system.known(|known| known.turns.enter(self.number, own, Instant::now()))?;
        if had_waited {
            self.system.freed.notify_waiters();
        }
        Some(Permit(Arc::clone(&self.system)))
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

    /// Tells the others, who share it through the database: until that takes it, since they would send meanwhile.
    pub(super) async fn tell(&self, state: &AppState, said: &[Said], shutdown: &CancellationToken) {
        if said.is_empty() {
            return;
        }
        let (organization_id, now) = (self.organization_id, state.clock.now());
        loop {
            let error = match self.share_with_others(state, said, now).await {
                Ok(shared) => return self.system.learn(shared, state.clock.now()),
                Err(error) => error,
            };
            tracing::warn!(%organization_id, error = %Chain(&error), "a system's standing could not be written");
            if !error.is_passing() || shutdown.is_cancelled() {
                return;
            }
            tokio::time::sleep(DATABASE_PAUSE).await;
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
        let number = system.known(|known| known.turns.join(share));
        Pace { organization_id, id, rate: None, limit: share, insists: AtomicBool::new(false), system, number }
    }

    #[tokio::test]
    async fn syncs_to_one_system_share_its_requests_at_once() {
        let systems = Systems::default();
        let (one, other) = (pace(&systems, 1), pace(&systems, 3));
        let first = one.enter(0).unwrap();
        let _second = other.enter(0).unwrap();
        assert!(one.enter(1).is_none(), "one at once");
        let _third = other.enter(1).unwrap();
        assert!(other.enter(2).is_none(), "three are under way");
        assert_eq!((one.room(1), other.room(2)), (1, 2));
        let system = one.system();
        let freed = system.freed();
        drop(first);
        freed.await;
        assert_eq!(other.room(2), 3);
        let freed = system.freed();
        drop(one);
        freed.await;
    }

    #[tokio::test]
    async fn others_look_again_when_one_that_waited_has_got_through() {
        let systems = Systems::default();
        let (many, few) = (pace(&systems, 2), pace(&systems, 1));
        let first = many.enter(0).unwrap();
        let _second = many.enter(1).unwrap();
        assert!(few.enter(0).is_none());
        drop(first);
        assert!(many.enter(1).is_none(), "it is another's turn");
        let system = many.system();
        let freed = system.freed();
        let third = few.enter(0).unwrap();
        freed.await;
        drop(third);
        assert!(many.enter(1).is_some());
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
