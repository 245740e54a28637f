//! How the ledger's rows are hashed.

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::form::Form;
use super::{AttemptDigest, Hash, LOCATOR_BYTES, RecordsDigest, SyncDigest};
use crate::columns::{OutcomeColumns, SyncAttemptColumns, SyncLogColumns};
use crate::sync_log::ATTEMPT_ABANDONED;

fn text(form: &mut Form, text: Option<&String>) {
    form.optional(text, |form, text| form.text(text));
}

fn number<T: Into<i64>>(form: &mut Form, number: Option<T>) {
    form.optional(number, |form, number| form.number(number.into()));
}

fn id(form: &mut Form, id: Option<Uuid>) {
    form.optional(id, Form::uuid);
}

fn moment(form: &mut Form, moment: Option<DateTime<Utc>>) {
    form.optional(moment, Form::moment);
}

impl SyncLogColumns {
    /// What never changes of it.
    pub fn fixed(&self) -> Hash {
        let mut form = Form::new("sync_fixed");
        self.write_fixed(&mut form);
        form.hash()
    }

    /// Every column.
    pub fn whole(&self) -> Hash {
        let mut form = Form::new("sync_logs");
        self.write_fixed(&mut form);
        form.text(&self.status);
        number(&mut form, self.records_processed);
        number(&mut form, self.records_failed);
        number(&mut form, self.records_total);
        text(&mut form, self.error_code.as_ref());
        text(&mut form, self.error_message.as_ref());
        form.number(self.retry_count.into());
        text(&mut form, self.external_reference_id.as_ref());
        text(&mut form, self.request_payload_hash.as_ref());
        number(&mut form, self.http_status_code);
        number(&mut form, self.duration_ms);
        moment(&mut form, self.completed_at);
        form.optional(self.metadata.as_ref(), |form, json| form.json(json));
        form.json(&self.warnings);
        form.hash()
    }

    fn write_fixed(&self, form: &mut Form) {
        form.uuid(self.id)
            .uuid(self.integration_config_id)
            .uuid(self.organization_id)
            .text(&self.connector_type)
            .text(&self.sync_type)
            .text(&self.triggered_by);
        id(form, self.triggered_by_user_id);
        id(form, self.source_record_id);
        text(form, self.source_record_type.as_ref());
        form.moment(self.started_at).flag(self.backfill);
        text(form, self.client_run_id.as_ref());
    }

    /// Hashed.
    pub fn digest(&self) -> SyncDigest {
        let ended = !matches!(self.status.as_str(), "pending" | "in_progress");
        SyncDigest { fixed: self.fixed(), whole: self.whole(), ended }
    }
}

impl SyncAttemptColumns {
    /// Every column.
    pub fn whole(&self) -> Hash {
        let mut form = Form::new("sync_attempts");
        form.uuid(self.organization_id)
            .moment(self.sync_started_at)
            .uuid(self.sync_id)
            .number(self.attempt_number.into())
            .text(&self.status)
            .moment(self.started_at);
        moment(&mut form, self.completed_at);
        number(&mut form, self.duration_ms);
        number(&mut form, self.records_total);
        form.number(self.records_done.into());
        number(&mut form, self.records_processed);
        number(&mut form, self.records_failed);
        number(&mut form, self.records_skipped);
        number(&mut form, self.records_unknown);
        number(&mut form, self.records_not_attempted);
        text(&mut form, self.error_code.as_ref());
        text(&mut form, self.error_message.as_ref());
        number(&mut form, self.http_status_code);
        id(&mut form, self.triggered_by_user_id);
        form.hash()
    }

    /// Hashed.
    pub fn digest(&self) -> AttemptDigest {
        let abandoned = self.error_code.as_deref() == Some(ATTEMPT_ABANDONED);
        AttemptDigest { hash: self.whole(), is_final: self.status != "in_progress" && !abandoned }
    }
}

impl OutcomeColumns {
    /// Every column.
    pub fn whole(&self) -> Hash {
        let mut form = Form::new("sync_record_outcomes");
        form.uuid(self.organization_id)
            .moment(self.sync_started_at)
            .uuid(self.sync_id)
            .number(self.attempt_number.into())
            .text(&self.source_record_type)
            .uuid(self.source_record_id)
            .text(&self.outcome)
            .json(&self.errors);
        number(&mut form, self.http_status_code);
        text(&mut form, self.external_reference_id.as_ref());
        text(&mut form, self.request_payload_hash.as_ref());
        text(&mut form, self.label.as_ref());
        form.optional(self.amount, Form::decimal);
        text(&mut form, self.currency.as_ref());
        form.moment(self.updated_at);
        form.hash()
    }
}

/// Hashes the outcomes of an attempt one after the other, in the order of their type's bytes and their id.
pub struct RecordsHasher {
    form: Form,
    hasher: Sha256,
    locators: Vec<u8>,
}

impl Default for RecordsHasher {
    fn default() -> Self {
        Self { form: Form::new("records"), hasher: Sha256::new(), locators: Vec::new() }
    }
}

impl RecordsHasher {
    /// Takes in the next outcome.
    pub fn add(&mut self, row: &OutcomeColumns) {
        let hash = row.whole();
        self.form.bytes(&hash).drain_into(&mut self.hasher);
        self.locators.extend_from_slice(row.source_record_id.as_bytes());
        self.locators.extend_from_slice(&hash[..LOCATOR_BYTES - 16]);
    }

    /// All that was taken in.
    pub fn finish(mut self) -> RecordsDigest {
        self.form.drain_into(&mut self.hasher);
        RecordsDigest { hash: self.hasher.finalize().into(), locators: self.locators }
    }
}
