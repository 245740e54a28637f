//! Entering what closed or changed for sealing, in the transaction of the change.
//!
//! Every legitimate change of a closed attempt, of its outcomes or of an ended sync comes past here; what does not is
//! found by the audit.

use domain::seal::SubjectKey;
use store::sync_logs::SyncKey;

use super::{Ledger, LedgerError};

impl Ledger<'_> {
    /// A sync ended, or a closed attempt's outcomes changed.
    pub async fn enter_for_sealing(&mut self, sync: SyncKey, attempt: Option<u16>) -> Result<(), LedgerError> {
        let key = SubjectKey { sync_id: sync.id, sync_started_at: sync.started_at, attempt };
        Ok(store::seals::enqueue(self.tx, &[key]).await?)
    }

    /// Syncs were recorded that had ended after their first attempt.
    pub(super) async fn enter_many_for_sealing(&mut self, syncs: &[SyncKey]) -> Result<(), LedgerError> {
        if syncs.is_empty() {
            return Ok(());
        }
        let keys: Vec<SubjectKey> = syncs
            .iter()
            .map(|sync| SubjectKey { sync_id: sync.id, sync_started_at: sync.started_at, attempt: Some(0) })
            .collect();
        Ok(store::seals::enqueue(self.tx, &keys).await?)
    }
}
