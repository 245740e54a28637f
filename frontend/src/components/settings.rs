//! What decides an integration's colour and messages, and what can be changed about it here.

use api_types::integrations::{Integration, IntegrationPatch};
use domain::integration::{PartialFailure, Runner};
use leptos::prelude::*;
use leptos::task::spawn_local;
use uuid::Uuid;

use super::icons::{Icon, icon};
use super::{ErrorView, Time, fact, use_announcer};
use crate::api::{ApiError, Versioned};
use crate::format;
use crate::remote::Remote;
use crate::sentence;
use crate::session::use_session;

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
                Ok(changed) => {
                    remote.put(changed);
                    editing.set(false);
                    announcer.say(tr!(settings.saved));
                }
                Err(refusal) => {
                    error.set(Some(refusal));
                    // Somebody else changed them: their version is shown, and saving again builds on it.
                    remote.reload();
                }
            }
        });
    });
    let paused = Memo::new(move |_| value.with(|value| value.value.summary.paused));
    view! {
        <div class="stack">
            {move || error.get().map(|error| view! { <ErrorView error /> })}
            {move || value.with(|value| summary(&value.value))}
            {move || session.may_act().then(|| view! {
                {move || if editing.get() {
                    view! { <Form value editing busy error save /> }.into_any()
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
                        </div>
                    }.into_any()
                }}
            })}
        </div>
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
    }
}

fn summary(integration: &Integration) -> impl IntoView + use<> {
    let hours = i64::from(integration.freshness_hours);
    let threshold = i64::from(integration.failure_threshold);
    let schedule = integration.schedule.as_ref().map(|schedule| (schedule.cron.clone(), schedule.time_zone.clone()));
    view! {
        <dl class="facts">
            {fact(tr!(settings.connector), view! { {sentence::connector(integration.summary.connector_type)} })}
            {fact(tr!(settings.sync_type), view! { {sentence::sync_type(integration.summary.sync_type)} })}
            {fact(tr!(settings.runner), view! { {match integration.summary.runner {
                Runner::Managed => tr!(settings.managed),
                Runner::External => tr!(settings.external),
            }} })}
            {fact(tr!(settings.schedule), view! { {match schedule {
                Some((cron, zone)) => view! { <code>{cron}</code> " (" {zone} ")" }.into_any(),
                None => tr!(settings.no_schedule).into_any(),
            }} })}
            {fact(tr!(settings.freshness), view! {
                {tr!(settings.hours, count = hours, n = format::number(hours))}
                {integration.business_days_only.then(|| view! { " · " {tr!(settings.business_days)} })}
             })}
            {fact(tr!(settings.threshold), view! { {tr!(settings.failures, count = threshold, n = format::number(threshold))} })}
            {fact(tr!(settings.partial), view! { {match integration.partial_failure {
                PartialFailure::Error => tr!(settings.partial_error),
                PartialFailure::Warning => tr!(settings.partial_warning),
            }} })}
            {fact(tr!(settings.credentials), view! { {if integration.has_credentials { tr!(settings.kept) } else { tr!(settings.not_kept) }} })}
            {integration.record_url_template.clone().map(|template| view! { {fact(tr!(settings.record_url), view! { <code class="break">{template}</code> })} })}
            {fact(tr!(settings.changed), view! { <Time at=integration.updated_at full=true /> })}
        </dl>
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
    let hours = RwSignal::new(hours.to_string());
    let threshold = RwSignal::new(threshold.to_string());
    let partial = RwSignal::new(partial);
    let field_error = move |pointer: &'static str| {
        error.with(|error| error.as_ref().and_then(|error| error.field(pointer))).map(|text| {
            view! { <p class="ds-validation-message" data-size="sm" lang="en">{text}</p> }
        })
    };
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        save.run(IntegrationPatch {
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
                <input class="ds-input" id="settings-hours" type="number" min="1" max="8784" required aria-describedby="settings-hours-help"
                    prop:value=move || hours.get() on:input=move |event| hours.set(event_target_value(&event)) />
                {move || field_error("/freshness_hours")}
            </div>
            <div class="ds-field">
                <label class="ds-label" for="settings-threshold">{tr!(settings.threshold)}</label>
                <p data-field="description" id="settings-threshold-help">{tr!(settings.threshold_help)}</p>
                <input class="ds-input" id="settings-threshold" type="number" min="1" max="30" required aria-describedby="settings-threshold-help"
                    prop:value=move || threshold.get() on:input=move |event| threshold.set(event_target_value(&event)) />
                {move || field_error("/failure_threshold")}
            </div>
            <div class="ds-field">
                <label class="ds-label" for="settings-partial">{tr!(settings.partial)}</label>
                <select class="ds-input" id="settings-partial"
                    on:change=move |event| partial.set(event_target_value(&event).parse().unwrap_or(PartialFailure::Error))>
                    <option value="error" selected=partial.get_untracked() == PartialFailure::Error>{tr!(settings.partial_error)}</option>
                    <option value="warning" selected=partial.get_untracked() == PartialFailure::Warning>{tr!(settings.partial_warning)}</option>
                </select>
            </div>
            <div class="actions">
                <button type="submit" class="ds-button" aria-busy=move || busy.get().to_string() aria-disabled=move || busy.get().to_string()>{tr!(settings.save)}</button>
                <button type="button" class="ds-button" data-variant="tertiary" on:click=move |_| { error.set(None); editing.set(false); }>{tr!(common.cancel)}</button>
            </div>
        </form>
    }
}
