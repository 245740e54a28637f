//! The marks of an attempt's records: how many are made ahead of their requests, what comes of them, and how they are taken
//! back.

use chrono::{DateTime, Utc};
use connectors::{OutboundRecord, RecordAnswer};
use domain::pacing::{Held, HeldBy};
use store::source_records::RecordKey;

use super::super::super::batching::{keys_of, next_to_mark};
use super::super::super::moment::Moment;
use super::super::super::send;
use super::super::{ASK_AGAIN, Marked};
use super::Sending;

impl Sending<'_> {
    /// Takes in what came of marking.
    pub(super) fn take_marked(&mut self, marked: Marked) {
        match marked {
            Ok((prepared, perhaps_marked)) => {
                self.marked += prepared.batches.iter().map(Vec::len).sum::<usize>();
                let since = self.marking_since;
                self.ready.extend(prepared.batches.into_iter().map(|batch| (since, batch)));
                if perhaps_marked {
                    self.back.extend(prepared.back);
                } else {
                    self.requeue(prepared.back);
                }
                let now = self.with.state.clock.now();
                self.held = prepared.held.map(|held| match held.by {
                    HeldBy::Probe => Held { until: held.until.min(now + ASK_AGAIN), ..held },
                    HeldBy::Pause | HeldBy::Breaker | HeldBy::Rate => held,
                });
            }
            Err(unsent) => {
                self.stopped = true;
                self.unsent.extend(unsent);
            }
        }
    }

    /// Waits until neither transaction is under way, and writes of records that came back of marking, and may be marked
    /// all the same, that they have not left.
    pub(super) async fn settle(&mut self) {
        self.quiesce().await;
        let (back, unsent) = (std::mem::take(&mut self.back), std::mem::take(&mut self.unsent));
        self.with.record_unsent(&unsent).await;
        if !back.is_empty() {
            self.put_back(&[], back).await;
        }
    }

    /// Begins to mark records as leaving, beside everything else: those that are ready and cannot leave as they are, or
    /// the next ones.
    pub(super) fn begin_marking(&mut self, now: DateTime<Utc>) {
        if self.marking.is_under_way() || !self.back.is_empty() || !self.unsent.is_empty() {
            return;
        }
        // Where a slot is free and something is ready, the lease has run out, or it has waited for long: nothing leaves
        // before it is judged and marked anew, under a lease that holds. The ledger says whether the attempt still is this
        // worker's.
        let again = self.under_way.len() < self.slots && !self.ready.is_empty();
        let keys: Vec<RecordKey> = if again {
            // What is known already is written first.
            if !self.unwritten.is_empty() || self.recording.is_under_way() {
                return;
            }
            self.take_ready()
        } else {
            let number = self.number_to_mark(now);
            self.queue.drain(..number).collect()
        };
        if !keys.is_empty() {
            let (with, pace) = (self.with, self.pace);
            self.marking_since = Moment::now();
            self.marking.begin(async move { with.prepare(pace, &keys, again).await });
        }
    }

    /// How many more records are marked now.
    fn number_to_mark(&mut self, now: DateTime<Utc>) -> usize {
        if self.queue.is_empty() || self.held_at(now).is_some() {
            return 0;
        }
        if self.ready.is_empty() && self.is_done() {
            // A request that ended without a word has left its records marked, and holds nobody back.
            self.marked = 0;
        }
        let slots = self.slots.min(self.pace.room(self.under_way.len())).max(1);
        let starves = self.ready.is_empty() && self.under_way.len() < slots;
        next_to_mark(slots, self.batch_size, self.marked, starves).min(self.queue.len())
    }

    /// Puts records back, so that they may leave later.
    pub(super) async fn put_back(&mut self, throttled: &[(OutboundRecord, RecordAnswer)], unsent: Vec<RecordKey>) {
        if self.with.put_back(throttled, &unsent).await {
            let mut back: Vec<RecordKey> = throttled.iter().map(|(record, _)| send::key_of(record)).collect();
            back.extend(unsent);
            self.requeue(back);
        }
    }

    fn requeue(&mut self, keys: Vec<RecordKey>) {
        for key in keys.into_iter().rev() {
            self.queue.push_front(key);
        }
    }

    /// Takes what is marked and has not left.
    pub(super) fn take_ready(&mut self) -> Vec<RecordKey> {
        let keys = keys_of(self.ready.drain(..).map(|(_, batch)| batch));
        self.marked = self.marked.saturating_sub(keys.len());
        keys
    }
}
