//! E-mails about incidents: pure templates, and the mailer that hands them to an SMTP server.
//!
//! Nothing here reads the ledger or a clock. The caller fixes a mail's recipient, words and `Message-ID` before the
//! first try, and decides by [`MailFailure`] whether there may be a second one.

mod incident_mail;
mod language;
mod mailer;

pub use incident_mail::{GroupLine, IncidentMail, RenderedMail, render};
pub use language::Language;
pub use mailer::{DEFAULT_TIMEOUT, Delivered, MailFailure, Mailer, MailerConfigError, OutgoingMail};
