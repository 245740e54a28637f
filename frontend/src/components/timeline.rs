//! The history of an integration: every sync, newest first, by day, with the gaps.

use std::collections::BTreeSet;

use api_types::Page as Listed;
use api_types::attempts::Attempt;
use api_types::sync_logs::Sync;
use leptos::prelude::*;
use leptos_router::hooks::use_location;
use uuid::Uuid;

use super::icons::{Icon, icon};
use super::timeline_filter::{Chosen, TimelineFilter};
use super::{Loaded, StatusTag, Time};
use crate::format;
use crate::history::{self, Day};
use crate::live::{News, use_live};
use crate::page::Page;
use crate::remote::Remote;
use crate::sentence;
use crate::session::use_session;

/// Syncs per page.
const LIMIT: u16 = 25;

/// The history with its filter and its pages.
#[component]
pub fn Timeline(
    /// The integration.
    integration: Uuid,
) -> impl IntoView {
    let client = use_session().client();
    let chosen = Chosen::read();
    let syncs = Remote::new(move || {
        let filter = chosen.get().asked();
        async move { client.syncs(integration, &filter, LIMIT).await }
    });
    let gaps = Remote::new(move || async move {
        let now = crate::browser::now();
        let trends = client.trends(integration, now - chrono::Duration::days(90), now).await?;
        Ok(trends
            .items
            .into_iter()
            .filter(|day| day.gap)
            .map(|day| day.start.format("%Y-%m-%d").to_string())
            .collect::<BTreeSet<_>>())
    });
    let fresh = RwSignal::new(BTreeSet::<Uuid>::new());
    watch(integration, syncs, fresh);
    let show = move || {
        fresh.set(BTreeSet::new());
        syncs.reload();
    };
    let count = Memo::new(move |_| i64::try_from(fresh.with(BTreeSet::len)).unwrap_or(0));
    view! {
        <TimelineFilter chosen />
        <div aria-live="polite">
            {move || (count.get() > 0).then(|| view! {
                <button type="button" class="ds-button new-syncs" data-size="sm" on:click=move |_| show() data-testid="new-syncs">
                    {tr!(history.new, count = count.get(), n = format::number(count.get()))}
                </button>
            })}
        </div>
        <Loaded remote=syncs rows=6 let:page>
            {move || {
                let days = page.with(|page| {
                    let gaps = gaps.with(Clone::clone).filter(|_| !chosen.get().narrows()).unwrap_or_default();
                    let open_top = page.prev_cursor.is_none();
                    history::days(page.items.clone(), |sync| format::local_day(sync.started_at), &gaps, open_top)
                });
                if days.is_empty() {
                    let text = if chosen.get().narrows() { tr!(history.none_match) } else { tr!(history.none) };
                    view! { <p class="empty">{text}</p> }.into_any()
                } else {
                    let longest = days.iter().flat_map(|day| &day.syncs).filter_map(|sync| sync.duration_ms).max().unwrap_or(1).max(1);
                    view! {
                        <ol class="plain-list timeline" data-testid="timeline">
                            {days.into_iter().map(|day| day_view(day, longest)).collect_view()}
                        </ol>
                    }.into_any()
                }
            }}
            <Pages page chosen />
        </Loaded>
    }
}

/// A sync that is on screen is brought up to date in place; one that is not is offered and never pushed in.
fn watch(integration: Uuid, syncs: Remote<Listed<Sync>>, fresh: RwSignal<BTreeSet<Uuid>>) {
    let client = use_session().client();
    use_live().listen(move |news| {
        let News::Event(event) = news else { return };
        let (Some(id), true) = (event.data.sync_id, event.data.integration_config_id == Some(integration)) else {
            return;
        };
        let known = syncs.peek(|page| page.items.iter().any(|sync| sync.id == id));
        match known {
            Some(true) => leptos::task::spawn_local(async move {
                if let Ok(sync) = client.sync(id).await {
                    syncs.update(|page| {
                        if let Some(shown) = page.items.iter_mut().find(|shown| shown.id == id) {
                            *shown = sync;
                        }
                    });
                }
            }),
            Some(false) => {
                // A first sync has no list to disturb; a change of an old one on another page is no new sync.
                let newest = syncs.peek(|page| page.items.first().map(|sync| sync.id)).flatten();
                if newest.is_none_or(|newest| id > newest) {
                    let _ = fresh.try_update(|fresh| fresh.insert(id));
                }
            }
            None => {}
        }
    });
}

/// Links to the newer and the older page.
#[component]
fn Pages(#[prop(into)] page: Signal<Listed<Sync>>, chosen: Memo<Chosen>) -> impl IntoView {
    let path = use_location().pathname;
    let link = move |cursor: Option<String>, text: String, newer: bool| {
        cursor.map(|cursor| {
            let href = Chosen { cursor, ..chosen.get() }.on(&path.get());
            view! {
                <a class="ds-button" data-variant="secondary" data-size="sm" href=href rel=if newer { "prev" } else { "next" }>
                    {newer.then(|| icon(Icon::Back))}
                    {text}
                    {(!newer).then(|| icon(Icon::Forward))}
                </a>
            }
        })
    };
    view! {
        <nav class="pages" aria-label=tr!(history.pages)>
            {move || link(page.with(|page| page.prev_cursor.clone()), tr!(history.newer), true)}
            {move || (!chosen.get().cursor.is_empty()).then(|| view! {
                <a class="ds-button" data-variant="tertiary" data-size="sm" href=Chosen { cursor: String::new(), ..chosen.get() }.on(&path.get())>{tr!(history.newest)}</a>
            })}
            {move || link(page.with(|page| page.next_cursor.clone()), tr!(history.older), false)}
        </nav>
    }
}

fn day_view(day: Day, longest: i64) -> impl IntoView {
    let title =
        day.syncs.first().map(|sync| sync.started_at).or_else(|| format::local_midnight(&day.day, 0)).map(format::day);
    if day.syncs.is_empty() {
        return view! {
            <li class="day gap" data-testid="gap">
                <h3 class="day-title">{title}</h3>
                <p class="gap-text">{tr!(history.gap)}</p>
            </li>
        }
        .into_any();
    }
    view! {
        <li class="day">
            <h3 class="day-title">{title}</h3>
            <ol class="plain-list">{day.syncs.into_iter().map(|sync| row(sync, longest)).collect_view()}</ol>
        </li>
    }
    .into_any()
}

fn counts(sync: &Sync) -> String {
    let (Some(done), failed) = (sync.records_processed, sync.records_failed.unwrap_or(0)) else {
        return sync.progress.as_ref().map_or_else(String::new, |progress| {
            tr!(
                history.so_far,
                count = i64::from(progress.records_done),
                n = format::number(progress.records_done.into())
            )
        });
    };
    let total = i64::from(sync.records_total.unwrap_or(done + failed));
    let mut text = tr!(history.counts, count = total, done = format::number(done.into()), n = format::number(total));
    if failed > 0 {
        text.push_str(" · ");
        text.push_str(&tr!(history.failed, count = i64::from(failed), n = format::number(failed.into())));
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "durations are far below 2^53 ms")]
fn row(sync: Sync, longest: i64) -> impl IntoView {
    let href = Page::Sync(sync.id).path();
    let text = counts(&sync);
    let bar = sync.duration_ms.map(|millis| {
        let width = (millis as f64 / longest as f64 * 100.0).clamp(1.5, 100.0);
        view! {
            <span class="row-duration">
                <span>{format::duration(millis)}</span>
                <svg class="duration-bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" focusable="false">
                    <rect width=width height="6" rx="1" />
                </svg>
            </span>
        }
    });
    let failed = sync.status.is_failure();
    let message = sync.error_message.filter(|_| failed);
    view! {
        <li class="sync-row" data-testid="sync-row">
            <a class="row-time" href=href><Time at=sync.started_at clock=true /><span class="ds-sr-only">" " {tr!(history.open)}</span></a>
            <span class="row-status"><StatusTag status=sync.status /></span>
            <span class="row-counts">{text}</span>
            {bar}
            <span class="row-trigger subtle">
                {sentence::trigger(sync.triggered_by)}
                {sync.backfill.then(|| view! { " · " {tr!(history.backfill)} })}
            </span>
            {message.map(|message| view! { <span class="row-message subtle break" lang="">{message}</span> })}
            {(sync.attempt > 0).then(|| view! { <Attempts sync=sync.id count=i64::from(sync.attempt) + 1 /> })}
        </li>
    }
}

/// The attempts of a sync that was retried, fetched when asked for.
#[component]
fn Attempts(sync: Uuid, count: i64) -> impl IntoView {
    let opened = RwSignal::new(false);
    view! {
        <details class="plain-details row-attempts" on:toggle=move |_| opened.set(true)>
            <summary>{tr!(history.attempts, count = count, n = format::number(count))}</summary>
            {move || opened.get().then(|| {
                let client = use_session().client();
                let attempts = Remote::new(move || async move { client.attempts(sync).await });
                view! { <Loaded remote=attempts rows=2 let:attempts>{move || attempts.with(|all| attempt_table(all))}</Loaded> }
            })}
        </details>
    }
}

/// Attempts as a table.
pub fn attempt_table(attempts: &[Attempt]) -> impl IntoView + use<> {
    let number = |count: Option<i32>| count.map_or_else(|| "–".to_owned(), |count| format::number(count.into()));
    let rows = attempts
        .iter()
        .map(|attempt| {
            view! {
                <tr>
                    <th scope="row">{u32::from(attempt.attempt) + 1}</th>
                    <td><StatusTag status=attempt.status /></td>
                    <td><Time at=attempt.started_at full=true /></td>
                    <td>{attempt.duration_ms.map_or_else(|| "–".to_owned(), format::duration)}</td>
                    <td class="number">{number(attempt.records_processed)}</td>
                    <td class="number">{number(attempt.records_failed)}</td>
                    <td class="number">{number(attempt.records_unknown)}</td>
                    <td class="break" lang="">{attempt.error_message.clone()}</td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <div class="scroll" role="group" aria-label=tr!(attempts.title) tabindex="0">
            <table class="ds-table" data-size="sm">
                <thead>
                    <tr>
                        <th scope="col">{tr!(attempts.number)}</th>
                        <th scope="col">{tr!(history.status)}</th>
                        <th scope="col">{tr!(attempts.started)}</th>
                        <th scope="col">{tr!(attempts.duration)}</th>
                        <th scope="col" class="number">{tr!(outcome.succeeded)}</th>
                        <th scope="col" class="number">{tr!(outcome.failed)}</th>
                        <th scope="col" class="number">{tr!(outcome.unknown)}</th>
                        <th scope="col">{tr!(attempts.message)}</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}
