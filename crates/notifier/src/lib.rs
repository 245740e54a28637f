//! E-mails about incidents: pure templates, and the mailer that hands them to an SMTP server. Webhooks to external
//! runners: their signatures, and one try by a request of the caller's.
//!
//! Nothing here reads the ledger or a clock. The caller fixes a mail's recipient, words and `Message-ID` before the
//! first try, and decides by [`MailFailure`] whether there may be a second one.

mod incident_mail;
mod mailer;
mod webhook;

pub use domain::language::Language;
pub use incident_mail::{GroupLine, IncidentMail, RenderedMail, render};
pub use mailer::{DEFAULT_TIMEOUT, Delivered, MailFailure, Mailer, MailerConfigError, OutgoingMail};
pub use webhook::{WebhookAnswer, WebhookMessage, WebhookSecret, send_webhook, sign};
