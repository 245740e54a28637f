//! Who may have the next request under way to one system: those that have none take turns with those that have many.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Whoever waits looks again several times within this. One that does no more has given up without a word, and keeps
/// nobody waiting.
const GIVEN_UP: Duration = Duration::from_secs(1);

/// An attempt among those that send to a system.
pub(super) type Number = u64;

/// The requests at once of those that send to a system.
#[derive(Default)]
pub(super) struct Turns {
    under_way: usize,
    /// How many requests each attempt may have under way.
    shares: HashMap<Number, usize>,
    next: Number,
    /// Attempts with nothing under way that wait, and when each last looked.
    waiting: VecDeque<(Number, Instant)>,
}

impl Turns {
    /// An attempt joins that may have so many requests under way.
    pub(super) fn join(&mut self, share: usize) -> Number {
        self.next += 1;
        self.shares.insert(self.next, share);
        self.next
    }

    /// An attempt's share has changed.
    pub(super) fn set_share(&mut self, who: Number, share: usize) {
        self.shares.insert(who, share);
    }

    /// An attempt sends nothing more.
    pub(super) fn leave(&mut self, who: Number) {
        self.shares.remove(&who);
        self.waiting.retain(|(waiting, _)| *waiting != who);
    }

    /// How many requests an attempt that has so many of its `own` may have under way now. Where that is none, it waits for
    /// its turn.
    pub(super) fn room(&mut self, who: Number, own: usize, now: Instant) -> usize {
        let room = if self.is_turn_of(who, now) {
            let others = self.under_way.saturating_sub(own);
            self.share(who).min(self.most().saturating_sub(others))
        } else {
            own
        };
        if room == 0 && own == 0 {
            self.wait(who, now);
        }
        room
    }

    /// Lets an attempt that has so many of its `own` have one more request under way, or not. Says also whether it had
    /// waited, so that others have to look again.
    pub(super) fn enter(&mut self, who: Number, own: usize, now: Instant) -> Option<bool> {
        if self.is_turn_of(who, now) && own < self.share(who) && self.under_way < self.most() {
            self.under_way += 1;
            let before = self.waiting.len();
            self.waiting.retain(|(waiting, _)| *waiting != who);
            return Some(self.waiting.len() < before);
        }
        if own == 0 {
            self.wait(who, now);
        }
        None
    }

    /// A request has ended.
    pub(super) fn ended(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// Nobody waits who was there before.
    fn is_turn_of(&mut self, who: Number, now: Instant) -> bool {
        self.waiting.retain(|(waiting, looked)| *waiting == who || now.saturating_duration_since(*looked) < GIVEN_UP);
        self.waiting.front().is_none_or(|(first, _)| *first == who)
    }

    fn wait(&mut self, who: Number, now: Instant) {
        match self.waiting.iter_mut().find(|(waiting, _)| *waiting == who) {
            Some((_, looked)) => *looked = now,
            None => self.waiting.push_back((who, now)),
        }
    }

    fn share(&self, who: Number) -> usize {
        self.shares.get(&who).copied().unwrap_or(0)
    }

    /// Whoever may have the most says how many the system takes from all of them.
    fn most(&self) -> usize {
        self.shares.values().copied().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_may_have_few_is_not_kept_out_by_one_that_may_have_many() {
        let now = Instant::now();
        let mut turns = Turns::default();
        let (many, few) = (turns.join(3), turns.join(1));
        for own in 0..3 {
            assert_eq!(turns.enter(many, own, now), Some(false));
        }
        assert_eq!((turns.enter(few, 0, now), turns.room(few, 0, now)), (None, 0), "three are under way");
        turns.ended();
        assert_eq!((turns.enter(many, 2, now), turns.room(many, 2, now)), (None, 2), "it is another's turn");
        assert_eq!(turns.room(few, 0, now), 1);
        assert_eq!(turns.enter(few, 0, now), Some(true), "the others are to look again");
        assert_eq!((turns.enter(few, 1, now), turns.enter(many, 2, now)), (None, None), "three again");
        turns.ended();
        assert_eq!(turns.enter(many, 1, now), Some(false), "nobody waits who has something under way");
    }

    #[test]
    fn those_that_may_have_one_take_turns() {
        let now = Instant::now();
        let mut turns = Turns::default();
        let all = [turns.join(1), turns.join(1), turns.join(1)];
        assert_eq!(turns.enter(all[0], 0, now), Some(false));
        assert_eq!((turns.enter(all[1], 0, now), turns.enter(all[2], 0, now)), (None, None));
        for turn in [1, 2, 0, 1] {
            turns.ended();
            for (number, who) in all.into_iter().enumerate().filter(|(number, _)| *number != turn) {
                assert_eq!(turns.enter(who, 0, now), None, "{number} in the turn of {turn}");
            }
            assert_eq!(turns.enter(all[turn], 0, now), Some(true));
        }
    }

    #[test]
    fn whoever_leaves_or_gives_up_keeps_nobody_waiting() {
        let now = Instant::now();
        let mut turns = Turns::default();
        let (one, gone, silent) = (turns.join(1), turns.join(1), turns.join(1));
        assert_eq!(turns.enter(one, 0, now), Some(false));
        assert_eq!((turns.enter(gone, 0, now), turns.enter(silent, 0, now)), (None, None));
        turns.ended();
        turns.leave(gone);
        assert_eq!(turns.enter(one, 0, now), None, "another still waits");
        let later = now + GIVEN_UP;
        assert_eq!(turns.enter(one, 0, later), Some(true));
    }

    #[test]
    fn a_share_that_shrinks_lets_nobody_in_until_others_have_ended() {
        let now = Instant::now();
        let mut turns = Turns::default();
        let who = turns.join(2);
        assert_eq!((turns.enter(who, 0, now), turns.enter(who, 1, now)), (Some(false), Some(false)));
        turns.set_share(who, 1);
        assert_eq!((turns.room(who, 2, now), turns.enter(who, 2, now)), (1, None));
        turns.ended();
        assert_eq!(turns.enter(who, 1, now), None);
        turns.ended();
        assert_eq!(turns.enter(who, 0, now), Some(false));
    }
}
