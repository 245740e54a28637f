//! One sync: its facts, its attempts, its records by outcome.

use api_types::integrations::IntegrationSummary;
use api_types::sync_logs::Sync;
use domain::asking::AWAITING_POSTING;
use domain::record::RecordOutcome;
use domain::sync_log::{RECORDS_NOT_ARRIVED, SyncWarning};
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::hooks::use_location;
use uuid::Uuid;

use crate::api::{ApiError, Query};
use crate::components::{
    ErrorView, Failure, Icon, Loaded, RecordDetail, ResolveDialog, Resolving, RetryDialog, Retrying, StatusTag, Time,
    attempt_table, fact, icon, left_heading, left_undelivered, only_awaits,
};
use crate::live::use_live;
use crate::page::Page;
use crate::remote::Remote;
use crate::session::use_session;
use crate::{format, sentence};

/// The page of a sync.
#[component]
pub fn SyncPage(
    /// Its id.
    id: Uuid,
) -> impl IntoView {
    let client = use_session().client();
    let remote = Remote::new(move || async move { client.sync(id).await });
    use_live().reload_on(move |event| event.data.sync_id == Some(id), move || remote.reload());
    super::titled(move || {
        remote
            .with(|sync| format!("{} {}", tr!(sync.title), format::full(sync.started_at)))
            .unwrap_or_else(|| tr!(sync.title))
    });
    view! { <Loaded remote rows=8 let:sync><Content remote sync=sync /></Loaded> }
}

#[component]
fn Content(remote: Remote<Sync>, #[prop(into)] sync: Signal<Sync>) -> impl IntoView {
    let client = use_session().client();
    let (id, integration) = sync.with_untracked(|sync| (sync.id, sync.integration_config_id));
    let owner =
        Remote::new(move || async move { client.integration(integration).await.map(|found| found.value.summary) });
    let attempts = Remote::new(move || {
        // Asked again whenever the sync has another attempt or another state.
        sync.with(|sync| (sync.attempt, sync.status));
        async move { client.attempts(id).await }
    });
    let undelivered = Memo::new(move |_| sync.with(left_undelivered));
    let status = Memo::new(move |_| sync.with(|sync| sync.status));
    let progress = Memo::new(move |_| sync.with(|sync| sync.progress.clone().filter(|_| sync.status.is_active())));
    let changed = Callback::new(move |()| remote.reload());
    let retrying = Retrying::new();
    view! {
        <nav class="crumbs" aria-label=tr!(common.crumbs)>
            <ol class="plain-list">
                <li><a class="ds-link" href=Page::Integrations.path()>{tr!(integrations.title)}</a></li>
                <li><a class="ds-link" href=Page::Integration(integration).path()>{move || owner.with(|owner: &IntegrationSummary| owner.name.clone()).unwrap_or_else(|| "…".to_owned())}</a></li>
            </ol>
        </nav>
        <div class="title-line">
            <h1 class="ds-heading" data-size="md">{tr!(sync.title)} " " {sync.with_untracked(|sync| view! { <Time at=sync.started_at full=true /> })}</h1>
            {move || view! { <StatusTag status=status.get() /> }}
        </div>
        {move || progress.get().map(|progress| {
            let total = progress.records_total.filter(|total| *total > 0);
            view! {
                <div class="stack-tight">
                    <p role="status">{match total {
                        Some(total) => tr!(retry.progress, done = format::number(progress.records_done.into()), total = format::number(total.into())),
                        None => tr!(retry.running),
                    }}</p>
                    <progress class="progress" max=total.unwrap_or(1).to_string() value=total.map(|_| progress.records_done.to_string()) aria-label=tr!(retry.progress_label)></progress>
                </div>
            }
        })}
        {move || sync.with(facts)}
        {move || undelivered.get().then(|| view! {
            <section class="ds-card section failure-card" class:is-tolerated=move || sync.with(|sync| sync.status.is_success())
                aria-labelledby="failure-title">
                <h2 id="failure-title" class="ds-heading" data-size="xs">
                    {move || sync.with(|sync| left_heading(sync, tr!(sync.failure)))}
                </h2>
                <Failure sync retrying changed />
            </section>
        })}
        <RetryDialog retrying changed />
        <section class="section" aria-labelledby="attempts-title">
            <h2 id="attempts-title" class="ds-heading" data-size="xs">{tr!(attempts.title)}</h2>
            <Loaded remote=attempts rows=2 let:attempts>{move || attempts.with(|all| attempt_table(all))}</Loaded>
        </section>
        <section class="section" aria-labelledby="records-title">
            <div class="title-line">
                <h2 id="records-title" class="ds-heading" data-size="xs">{tr!(sync.records)}</h2>
                <Export id />
            </div>
            <Records id changed />
        </section>
    }
}

fn facts(sync: &Sync) -> impl IntoView + use<> {
    let number = |count: Option<i32>| count.map_or_else(|| "–".to_owned(), |count| format::number(count.into()));
    // What has not arrived has a section of its own.
    let told = |warning: &&SyncWarning| match warning.code.as_str() {
        // While it is retried they are those of the attempt before.
        AWAITING_POSTING | RECORDS_NOT_ARRIVED if sync.status.is_active() => false,
        AWAITING_POSTING => !only_awaits(sync),
        RECORDS_NOT_ARRIVED => !left_undelivered(sync),
        _ => true,
    };
    let warnings: Vec<_> = sync
        .warnings
        .iter()
        .filter(told)
        .map(|warning| view! { <li lang="en">{warning.message.clone()}</li> })
        .collect();
    view! {
        <dl class="facts fact-cards">
            {fact(tr!(sync.total), view! { {number(sync.records_total)} })}
            {fact(tr!(outcome.succeeded), view! { {number(sync.records_processed)} })}
            {fact(tr!(outcome.failed), view! { {number(sync.records_failed)} })}
            {fact(tr!(attempts.duration), view! { {sync.duration_ms.map_or_else(|| "–".to_owned(), format::duration)} })}
            {fact(tr!(history.trigger), view! { {sentence::trigger(sync.triggered_by)} {sync.backfill.then(|| view! { " · " {tr!(history.backfill)} })} })}
            {sync.completed_at.map(|at| view! { {fact(tr!(sync.completed), view! { <Time at full=true /> })} })}
            {sync.external_reference_id.clone().map(|id| view! { {fact(tr!(record.external_id), view! { <code class="break">{id}</code> })} })}
            {sync.client_run_id.clone().map(|id| view! { {fact(tr!(sync.run), view! { <code class="break">{id}</code> })} })}
        </dl>
        {(!warnings.is_empty()).then(|| view! {
            <div class="ds-alert" data-color="warning" data-size="sm"><p class="strong">{tr!(sync.warnings)}</p><ul>{warnings}</ul></div>
        })}
    }
}

/// The file with all records; the button goes away where the server offers none.
#[component]
fn Export(id: Uuid) -> impl IntoView {
    let client = use_session().client();
    let offered = RwSignal::new(true);
    let busy = RwSignal::new(false);
    let error = RwSignal::new(None::<ApiError>);
    let fetch = move |_| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        error.set(None);
        spawn_local(async move {
            let answer = client.records_csv(id).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match answer {
                Ok(bytes) => {
                    let _ = crate::browser::download(&format!("sync-{id}.csv"), "text/csv;charset=utf-8", &bytes);
                }
                Err(ApiError::Problem(problem)) if problem.status == 404 => offered.set(false),
                Err(ApiError::Unexpected(404)) => offered.set(false),
                Err(refusal) => error.set(Some(refusal)),
            }
        });
    };
    view! {
        {move || offered.get().then(|| view! {
            <button type="button" class="ds-button" data-variant="tertiary" data-size="sm" aria-busy=move || busy.get().to_string() on:click=fetch>
                {icon(Icon::Download)} {tr!(sync.export)}
            </button>
        })}
        {move || (!offered.get()).then(|| view! { <span class="subtle small" role="status">{tr!(sync.no_export)}</span> })}
        {move || error.get().map(|error| view! { <ErrorView error /> })}
    }
}

/// Which outcomes can be looked at on their own.
const SHOWN: [Option<RecordOutcome>; 6] = [
    None,
    Some(RecordOutcome::Failed),
    Some(RecordOutcome::Unknown),
    Some(RecordOutcome::NotAttempted),
    Some(RecordOutcome::Skipped),
    Some(RecordOutcome::Succeeded),
];

#[component]
fn Records(id: Uuid, changed: Callback<()>) -> impl IntoView {
    let client = use_session().client();
    let query = use_location().query;
    let outcome = Memo::new(move |_| {
        query.with(|query| query.get("outcome").and_then(|word| word.parse::<RecordOutcome>().ok()))
    });
    let cursor = Memo::new(move |_| query.with(|query| query.get("cursor").unwrap_or_default()));
    let remote = Remote::new(move || {
        let (outcome, cursor) = (outcome.get(), cursor.get());
        async move { client.records(id, outcome, &cursor, 50).await }
    });
    use_live().reload_on(move |event| event.data.sync_id == Some(id), move || remote.reload());
    let resolving = Resolving::new();
    let done = Callback::new(move |()| {
        remote.reload();
        changed.run(());
    });
    let address = move |outcome: Option<RecordOutcome>, cursor: String| {
        let query =
            Query::new().with("outcome", outcome.map(RecordOutcome::as_str).unwrap_or_default()).with("cursor", cursor);
        format!("{}#records-title", query.on(&Page::Sync(id).path()))
    };
    let page_link = move |cursor: Option<String>, text: String| {
        cursor.map(|cursor| view! { <a class="ds-button" data-variant="secondary" data-size="sm" href=address(outcome.get(), cursor)>{text}</a> })
    };
    view! {
        <nav class="outcomes" aria-label=tr!(sync.outcomes)>
            {SHOWN.map(|shown| view! {
                <a class="ds-chip" href=address(shown, String::new()) aria-current=move || (outcome.get() == shown).then_some("true")>
                    {shown.map_or_else(|| tr!(history.all), sentence::outcome)}
                </a>
            }).collect_view()}
        </nav>
        <Loaded remote rows=4 let:page>
            {move || page.with(|page| page.items.is_empty()).then(|| view! { <p class="empty">{tr!(sync.no_records)}</p> })}
            <ul class="plain-list records">
                <For each=move || page.with(|page| page.items.clone())
                    key=|record| (record.source_record_type.clone(), record.source_record_id, record.updated_at, record.outcome, record.state, record.resolution.is_some())
                    let:record>
                    <li><RecordDetail sync=id record resolving /></li>
                </For>
            </ul>
            <nav class="pages" aria-label=tr!(history.pages)>
                {move || page_link(page.with(|page| page.prev_cursor.clone()), tr!(common.previous))}
                {move || page_link(page.with(|page| page.next_cursor.clone()), tr!(common.next))}
            </nav>
        </Loaded>
        <ResolveDialog resolving done />
    }
}
