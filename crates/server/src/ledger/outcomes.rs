//! Taking in what happened to records, as an external runner reports it.

use domain::integration::Runner;
use domain::payload::is_payload_hash;
use domain::record::{ALREADY_ACTIVE, RecordOutcome};
use domain::sync_log::draft::check_source_record_type;
use domain::sync_log::{SyncStatus, TransitionRefused};
use domain::violation::{Rule, Violation};
use rust_decimal::Decimal;
use store::record_outcomes::NewOutcome;
use store::source_records::RecordKey;
use store::sync_logs::SyncLog;
use uuid::Uuid;

use super::{Ledger, LedgerError, message};

/// Most outcomes in one call.
pub(super) const MAX_OUTCOMES: usize = 1_000;

/// What became of reported outcomes.
#[derive(Clone, Debug, Default)]
pub struct Appended {
    /// Outcomes that were new or changed something.
    pub accepted: usize,
    /// Outcomes that said what was known already.
    pub unchanged: usize,
    /// Records that must not be sent: another sync has them under way, or the attempt they were to go out in has ended.
    pub already_active: Vec<RecordKey>,
    /// The latest attempt's number, if the report came from an earlier one. The outcomes are kept all the same.
    pub superseded_by: Option<u16>,
}

impl Ledger<'_> {
    /// Takes in outcomes of an attempt.
    pub async fn append_outcomes(
        &mut self,
        sync_id: Uuid,
        attempt: u16,
        mut outcomes: Vec<NewOutcome>,
    ) -> Result<Appended, LedgerError> {
        let sync = self.lock_sync(sync_id).await?;
        let violations = violations(&outcomes, "/records");
        if !violations.is_empty() {
            return Err(violations.into());
        }
        let latest = attempt == sync.retry_count;
        let running = latest && sync.status == SyncStatus::InProgress;
        // While a retry waits, the attempt before it may still say what really happened: what it delivered is not sent
        // again. A start that nobody claimed has no attempt to report for.
        if attempt > sync.retry_count
            || (!running && store::sync_attempts::find(self.tx, sync.key(), attempt).await?.is_none())
        {
            return Err(TransitionRefused::NotBegun(attempt).into());
        }
        let already_active = if running {
            self.claim_reported(&sync, &mut outcomes).await?
        } else {
            // Nothing is queued or on its way in an attempt that has ended: nobody would ever close it, and no claim
            // keeps others from sending the record.
            let begun = outcomes.iter_mut().filter(|new| !new.outcome.is_final());
            begun
                .map(|new| {
                    new.outcome = new.outcome.after_abandonment();
                    new.key.clone()
                })
                .collect()
        };
        let reported = outcomes.len();
        let taken = self.write_outcomes(&sync, attempt, latest, &outcomes).await?;
        if running {
            let counts = store::record_outcomes::count_attempt(self.tx, sync.key(), attempt).await?;
            let done = counts.total() - counts.open;
            store::sync_attempts::update_progress(self.tx, sync.key(), attempt, None, Some(done)).await?;
            store::active_syncs::extend(self.tx, sync_id, attempt, None, self.now).await?;
        } else if taken > 0 {
            // No end of the attempt is still to come that would count anew.
            self.count_after_the_end(&sync).await?;
            self.enter_for_sealing(sync.key(), Some(attempt)).await?;
        }
        self.tell_sync(&sync).await?;
        Ok(Appended {
            accepted: taken,
            unchanged: reported - taken,
            already_active,
            superseded_by: (!latest).then_some(sync.retry_count),
        })
    }

    /// Claims the records that a runner is about to send. Those under way elsewhere become `skipped`.
    async fn claim_reported(
        &mut self,
        sync: &SyncLog,
        outcomes: &mut [NewOutcome],
    ) -> Result<Vec<RecordKey>, LedgerError> {
        let wanted: Vec<RecordKey> =
            outcomes.iter().filter(|new| !new.outcome.is_final()).map(|new| new.key.clone()).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let claimed = store::active_syncs::claim_records(self.tx, sync.connector_type, sync.id, &wanted).await?;
        let mut elsewhere = Vec::new();
        for new in outcomes.iter_mut().filter(|new| !new.outcome.is_final()) {
            if claimed.binary_search(&new.key).is_err() {
                elsewhere.push(new.key.clone());
                let label = new.label.take();
                *new = NewOutcome { label, ..message::skipped(new.key.clone(), ALREADY_ACTIVE) };
            }
        }
        Ok(elsewhere)
    }

    /// Writes outcomes and what they say of the records over all syncs. Returns how many were new.
    pub(super) async fn write_outcomes(
        &mut self,
        sync: &SyncLog,
        attempt: u16,
        latest: bool,
        outcomes: &[NewOutcome],
    ) -> Result<usize, LedgerError> {
        let taken = store::record_outcomes::upsert(self.tx, sync.key(), attempt, outcomes, self.now).await?;
        let config = store::integrations::find(self.tx, sync.integration_config_id).await?;
        if config.is_some_and(|config| config.runner == Runner::External) {
            let told: std::collections::HashSet<&RecordKey> = taken.iter().collect();
            let moved: Vec<&NewOutcome> = outcomes.iter().filter(|new| told.contains(&new.key)).collect();
            let integration = sync.integration_config_id;
            store::source_records::upsert_reported(self.tx, integration, sync.id, &moved, latest, self.now).await?;
        }
        Ok(taken.len())
    }
}

/// Every broken rule of reported outcomes.
pub(super) fn violations(outcomes: &[NewOutcome], base: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    if outcomes.len() > MAX_OUTCOMES {
        found.push(Violation::new(Rule::TooLong, base, format!("at most {MAX_OUTCOMES} records a call")));
        return found;
    }
    let mut seen = std::collections::HashSet::new();
    for (index, new) in outcomes.iter().enumerate() {
        let at = |member: &str| format!("{base}/{index}/{member}");
        found.extend(check_source_record_type(&new.key.source_record_type, &at("source_record_type")));
        if !seen.insert(&new.key) {
            found.push(Violation::new(Rule::Duplicate, at("source_record_id"), "the record stands twice in the call"));
        }
        if let Some(code) = new.http_status_code
            && !(100..=599).contains(&code)
        {
            found.push(Violation::new(Rule::HttpStatusCodeRange, at("http_status_code"), "between 100 and 599"));
        }
        if let Some(hash) = &new.request_payload_hash
            && !is_payload_hash(hash)
        {
            let detail = "64 lower-case hexadecimal characters";
            found.push(Violation::new(Rule::RequestPayloadHashFormat, at("request_payload_hash"), detail));
        }
        if new.outcome == RecordOutcome::Failed && new.errors.is_empty() {
            found.push(Violation::new(Rule::Required, at("errors"), "a failed record says at least one error"));
        }
        if new.errors.len() > message::MAX_ERRORS {
            found.push(Violation::new(Rule::TooLong, at("errors"), format!("at most {}", message::MAX_ERRORS)));
        }
        check_texts(new, &at, &mut found);
        found.extend(money(new.amount, new.currency.as_deref(), &format!("{base}/{index}")));
    }
    found
}

fn check_texts(new: &NewOutcome, at: &dyn Fn(&str) -> String, found: &mut Vec<Violation>) {
    let texts = [("label", &new.label, 200), ("external_reference_id", &new.external_reference_id, 500)];
    for (member, text, most) in texts {
        if let Some(text) = text {
            if text.chars().count() > most {
                found.push(Violation::new(Rule::TooLong, at(member), format!("at most {most} characters")));
            }
            if text.contains('\0') {
                found.push(Violation::new(Rule::InvalidFormat, at(member), "a text holds no NUL character"));
            }
        }
    }
}

/// Rules of a record's amount and currency.
pub(super) fn money(amount: Option<Decimal>, currency: Option<&str>, base: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    if let Some(amount) = amount {
        if amount.scale() > 4 {
            found.push(Violation::new(Rule::InvalidFormat, format!("{base}/amount"), "at most four decimals"));
        }
        if amount.abs() >= Decimal::from(100_000_000_000_000_i64) {
            found.push(Violation::new(
                Rule::OutOfRange,
                format!("{base}/amount"),
                "at most fourteen digits before the point",
            ));
        }
        if currency.is_none() {
            found.push(Violation::new(Rule::Required, format!("{base}/currency"), "an amount needs its currency"));
        }
    }
    if let Some(currency) = currency
        && !(currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase()))
    {
        found.push(Violation::new(Rule::InvalidFormat, format!("{base}/currency"), "an ISO 4217 code, such as NOK"));
    }
    found
}
