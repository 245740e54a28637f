//! States, reasons and notices in whole sentences.

mod cause;
mod connection;

use api_types::integrations::{IntegrationSummary, LastSync};
use api_types::notifications::Notification;
use domain::asking::{ASKED_TOO_EARLY, AWAITING_POSTING, FATE_UNKNOWN, NO_LONGER_THERE};
use domain::health::{Amount, Light, Reason, ReasonCode};
use domain::incident::IncidentKind;
use domain::integration::{ConnectorType, SyncType};
use domain::notification::NoticeKind;
use domain::pacing::{SYSTEM_BUSY, SYSTEM_UNAVAILABLE};
use domain::record::{RecordOutcome, RecordState, Resolution};
use domain::retry::RetryPreview;
use domain::sync_log::{SyncStatus, TriggeredBy};

use crate::format::Format;

pub use cause::{cause, is_own};
pub use connection::{connection, source_test};

/// "12 records".
pub fn records(count: i64, format: &impl Format) -> String {
    tr!(count.records, count = count, n = format.number(count))
}

/// "NOK 84,200 and EUR 1,000".
pub fn amounts(amounts: &[Amount], format: &impl Format) -> String {
    let parts: Vec<String> = amounts.iter().map(|amount| format.money(amount)).collect();
    parts.join(" + ")
}

/// An integration's state in one sentence: "Failing since Tue 14:03 · 12 records · NOK 84,200".
pub fn state(integration: &IntegrationSummary, format: &impl Format) -> String {
    let health = &integration.health;
    let since = format.moment(health.since);
    let stale = health.reasons.first().filter(|reason| reason.code == ReasonCode::Stale);
    let mut parts = vec![match (health.light, stale) {
        (Light::Red, Some(reason)) => match &integration.last_sync {
            None => tr!(state.never_synced, hours = hours(reason)),
            Some(last) => tr!(state.stale, since = format.moment(last.completed_at)),
        },
        (Light::Red, None) => tr!(state.failing, since = since),
        (Light::Yellow, _) => tr!(state.warning, since = since),
        (Light::Grey, _) if health.reasons.iter().any(|reason| reason.code == ReasonCode::Paused) => tr!(state.paused),
        (Light::Grey, _) => tr!(state.not_yet_due),
        (Light::Green, _) => match &integration.last_sync {
            Some(last) => tr!(state.healthy, when = format.moment(last.completed_at)),
            None => tr!(light.healthy),
        },
    }];
    let undelivered = &integration.undelivered;
    if undelivered.records > 0 {
        parts.push(tr!(count.undelivered, count = undelivered.records, n = format.number(undelivered.records)));
        let sums = amounts(&undelivered.amounts, format);
        if !sums.is_empty() {
            parts.push(sums);
        }
    } else if health.light == Light::Green
        && let Some(LastSync { records_processed: Some(count), .. }) = integration.last_sync
    {
        parts.push(tr!(count.delivered, count = i64::from(count), n = format.number(count.into())));
    }
    parts.join(" · ")
}

fn hours(reason: &Reason) -> String {
    reason.hours.unwrap_or(domain::integration::DEFAULT_FRESHNESS_HOURS).to_string()
}

/// Why an integration has its colour.
pub fn reason(reason: &Reason, format: &impl Format) -> String {
    let count = reason.count.unwrap_or(0);
    let n = format.number(count);
    match reason.code {
        ReasonCode::Paused => tr!(reason.paused),
        ReasonCode::NotYetDue => tr!(reason.not_yet_due),
        ReasonCode::LastSyncFailed if count > 0 => tr!(reason.last_sync_failed_records, count = count, n = n),
        ReasonCode::LastSyncFailed => tr!(reason.last_sync_failed),
        ReasonCode::Stale => tr!(reason.stale, hours = hours(reason)),
        ReasonCode::LastSyncWarnings => tr!(reason.last_sync_warnings, count = count, n = n),
        ReasonCode::PartialFailure => tr!(reason.partial_failure, count = count, n = n),
        ReasonCode::CountsMismatch => tr!(reason.counts_mismatch),
        ReasonCode::LastSyncSucceeded => tr!(reason.last_sync_succeeded),
        ReasonCode::UndeliveredRecords => tr!(reason.undelivered_records, count = count, n = n),
    }
}

/// What Syncwatch itself found out about a record, where an error's code says that it is not the external system's word:
/// why its fate is unknown, or why it was not sent.
pub fn doubt(code: &str) -> Option<String> {
    match code {
        ASKED_TOO_EARLY => Some(tr!(record.asked_too_early)),
        AWAITING_POSTING => Some(tr!(record.awaiting_posting)),
        FATE_UNKNOWN => Some(tr!(record.fate_unknown)),
        NO_LONGER_THERE => Some(tr!(record.no_longer_there)),
        SYSTEM_BUSY => Some(tr!(record.system_busy)),
        SYSTEM_UNAVAILABLE => Some(tr!(record.system_unavailable)),
        _ => None,
    }
}

/// What a retry will do, line by line.
pub fn preview(preview: &RetryPreview, format: &impl Format) -> Vec<String> {
    let mut lines = Vec::new();
    let mut say = |count: i64, text: fn(i64, String) -> String| {
        if count > 0 {
            lines.push(text(count, format.number(count)));
        }
    };
    say(preview.changed, |count, n| tr!(preview.changed, count = count, n = n));
    say(preview.unchanged, |count, n| tr!(preview.unchanged, count = count, n = n));
    say(preview.asked, |count, n| tr!(preview.asked, count = count, n = n));
    say(preview.unknown, |count, n| tr!(preview.unknown, count = count, n = n));
    say(preview.handled, |count, n| tr!(preview.handled, count = count, n = n));
    say(preview.delivered_since, |count, n| tr!(preview.delivered_since, count = count, n = n));
    say(preview.active, |count, n| tr!(preview.active, count = count, n = n));
    say(preview.gone, |count, n| tr!(preview.gone, count = count, n = n));
    lines
}

/// What a notification tells.
pub fn notification(notification: &Notification, format: &impl Format) -> String {
    let name = notification.integration_name.clone();
    let count = i64::from(notification.consecutive_failures);
    match (notification.kind, notification.incident_kind) {
        (NoticeKind::WebhookDisabled, _) => tr!(notice.webhook_disabled, name = name),
        (NoticeKind::IncidentResolved, _) => tr!(notice.resolved, name = name),
        (NoticeKind::IncidentOpened, Some(IncidentKind::Stale)) => tr!(notice.stale, name = name),
        (NoticeKind::IncidentOpened, Some(IncidentKind::ConsecutiveFailures) | None) => {
            tr!(notice.failures, count = count, n = format.number(count), name = name)
        }
    }
}

/// A sync's status.
pub fn status(status: SyncStatus) -> String {
    match status {
        SyncStatus::Pending => tr!(status.pending),
        SyncStatus::InProgress => tr!(status.in_progress),
        SyncStatus::Success => tr!(status.success),
        SyncStatus::Failed => tr!(status.failed),
        SyncStatus::RetriedSuccess => tr!(status.retried_success),
        SyncStatus::RetriedFailed => tr!(status.retried_failed),
    }
}

/// What initiated a sync.
pub fn trigger(trigger: TriggeredBy) -> String {
    match trigger {
        TriggeredBy::Automatic => tr!(trigger.automatic),
        TriggeredBy::Manual => tr!(trigger.manual),
        TriggeredBy::Webhook => tr!(trigger.webhook),
    }
}

/// What happened to a record.
pub fn outcome(outcome: RecordOutcome) -> String {
    match outcome {
        RecordOutcome::Queued => tr!(outcome.queued),
        RecordOutcome::Sending => tr!(outcome.sending),
        RecordOutcome::Succeeded => tr!(outcome.succeeded),
        RecordOutcome::Warning => tr!(outcome.warning),
        RecordOutcome::Failed => tr!(outcome.failed),
        RecordOutcome::Skipped => tr!(outcome.skipped),
        RecordOutcome::Unknown => tr!(outcome.unknown),
        RecordOutcome::NotAttempted => tr!(outcome.not_attempted),
    }
}

/// Where a record stands over all syncs.
pub fn record_state(state: RecordState) -> String {
    match state {
        RecordState::Staged => tr!(record_state.staged),
        RecordState::Sending => tr!(record_state.sending),
        RecordState::Delivered => tr!(record_state.delivered),
        RecordState::Failed => tr!(record_state.failed),
        RecordState::Unknown => tr!(record_state.unknown),
        RecordState::Handled => tr!(record_state.handled),
    }
}

/// What a person decided.
pub fn resolution(resolution: Resolution) -> String {
    match resolution {
        Resolution::HandledManually => tr!(resolution.handled_manually),
        Resolution::Delivered => tr!(resolution.delivered),
        Resolution::SendAgain => tr!(resolution.send_again),
    }
}

/// The external system's kind.
pub fn connector(connector: ConnectorType) -> String {
    match connector {
        ConnectorType::Xledger => "Xledger".to_owned(),
        ConnectorType::Dynamics365 => "Dynamics 365".to_owned(),
        ConnectorType::GenericHttp => tr!(connector.generic_http),
        ConnectorType::Other => tr!(connector.other),
    }
}

/// What is synchronised.
pub fn sync_type(sync_type: SyncType) -> String {
    match sync_type {
        SyncType::AccountingPush => tr!(sync_type.accounting_push),
        SyncType::RosterSync => tr!(sync_type.roster_sync),
        SyncType::PortalEvent => tr!(sync_type.portal_event),
    }
}

/// A table name such as `reimbursement_approvals` in readable form.
pub fn record_type(name: &str) -> String {
    let spaced = name.replace(['_', '-'], " ");
    let mut letters = spaced.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::{DateTime, Utc};
    use domain::sync_log::SyncStatus;
    use uuid::Uuid;

    use super::*;
    use crate::i18n::Locale;
    use crate::lights::tests::{at, integration};
    use crate::text;

    struct Plain;

    impl Format for Plain {
        fn number(&self, number: i64) -> String {
            number.to_string()
        }

        fn money(&self, amount: &Amount) -> String {
            format!("{} {}", amount.currency, amount.amount)
        }

        fn moment(&self, moment: DateTime<Utc>) -> String {
            moment.format("%a %H:%M").to_string()
        }
    }

    fn last(status: SyncStatus) -> LastSync {
        LastSync {
            id: Uuid::nil(),
            status,
            started_at: at("2026-11-17T13:00:00Z"),
            completed_at: at("2026-11-17T13:03:11Z"),
            records_total: Some(40),
            records_processed: Some(40),
            records_failed: Some(0),
            duration_ms: 5_000,
        }
    }

    #[test]
    fn a_failing_integration_says_since_when_and_how_much() {
        text::set_locale(Locale::en);
        let mut item = integration("Xledger", Light::Red, 12);
        item.undelivered.amounts[0].amount = 84_200.into();
        assert_eq!(state(&item, &Plain), "Failing since Tue 13:03 · 12 records not delivered · NOK 84200");
        text::set_locale(Locale::nb);
        assert_eq!(state(&item, &Plain), "Feiler siden Tue 13:03 · 12 poster ikke levert · NOK 84200");
    }

    #[test]
    fn a_stale_one_names_its_last_sync() {
        text::set_locale(Locale::en);
        let mut item = integration("Xledger", Light::Red, 0);
        item.health.reasons = vec![Reason { code: ReasonCode::Stale, count: None, hours: Some(48) }];
        assert_eq!(state(&item, &Plain), "No sync completed in the first 48 hours");
        item.last_sync = Some(last(SyncStatus::Success));
        assert_eq!(state(&item, &Plain), "No sync completed since Tue 13:03");
    }

    #[test]
    fn a_healthy_one_says_what_it_last_delivered() {
        text::set_locale(Locale::en);
        let mut item = integration("Xledger", Light::Green, 0);
        item.last_sync = Some(last(SyncStatus::Success));
        assert_eq!(state(&item, &Plain), "Last sync Tue 13:03 succeeded · 40 records delivered");
    }

    #[test]
    fn every_reason_has_words_in_each_language() {
        for (locale, _) in text::LANGUAGES {
            text::set_locale(locale);
            for code in ReasonCode::ALL {
                for count in [None, Some(1), Some(7)] {
                    assert!(!reason(&Reason { code: *code, count, hours: None }, &Plain).is_empty());
                }
            }
        }
    }

    #[test]
    fn a_preview_tells_only_what_happens() {
        text::set_locale(Locale::en);
        let told = preview(&RetryPreview { records: 12, changed: 9, unchanged: 3, ..Default::default() }, &Plain);
        assert_eq!(told.len(), 2);
        assert!(told[0].starts_with("9 "), "{told:?}");
        let told = preview(&RetryPreview { asked: 2, unknown: 1, ..Default::default() }, &Plain);
        assert!(told.len() == 2 && told[0].contains("asked for them first"), "{told:?}");
        assert!(preview(&RetryPreview::default(), &Plain).is_empty());
    }

    #[test]
    fn what_is_known_of_a_doubt_is_said_in_each_language() {
        let told: BTreeSet<_> = text::LANGUAGES
            .map(|(locale, _)| {
                text::set_locale(locale);
                let fates = [ASKED_TOO_EARLY, AWAITING_POSTING, FATE_UNKNOWN, NO_LONGER_THERE];
                let codes = fates.into_iter().chain([SYSTEM_BUSY, SYSTEM_UNAVAILABLE]);
                codes.map(|code| doubt(code).unwrap()).collect::<Vec<_>>()
            })
            .into();
        assert_eq!(told.len(), text::LANGUAGES.len());
        assert_eq!(doubt("TIMEOUT"), None, "the external system's own");
    }

    #[test]
    fn type_names_become_readable() {
        assert_eq!(record_type("reimbursement_approvals"), "Reimbursement approvals");
        assert_eq!(record_type(""), "");
    }
}
