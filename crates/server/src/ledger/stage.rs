//! Staging the current data of a source record.

use domain::record::RecordState;
use domain::sync_log::draft::check_source_record_type;
use domain::violation::{Rule, Violation};
use rust_decimal::Decimal;
use store::source_records::{RecordKey, SourceRecord, Staging};
use uuid::Uuid;

use super::{Ledger, LedgerError, outcomes};

/// A staged record.
#[derive(Clone, Debug)]
pub struct Staged {
    /// The record as it now stands.
    pub record: SourceRecord,
    /// Whether it is new.
    pub created: bool,
}

/// What rules are about when a record is staged.
pub fn stage_violations(
    key: &RecordKey,
    label: Option<&str>,
    amount: Option<Decimal>,
    currency: Option<&str>,
    payload: &serde_json::Value,
) -> Vec<Violation> {
    let mut found: Vec<Violation> =
        check_source_record_type(&key.source_record_type, "/source_record_type").into_iter().collect();
    if let Some(label) = label {
        if label.chars().count() > 200 {
            found.push(Violation::new(Rule::TooLong, "/label", "at most 200 characters"));
        }
        if label.contains('\0') {
            found.push(Violation::new(Rule::InvalidFormat, "/label", "a text holds no NUL character"));
        }
    }
    if !payload.is_object() {
        found.push(Violation::new(Rule::InvalidFormat, "/payload", "a JSON object"));
    }
    found.extend(outcomes::money(amount, currency, ""));
    found
}

/// What a staged payload is sealed for.
pub fn staging_context(integration_config_id: Uuid, key: &RecordKey) -> String {
    format!("record:{integration_config_id}:{}:{}", key.source_record_type, key.source_record_id)
}

impl Ledger<'_> {
    /// Stages a version of a record. The same version again has no effect; a version of a record that is on its way
    /// waits; one of a delivered record is refused unless the integration sends updates.
    pub async fn stage(&mut self, integration_config_id: Uuid, staging: &Staging<'_>) -> Result<Staged, LedgerError> {
        let config = store::integrations::find(self.tx, integration_config_id).await?.ok_or(LedgerError::NotFound)?;
        let known = store::source_records::lock(self.tx, config.id, staging.key).await?;
        let created = match known {
            Some(known) => {
                self.stage_known(config.id, config.allow_updates, &known, staging).await?;
                false
            }
            None if store::source_records::insert_staged(self.tx, config.id, staging, self.now).await? => true,
            None => {
                let known = store::source_records::lock(self.tx, config.id, staging.key).await?;
                let known = known.ok_or(LedgerError::NotFound)?;
                self.stage_known(config.id, config.allow_updates, &known, staging).await?;
                false
            }
        };
        let record =
            store::source_records::find(self.tx, config.id, staging.key).await?.ok_or(LedgerError::NotFound)?;
        Ok(Staged { record, created })
    }

    async fn stage_known(
        &mut self,
        integration_config_id: Uuid,
        allow_updates: bool,
        known: &SourceRecord,
        staging: &Staging<'_>,
    ) -> Result<(), LedgerError> {
        let same = known.payload_hash.as_deref() == Some(staging.payload_hash);
        let state = match known.state {
            RecordState::Handled => {
                return Err(LedgerError::AlreadyDelivered("the record was booked by hand; it is never sent again"));
            }
            RecordState::Delivered if same => return Ok(()),
            RecordState::Delivered if !allow_updates => {
                return Err(LedgerError::AlreadyDelivered("the record was delivered with another content"));
            }
            RecordState::Delivered => RecordState::Staged,
            RecordState::Sending | RecordState::Unknown if same && known.next_payload_hash.is_none() => return Ok(()),
            other => other,
        };
        Ok(store::source_records::update_staged(self.tx, integration_config_id, staging, state, self.now).await?)
    }
}
