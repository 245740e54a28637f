//! What decides an integration's colour and messages, and what can be changed about it here.

mod connector;
mod credentials;
mod summary;

use api_types::integrations::{Integration, IntegrationPatch, RotatedWebhookSecret};
use domain::integration::{PartialFailure, Runner};
use leptos::prelude::*;
use leptos::task::spawn_local;
use uuid::Uuid;

use super::icons::{Icon, icon};
use super::{ConnectionResult, ErrorView, RotateDialog, SecretDialog, ShownSecret, Testing, use_announcer};
use crate::api::{ApiError, Versioned};
use crate::remote::Remote;
use crate::session::use_session;
use connector::{ConnectorForm, has_form};
use credentials::{CredentialsForm, ReadFrom, can_be_set};
use summary::summary;

/// The settings of an integration.
#[component]
pub fn Settings(
    /// Its id.
    id: Uuid,
    /// The integration with its version.
    remote: Remote<Versioned<Integration>>,
    /// The same, once it is there.
    #[prop(into)]
    value: Signal<Versioned<Integration>>,
) -> impl IntoView {
    let session = use_session();
    let announcer = use_announcer();
    let error = RwSignal::new(None::<ApiError>);
    let busy = RwSignal::new(false);
    let editing = RwSignal::new(false);
    let replacing = RwSignal::new(false);
    let connecting = RwSignal::new(false);
    let testing = Testing::new(id);
    let shown = ShownSecret::new();
    let save = Callback::new(move |patch: IntegrationPatch| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        error.set(None);
        let etag = value.with_untracked(|value| value.etag.clone());
        spawn_local(async move {
            let answer = session.client().update_integration(id, etag.as_deref(), &patch).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match answer {
                Ok(mut changed) => {
                    let secret = changed.value.retry_webhook_secret.take();
                    remote.put(changed);
                    editing.set(false);
                    replacing.set(false);
                    connecting.set(false);
                    testing.forget();
                    announcer.say(tr!(settings.saved));
                    if let Some(secret) = secret {
                        shown.show(secret);
                    }
                }
                Err(refusal) => {
                    error.set(Some(refusal));
                    // Somebody else changed them: their version is shown, and saving again builds on it.
                    remote.reload();
                }
            }
        });
    });
    let asking = RwSignal::new(false);
    let rotate = rotation(id, busy, error, shown);
    let told = Memo::new(move |_| value.with(|value| value.value.retry_webhook_url.is_some()));
    let paused = Memo::new(move |_| value.with(|value| value.value.summary.paused));
    let connector = value.with_untracked(|value| value.value.summary.connector_type);
    let source = value.with_untracked(|value| ReadFrom::of(&value.value.settings));
    view! {
        <div class="stack">
            {move || error.get().map(|error| view! { <ErrorView error /> })}
            {move || value.with(|value| summary(&value.value))}
            {move || session.may_act().then(|| view! {
                {move || if editing.get() {
                    view! { <Form value editing busy error save /> }.into_any()
                } else if connecting.get() {
                    view! { <ConnectorForm value open=connecting busy error save /> }.into_any()
                } else if replacing.get() {
                    view! { <CredentialsForm connector source open=replacing busy error testing save /> }.into_any()
                } else {
                    view! {
                        <div class="actions">
                            <button type="button" class="ds-button" data-variant="secondary" data-size="sm" on:click=move |_| editing.set(true)>{tr!(settings.edit)}</button>
                            <button type="button" class="ds-button" data-variant="secondary" data-size="sm" aria-disabled=move || busy.get().to_string()
                                on:click=move |_| save.run(IntegrationPatch { paused: Some(!paused.get_untracked()), ..unchanged() })>
                                {move || if paused.get() {
                                    view! { {icon(Icon::Play)} {tr!(settings.resume)} }.into_any()
                                } else {
                                    view! { {icon(Icon::Pause)} {tr!(settings.pause)} }.into_any()
                                }}
                            </button>
                            <ConnectionActions value testing connecting replacing />
                            {move || told.get().then(|| view! {
                                <button type="button" class="ds-button" data-variant="tertiary" data-size="sm" aria-disabled=move || busy.get().to_string()
                                    on:click=move |_| asking.set(!busy.get_untracked())>{tr!(settings.new_secret)}</button>
                            })}
                        </div>
                    }.into_any()
                }}
                <ConnectionResult testing />
            })}
            <RotateDialog open=asking confirmed=rotate />
            <SecretDialog shown />
        </div>
    }
}

/// Has another secret made for the webhook, and shows it.
fn rotation(id: Uuid, busy: RwSignal<bool>, error: RwSignal<Option<ApiError>>, shown: ShownSecret) -> Callback<()> {
    let session = use_session();
    Callback::new(move |()| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        error.set(None);
        // One key per click: an answer that was lost cannot be shown again, so the next click makes another secret.
        let key = crate::browser::uuid();
        spawn_local(async move {
            let answer = session.client().rotate_webhook_secret(id, key).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match answer {
                Ok(RotatedWebhookSecret { secret: Some(secret), .. }) => shown.show(secret),
                // One that cannot be shown is nobody's; the next click makes another.
                Ok(_) => error.set(Some(ApiError::Unexpected(200))),
                Err(refusal) => error.set(Some(refusal)),
            }
        });
    })
}

/// What can be done about the connection, where Syncwatch makes it itself.
#[component]
fn ConnectionActions(
    /// The integration with its version.
    value: Signal<Versioned<Integration>>,
    /// The trial of its connection.
    testing: Testing,
    /// Whether the form for where it leads is open.
    connecting: RwSignal<bool>,
    /// Whether the form for its credentials is open.
    replacing: RwSignal<bool>,
) -> impl IntoView {
    let managed = Memo::new(move |_| value.with(|value| value.value.summary.runner == Runner::Managed));
    let connector = value.with_untracked(|value| value.value.summary.connector_type);
    let has_credentials = Memo::new(move |_| value.with(|value| value.value.has_credentials));
    move || {
        managed.get().then(|| view! {
            <button type="button" class="ds-button" data-variant="secondary" data-size="sm" data-testid="test-connection"
                aria-disabled=move || testing.busy.get().to_string() on:click=move |_| testing.begin(None)>{tr!(connection.button)}</button>
            {has_form(connector).then(|| view! {
                <button type="button" class="ds-button" data-variant="secondary" data-size="sm"
                    on:click=move |_| { testing.forget(); connecting.set(true); }>{tr!(target.edit)}</button>
            })}
            {can_be_set(connector).then(|| view! {
                <button type="button" class="ds-button" data-variant="tertiary" data-size="sm"
                    on:click=move |_| { testing.forget(); replacing.set(true); }>
                    {move || if has_credentials.get() { tr!(credentials.replace) } else { tr!(credentials.set) }}
                </button>
            })}
        })
    }
}

/// A patch that changes nothing.
fn unchanged() -> IntegrationPatch {
    IntegrationPatch {
        name: None,
        settings: None,
        credentials: None,
        schedule: None,
        paused: None,
        freshness_hours: None,
        business_days_only: None,
        failure_threshold: None,
        partial_failure: None,
        allow_updates: None,
        record_url_template: None,
        retry_webhook_url: None,
        lineage_job: None,
    }
}

#[component]
fn Form(
    value: Signal<Versioned<Integration>>,
    editing: RwSignal<bool>,
    busy: RwSignal<bool>,
    error: RwSignal<Option<ApiError>>,
    save: Callback<IntegrationPatch>,
) -> impl IntoView {
    let (hours, threshold, partial) = value.with_untracked(|value| {
        (value.value.freshness_hours, value.value.failure_threshold, value.value.partial_failure)
    });
    let (external, former_url, gone) = value.with_untracked(|value| {
        let integration = &value.value;
        let external = integration.summary.runner == Runner::External;
        let url = integration.retry_webhook_url.clone().unwrap_or_default();
        (external, url, integration.retry_webhook_disabled_at.is_some())
    });
    let url = RwSignal::new(former_url.clone());
    let hours = RwSignal::new(hours.to_string());
    let threshold = RwSignal::new(threshold.to_string());
    let partial = RwSignal::new(partial);
    let invalid = move |pointer: &'static str| {
        error.with(|error| error.as_ref().is_some_and(|error| error.field(pointer).is_some()))
    };
    let field_error = move |pointer: &'static str, id: &'static str| {
        error.with(|error| error.as_ref().and_then(|error| error.field(pointer))).map(|text| {
            view! { <p class="ds-validation-message" data-size="sm" lang="en" id=id>{text}</p> }
        })
    };
    // A field's help, and its error where there is one.
    let described = move |pointer: &'static str, id: &'static str| {
        if invalid(pointer) { format!("{id}-help {id}-error") } else { format!("{id}-help") }
    };
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let typed = url.get_untracked().trim().to_owned();
        // An address that was gone is enabled by setting it again.
        let set = typed != former_url || (gone && !typed.is_empty());
        save.run(IntegrationPatch {
            retry_webhook_url: set.then(|| Some(typed).filter(|typed| !typed.is_empty())),
            freshness_hours: hours.get_untracked().trim().parse().ok(),
            failure_threshold: threshold.get_untracked().trim().parse().ok(),
            partial_failure: Some(partial.get_untracked()),
            ..unchanged()
        });
    };
    view! {
        <form class="stack narrow" on:submit=submit>
            <div class="ds-field">
                <label class="ds-label" for="settings-hours">{tr!(settings.freshness)}</label>
                <p data-field="description" id="settings-hours-help">{tr!(settings.freshness_help)}</p>
                <input class="ds-input" id="settings-hours" type="number" min="1" max="8784" required aria-invalid=move || invalid("/freshness_hours").to_string()
                    aria-describedby=move || described("/freshness_hours", "settings-hours")
                    prop:value=move || hours.get() on:input=move |event| hours.set(event_target_value(&event)) />
                {move || field_error("/freshness_hours", "settings-hours-error")}
            </div>
            <div class="ds-field">
                <label class="ds-label" for="settings-threshold">{tr!(settings.threshold)}</label>
                <p data-field="description" id="settings-threshold-help">{tr!(settings.threshold_help)}</p>
                <input class="ds-input" id="settings-threshold" type="number" min="1" max="30" required aria-invalid=move || invalid("/failure_threshold").to_string()
                    aria-describedby=move || described("/failure_threshold", "settings-threshold")
                    prop:value=move || threshold.get() on:input=move |event| threshold.set(event_target_value(&event)) />
                {move || field_error("/failure_threshold", "settings-threshold-error")}
            </div>
            <div class="ds-field">
                <label class="ds-label" for="settings-partial">{tr!(settings.partial)}</label>
                <select class="ds-input" id="settings-partial"
                    on:change=move |event| partial.set(event_target_value(&event).parse().unwrap_or(PartialFailure::Error))>
                    <option value="error" selected=partial.get_untracked() == PartialFailure::Error>{tr!(settings.partial_error)}</option>
                    <option value="warning" selected=partial.get_untracked() == PartialFailure::Warning>{tr!(settings.partial_warning)}</option>
                </select>
            </div>
            {external.then(|| view! {
                <div class="ds-field">
                    <label class="ds-label" for="settings-webhook">
                        {tr!(settings.webhook)} <span class="subtle">" " {tr!(common.optional)}</span>
                    </label>
                    <p data-field="description" id="settings-webhook-help">{tr!(settings.webhook_help)}</p>
                    <input class="ds-input" id="settings-webhook" type="url" maxlength="2000" aria-invalid=move || invalid("/retry_webhook_url").to_string()
                        aria-describedby=move || described("/retry_webhook_url", "settings-webhook")
                        prop:value=move || url.get() on:input=move |event| url.set(event_target_value(&event)) />
                    {move || field_error("/retry_webhook_url", "settings-webhook-error")}
                </div>
            })}
            <div class="actions">
                <button type="submit" class="ds-button" aria-busy=move || busy.get().to_string() aria-disabled=move || busy.get().to_string()>{tr!(settings.save)}</button>
                <button type="button" class="ds-button" data-variant="tertiary" on:click=move |_| { error.set(None); editing.set(false); }>{tr!(common.cancel)}</button>
            </div>
        </form>
    }
}
