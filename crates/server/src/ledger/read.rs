//! Taking in records that were read from their source.

use domain::record::RecordState;
use rust_decimal::Decimal;
use store::integrations::SealedBytes;
use store::source_records::{RecordKey, Staging};
use uuid::Uuid;

use super::{Ledger, LedgerError};

/// A record as its source has it now, sealed.
#[derive(Clone, Debug)]
pub struct ReadRecord {
    /// Which record.
    pub key: RecordKey,
    /// Its sealed payload.
    pub payload: SealedBytes,
    /// Hash of the payload.
    pub payload_hash: String,
    /// A human label.
    pub label: Option<String>,
    /// Its amount.
    pub amount: Option<Decimal>,
    /// ISO 4217 code of the amount.
    pub currency: Option<String>,
}

impl Ledger<'_> {
    /// Stages records as if their app had. Those that have arrived with another content stay as they are; returns how many
    /// these were.
    pub async fn stage_read(
        &mut self,
        integration_config_id: Uuid,
        records: &[ReadRecord],
    ) -> Result<u64, LedgerError> {
        let mut changed_after_delivery = 0;
        for record in records {
            let staging = Staging {
                key: &record.key,
                payload: &record.payload,
                payload_hash: &record.payload_hash,
                label: record.label.as_deref(),
                amount: record.amount,
                currency: record.currency.as_deref(),
            };
            match self.stage(integration_config_id, &staging).await {
                Ok(_) => {}
                Err(LedgerError::AlreadyDelivered(_)) => {
                    // One that a person booked by hand may say what it likes.
                    let known = store::source_records::find(self.tx, integration_config_id, &record.key).await?;
                    let delivered = known.is_some_and(|known| known.state == RecordState::Delivered);
                    changed_after_delivery += u64::from(delivered);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(changed_after_delivery)
    }
}
