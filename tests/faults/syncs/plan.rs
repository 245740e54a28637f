//! What happens in a case, all of it made from a seed. Whatever befalls a sync is tied to a number of requests and never to
//! time, so that the same seed makes the same case.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Records of a sync.
pub const RECORDS: usize = 100;
/// Records in a request of a system that takes several.
pub const BATCH: u32 = 5;
/// Seconds of a lease that runs out before anybody grows impatient.
const SHORT_LEASE: u32 = 8;

/// What the external system offers against doubts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    /// It recognises a repeated request by its idempotency key.
    Keyed,
    /// Nothing: it books what comes.
    Plain,
    /// Nothing, and it takes several records in a request.
    Batched,
    /// It can be asked what it has of a record.
    LookedUp,
    /// Xledger: it takes several records in a request, and can be asked for each.
    Xledger,
    /// Dynamics 365: it takes several records in a request, keeps a second row of a record from being made, and can be
    /// asked for it.
    Dynamics,
}

impl System {
    const ALL: [Self; 6] = [Self::Keyed, Self::Plain, Self::Batched, Self::LookedUp, Self::Xledger, Self::Dynamics];

    /// Whether several records leave in one request.
    pub fn takes_several(self) -> bool {
        matches!(self, Self::Batched | Self::Xledger | Self::Dynamics)
    }

    /// Whether it is asked for what is in doubt; otherwise a person looks there.
    pub fn is_asked(self) -> bool {
        matches!(self, Self::LookedUp | Self::Xledger | Self::Dynamics)
    }

    /// Where it takes records, if it is one of those that take them as they are.
    pub fn path(self) -> Option<&'static str> {
        match self {
            Self::Keyed | Self::Plain | Self::LookedUp => Some("/claims"),
            Self::Batched => Some("/claims/batch-results"),
            Self::Xledger | Self::Dynamics => None,
        }
    }
}

/// What befalls a request on its way, and nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The connection is reset before the system has seen the request.
    ResetBefore,
    /// The connection is reset after the system has answered.
    ResetAfter,
    /// The answer is kept until the sender gives up.
    Silence,
    /// The request is kept until the sender gives up, and then delivered all the same.
    Late,
    /// The system's answer is lost by a gateway, which says so: 502.
    Lost,
    /// This request and some more are turned away: 429.
    Storm(u32),
}

/// What befalls those who work on the sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blow {
    /// SIGKILL of a worker, which is started again.
    KillWorker(usize),
    /// SIGKILL of both.
    KillWorkers,
    /// SIGKILL of PostgreSQL, which is started again.
    KillDatabase,
    /// A restart of PostgreSQL.
    RestartDatabase,
    /// Both administrators press Retry at once, though the sync runs.
    PressRetry,
}

/// Where the request is when a blow falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// On its way to the system; it is delivered afterwards, even if nobody waits for the answer.
    Before,
    /// Answered, with the answer on its way.
    Held,
    /// The answer was handed over.
    After,
}

/// What a number of requests brings about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// To the request.
    Fault(Fault),
    /// To everybody.
    Blow(Moment, Blow),
}

/// A case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What it was made from.
    pub seed: u32,
    /// The external system.
    pub system: System,
    /// Seconds of a worker's lease, where it is not the one that operators get.
    pub lease: Option<u32>,
    /// Requests at once.
    pub concurrency: u32,
    /// By the number of the request, all attempts and syncs together.
    pub troubles: BTreeMap<u32, Trouble>,
    /// Records that the system refuses as they are.
    pub bad: BTreeSet<usize>,
    /// Records that are corrected after the first attempt, unless they have arrived by then.
    pub corrected: BTreeSet<usize>,
    /// Whether a sync of everything is asked for together with each retry.
    pub syncs_beside: bool,
}

impl Plan {
    /// The case of a seed.
    pub fn of(seed: u32) -> Self {
        let mut random = Random(u64::from(seed));
        let system = System::ALL[seed as usize % System::ALL.len()];
        let mut plan = Self {
            seed,
            system,
            lease: (seed % 16 != 1).then_some(SHORT_LEASE),
            concurrency: 2 + random.below(4),
            troubles: BTreeMap::new(),
            bad: random.some_records(4),
            corrected: BTreeSet::new(),
            syncs_beside: random.below(2) == 0,
        };
        if random.below(3) > 0 {
            plan.corrected = (0..RECORDS).filter(|_| random.below(2) == 0).collect();
        }
        // Each record leaves once at least, so that every number is reached.
        let reached = plan.fewest_requests() * 17 / 20;
        let number = 3 + random.below(3) as usize;
        // A blow comes first, so that no case is without.
        let (moment, blow) = (random.moment(), random.blow());
        let mut next = Trouble::Blow(moment, if plan.lease.is_none() { Blow::KillWorkers } else { blow });
        while plan.troubles.len() < number {
            plan.troubles.entry(2 + random.below(reached - 1)).or_insert(next);
            next = random.trouble();
        }
        plan
    }

    /// Requests that every record's leaving once takes.
    fn fewest_requests(&self) -> u32 {
        let records = u32::try_from(RECORDS).unwrap_or(u32::MAX);
        if self.system.takes_several() { records / BATCH } else { records }
    }

    /// The command that repeats the case.
    pub fn command(&self) -> String {
        format!("cargo xtask faults --runs 1 --seed {}", self.seed)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {:?}", self.seed, self.system)?;
        if self.lease.is_none() {
            write!(f, ", whole lease")?;
        }
        for (number, trouble) in &self.troubles {
            match trouble {
                Trouble::Fault(fault) => write!(f, ", {number} {fault:?}")?,
                Trouble::Blow(moment, blow) => write!(f, ", {number} {blow:?} {moment:?}")?,
            }
        }
        Ok(())
    }
}

/// Sebastiano Vigna's `SplitMix64`: the same numbers from the same seed, whatever the version of any library.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u32) -> u32 {
        u32::try_from(self.next() % u64::from(limit)).unwrap_or(0)
    }

    fn some_records(&mut self, limit: u32) -> BTreeSet<usize> {
        let number = self.below(limit);
        let records = u32::try_from(RECORDS).unwrap_or(u32::MAX);
        (0..number).map(|_| self.below(records) as usize).collect()
    }

    fn trouble(&mut self) -> Trouble {
        if self.below(3) == 0 { Trouble::Blow(self.moment(), self.blow()) } else { Trouble::Fault(self.fault()) }
    }

    fn moment(&mut self) -> Moment {
        match self.below(3) {
            0 => Moment::Before,
            1 => Moment::Held,
            _ => Moment::After,
        }
    }

    fn blow(&mut self) -> Blow {
        match self.below(8) {
            0 => Blow::KillWorker(0),
            1 => Blow::KillWorker(1),
            2 | 3 => Blow::KillWorkers,
            4 | 5 => Blow::KillDatabase,
            6 => Blow::RestartDatabase,
            _ => Blow::PressRetry,
        }
    }

    fn fault(&mut self) -> Fault {
        match self.below(6) {
            0 => Fault::ResetBefore,
            1 => Fault::ResetAfter,
            2 => Fault::Silence,
            3 => Fault::Late,
            4 => Fault::Lost,
            _ => Fault::Storm(2 + self.below(8)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_case_again() {
        for seed in [0, 1, 17, u32::MAX] {
            assert_eq!(Plan::of(seed), Plan::of(seed));
        }
        assert_ne!(Plan::of(6).troubles, Plan::of(12).troubles);
    }

    #[test]
    fn every_number_is_reached() {
        for plan in (0..500).map(Plan::of) {
            let last = plan.troubles.keys().next_back().copied().unwrap_or_default();
            assert!((2..=plan.fewest_requests()).contains(&last), "{plan}");
            assert!(plan.troubles.len() >= 3, "{plan}");
        }
    }

    #[test]
    fn the_cases_that_every_test_runs_hold_everything() {
        let plans: Vec<Plan> = (1..=30).map(Plan::of).collect();
        let troubles = || plans.iter().flat_map(|plan| plan.troubles.values());
        let workers = [Blow::KillWorker(0), Blow::KillWorker(1), Blow::KillWorkers];
        for blow in workers.into_iter().chain([Blow::KillDatabase, Blow::RestartDatabase, Blow::PressRetry]) {
            assert!(troubles().any(|trouble| matches!(trouble, Trouble::Blow(_, found) if *found == blow)), "{blow:?}");
        }
        for moment in [Moment::Before, Moment::Held, Moment::After] {
            let found = troubles().any(|trouble| matches!(trouble, Trouble::Blow(found, _) if *found == moment));
            assert!(found, "{moment:?}");
        }
        for fault in [Fault::ResetBefore, Fault::ResetAfter, Fault::Silence, Fault::Late, Fault::Lost] {
            assert!(troubles().any(|trouble| *trouble == Trouble::Fault(fault)), "{fault:?}");
        }
        assert!(troubles().any(|trouble| matches!(trouble, Trouble::Fault(Fault::Storm(_)))));
        for system in System::ALL {
            assert!(plans.iter().any(|plan| plan.system == system), "{system:?}");
        }
        assert!(plans.iter().any(|plan| plan.lease.is_none()) && plans.iter().any(|plan| plan.lease.is_some()));
        assert!(plans.iter().any(|plan| plan.syncs_beside) && plans.iter().any(|plan| !plan.syncs_beside));
    }
}
