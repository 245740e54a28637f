//! Telling external runners of retry requests by webhook.
//!
//! At least once: what a killed process was sending is sent again, with the same id, when its hold on it has run out.
//! That is harmless, since a message gives nobody the right to send: a runner claims the attempt, and one claim wins.

use std::sync::Arc;
use std::time::Duration as StdDuration;

use chrono::Duration;
use connectors::GuardedClient;
use domain::webhook::{WebhookFate, fate};
use notifier::{WebhookAnswer, WebhookMessage, WebhookSecret, send_webhook};
use rand::Rng as _;
use reqwest::Method;
use store::integrations::IntegrationConfig;
use store::webhooks::{DueWebhook, LastAnswer, Webhook, WebhookState};
use store::{OrgTx, PlainTx, StoreError};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use crate::http::problem::Chain;
use crate::state::AppState;
use crate::telemetry::METRICS;
use crate::webhook_secrets;

/// How long a receiver may take.
const TIMEOUT: StdDuration = StdDuration::from_secs(20);
/// How long a process has a message to itself: longer than a try takes.
const HOLD: Duration = Duration::seconds(30);
/// Tries at once in this process.
const AT_ONCE: usize = 16;
/// Tries at once of one integration in all processes, so that a slow receiver keeps nobody else waiting.
const AT_ONCE_OF_ONE: i64 = 2;

/// Sends what is due until told to stop; then lets running tries end.
pub(super) async fn run(state: AppState, period: StdDuration, shutdown: CancellationToken) {
    let client = match GuardedClient::new(TIMEOUT, &state.outbound) {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(error = %Chain(&error), "webhooks cannot be sent");
            return;
        }
    };
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    let mut tick = interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = state.webhooks.notified() => {}
            _ = tick.tick() => {}
            Some(_) = running.join_next() => {}
        }
        if let Err(error) = take_due(&state, &client, &slots, &mut running).await {
            tracing::warn!(error = %Chain(&error), "the webhooks' outbox could not be read");
        }
    }
    while running.join_next().await.is_some() {}
}

async fn take_due(
    state: &AppState,
    client: &GuardedClient,
    slots: &Arc<Semaphore>,
    running: &mut JoinSet<()>,
) -> Result<(), StoreError> {
    let free = slots.available_permits();
    if free == 0 {
        return Ok(());
    }
    let now = state.clock.now();
    let mut tx = PlainTx::begin(&state.db).await?;
    let free = i64::try_from(free).unwrap_or(i64::MAX);
    let due = store::webhooks::take_due(&mut tx, now, now + HOLD, AT_ONCE_OF_ONE, free).await?;
    tx.commit().await?;
    for due in due {
        let Ok(permit) = Arc::clone(slots).try_acquire_owned() else { break };
        let (state, client) = (state.clone(), client.clone());
        running.spawn(async move {
            let outcome = match send_one(&state, &client, due).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    tracing::warn!(webhook_id = %due.webhook_id, error = format!("{error:#}"), "a webhook's try failed");
                    "error"
                }
            };
            METRICS.jobs.with_label_values(&["webhook", outcome]).inc();
            drop(permit);
        });
    }
    Ok(())
}

/// Where a message goes, and what signs it.
struct Target {
    url: String,
    secrets: Vec<WebhookSecret>,
}

/// One try, from the look whether it is still needed to the record of what came of it. Returns that in a word.
async fn send_one(state: &AppState, client: &GuardedClient, due: DueWebhook) -> anyhow::Result<&'static str> {
    let now = state.clock.now();
    let mut tx = OrgTx::begin(&state.db, due.organization_id).await?;
    // Held, so that who enables an address meanwhile does not take what is withdrawn here for what still waits.
    let config = store::integrations::find_held(&mut tx, due.integration_config_id).await?;
    let Some(message) = store::webhooks::lock(&mut tx, due.webhook_id).await? else { return Ok("withdrawn") };
    let target = match target(state, &mut tx, &message, config).await? {
        Ok(target) => target,
        Err(words) => {
            let answer = LastAnswer { status: None, words };
            store::webhooks::settle(&mut tx, message.id, WebhookState::Withdrawn, answer, now).await?;
            tx.commit().await?;
            return Ok("withdrawn");
        }
    };
    store::webhooks::mark_tried(&mut tx, message.id).await?;
    tx.commit().await?;
    let answer = try_once(state, client, &message, &target).await;
    record(state, due, &message, &target, &answer).await
}

/// The integration's address and secrets as they are now; or why the message is not to be sent any more.
async fn target(
    state: &AppState,
    tx: &mut OrgTx,
    message: &Webhook,
    config: Option<IntegrationConfig>,
) -> anyhow::Result<Result<Target, &'static str>> {
    if !message.wanted {
        return Ok(Err("nobody waits for it any more"));
    }
    let Some(config) = config else { return Ok(Err("there is no such integration any more")) };
    let Some(url) = config.retry_webhook_url else { return Ok(Err("the integration has no address any more")) };
    if config.retry_webhook_disabled_at.is_some() {
        return Ok(Err("the address is disabled"));
    }
    let secrets = webhook_secrets::signing(state, tx, config.id, state.clock.now()).await?;
    Ok(if secrets.is_empty() { Err("no secret is there to sign it with") } else { Ok(Target { url, secrets }) })
}

async fn try_once(state: &AppState, client: &GuardedClient, message: &Webhook, target: &Target) -> WebhookAnswer {
    let unsent = |words: String| WebhookAnswer { status: None, retry_after: None, words };
    match Url::parse(&target.url).map(|url| client.request(Method::POST, url)) {
        Err(_) => unsent("the address is not whole".to_owned()),
        Ok(Err(refused)) => unsent(refused.to_string()),
        Ok(Ok(request)) => {
            let id = message_id(message.id);
            let message = WebhookMessage { id: &id, at: state.clock.now(), body: &message.body };
            send_webhook(request, &message, &target.secrets).await
        }
    }
}

async fn record(
    state: &AppState,
    due: DueWebhook,
    message: &Webhook,
    target: &Target,
    answer: &WebhookAnswer,
) -> anyhow::Result<&'static str> {
    let now = state.clock.now();
    let tries = message.tries.saturating_add(1);
    let (outcome, becomes) = match fate(answer.status, answer.retry_after, tries, rand::rng().random()) {
        WebhookFate::Delivered => ("delivered", WebhookState::Delivered),
        WebhookFate::Gone => ("gone", WebhookState::Gone),
        WebhookFate::Again(pause) => {
            let at = Duration::from_std(pause).ok().and_then(|pause| now.checked_add_signed(pause)).unwrap_or(now);
            ("again", WebhookState::Again(at))
        }
    };
    if outcome != "delivered" {
        tracing::warn!(webhook_id = %message.id, answer = answer.words, "a webhook was not taken");
    }
    let mut tx = OrgTx::begin(&state.db, due.organization_id).await?;
    // Held, so that nobody sets another address between the look and what is written.
    let config = store::integrations::lock(&mut tx, message.integration_config_id).await?;
    let now_at = config.as_ref().and_then(IntegrationConfig::told_at);
    // What an address answered that has been replaced meanwhile says nothing of the new one.
    let moved = outcome != "delivered" && now_at.is_some_and(|address| address != target.url);
    let (outcome, becomes) = if moved { ("again", WebhookState::Again(now)) } else { (outcome, becomes) };
    let last = LastAnswer { status: answer.status, words: &answer.words };
    store::webhooks::settle(&mut tx, message.id, becomes, last, now).await?;
    if becomes == WebhookState::Gone {
        state.ledger(&mut tx, now).webhook_gone(message.integration_config_id, &target.url).await?;
    }
    tx.commit().await?;
    if becomes == WebhookState::Gone {
        state.hub.nudge();
    }
    Ok(outcome)
}

/// What the receiver knows a message by, the same in every try.
fn message_id(id: Uuid) -> String {
    format!("msg_{}", id.simple())
}
