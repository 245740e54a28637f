//! A person's decision about a record.

use domain::record::{RecordState, Resolution};
use domain::violation::{Rule, Violation};
use store::record_outcomes::OutcomeRow;
use store::source_records::{NewResolution, RecordKey};
use uuid::Uuid;

use super::{Ledger, LedgerError};

impl Ledger<'_> {
    /// Takes in what a person decided about a record of a sync.
    pub async fn resolve_record(
        &mut self,
        sync_id: Uuid,
        key: &RecordKey,
        new: &NewResolution<'_>,
    ) -> Result<OutcomeRow, LedgerError> {
        let sync = store::sync_logs::find(self.tx, sync_id).await?.ok_or(LedgerError::NotFound)?;
        let integration = sync.integration_config_id;
        store::record_outcomes::latest(self.tx, sync.key(), integration, key).await?.ok_or(LedgerError::NotFound)?;
        let found = violations(new);
        if !found.is_empty() {
            return Err(found.into());
        }
        let record = store::source_records::lock(self.tx, integration, key).await?.ok_or(LedgerError::NotFound)?;
        if let Some(holder) = store::active_syncs::find_claim(self.tx, sync.connector_type, key).await? {
            return Err(LedgerError::AlreadyActive(holder));
        }
        match (record.state, new.resolution) {
            (RecordState::Delivered, _) => {
                return Err(LedgerError::AlreadyDelivered("the record has arrived; there is nothing to decide"));
            }
            (RecordState::Handled, _) => {
                return Err(LedgerError::InvalidState("the record was booked by hand already"));
            }
            (RecordState::Sending, _) => return Err(LedgerError::InvalidState("the record is on its way")),
            (RecordState::Unknown, _) | (_, Resolution::HandledManually) => {}
            _ => return Err(LedgerError::InvalidState("only a record of unknown fate can be decided about like this")),
        }
        store::source_records::resolve(self.tx, integration, key, new, self.now).await?;
        self.refresh_undelivered(integration).await?;
        self.tell_sync(&sync).await?;
        self.tell_integration(integration).await?;
        store::record_outcomes::latest(self.tx, sync.key(), integration, key).await?.ok_or(LedgerError::NotFound)
    }
}

fn violations(new: &NewResolution<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    let length = new.reason.trim().chars().count();
    if length == 0 {
        found.push(Violation::new(Rule::Required, "/reason", "say why"));
    } else if length > 1_000 {
        found.push(Violation::new(Rule::TooLong, "/reason", "at most 1000 characters"));
    }
    match new.reference {
        None if new.resolution == Resolution::Delivered => {
            found.push(Violation::new(Rule::Required, "/reference", "say under which reference it arrived"));
        }
        Some(reference) if reference.chars().count() > 500 => {
            found.push(Violation::new(Rule::TooLong, "/reference", "at most 500 characters"));
        }
        _ => {}
    }
    for (pointer, text) in [("/reason", Some(new.reason)), ("/reference", new.reference)] {
        if text.is_some_and(|text| text.contains('\0')) {
            found.push(Violation::new(Rule::InvalidFormat, pointer, "a text holds no NUL character"));
        }
    }
    found
}
