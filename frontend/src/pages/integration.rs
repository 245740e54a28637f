//! One integration: why it has its colour, what failed, its history, its trends, its settings.

use api_types::integrations::{Integration, IntegrationSummary, LastSync};
use api_types::sync_logs::Sync;
use domain::health::{Reason, ReasonCode};
use domain::integration::Runner;
use leptos::prelude::*;
use leptos::task::spawn_local;
use uuid::Uuid;

use crate::api::{ApiError, Versioned};
use crate::components::{
    Ago, Bars, ErrorView, Failure, LightTag, Loaded, RetryDialog, Retrying, Settings, Time, Timeline, Trends,
    left_heading, left_undelivered, use_announcer,
};
use crate::format::Intl;
use crate::live::use_live;
use crate::page::Page;
use crate::remote::Remote;
use crate::sentence;
use crate::session::use_session;

/// The page of an integration.
#[component]
pub fn IntegrationPage(
    /// Its id.
    id: Uuid,
) -> impl IntoView {
    let client = use_session().client();
    let remote = Remote::new(move || async move { client.integration(id).await });
    use_live().reload_on(move |event| event.data.integration_config_id == Some(id), move || remote.reload());
    super::titled(move || {
        remote.with(|found| found.value.summary.name.clone()).unwrap_or_else(|| tr!(integrations.title))
    });
    view! {
        <nav class="crumbs" aria-label=tr!(common.crumbs)>
            <a class="ds-link" href=Page::Integrations.path()>{tr!(integrations.title)}</a>
        </nav>
        <Loaded remote rows=8 let:value>
            <Content id remote value=value />
        </Loaded>
    }
}

#[component]
fn Content(
    id: Uuid,
    remote: Remote<Versioned<Integration>>,
    #[prop(into)] value: Signal<Versioned<Integration>>,
) -> impl IntoView {
    let session = use_session();
    let summary = Memo::new(move |_| value.with(|value| value.value.summary.clone()));
    let health = Memo::new(move |_| summary.with(|summary| summary.health.clone()));
    let recent = Memo::new(move |_| summary.with(|summary| summary.recent.clone()));
    let next = Memo::new(move |_| health.with(|health| health.next_expected_at));
    let last = Memo::new(move |_| {
        summary.with(|summary| summary.last_sync.as_ref().filter(|_| has_left(summary)).map(|last| last.id))
    });
    let failed = Memo::new(move |_| summary.with(last_failed));
    let heading = RwSignal::new(None::<String>);
    // Records of earlier syncs that are still undelivered, while no current failure shows them.
    let stuck =
        Memo::new(move |_| heading.with(Option::is_none) && summary.with(|summary| summary.undelivered.records > 0));
    let active = Memo::new(move |_| summary.with(|summary| summary.active_sync_id));
    let can_start = Memo::new(move |_| {
        session.may_act() && summary.with(|summary| summary.runner == Runner::Managed && !summary.paused)
    });
    let retrying = Retrying::new();
    let version = RwSignal::new(0_u32);
    let reload = Callback::new(move |()| {
        remote.reload();
        version.update(|version| *version = version.wrapping_add(1));
    });
    view! {
        <div class="page-head">
            <div>
                <div class="title-line">
                    <h1 class="ds-heading" data-size="md">{move || summary.with(|summary| summary.name.clone())}</h1>
                    <LightTag health />
                </div>
                <p class="lead" data-testid="state">{move || summary.with(|summary| sentence::state(summary, &Intl))}</p>
            </div>
            {move || can_start.get().then(|| view! { <SyncNow id active reload /> })}
        </div>
        <nav class="local-nav" aria-label=tr!(integration.sections)>
            {move || heading.get().map(|heading| view! { <a href="#failure" rel="external">{heading}</a> })}
            <a href="#history" rel="external">{tr!(history.title)}</a>
            <a href="#trends" rel="external">{tr!(trends.title)}</a>
            <a href="#settings" rel="external">{tr!(settings.title)}</a>
        </nav>
        <section class="ds-card why" aria-labelledby="why">
            <div>
                <h2 id="why" class="ds-heading" data-size="xs">{tr!(integration.why)}</h2>
                <ul class="reasons" data-testid="reasons">
                    {move || health.with(|health| health.reasons.iter().map(|reason| view! { <li>{sentence::reason(reason, &Intl)}</li> }).collect_view())}
                </ul>
                {move || stuck.get().then(|| view! {
                    <p class="small"><a class="ds-link" href=format!("{}?status=failed#history", Page::Integration(id).path())>{tr!(integration.show_failed)}</a></p>
                })}
                <p class="subtle small">
                    {tr!(integration.since)} " " {move || view! { <Time at=health.with(|health| health.since) full=true /> }}
                    {move || next.get().map(|at| view! { " · " {tr!(integrations.next)} " " <Ago at /> })}
                </p>
            </div>
            <div class="why-bars">
                {move || view! { <Bars recent=recent.get() /> }}
                <p class="subtle small">{tr!(bars.caption)}</p>
            </div>
        </section>
        {move || last.get().map(|sync| view! { <Current sync failed heading version retrying reload /> })}
        <RetryDialog retrying changed=reload />
        <section class="section" id="history" aria-labelledby="history-title">
            <h2 id="history-title" class="ds-heading" data-size="xs">{tr!(history.title)}</h2>
            <Timeline integration=id />
        </section>
        <section class="section" id="trends" aria-labelledby="trends-title">
            <h2 id="trends-title" class="ds-heading" data-size="xs">{tr!(trends.title)}</h2>
            <Trends integration=id />
        </section>
        <section class="section" id="settings" aria-labelledby="settings-title">
            <h2 id="settings-title" class="ds-heading" data-size="xs">{tr!(settings.title)}</h2>
            <Settings id remote value />
        </section>
    }
}

/// Whether an integration's last sync has failed, or records of it have: a success may have left records behind, where the
/// integration takes that as a warning.
fn last_failed(summary: &IntegrationSummary) -> bool {
    let failed = |last: &LastSync| last.status.is_failure() || last.records_failed.unwrap_or(0) > 0;
    summary.last_sync.as_ref().is_some_and(failed)
}

/// Whether records of an integration are left, be it of its last sync or of earlier ones.
fn has_left(summary: &IntegrationSummary) -> bool {
    let warned = |reason: &Reason| reason.code == ReasonCode::LastSyncWarnings;
    last_failed(summary) || summary.undelivered.records > 0 || summary.health.reasons.iter().any(warned)
}

/// The failure that the integration is in now, or what is yet to arrive of its last sync. Without a `heading` there is
/// neither.
#[component]
fn Current(
    /// The last sync.
    sync: Uuid,
    /// Whether it is known to have failed.
    failed: Memo<bool>,
    heading: RwSignal<Option<String>>,
    version: RwSignal<u32>,
    retrying: Retrying,
    reload: Callback<()>,
) -> impl IntoView {
    let client = use_session().client();
    let remote = Remote::new(move || {
        version.track();
        async move { client.sync(sync).await }
    });
    use_live().reload_on(move |event| event.data.sync_id == Some(sync), move || remote.reload());
    // While it is retried all of it stays as it was.
    let tolerated = Memo::new(move |before: Option<&bool>| {
        let now = |sync: &Sync| {
            if sync.status.is_active() { before.copied().unwrap_or(false) } else { sync.status.is_success() }
        };
        remote.with(now).unwrap_or(false)
    });
    let shown = Memo::new(move |_| heading.with(Option::is_some));
    Effect::new(move |_| {
        let known = remote.with(|sync| {
            let ended = !sync.status.is_active();
            ended.then(|| left_undelivered(sync).then(|| left_heading(sync, tr!(failure.title))))
        });
        match known.flatten() {
            Some(left) => heading.set(left),
            None if failed.get() && heading.with_untracked(Option::is_none) => heading.set(Some(tr!(failure.title))),
            None => {}
        }
    });
    on_cleanup(move || {
        let _ = heading.try_set(None);
    });
    view! {
        {move || shown.get().then(|| view! {
            <section class="ds-card section failure-card" class:is-tolerated=move || tolerated.get() id="failure"
                aria-labelledby="failure-title">
                <div class="title-line">
                    <h2 id="failure-title" class="ds-heading" data-size="xs">
                        {move || heading.get()}
                    </h2>
                    <a class="ds-link small" href=Page::Sync(sync).path()>{tr!(failure.open_sync)}</a>
                </div>
                <Loaded remote rows=4 let:sync><Failure sync=sync retrying changed=reload /></Loaded>
            </section>
        })}
    }
}

#[component]
fn SyncNow(id: Uuid, active: Memo<Option<Uuid>>, reload: Callback<()>) -> impl IntoView {
    let session = use_session();
    let announcer = use_announcer();
    let busy = RwSignal::new(false);
    let error = RwSignal::new(None::<ApiError>);
    let start = move |_| {
        if busy.get_untracked() || active.get_untracked().is_some() {
            return;
        }
        busy.set(true);
        error.set(None);
        let key = crate::browser::uuid();
        spawn_local(async move {
            let answer = session.client().trigger_sync(id, key).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match answer {
                Ok(_) => {
                    announcer.say(tr!(integration.started));
                    reload.run(());
                }
                Err(refusal) => error.set(Some(refusal)),
            }
        });
    };
    let waiting = Memo::new(move |_| busy.get() || active.get().is_some());
    view! {
        <div class="stack-tight">
            <button type="button" class="ds-button" data-variant="secondary" aria-disabled=move || waiting.get().to_string() on:click=start data-testid="sync-now">
                {move || if waiting.get() { tr!(integrations.running) } else { tr!(integration.sync_now) }}
            </button>
            {move || active.get().map(|sync| view! { <a class="ds-link small" href=Page::Sync(sync).path()>{tr!(integration.open_running)}</a> })}
            {move || error.get().map(|error| view! { <ErrorView error /> })}
        </div>
    }
}
