//! Group commit: callers of one organization who record finished syncs at the same time share transactions, and each has
//! its own answer.
//!
//! A caller who comes alone waits for nobody. Whoever comes while a transaction of the organization is under way goes with
//! the next one, which begins when that one ends, or when enough wait. What one caller's sync does to a transaction is
//! never another's trouble: one that the database refuses is rolled back, and its syncs are written one by one.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::{OrgTx, StoreError};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{Imported, LedgerError, Started};
use crate::state::AppState;

/// Transactions of one organization at once: while one waits for the disk, another works.
const AT_ONCE: usize = 2;
/// So many who wait are worth another transaction; fewer go with the next.
const ENOUGH: usize = 8;
/// Most syncs in one of them.
const MAX_SYNCS: usize = 64;
/// Most outcomes of records in one of them; a sync with more goes alone.
const MAX_RECORDS: usize = 2_000;

type Answer = Result<Started, LedgerError>;

/// The callers of every organization.
#[derive(Clone, Debug)]
pub struct GroupCommit {
    /// Where transactions run: their callers may go, and the threads that serve these may end before they do.
    runtime: Handle,
    groups: Arc<Mutex<HashMap<Uuid, Group>>>,
}

/// The callers of one organization.
#[derive(Debug, Default)]
struct Group {
    waiting: VecDeque<Waiting>,
    /// Transactions under way.
    running: usize,
}

impl Group {
    /// Whether those who wait get a transaction beside so many others.
    fn begins_another(&self, others: usize) -> bool {
        let enough = if others == 0 { 1 } else { ENOUGH };
        others < AT_ONCE && self.waiting.len() >= enough
    }
}

/// A caller and what it brings.
#[derive(Debug)]
struct Waiting {
    input: Imported,
    answer: oneshot::Sender<Answer>,
}

/// One of an organization's places for a transaction; given back when too few wait for it, or when it is dropped.
struct Place {
    groups: Arc<Mutex<HashMap<Uuid, Group>>>,
    organization_id: Uuid,
    given_back: bool,
}

impl GroupCommit {
    /// Nobody yet; transactions run on this runtime.
    pub fn new(runtime: Handle) -> Self {
        Self { runtime, groups: Arc::default() }
    }

    /// Records a sync that has ended, and returns when it is durable.
    pub async fn record_finished(&self, state: &AppState, organization_id: Uuid, input: Imported) -> Answer {
        let (answer, answered) = oneshot::channel();
        if let Some(mut place) = self.enter(organization_id, Waiting { input, answer }) {
            let state = state.clone();
            self.runtime.spawn(async move {
                while let Some(waiting) = place.next() {
                    write(&state, organization_id, waiting).await;
                }
            });
        }
        answered.await.unwrap_or(Err(LedgerError::Unanswered))
    }

    /// Callers of an organization who wait for a transaction to go with.
    pub fn waiting(&self, organization_id: Uuid) -> usize {
        held(&self.groups).get(&organization_id).map_or(0, |group| group.waiting.len())
    }

    /// Takes a caller in, and a place for its transaction where one is free.
    fn enter(&self, organization_id: Uuid, waiting: Waiting) -> Option<Place> {
        let mut groups = held(&self.groups);
        let group = groups.entry(organization_id).or_default();
        group.waiting.push_back(waiting);
        if !group.begins_another(group.running) {
            return None;
        }
        group.running += 1;
        Some(Place { groups: Arc::clone(&self.groups), organization_id, given_back: false })
    }
}

impl Place {
    /// Whoever waits, in the order in which they came. If they are too few, the place is given back in the same moment:
    /// who comes next finds it free, and those who wait go with the other transaction's successor.
    fn next(&mut self) -> Option<Vec<Waiting>> {
        let mut groups = held(&self.groups);
        let group = groups.get_mut(&self.organization_id)?;
        if !group.begins_another(group.running - 1) {
            self.given_back = true;
            give_back(&mut groups, self.organization_id);
            return None;
        }
        let waiting = &mut group.waiting;
        let mut records = 0;
        let fits = |waiting: &&Waiting| {
            records += waiting.input.records.len();
            records <= MAX_RECORDS
        };
        let number = waiting.iter().take(MAX_SYNCS).take_while(fits).count().max(1);
        Some(waiting.drain(..number).collect())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.given_back {
            give_back(&mut held(&self.groups), self.organization_id);
        }
    }
}

fn give_back(groups: &mut HashMap<Uuid, Group>, organization_id: Uuid) {
    if let Entry::Occupied(mut group) = groups.entry(organization_id) {
        group.get_mut().running -= 1;
        // After a panic somebody may still wait, and is told by this that nobody will answer.
        if group.get().running == 0 {
            group.remove();
        }
    }
}

fn held(groups: &Mutex<HashMap<Uuid, Group>>) -> MutexGuard<'_, HashMap<Uuid, Group>> {
    groups.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes syncs in one transaction, or, where one of them spoils it, each in its own; and answers everybody.
async fn write(state: &AppState, organization_id: Uuid, waiting: Vec<Waiting>) {
    let (inputs, callers): (Vec<Imported>, Vec<_>) = waiting.into_iter().map(|one| (one.input, one.answer)).unzip();
    let answers = match write_together(state, organization_id, &inputs).await {
        Err(NotWritten::RolledBack(error)) if inputs.len() == 1 => vec![Err(error)],
        Err(NotWritten::RolledBack(_)) => {
            let mut answers = Vec::with_capacity(inputs.len());
            for input in &inputs {
                answers.push(write_alone(state, organization_id, input).await);
            }
            answers
        }
        Err(NotWritten::Unavailable(error)) => {
            let error = Arc::new(error);
            inputs.iter().map(|_| Err(LedgerError::Shared(Arc::clone(&error)))).collect()
        }
        Ok(answers) => answers,
    };
    for (caller, answer) in callers.into_iter().zip(answers) {
        // Who has gone meanwhile needs no answer.
        let _ = caller.send(answer);
    }
}

async fn write_alone(state: &AppState, organization_id: Uuid, input: &Imported) -> Answer {
    match write_together(state, organization_id, std::slice::from_ref(input)).await {
        Ok(mut answers) => answers.pop().unwrap_or(Err(LedgerError::Unanswered)),
        Err(NotWritten::RolledBack(error)) => Err(error),
        Err(NotWritten::Unavailable(error)) => Err(error.into()),
    }
}

/// Why a transaction came to nothing.
enum NotWritten {
    /// It was refused, and surely holds nothing.
    RolledBack(LedgerError),
    /// It could not begin, or nobody knows whether it ended: it must not be tried again.
    Unavailable(StoreError),
}

impl From<LedgerError> for NotWritten {
    /// What the database itself refuses, be it at the end, is rolled back; where it could not answer nobody knows.
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Store(error @ StoreError::Unavailable(_)) => Self::Unavailable(error),
            error => Self::RolledBack(error),
        }
    }
}

async fn write_together(
    state: &AppState,
    organization_id: Uuid,
    inputs: &[Imported],
) -> Result<Vec<Answer>, NotWritten> {
    let mut tx = OrgTx::begin(&state.db, organization_id).await.map_err(NotWritten::Unavailable)?;
    let answers = state.ledger(&mut tx, state.clock.now()).record_finished_many(inputs).await;
    let answers = answers.map_err(NotWritten::from)?;
    tx.commit().await.map_err(|error| NotWritten::from(LedgerError::from(error)))?;
    state.wake();
    Ok(answers)
}
