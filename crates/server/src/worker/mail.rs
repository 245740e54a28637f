//! Sending the outbox by SMTP.
//!
//! An e-mail is `sending`, durably, before it is handed over. What a killed process left so may have been taken by the
//! server, so it becomes `unknown` and is not sent again: nobody gets the same e-mail twice.

use std::sync::Arc;
use std::time::Duration as StdDuration;

use chrono::Duration;
use domain::retry::backoff_millis;
use notifier::{Language, MailFailure, Mailer, OutgoingMail};
use rand::Rng as _;
use store::outbox::{DueEmail, Email, EmailFate};
use store::{OrgTx, PlainTx, StoreError};
use tokio_util::sync::CancellationToken;

use crate::http::problem::Chain;
use crate::state::AppState;

/// First pause after a refusal for now.
const FIRST_PAUSE_MS: u64 = 2_000;
/// Longest pause.
const LONGEST_PAUSE_MS: u64 = 15 * 60 * 1_000;

/// Sends what is due until told to stop.
pub(super) async fn run(state: AppState, period: StdDuration, shutdown: CancellationToken) {
    let Some(url) = &state.config.mail.smtp_url else {
        tracing::info!("no SMTP server is configured; e-mails wait in the outbox");
        return;
    };
    let mailer = match Mailer::new(url.expose(), &state.config.mail.from) {
        Ok(mailer) => Arc::new(mailer),
        Err(error) => {
            tracing::error!(error = %error, "e-mails cannot be sent");
            return;
        }
    };
    super::periodically(period, shutdown, || {
        let (state, mailer) = (state.clone(), Arc::clone(&mailer));
        async move {
            if let Err(error) = dispatch(&state, &mailer).await {
                tracing::warn!(error = %Chain(&error), "the outbox could not be worked on");
            }
        }
    })
    .await;
}

async fn dispatch(state: &AppState, mailer: &Mailer) -> Result<(), StoreError> {
    let now = state.clock.now();
    // Longer than all of them may take, one after the other.
    let hold = Duration::from_std(mailer.longest_send() * 2).unwrap_or(Duration::minutes(10));
    loop {
        let mut tx = PlainTx::begin(&state.db).await?;
        let due = store::outbox::take_due(&mut tx, now, now + hold, 1).await?;
        tx.commit().await?;
        let Some(due) = due.first() else { return Ok(()) };
        send_one(state, mailer, *due).await?;
    }
}

async fn send_one(state: &AppState, mailer: &Mailer, due: DueEmail) -> Result<(), StoreError> {
    let mut tx = OrgTx::begin(&state.db, due.organization_id).await?;
    let Some(email) = store::outbox::lock(&mut tx, due.email_id).await? else {
        return Ok(());
    };
    if email.state != "waiting" {
        let words = "the process that sent it ended before the server's answer was recorded";
        store::outbox::settle(&mut tx, email.id, EmailFate::Unknown, words, state.clock.now()).await?;
        return tx.commit().await;
    }
    store::outbox::mark_sending(&mut tx, email.id).await?;
    tx.commit().await?;

    let outgoing = outgoing(&email);
    let (fate, answer) = match mailer.send(&outgoing).await {
        Ok(delivered) => (EmailFate::Sent, delivered.server_answer),
        Err(MailFailure::Transient { detail }) => {
            let tries = u32::try_from(email.tries + 1).unwrap_or(1);
            let pause = pause_after(tries, rand::rng().random());
            (EmailFate::Later(state.clock.now() + pause), detail)
        }
        Err(MailFailure::Permanent { detail, .. }) => (EmailFate::Failed, detail),
        Err(MailFailure::Unknown { detail }) => (EmailFate::Unknown, detail),
    };
    if fate != EmailFate::Sent {
        tracing::warn!(email_id = %email.id, answer, "an e-mail was not sent");
    }
    // What the server took must not be forgotten.
    while let Err(error) = settle(state, due, fate, &answer).await {
        tracing::warn!(email_id = %email.id, error = %Chain(&error), "an e-mail's fate was not recorded; trying again");
        tokio::time::sleep(StdDuration::from_millis(500)).await;
    }
    Ok(())
}

async fn settle(state: &AppState, due: DueEmail, fate: EmailFate, answer: &str) -> Result<(), StoreError> {
    let mut tx = OrgTx::begin(&state.db, due.organization_id).await?;
    store::outbox::settle(&mut tx, due.email_id, fate, answer, state.clock.now()).await?;
    tx.commit().await
}

/// At least half of the exponential pause, so that a server that is away is not hammered.
fn pause_after(tries: u32, random: f64) -> Duration {
    let millis = backoff_millis(tries, FIRST_PAUSE_MS, LONGEST_PAUSE_MS, 0.5 + random / 2.0);
    Duration::milliseconds(i64::try_from(millis).unwrap_or(i64::MAX))
}

fn outgoing(email: &Email) -> OutgoingMail {
    OutgoingMail {
        to: email.recipient.clone(),
        subject: email.subject.clone(),
        text: email.body_text.clone(),
        html: email.body_html.clone(),
        message_id: email.message_id.clone(),
        in_reply_to: email.in_reply_to.clone(),
        references: email.in_reply_to.clone().into_iter().collect(),
        language: email.language.parse().unwrap_or(Language::En),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        assert!(pause_after(1, 0.0) >= Duration::seconds(1));
        assert!(pause_after(4, 0.0) > pause_after(2, 0.99));
        assert!(pause_after(60, 0.999) <= Duration::minutes(15));
    }
}
