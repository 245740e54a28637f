//! The slots of a process: which syncs it runs, and which of those that wait may have the next one.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use store::active_syncs::ActiveSync;
use tokio::task::{Id, JoinError, JoinSet};
use uuid::Uuid;

/// For how long a sync that could not be claimed is not looked at again.
const PUT_OFF: Duration = Duration::from_millis(500);
/// The part of all slots that one organization leaves to those that have few.
const LEFT: usize = 4;

/// What a process runs.
pub(super) struct Slots {
    number: usize,
    running: JoinSet<bool>,
    taken: HashMap<Id, Taken>,
    put_off: HashMap<Run, Instant>,
}

/// A sync's attempt: one that was taken for dead may still wait for an answer while its successor begins.
type Run = (Uuid, u16);

#[derive(Clone, Copy)]
struct Taken {
    organization_id: Uuid,
    run: Run,
}

impl Slots {
    /// So many slots, all of them free.
    pub(super) fn new(number: usize) -> Self {
        Self { number, running: JoinSet::new(), taken: HashMap::new(), put_off: HashMap::new() }
    }

    /// How many are free.
    pub(super) fn free(&self) -> usize {
        self.number.saturating_sub(self.taken.len())
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.taken.len()
    }

    /// Whether a sync that waits may begin here and now.
    pub(super) fn admits(&mut self, active: &ActiveSync, now: Instant) -> bool {
        self.put_off.retain(|_, until| now < *until);
        let run = (active.sync.id, active.attempt);
        let of_organization = self.taken.values().filter(|taken| taken.organization_id == active.organization_id);
        let organizations: HashSet<Uuid> = self.taken.values().map(|taken| taken.organization_id).collect();
        !self.put_off.contains_key(&run)
            && !self.taken.values().any(|taken| taken.run == run)
            && has_room(self.number, self.free(), of_organization.count(), organizations.len())
    }

    /// Begins a sync. Its task says at its end whether the sync could be claimed.
    pub(super) fn begin(&mut self, active: &ActiveSync, task: impl Future<Output = bool> + Send + 'static) {
        let taken = Taken { organization_id: active.organization_id, run: (active.sync.id, active.attempt) };
        self.taken.insert(self.running.spawn(task).id(), taken);
    }

    /// Waits until one has ended; `None` if none runs.
    pub(super) async fn ended(&mut self) -> Option<()> {
        let ended = self.running.join_next_with_id().await?;
        self.release(ended);
        while let Some(ended) = self.running.try_join_next_with_id() {
            self.release(ended);
        }
        Some(())
    }

    fn release(&mut self, ended: Result<(Id, bool), JoinError>) {
        let (id, claimed) = ended.unwrap_or_else(|error| (error.id(), true));
        if let Some(taken) = self.taken.remove(&id)
            && !claimed
        {
            self.put_off.insert(taken.run, Instant::now() + PUT_OFF);
        }
    }
}

/// Systems that hang may hold the slots of one organization for long, whatever its number of integrations: the last
/// slots are for those that have fewer than an equal part of all, were there one organization more, and fewer than half of
/// what is free: others may have far more than their part, and something is to be left to whoever has none.
const fn has_room(number: usize, free: usize, of_organization: usize, organizations: usize) -> bool {
    free > 0
        && (of_organization == 0
            || free > number / LEFT
            || (of_organization < number / (organizations + 1) && of_organization < free / 2))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use store::sync_logs::SyncKey;

    use super::*;

    fn waiting(organization: u128, sync: u128) -> ActiveSync {
        ActiveSync {
            organization_id: Uuid::from_u128(organization),
            sync: SyncKey { id: Uuid::from_u128(sync), started_at: DateTime::UNIX_EPOCH },
            integration_config_id: Uuid::nil(),
            attempt: 0,
            running: false,
            managed: true,
            requested_by: None,
            automatic: false,
            lease_owner: None,
            lease_seconds: 45,
            lease_expires_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn one_organization_leaves_a_quarter_to_those_that_have_none() {
        let taken_by_one = |number| (0..=number).find(|taken| !has_room(number, number - taken, *taken, 1));
        assert_eq!([64, 4, 3, 2, 1].map(taken_by_one), [Some(48), Some(3), Some(3), Some(2), Some(1)]);
        assert!(has_room(64, 1, 0, 10) && !has_room(64, 0, 0, 10));
    }

    #[test]
    fn those_that_hang_beside_the_largest_leave_some_to_those_that_have_none() {
        // 48 of 64 are the first one's.
        let second = (0..16).find(|taken| !has_room(64, 16 - taken, *taken, if *taken == 0 { 1 } else { 2 }));
        assert_eq!(second, Some(5));
        assert!(has_room(64, 11, 0, 2));
    }

    #[test]
    fn organizations_with_few_need_not_wait_for_each_other() {
        // Ten of them with five each, though that is more than three quarters.
        let five = |organizations: usize| {
            (0..5).all(|of_organization| {
                let taken = 5 * (organizations - 1) + of_organization;
                has_room(64, 64 - taken, of_organization, organizations)
            })
        };
        assert!((1..=10).all(five));
        // Whatever they take, one that has none finds a slot.
        for organizations in 1..64 {
            let part = 64 / (organizations + 1);
            assert!(part == 0 || organizations * part.max(1) < 64);
            assert!(!has_room(64, 16, part.max(1), organizations));
        }
    }

    #[tokio::test]
    async fn a_sync_runs_once_and_one_that_was_not_claimed_waits_a_little() {
        let mut slots = Slots::new(8);
        let (one, other) = (waiting(1, 1), waiting(1, 2));
        let now = Instant::now();
        slots.begin(&one, std::future::ready(true));
        slots.begin(&other, std::future::ready(false));
        assert!(!slots.admits(&one, now) && !slots.admits(&other, now));
        assert!(slots.admits(&ActiveSync { attempt: 1, ..one.clone() }, now), "its successor waits for nobody");
        assert_eq!((slots.free(), slots.taken()), (6, 2));
        while slots.ended().await.is_some() {}
        assert_eq!(slots.taken(), 0);
        let now = Instant::now();
        assert!(slots.admits(&one, now));
        assert!(!slots.admits(&other, now) && slots.admits(&other, now + PUT_OFF));
    }

    #[tokio::test]
    async fn a_slot_is_free_again_when_its_task_broke_down() {
        let mut slots = Slots::new(1);
        slots.begin(&waiting(1, 1), async { panic!("on purpose") });
        assert_eq!(slots.free(), 0);
        assert_eq!(slots.ended().await, Some(()));
        assert_eq!((slots.free(), slots.ended().await), (1, None));
    }
}
