//! What is due of a managed sync that sends everything, said after its attempt was claimed.

use store::OrgTx;
use store::source_records::RecordKey;
use tokio_util::sync::CancellationToken;

use super::super::sync::DATABASE_PAUSE;
use super::Unread;
use crate::http::problem::Chain;
use crate::ledger::{Claimed, LedgerError, Reading};
use crate::state::AppState;

/// Puts the records that are due now into the scope of an attempt, unless none of them would be sent any more: without a
/// record in its scope it begins anew when it is retried.
pub(super) async fn due(
    state: &AppState,
    claimed: &Claimed,
    shutdown: &CancellationToken,
) -> Result<Vec<RecordKey>, Unread> {
    loop {
        if shutdown.is_cancelled() {
            return Err(Unread::Stopped);
        }
        let due = async {
            let mut tx = OrgTx::begin(&state.db, claimed.sync.organization_id).await?;
            let mut ledger = state.ledger(&mut tx, state.clock.now());
            let records = ledger.scope_of_first(claimed.sync.id, claimed.attempt, &claimed.config).await?;
            tx.commit().await?;
            Ok::<_, LedgerError>(records)
        };
        match due.await {
            Ok(records) => {
                state.hub.nudge();
                return Ok(records);
            }
            Err(error) => match wait_after(error, claimed, shutdown).await {
                // Without a source none is to blame: whoever closes it will say that nobody worked on it.
                Err(Unread::Failed(_)) if claimed.reading == Reading::Due => return Err(Unread::LeaseLost),
                waited => waited?,
            },
        }
    }
}

/// Waits until the database may be tried again, unless that would be in vain.
pub(super) async fn wait_after(
    error: LedgerError,
    claimed: &Claimed,
    shutdown: &CancellationToken,
) -> Result<(), Unread> {
    let sync_id = claimed.sync.id;
    match error {
        LedgerError::Store(error) if error.is_passing() => {
            tracing::warn!(%sync_id, error = %Chain(&error), "an attempt's records could not be kept; trying again");
            if shutdown.is_cancelled() {
                return Err(Unread::Stopped);
            }
            tokio::time::sleep(DATABASE_PAUSE).await;
            Ok(())
        }
        LedgerError::Refused(_) => Err(Unread::LeaseLost),
        error => {
            tracing::error!(%sync_id, error = %Chain(&error), "an attempt's records could not be kept");
            Err(Unread::Failed("What was read could not be kept.".to_owned()))
        }
    }
}
