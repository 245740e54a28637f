//! Reading what an attempt is about, and records from their source before anything is sent, so that what leaves is what they
//! say now.
//!
//! What was read is staged as if the records' own app had done it: which are due, which have changed, and what waits is decided
//! as ever. A record that its source no longer has, or that could not be read, is held back, since what is staged of it may
//! be outdated.

mod belief;
mod due;
mod held;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use connectors::{Cursor, Fetched, Page, Source, SourceRecord, Unusable};
use domain::payload::payload_hash;
use domain::source::{CHANGED_AFTER_DELIVERY, SOURCE_ID_NOT_UUID, SOURCE_ID_REPEATED, SOURCE_RECORD_INVALID};
use domain::sync_log::SyncWarning;
use store::OrgTx;
use store::integrations::SealedBytes;
use store::source_records::RecordKey;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::lease::Lease;
use crate::ledger::{Claimed, LedgerError, ReadRecord, Reading, staging_context};
use crate::state::AppState;
use belief::{are_all_gone, repeated, since};
use due::{due, wait_after};
use held::Held;
pub(super) use held::hold_back;

/// Records that are staged in one transaction.
const STAGED_AT_ONCE: usize = 100;
/// Most parts of a list. One that goes on and on would keep its sync from ever sending anything.
const MOST_PAGES: usize = 1_000;
/// Records in a row that nobody answers for before the others are not asked for any more: of a source that is away, each of
/// thousands would keep its sync waiting for as long as a request may take.
const MOST_UNANSWERED: usize = 20;

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Records that are not to be sent.
    pub(super) held: HashMap<RecordKey, Held>,
    /// What is to be said of the attempt.
    pub(super) warnings: Vec<SyncWarning>,
}

/// Why nothing can be sent.
#[derive(Debug)]
pub(super) enum Unread {
    /// The source could not be read: why, in words.
    Failed(String),
    /// The worker was told to stop.
    Stopped,
    /// The attempt is somebody else's, or is left to its lease.
    LeaseLost,
}

/// One attempt's reading.
struct Reader<'a> {
    state: &'a AppState,
    claimed: &'a Claimed,
    source: Arc<dyn Source>,
    lease: &'a Lease,
    shutdown: &'a CancellationToken,
    seen: HashSet<RecordKey>,
    unusable: Unusable,
    repeated: u64,
    changed_after_delivery: u64,
    held: HashMap<RecordKey, Held>,
}

/// Reads what an attempt is to read, and completes what it is about.
pub(super) async fn read(
    state: &AppState,
    claimed: &mut Claimed,
    source: Option<Arc<dyn Source>>,
    lease: &Lease,
    shutdown: &CancellationToken,
) -> Result<Read, Unread> {
    if claimed.reading == Reading::Due {
        claimed.records = due(state, claimed, shutdown).await?;
    }
    let Some(source) = source else { return Ok(Read::default()) };
    let mut reader = Reader {
        state,
        claimed: &*claimed,
        source,
        lease,
        shutdown,
        seen: HashSet::new(),
        unusable: Unusable::default(),
        repeated: 0,
        changed_after_delivery: 0,
        held: HashMap::new(),
    };
    let records = match reader.claimed.reading {
        Reading::Nothing | Reading::Due => return Ok(Read::default()),
        Reading::Source => {
            reader.read_source().await?;
            let due = due(state, reader.claimed, shutdown).await?;
            reader.fetch_all(&due).await?;
            Some(due)
        }
        Reading::Records => {
            let asked_and_sent: Vec<RecordKey> =
                reader.claimed.records.iter().chain(&reader.claimed.asked).cloned().collect();
            reader.fetch_all(&asked_and_sent).await?;
            if are_all_gone(&asked_and_sent, reader.source.record_type(), &reader.held) {
                let why = "It says of each of the records that there is none, which is not believed of so many: \
                           the address of single records may have changed. Mark those that are gone as handled.";
                for held in reader.held.values_mut() {
                    *held = Held::Unreadable(why.to_owned());
                }
            }
            None
        }
    };
    let read = Read { warnings: reader.warnings(), held: reader.held };
    if let Some(records) = records {
        claimed.records = records;
    }
    Ok(read)
}

impl Reader<'_> {
    /// Reads the list, or the one record that the sync is about.
    async fn read_source(&mut self) -> Result<(), Unread> {
        let sync = &self.claimed.sync;
        if let (Some(kind), Some(id)) = (&sync.source_record_type, sync.source_record_id) {
            let key = RecordKey { source_record_type: kind.clone(), source_record_id: id };
            self.fetch_all(std::slice::from_ref(&key)).await?;
            return match self.held.get(&key) {
                Some(Held::Unreadable(why)) => {
                    Err(Unread::Failed(format!("The record could not be read from its source: {why}")))
                }
                Some(Held::Gone) | None => Ok(()),
            };
        }
        let begun = self.state.clock.now();
        let since = since(self.claimed.config.source_read_at, begun);
        let mut after: Option<Cursor> = None;
        let mut parts: HashSet<Cursor> = HashSet::new();
        for _ in 0..MOST_PAGES {
            let page: Page = tokio::select! {
                page = self.source.list(since, after.as_ref()) => page.map_err(|trouble| {
                    Unread::Failed(format!("The source could not be read: {}", trouble.message))
                })?,
                () = self.shutdown.cancelled() => return Err(Unread::Stopped),
                () = self.lease.lost() => return Err(Unread::LeaseLost),
            };
            self.unusable.without_id += page.unusable.without_id;
            self.unusable.without_payload += page.unusable.without_payload;
            self.stage(page.records).await?;
            after = page.next;
            match &after {
                None => return self.note_read(begun).await,
                Some(next) if !parts.insert(next.clone()) => {
                    let why = "The source could not be read: its list leads back to a part that was read before.";
                    return Err(Unread::Failed(why.to_owned()));
                }
                Some(_) => {}
            }
        }
        Err(Unread::Failed(format!("The source could not be read: its list has more than {MOST_PAGES} parts.")))
    }

    /// The next time only what has changed since is asked for.
    async fn note_read(&self, begun: DateTime<Utc>) -> Result<(), Unread> {
        let config = &self.claimed.config;
        loop {
            let noted = async {
                let mut tx = OrgTx::begin(&self.state.db, config.organization_id).await?;
                store::integrations::note_source_read(&mut tx, config, begun).await?;
                tx.commit().await?;
                Ok::<_, LedgerError>(())
            };
            match noted.await {
                Ok(()) => return Ok(()),
                Err(error) => wait_after(error, self.claimed, self.shutdown).await?,
            }
        }
    }

    /// Reads records one by one, some at a time: those of the source's type that have not been read just now.
    async fn fetch_all(&mut self, keys: &[RecordKey]) -> Result<(), Unread> {
        let mut waiting: Vec<RecordKey> = keys
            .iter()
            .filter(|key| key.source_record_type == self.source.record_type() && !self.is_known(key))
            .cloned()
            .collect();
        let slots = self.source.concurrency().max(1);
        let mut under_way: JoinSet<(RecordKey, Fetched)> = JoinSet::new();
        let mut found = Vec::new();
        let mut unanswered = 0;
        loop {
            while under_way.len() < slots
                && let Some(key) = waiting.pop()
            {
                let source = Arc::clone(&self.source);
                under_way.spawn(async move {
                    let fetched = source.fetch(key.source_record_id).await;
                    (key, fetched)
                });
            }
            let next = tokio::select! {
                next = under_way.join_next() => next,
                () = self.shutdown.cancelled() => return Err(Unread::Stopped),
                () = self.lease.lost() => return Err(Unread::LeaseLost),
            };
            if let Some(Ok((_, fetched))) = &next {
                let is_silent = matches!(fetched, Fetched::Unreadable(trouble) if trouble.is_silence());
                unanswered = if is_silent { unanswered + 1 } else { 0 };
            }
            match next {
                Some(Ok((_, Fetched::Found(record)))) => found.push(record),
                Some(Ok((key, Fetched::Gone))) => {
                    self.held.insert(key, Held::Gone);
                }
                Some(Ok((key, Fetched::Unreadable(trouble)))) => {
                    if unanswered >= MOST_UNANSWERED {
                        let why = Held::Unreadable(trouble.message.clone());
                        self.held.extend(waiting.drain(..).map(|key| (key, why.clone())));
                    }
                    self.held.insert(key, Held::Unreadable(trouble.message));
                }
                // A task that broke off has said nothing: its record was not read, and is found missing below.
                Some(Err(_)) => {}
                None => break,
            }
            if found.len() >= STAGED_AT_ONCE {
                self.stage(std::mem::take(&mut found)).await?;
            }
        }
        self.stage(found).await?;
        for key in keys {
            if key.source_record_type == self.source.record_type() && !self.is_known(key) {
                self.held.insert(key.clone(), Held::Unreadable("The record was not read.".to_owned()));
            }
        }
        Ok(())
    }

    /// Whether it is known what the source says of a record now.
    fn is_known(&self, key: &RecordKey) -> bool {
        self.seen.contains(key) || self.held.contains_key(key)
    }

    /// Stages what was read, in the order of its ids: two attempts that stage the same records never wait for each other.
    async fn stage(&mut self, mut records: Vec<SourceRecord>) -> Result<(), Unread> {
        records.sort_by_key(|record| record.id);
        self.repeated += repeated(&records);
        for some in records.chunks(STAGED_AT_ONCE) {
            let read = self.sealed(some).map_err(|error| {
                tracing::error!(sync_id = %self.claimed.sync.id, error = %error, "read records could not be sealed");
                Unread::Failed("What the source says could not be kept.".to_owned())
            })?;
            let changed = self.keep(&read).await?;
            self.changed_after_delivery += changed;
            self.seen.extend(read.into_iter().map(|record| record.key));
        }
        Ok(())
    }

    fn sealed(&self, records: &[SourceRecord]) -> anyhow::Result<Vec<ReadRecord>> {
        let mut sealed = Vec::with_capacity(records.len());
        for record in records {
            let source_record_type = self.source.record_type().to_owned();
            let key = RecordKey { source_record_type, source_record_id: record.id };
            let plain = serde_json::to_vec(&record.payload)?;
            let payload = self.state.vault.seal(&plain, &staging_context(self.claimed.config.id, &key))?;
            sealed.push(ReadRecord {
                key,
                payload: SealedBytes { key_id: payload.key_id, bytes: payload.bytes },
                payload_hash: payload_hash(&record.payload),
                label: record.label.clone(),
                amount: record.amount,
                currency: record.currency.clone(),
            });
        }
        Ok(sealed)
    }

    /// Stages some records in one transaction; returns how many of them had arrived with another content.
    async fn keep(&self, read: &[ReadRecord]) -> Result<u64, Unread> {
        loop {
            let kept = async {
                let mut tx = OrgTx::begin(&self.state.db, self.claimed.sync.organization_id).await?;
                let mut ledger = self.state.ledger(&mut tx, self.state.clock.now());
                let changed = ledger.stage_read(self.claimed.config.id, read).await?;
                tx.commit().await?;
                Ok::<_, LedgerError>(changed)
            };
            match kept.await {
                Ok(changed) => return Ok(changed),
                Err(error) => wait_after(error, self.claimed, self.shutdown).await?,
            }
        }
    }

    fn warnings(&self) -> Vec<SyncWarning> {
        let counted = [
            (self.changed_after_delivery, CHANGED_AFTER_DELIVERY, "changed at their source after they had arrived"),
            (self.unusable.without_id, SOURCE_ID_NOT_UUID, "have an id at their source that is no UUID"),
            (self.unusable.without_payload, SOURCE_RECORD_INVALID, "hold nothing at their source that could be sent"),
            (self.repeated, SOURCE_ID_REPEATED, "have the id of another one in their source's list"),
        ];
        let said = |(number, code, what): (u64, &str, &str)| SyncWarning {
            code: code.to_owned(),
            message: format!("Records that {what}, and were left out: {number}"),
            pointer: None,
        };
        counted.into_iter().filter(|(number, ..)| *number > 0).map(said).collect()
    }
}
