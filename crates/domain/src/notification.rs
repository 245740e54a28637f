//! What people are told in the dashboard.

use crate::incident::NotificationKind;

wire_enum! {
    /// What an in-app notification tells: what incidents tell, and what is nobody's incident.
    NoticeKind {
        /// An incident opened.
        IncidentOpened = "incident_opened",
        /// An incident was resolved.
        IncidentResolved = "incident_resolved",
        /// An external runner's webhook address is gone; retries no longer reach it there.
        WebhookDisabled = "webhook_disabled",
    }
}

impl From<NotificationKind> for NoticeKind {
    fn from(kind: NotificationKind) -> Self {
        match kind {
            NotificationKind::IncidentOpened => Self::IncidentOpened,
            NotificationKind::IncidentResolved => Self::IncidentResolved,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_incident_tells_keeps_its_word() {
        for kind in NotificationKind::ALL {
            assert_eq!(NoticeKind::from(*kind).as_str(), kind.as_str());
        }
    }
}
