//! What follows from an ended attempt: the integration's health, incidents, and who is told.

mod tell;

use chrono::{DateTime, Utc};
use domain::health::{FailureRun, HealthFacts, HealthSettings, RecentSync, judge, stale_at};
use domain::incident::{IncidentDecision, IncidentKind, NotificationKind, decide_at};
use domain::posting::is_awaiting;
use domain::sync_log::SyncStatus;
use domain::violation::Rule;
use store::events::NewEvent;
use store::health::NewHealth;
use store::incidents::NewIncident;
use store::integrations::IntegrationConfig;
use store::sync_logs::SyncLog;
use uuid::Uuid;

use super::{Ledger, LedgerError, integration_changed};
use tell::News;

/// Syncs of one integration that ended.
pub(super) struct Ended<'a> {
    /// The integration.
    pub(super) config: &'a IntegrationConfig,
    /// What ended, in the order in which it was reported.
    pub(super) syncs: Vec<&'a SyncLog>,
}

impl Ledger<'_> {
    /// Takes an ended sync into its integration's health and draws the consequences. The health row is locked from here
    /// on, so this comes last in a transaction.
    pub(super) async fn draw_consequences(
        &mut self,
        sync: &SyncLog,
        config: &IntegrationConfig,
    ) -> Result<(), LedgerError> {
        self.draw_consequences_of_many(&[Ended { config, syncs: vec![sync] }], Vec::new()).await
    }

    /// The same for syncs of several integrations, each of which is named once; `events` are told with it.
    pub(super) async fn draw_consequences_of_many(
        &mut self,
        ended: &[Ended<'_>],
        mut events: Vec<NewEvent>,
    ) -> Result<(), LedgerError> {
        if ended.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = ended.iter().map(|ended| ended.config.id).collect();
        let mut kept = store::health::lock_many(self.tx, &ids).await?;
        let mut standing = store::health::standing(self.tx, &ids).await?;
        let mut health = Vec::with_capacity(ended.len());
        let mut open = Vec::with_capacity(ended.len());
        for Ended { config, syncs } in ended {
            let mut facts = kept.remove(&config.id).ok_or(LedgerError::NotFound)?;
            let mut unsure = false;
            for recent in syncs.iter().filter(|sync| !sync.backfill).filter_map(|sync| recent_of(sync)) {
                unsure |= facts.record(recent) == FailureRun::Unsure;
            }
            if unsure {
                self.count_failures(config.id, &mut facts).await?;
            }
            let standing = standing.remove(&config.id).unwrap_or_default();
            facts.undelivered = standing.undelivered;
            open.push(standing.incident);
            let stale_at = self.next_look_at(config, &facts);
            health.push(NewHealth { integration_config_id: config.id, facts, stale_at });
            events.push(integration_changed(config.id));
        }
        store::health::update_and_tell(self.tx, &health, &events, self.now).await?;
        for ((ended, new), open) in ended.iter().zip(&health).zip(open) {
            self.review_incident(ended.config, &new.facts, open, ended.syncs.last().copied()).await?;
        }
        Ok(())
    }

    /// When to look again whether the light has turned red by itself.
    fn next_look_at(&self, config: &IntegrationConfig, facts: &HealthFacts) -> Option<DateTime<Utc>> {
        let at = next_look(facts, &config.health_settings(facts));
        // Not yet stale at the very moment: the next sweep looks once more.
        Some(at).filter(|at| !config.paused && *at >= self.now)
    }

    /// Opens or resolves the integration's incident, as its health says.
    async fn review_incident(
        &mut self,
        config: &IntegrationConfig,
        facts: &HealthFacts,
        open: Option<Uuid>,
        sync: Option<&SyncLog>,
    ) -> Result<(), LedgerError> {
        let settings = config.health_settings(facts);
        let recent = sync.filter(|sync| !sync.backfill).and_then(recent_of);
        let succeeded = recent.is_some_and(|recent| recent.status.is_success() && !recent.awaits_posting);
        // The latest one of which it is known how it ended.
        let last = facts.recent.iter().find(|recent| !recent.awaits_posting);
        match decide_at(facts, &settings, self.now, open.is_some(), succeeded) {
            IncidentDecision::None => Ok(()),
            IncidentDecision::Open(kind) => {
                let id = Uuid::now_v7();
                // The latest sync may be one that nobody knows the end of yet.
                let failing_since = facts.failing_since.filter(|_| kind == IncidentKind::ConsecutiveFailures);
                let since = failing_since.unwrap_or_else(|| judge(facts, &settings, self.now).since);
                let failed = match last.filter(|last| last.status.is_failure()) {
                    Some(last) => store::sync_logs::find(self.tx, last.id).await?,
                    None => None,
                };
                let failed = failed.as_ref().or(sync.filter(|sync| sync.status.is_failure()));
                let new = NewIncident {
                    id,
                    integration_config_id: config.id,
                    kind,
                    sync_id: failed.map(|sync| sync.id),
                    error_message: failed.and_then(|sync| sync.error_message.as_deref()),
                };
                if !store::incidents::open(self.tx, &new, self.now).await? {
                    return Ok(());
                }
                let news = News {
                    kind: NotificationKind::IncidentOpened,
                    incident_id: id,
                    incident_kind: kind,
                    since,
                    failed_syncs: facts.consecutive_failures,
                };
                self.tell_administrators(config, facts, failed, &news).await
            }
            IncidentDecision::Resolve => {
                let Some(id) = open else { return Ok(()) };
                let Some(incident) = store::incidents::find(self.tx, id).await? else { return Ok(()) };
                store::incidents::resolve(self.tx, id, self.now).await?;
                let news = News {
                    kind: NotificationKind::IncidentResolved,
                    incident_id: id,
                    incident_kind: incident.kind,
                    since: incident.opened_at,
                    failed_syncs: 0,
                };
                let last = match last {
                    Some(last) => store::sync_logs::find(self.tx, last.id).await?,
                    None => None,
                };
                self.tell_administrators(config, facts, last.as_ref().or(sync), &news).await
            }
        }
    }

    /// Looks again at an integration whose freshness window may have run out.
    pub async fn review_freshness(&mut self, integration_config_id: Uuid) -> Result<(), LedgerError> {
        let Some(config) = store::integrations::find(self.tx, integration_config_id).await? else { return Ok(()) };
        let facts = store::health::lock(self.tx, config.id).await?;
        let stale_at = self.next_look_at(&config, &facts);
        store::timers::set_stale_at(self.tx, config.id, stale_at).await?;
        let open = store::incidents::find_open(self.tx, config.id).await?;
        self.review_incident(&config, &facts, open, None).await?;
        self.tell_integration(config.id).await
    }

    /// Counts again what has not arrived, after a person decided about a record.
    pub(super) async fn refresh_undelivered(&mut self, integration_config_id: Uuid) -> Result<(), LedgerError> {
        let mut facts = store::health::lock(self.tx, integration_config_id).await?;
        facts.undelivered = store::health::undelivered(self.tx, integration_config_id).await?;
        Ok(store::health::update(self.tx, integration_config_id, &facts, self.now).await?)
    }

    /// Sets the timers of an integration whose settings changed (or that is new). A run that is due already stays due,
    /// unless it was the schedule that changed.
    pub async fn reset_timers(&mut self, config: &IntegrationConfig) -> Result<(), LedgerError> {
        let facts = store::health::lock(self.tx, config.id).await?;
        let settings = config.health_settings(&facts);
        let stale = Some(next_look(&facts, &settings)).filter(|_| !config.paused);
        let managed = config.runner == domain::integration::Runner::Managed;
        let waiting = store::timers::find_next_run(self.tx, config.id).await?;
        let next = config.next_run(waiting, self.now);
        Ok(store::timers::set(self.tx, config.id, managed, next, stale).await?)
    }
}

/// When the light may turn red by itself. A new integration stays grey until its first sync is due.
fn next_look(facts: &HealthFacts, settings: &HealthSettings) -> DateTime<Utc> {
    let stale_at = stale_at(facts, settings);
    let first_due = settings.next_expected_at.filter(|_| facts.last_sync().is_none());
    first_due.map_or(stale_at, |due| due.max(stale_at))
}

/// An ended sync as the health row keeps it.
pub(super) fn recent_of(sync: &SyncLog) -> Option<RecentSync> {
    let mismatch = Rule::CountsMustAddUp.as_str();
    let too_many = Rule::RecordsFailedNotExceedTotal.as_str();
    Some(RecentSync {
        id: sync.id,
        started_at: sync.started_at,
        completed_at: sync.completed_at?,
        status: sync.status,
        records_total: sync.records_total,
        records_processed: sync.records_processed,
        records_failed: sync.records_failed,
        duration_ms: sync.duration_ms?,
        warnings: i32::try_from(sync.warnings.len()).unwrap_or(i32::MAX),
        counts_mismatch: sync.warnings.iter().any(|warning| warning.code == mismatch || warning.code == too_many),
        awaits_posting: is_awaiting(sync.status, &sync.warnings),
    })
    .filter(|recent: &RecentSync| SyncStatus::is_terminal(recent.status))
}
