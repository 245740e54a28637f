//! The lease of a running attempt as its worker knows it: once it may have run out, nothing leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use store::{OrgTx, StoreError};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::moment::Moment;
use crate::http::problem::Chain;
use crate::state::AppState;

/// How often a lease is extended within its length: every 11 of its 45 seconds.
const BEATS: u32 = 4;
/// The part of a lease at whose end no request begins any more, since clocks differ and requests take time to leave: the
/// last 4 of its 45 seconds.
const MARGIN: u32 = 12;

/// Whose lease it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    /// The organization.
    pub(super) organization_id: Uuid,
    /// The sync.
    pub(super) sync_id: Uuid,
    /// The attempt that runs.
    pub(super) attempt: u16,
    /// The process that runs it.
    pub(super) owner: Uuid,
}

/// A lease that was given. What the ledger says of it can be asked only while the database is there, so that the worker
/// counts for itself, by a clock that nobody sets.
#[derive(Debug)]
pub(super) struct Lease {
    holder: Holder,
    length: Duration,
    began: Moment,
    /// For how long it surely holds, in milliseconds since it began.
    holds_for: AtomicU64,
    lost: CancellationToken,
}

impl Lease {
    /// A lease that was asked for at a moment.
    pub(super) fn given(holder: Holder, length: Duration, asked: Moment) -> Self {
        let lost = CancellationToken::new();
        let lease = Self { holder, length, began: asked, holds_for: AtomicU64::new(0), lost };
        lease.extended(asked);
        lease
    }

    /// Extends it within a transaction, and returns whether there was anything to extend; otherwise it is lost. Nobody may
    /// count on it before the transaction is [told of](Self::extended) as committed. `now` was read within the transaction:
    /// an older one would take back what others have extended it by since.
    pub(super) async fn extend(&self, tx: &mut OrgTx, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let Holder { sync_id, attempt, owner, .. } = self.holder;
        let held = store::active_syncs::extend(tx, sync_id, attempt, Some(owner), now).await?;
        if !held {
            self.lost.cancel();
        }
        Ok(held)
    }

    /// An extension was committed. It counts from the moment it was asked for: the ledger's own count begins no earlier.
    pub(super) fn extended(&self, asked: Moment) {
        let until = self.since_it_began(asked).saturating_add(millis(self.length / MARGIN * (MARGIN - 1)));
        // An answer that comes late takes nothing away.
        self.holds_for.fetch_max(until, Ordering::SeqCst);
    }

    /// Whether a request may leave: nobody else can have taken the attempt for dead by then.
    pub(super) fn holds(&self, now: Moment) -> bool {
        !self.is_lost() && self.since_it_began(now) < self.holds_for.load(Ordering::SeqCst)
    }

    /// The ledger has said that the attempt is no longer this worker's.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// Waits until it is lost.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    fn since_it_began(&self, moment: Moment) -> u64 {
        millis(moment.since(self.began))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Extends a lease again and again until it is lost.
pub(super) async fn beat(state: AppState, lease: Arc<Lease>) {
    let mut tick = interval(lease.length / BEATS);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !lease.is_lost() {
        tick.tick().await;
        let asked = Moment::now();
        let extended = async {
            // Durable, since the worker counts on it: forgotten by the database, it would end earlier there. It waits for no
            // other worker's transaction.
            let mut tx = OrgTx::begin_durable(&state.db.whole(), lease.holder.organization_id).await?;
            lease.extend(&mut tx, state.clock.now()).await?;
            tx.commit().await
        };
        match extended.await {
            Ok(()) => lease.extended(asked),
            Err(error) => {
                tracing::warn!(sync_id = %lease.holder.sync_id, error = %Chain(&error), "a lease was not extended");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn given(asked: Moment) -> Lease {
        let holder = Holder { organization_id: Uuid::nil(), sync_id: Uuid::nil(), attempt: 0, owner: Uuid::nil() };
        Lease::given(holder, MINUTE, asked)
    }

    #[test]
    fn a_lease_ends_a_little_before_the_ledger_says_so() {
        let asked = Moment::now();
        let lease = given(asked);
        assert!(lease.holds(asked));
        assert!(lease.holds(asked + Duration::from_millis(54_999)));
        assert!(!lease.holds(asked + Duration::from_secs(55)));
    }

    #[test]
    fn an_extension_counts_from_when_it_was_asked_for_and_takes_nothing_away() {
        let asked = Moment::now();
        let lease = given(asked);
        let later = asked + Duration::from_secs(40);
        lease.extended(later);
        lease.extended(asked + Duration::from_secs(15));
        assert!(lease.holds(later + Duration::from_secs(54)));
        assert!(!lease.holds(later + Duration::from_secs(55)));
        // After it had run out: nobody has closed the attempt meanwhile, or it would have been refused.
        lease.extended(asked + MINUTE * 5);
        assert!(lease.holds(asked + MINUTE * 5));
    }

    #[test]
    fn a_lost_lease_holds_no_more_whatever_comes_late() {
        let asked = Moment::now();
        let lease = given(asked);
        lease.lost.cancel();
        lease.extended(asked);
        assert!(lease.is_lost() && !lease.holds(asked));
    }
}
