//! Telling administrators: a notification for each, and an e-mail for those who want one, in the same transaction.

use chrono::{DateTime, Utc};
use domain::error_group::{FailedRecord, group};
use domain::health::HealthFacts;
use domain::incident::{IncidentKind, NotificationKind};
use notifier::{GroupLine, IncidentMail, Language, render};
use store::integrations::IntegrationConfig;
use store::memberships::Administrator;
use store::notifications::NewNotification;
use store::outbox::NewEmail;
use store::record_outcomes::OutcomeRow;
use store::sync_logs::SyncLog;
use uuid::Uuid;

use crate::ledger::{Ledger, LedgerError};

/// Most failed records that an e-mail's summary is made from.
const SUMMARISED: i64 = 2_000;
/// Most groups in an e-mail.
const GROUPS: usize = 5;

/// What there is to tell.
pub(super) struct News {
    /// That it opened or was resolved.
    pub(super) kind: NotificationKind,
    /// The incident.
    pub(super) incident_id: Uuid,
    /// Why it opened.
    pub(super) incident_kind: IncidentKind,
    /// Since when.
    pub(super) since: DateTime<Utc>,
    /// Failed syncs in a row.
    pub(super) failed_syncs: i32,
}

impl Ledger<'_> {
    pub(super) async fn tell_administrators(
        &mut self,
        config: &IntegrationConfig,
        facts: &HealthFacts,
        sync: Option<&SyncLog>,
        news: &News,
    ) -> Result<(), LedgerError> {
        let administrators = store::memberships::administrators(self.tx).await?;
        if administrators.is_empty() {
            return Ok(());
        }
        let error_message = sync.and_then(|sync| sync.error_message.as_deref());
        let mail = self.summary(config, facts, sync, news).await?;
        for person in &administrators {
            let new = NewNotification {
                user_id: person.user_id,
                kind: news.kind,
                incident_id: news.incident_id,
                sync_id: sync.map(|sync| sync.id),
                error_message,
                consecutive_failures: news.failed_syncs,
            };
            if let Some(id) = store::notifications::insert(self.tx, &new, self.now).await? {
                let data = serde_json::json!({ "notification_id": id, "integration_config_id": config.id });
                store::events::record(self.tx, "notification.created", Some(person.user_id), &data).await?;
            }
            if person.email_on_incident {
                self.post(person, &mail, news).await?;
            }
        }
        Ok(())
    }

    /// Puts one person's e-mail into the outbox. All e-mails of an incident to a person make one thread.
    async fn post(&mut self, person: &Administrator, mail: &IncidentMail, news: &News) -> Result<(), LedgerError> {
        let language: Language = person.language.parse().unwrap_or(Language::En);
        let rendered = render(mail, language);
        let host = self.public_url.host_str().unwrap_or("syncwatch.invalid");
        let first = store::outbox::find_message_id(self.tx, person.user_id, news.incident_id).await?;
        let message_id = format!("<{}@{host}>", Uuid::now_v7());
        let email = NewEmail {
            user_id: person.user_id,
            incident_id: news.incident_id,
            kind: news.kind,
            language: &person.language,
            message_id: &message_id,
            in_reply_to: first.as_deref(),
            subject: &rendered.subject,
            body_text: &rendered.text,
            body_html: &rendered.html,
        };
        Ok(store::outbox::insert(self.tx, &email, self.now).await?)
    }

    /// The facts of an e-mail, the same for every recipient; no personal data.
    async fn summary(
        &mut self,
        config: &IntegrationConfig,
        facts: &HealthFacts,
        sync: Option<&SyncLog>,
        news: &News,
    ) -> Result<IncidentMail, LedgerError> {
        let (organization_name, time_zone) = store::memberships::organization(self.tx).await?;
        let failed = match sync {
            Some(sync) => store::record_outcomes::failed(self.tx, sync.key(), config.id, SUMMARISED).await?,
            None => Vec::new(),
        };
        let path = match sync {
            Some(sync) if news.kind == NotificationKind::IncidentOpened => format!("/syncs/{}", sync.id),
            _ => format!("/integrations/{}", config.id),
        };
        let link = self.public_url.join(&path).map_or_else(|_| self.public_url.to_string(), String::from);
        let undelivered = facts.undelivered.records;
        Ok(IncidentMail {
            kind: news.kind,
            incident_kind: news.incident_kind,
            integration_name: config.name.clone(),
            organization_name,
            since: news.since,
            time_zone: time_zone.parse().unwrap_or(chrono_tz::UTC),
            failed_syncs: news.failed_syncs,
            error_message: sync.and_then(|sync| sync.error_message.clone()),
            error_groups: group_lines(&failed),
            failed_records: Some(undelivered).filter(|count| *count > 0),
            link,
        })
    }
}

fn group_lines(failed: &[OutcomeRow]) -> Vec<GroupLine> {
    let records = failed.iter().map(|row| FailedRecord {
        record: (),
        identifiers: row.label.as_deref().into_iter().collect(),
        errors: &row.errors,
    });
    group(records)
        .into_iter()
        .take(GROUPS)
        .map(|group| GroupLine {
            count: i64::try_from(group.count).unwrap_or(i64::MAX),
            message: group.message,
            field: group.field,
        })
        .collect()
}
