//! What a source says of some records at the moment, for those who want to know what a retry would do.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use connectors::{Fetched, GuardedClients, Source};
use domain::integration::Runner;
use domain::payload::payload_hash;
use domain::retry::{RetryDecision, RetryPreview, decide};
use store::source_records::RecordKey;
use store::{OrgTx, StoreError};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::http::integrations::settings;
use crate::ledger::Candidates;
use crate::state::AppState;

/// How long a source is listened to. Of what it has not said by then, the ledger's own word stands.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a source says of a record.
enum Now {
    /// It is there; this is its payload's hash.
    Hash(String),
    /// It is there no more.
    Gone,
}

/// What a retry would do with its candidates, by what their source says now. Nothing is kept of that: a retry reads again.
pub(crate) async fn preview(state: &AppState, mut candidates: Candidates) -> Result<RetryPreview, StoreError> {
    if candidates.config.runner != Runner::Managed || !connectors::has_source(&candidates.config.settings) {
        return Ok(candidates.preview());
    }
    let source = match settings::source(state, &candidates.config, &GuardedClients::new(&state.outbound)) {
        Ok(Some(source)) => Arc::<dyn Source>::from(source),
        Ok(None) => return Ok(candidates.preview()),
        Err(error) => {
            tracing::warn!(integration_config_id = %candidates.config.id, error = %error, "no source could be made");
            return Ok(candidates.preview());
        }
    };
    let wanted: Vec<RecordKey> = candidates
        .records
        .iter()
        .filter(|(key, candidate)| {
            key.source_record_type == source.record_type() && decide(candidate) == RetryDecision::Send
        })
        .map(|(key, _)| key.clone())
        .collect();
    let sent = {
        let mut tx = OrgTx::begin_reading(&state.db, candidates.config.organization_id).await?;
        store::source_records::sent_hashes(&mut tx, candidates.config.id, &wanted).await?
    };
    let said = look(&source, wanted).await;
    let mut gone: HashSet<RecordKey> = HashSet::new();
    for (key, candidate) in &mut candidates.records {
        let key = &*key;
        match said.get(key) {
            Some(Now::Hash(hash)) => candidate.changed = sent.get(key).is_some_and(|sent| sent != hash),
            Some(Now::Gone) => {
                gone.insert(key.clone());
            }
            None => {}
        }
    }
    candidates.records.retain(|(key, _)| !gone.contains(key));
    Ok(RetryPreview { gone: i64::try_from(gone.len()).unwrap_or(i64::MAX), ..candidates.preview() })
}

/// Reads records, some at a time, as long as there is patience.
async fn look(source: &Arc<dyn Source>, mut wanted: Vec<RecordKey>) -> HashMap<RecordKey, Now> {
    let until = Instant::now() + PATIENCE;
    let slots = source.concurrency().max(1);
    let mut under_way: JoinSet<(RecordKey, Fetched)> = JoinSet::new();
    let mut said = HashMap::new();
    loop {
        while under_way.len() < slots
            && let Some(key) = wanted.pop()
        {
            let source = Arc::clone(source);
            under_way.spawn(async move {
                let fetched = source.fetch(key.source_record_id).await;
                (key, fetched)
            });
        }
        match timeout_at(until, under_way.join_next()).await {
            Ok(Some(Ok((key, Fetched::Found(record))))) => {
                said.insert(key, Now::Hash(payload_hash(&record.payload)));
            }
            Ok(Some(Ok((key, Fetched::Gone)))) => {
                said.insert(key, Now::Gone);
            }
            // One that cannot be read now is not asked for again, nor are those behind it.
            Ok(Some(_)) => wanted.clear(),
            Ok(None) | Err(_) => return said,
        }
    }
}
