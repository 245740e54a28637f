//! The one loop of an attempt's sending. Records are marked, requests are under way and answers are written beside each
//! other; whatever else is written of records is written when neither of the two transactions is under way, since it may
//! have to wait for what they hold.

mod marks;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use connectors::OutboundRecord;
use domain::pacing::{Held, HeldBy, Standing, Verdict};
use store::source_records::RecordKey;
use tokio::task::JoinSet;

use super::super::batching::{Answers, MOST_SPLITS, marked_ahead, sort_out};
use super::super::moment::Moment;
use super::super::pace::{LOOK_AGAIN, Pace};
use super::answers::Unwritten;
use super::work::Work;
use super::{Dispatch, Marked, Sent};

/// How long after it was marked a record leaves without being judged once more: others may have the slots for long, and
/// the time ends in which its system would recognise a repetition (see [`REPEAT_MARGIN`](domain::asking::REPEAT_MARGIN)).
const JUDGED_FOR: Duration = Duration::from_mins(1);

/// Records that are marked, and when they were.
type Marks = (Moment, Vec<OutboundRecord>);

/// A request that has ended: when its records had been marked, what it says of the system, and what of them.
type Ended = (Moment, Option<Verdict>, Answers);

/// The sending of an attempt's records.
pub(super) struct Sending<'a> {
    with: Dispatch<'a>,
    pace: &'a Pace,
    slots: usize,
    batch_size: usize,
    /// To be marked.
    queue: VecDeque<RecordKey>,
    /// Being marked.
    marking: Work<'a, Marked>,
    marking_since: Moment,
    /// Marked, and ready to leave.
    ready: VecDeque<Marks>,
    under_way: JoinSet<Ended>,
    /// Answered, and to be written.
    unwritten: Unwritten,
    /// Being written: how many answers.
    recording: Work<'a, usize>,
    /// Records that are marked, and of which nothing else is written yet: of these a killed worker can say nothing.
    marked: usize,
    /// Perhaps marked, and not to leave yet.
    back: Vec<RecordKey>,
    /// Perhaps marked, and not to leave any more.
    unsent: Vec<RecordKey>,
    splits: u32,
    /// What holds back those that are not marked.
    held: Option<Held>,
    /// When something last got through.
    since: DateTime<Utc>,
    answered: bool,
    stopped: bool,
    gave_up: Option<Held>,
}

impl<'a> Sending<'a> {
    /// Everything is to be marked.
    pub(super) fn new(with: Dispatch<'a>, pace: &'a Pace, records: Vec<RecordKey>) -> Self {
        let (slots, batch_size) = (with.connector.concurrency().max(1), with.connector.batch_size().max(1));
        Self {
            slots,
            batch_size,
            queue: VecDeque::from(records),
            marking: Work::none(),
            marking_since: Moment::now(),
            ready: VecDeque::new(),
            under_way: JoinSet::new(),
            // Those that are marked ahead last until so many are written.
            unwritten: Unwritten::none(marked_ahead(slots, batch_size) * batch_size / 2),
            recording: Work::none(),
            marked: 0,
            back: Vec::new(),
            unsent: Vec::new(),
            splits: MOST_SPLITS,
            held: None,
            since: with.state.clock.now(),
            answered: false,
            stopped: false,
            gave_up: None,
            with,
            pace,
        }
    }

    /// Sends until every record has its outcome, or is left.
    pub(super) async fn run(mut self) -> Sent {
        loop {
            if !(self.back.is_empty() && self.unsent.is_empty()) {
                self.settle().await;
            }
            if self.with.lease.is_lost() || self.with.shutdown.is_cancelled() {
                self.stop().await;
            }
            let system = self.pace.system();
            let mut freed = std::pin::pin!(system.freed());
            let now = self.with.state.clock.now();
            self.heed(now).await;
            let blocked = self.leave();
            if !blocked {
                self.begin_marking(now);
            }
            let due = self.begin_recording(Instant::now());
            let waiting = self.waits();
            if !waiting && self.is_done() {
                break;
            }
            let first = tokio::select! {
                first = self.under_way.join_next(), if !self.under_way.is_empty() => first,
                marked = self.marking.done(), if self.marking.is_under_way() => {
                    self.take_marked(marked);
                    continue;
                }
                written = self.recording.done(), if self.recording.is_under_way() => {
                    self.marked = self.marked.saturating_sub(written);
                    continue;
                }
                () = until(due), if due.is_some() => continue,
                // What is not to leave any more is written at once: the last answer may take longer than a stop does.
                () = self.with.shutdown.cancelled(), if waiting => continue,
                () = self.with.lease.lost(), if waiting => continue,
                () = &mut freed, if blocked => continue,
                () = tokio::time::sleep(LOOK_AGAIN), if waiting && (blocked || self.held.is_some()) => continue,
            };
            let mut requests: Vec<Ended> = first.into_iter().filter_map(Result::ok).collect();
            while let Some(more) = self.under_way.try_join_next() {
                requests.extend(more.ok());
            }
            self.take_in(requests).await;
        }
        match (self.with.lease.is_lost(), self.stopped, self.gave_up) {
            (true, _, _) => Sent::LeaseLost,
            (false, true, _) => Sent::Stopped,
            (false, false, Some(held)) if !self.answered => Sent::Held(held),
            (false, false, _) => Sent::All,
        }
    }

    /// Whether there is anything that has not left.
    fn waits(&self) -> bool {
        let marked = self.marking.is_under_way() || !(self.back.is_empty() && self.unsent.is_empty());
        marked || !(self.queue.is_empty() && self.ready.is_empty())
    }

    /// Whether everything that left has come back and is written.
    fn is_done(&self) -> bool {
        self.under_way.is_empty() && self.unwritten.is_empty() && !self.recording.is_under_way()
    }

    /// Waits until neither of the two transactions is under way.
    async fn quiesce(&mut self) {
        // Both at once: each holds rows and a connection until it is done.
        let (marked, written) = tokio::join!(self.marking.finish(), self.recording.finish());
        self.marked = self.marked.saturating_sub(written.unwrap_or(0));
        if let Some(marked) = marked {
            self.take_marked(marked);
        }
    }

    /// Nothing leaves any more.
    async fn stop(&mut self) {
        self.settle().await;
        self.stopped |= !(self.queue.is_empty() && self.ready.is_empty());
        self.queue.clear();
        let unsent = self.take_ready();
        self.with.record_unsent(&unsent).await;
    }

    /// What holds back this attempt's records now.
    fn held_at(&self, now: DateTime<Utc>) -> Option<Held> {
        self.pace.stopped(now).or_else(|| self.held.filter(|held| now < held.until))
    }

    /// Heeds a system that wants to be left alone or does not answer: what is marked goes back, and where it is not worth
    /// waiting, the rest is left for another attempt.
    async fn heed(&mut self, now: DateTime<Utc>) {
        let Some(held) = self.held_at(now) else {
            self.held = None;
            return;
        };
        self.held = Some(held);
        let stops = matches!(held.by, HeldBy::Pause | HeldBy::Breaker);
        // What has got a rate already leaves all the same.
        let may_leave = !self.ready.is_empty() || self.marking.is_under_way();
        let left = if stops { may_leave || !self.queue.is_empty() } else { !self.queue.is_empty() };
        if left && !held.is_worth_waiting(self.since) && (stops || !may_leave) {
            self.settle().await;
            self.held = Some(held);
            let marked = self.take_ready();
            let rest: Vec<RecordKey> = self.queue.drain(..).collect();
            self.with.record_held(&marked, &rest, held).await;
            self.gave_up = Some(held);
        } else if stops && may_leave {
            self.settle().await;
            self.held = Some(held);
            let unsent = self.take_ready();
            if !unsent.is_empty() {
                self.put_back(&[], unsent).await;
            }
        }
    }

    /// Lets requests leave for which there is a slot. Returns whether others have the slots.
    fn leave(&mut self) -> bool {
        while self.under_way.len() < self.slots && self.next_may_leave(Moment::now()) {
            let Some(permit) = self.pace.enter(self.under_way.len()) else { return true };
            let Some((marked, batch)) = self.ready.pop_front() else { return false };
            let connector = Arc::clone(self.with.connector);
            self.under_way.spawn(async move {
                let answers = connector.send(&batch).await;
                drop(permit);
                (marked, connectors::verdict(&answers), batch.into_iter().zip(answers).collect())
            });
        }
        // Nothing is marked that would wait for them; and who would not send now keeps nobody from a slot.
        let wants_more = self.ready.is_empty() && !self.queue.is_empty() && self.held.is_none();
        wants_more && self.pace.room(self.under_way.len()) == 0
    }

    /// Whether there is something that may leave as it is marked.
    fn next_may_leave(&self, now: Moment) -> bool {
        let is_judged = |(marked, _): &Marks| now.since(*marked) < JUDGED_FOR;
        self.ready.front().is_some_and(is_judged) && self.with.lease.holds(now)
    }

    /// Begins to write answers beside everything else, where they are due; otherwise returns when they are.
    fn begin_recording(&mut self, now: Instant) -> Option<Instant> {
        if self.recording.is_under_way() {
            return None;
        }
        let due = self.unwritten.due(now)?;
        // Where nothing is under way no other answer will come.
        let waits_in_vain = self.under_way.is_empty() && !self.unwritten.is_empty();
        if now < due && !waits_in_vain {
            return Some(due);
        }
        let (answered, telling) = self.unwritten.take(now);
        let with = self.with;
        self.recording.begin(async move {
            with.record(&answered, telling).await;
            answered.len()
        });
        None
    }

    /// Takes in what came back of requests; it is written as soon as it is due.
    async fn take_in(&mut self, requests: Vec<Ended>) {
        let met_trouble =
            |(_, verdict, _): &Ended| verdict.is_some_and(|verdict| verdict.standing != Standing::Answered);
        if requests.iter().any(met_trouble) {
            // What is being marked has asked before this was known, and is not to overwrite it.
            self.quiesce().await;
        }
        let mut verdicts = Vec::new();
        let mut answered: Answers = Vec::new();
        for (marked, verdict, answers) in requests {
            verdicts.extend(verdict);
            let (again, rest) = sort_out(answers, &mut self.splits);
            answered.extend(rest);
            for batch in again {
                self.ready.push_front((marked, batch));
            }
        }
        let now = self.with.state.clock.now();
        if verdicts.iter().any(|verdict| verdict.standing == Standing::Answered) {
            self.since = now;
            // Whoever was to find out has.
            self.held = self.held.filter(|held| held.by != HeldBy::Probe);
        }
        let said = self.pace.take_in(&verdicts, now);
        let waits = self.pace.stopped(now).is_none_or(|held| held.is_worth_waiting(self.since));
        let ends = self.with.lease.is_lost() || self.with.shutdown.is_cancelled();
        if waits && !ends {
            let (throttled, rest): (Vec<_>, Vec<_>) =
                answered.into_iter().partition(|(_, answer)| answer.is_throttled() && answer.retry_after.is_some());
            answered = rest;
            if !throttled.is_empty() {
                self.quiesce().await;
                let unsent = self.take_ready();
                self.marked = self.marked.saturating_sub(throttled.len());
                self.put_back(&throttled, unsent).await;
            }
        }
        self.answered |= !answered.is_empty();
        self.unwritten.add(answered, Instant::now());
        if !said.is_empty() {
            self.quiesce().await;
            self.pace.tell(self.with.state, &said, self.with.shutdown).await;
        }
    }
}

/// Waits until a moment.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}
