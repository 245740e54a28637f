//! Every integration, worst first.

use api_types::integrations::IntegrationSummary;
use domain::health::Light;
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::{use_location, use_navigate};
use uuid::Uuid;

use crate::api::Query;
use crate::components::{Ago, Bars, LightIcon, LightTag, Loaded};
use crate::format::{self, Intl};
use crate::lights::{self, Strip};
use crate::live::use_live;
use crate::page::Page;
use crate::remote::Remote;
use crate::sentence;
use crate::session::use_session;

/// The list with its summary, search and filter.
#[component]
pub fn IntegrationsPage() -> impl IntoView {
    let session = use_session();
    let client = session.client();
    super::titled(|| tr!(integrations.title));
    let remote = Remote::new(move || async move { client.integrations().await });
    use_live().reload_on(|event| event.kind != "notification.created", move || remote.reload());
    view! {
        <h1 class="ds-heading" data-size="md">{tr!(integrations.title)}</h1>
        <Loaded remote rows=6 let:all>
            <List all=all />
        </Loaded>
    }
}

#[component]
fn List(#[prop(into)] all: Signal<Vec<IntegrationSummary>>) -> impl IntoView {
    let query = use_location().query;
    let light = Memo::new(move |_| query.with(|query| query.get("light").and_then(|word| word.parse::<Light>().ok())));
    let search = RwSignal::new(query.with_untracked(|query| query.get("search").unwrap_or_default()));
    let navigate = use_navigate();
    let address = Callback::new(move |light: Option<Light>| {
        let query = Query::new()
            .with("light", light.map(Light::as_str).unwrap_or_default())
            .with("search", search.get_untracked());
        let options = NavigateOptions { replace: true, scroll: false, ..NavigateOptions::default() };
        navigate(&query.on(&Page::Integrations.path()), options);
    });
    // The order is taken when the list changes its members or its lights, never while only figures change.
    let shown = Memo::new(move |_| {
        all.with(|all| {
            let mut all: Vec<&IntegrationSummary> =
                all.iter().filter(|item| lights::matches(item, &search.get(), light.get())).collect();
            all.sort_by(|one, other| lights::by_urgency(one, other));
            all.into_iter().map(|item| item.id).collect::<Vec<Uuid>>()
        })
    });
    let found = Memo::new(move |_| i64::try_from(shown.with(Vec::len)).unwrap_or(0));
    view! {
        <Summary all light address />
        <div class="list-tools">
            <div class="ds-field search-field">
                <label class="ds-label" for="search">{tr!(integrations.search)}</label>
                <input class="ds-input" id="search" type="search" prop:value=move || search.get()
                    on:input=move |event| { search.set(event_target_value(&event)); address.run(light.get_untracked()); } />
            </div>
            <p class="subtle" role="status">{move || tr!(integrations.found, count = found.get(), n = format::number(found.get()))}</p>
        </div>
        {move || (found.get() == 0).then(|| view! {
            <p class="empty">{if all.with(Vec::is_empty) { tr!(integrations.none) } else { tr!(integrations.none_match) }}</p>
        })}
        <ul class="plain-list integration-list" data-testid="integrations">
            <For each=move || shown.get() key=|id| *id let:id>
                <li><Card all id /></li>
            </For>
        </ul>
    }
}

/// How many of each light, which are also the filter, and what has not arrived.
#[component]
fn Summary(
    all: Signal<Vec<IntegrationSummary>>,
    light: Memo<Option<Light>>,
    address: Callback<Option<Light>>,
) -> impl IntoView {
    let strip = Memo::new(move |_| all.with(|all| Strip::of(all)));
    let tile = move |which: Light| {
        let count = move || {
            strip.with(|strip| strip.lights.iter().find(|(light, _)| *light == which).map_or(0, |(_, count)| *count))
        };
        let pressed = move || light.get() == Some(which);
        view! {
            <button type="button" class="tile" data-color=lights::color(which) aria-pressed=move || pressed().to_string()
                on:click=move |_| address.run(if pressed() { None } else { Some(which) })>
                <LightIcon light=which />
                <span class="tile-number">{move || format::number(i64::try_from(count()).unwrap_or(0))}</span>
                <span class="tile-word">{lights::word(which)}</span>
            </button>
        }
    };
    view! {
        <section class="strip" aria-label=tr!(integrations.summary)>
            <div class="tiles" role="group" aria-label=tr!(integrations.filter)>{lights::WORST_FIRST.map(tile).collect_view()}</div>
            {move || strip.with(|strip| (strip.records > 0).then(|| view! {
                <div class="tile at-risk" data-color="danger" data-testid="undelivered">
                    <span class="tile-word">{tr!(integrations.undelivered)}</span>
                    <span class="tile-sum">
                        {if strip.amounts.is_empty() { sentence::records(strip.records, &Intl) } else { sentence::amounts(&strip.amounts, &Intl) }}
                    </span>
                    {(!strip.amounts.is_empty()).then(|| view! { <span class="subtle">{sentence::records(strip.records, &Intl)}</span> })}
                </div>
            }))}
        </section>
    }
}

#[component]
fn Card(all: Signal<Vec<IntegrationSummary>>, id: Uuid) -> impl IntoView {
    let item = Memo::new(move |_| all.with(|all| all.iter().find(|item| item.id == id).cloned()));
    let get = move |read: fn(&IntegrationSummary) -> String| move || item.with(|item| item.as_ref().map(read));
    let color = move || item.with(|item| item.as_ref().map_or("neutral", |item| lights::color(item.health.light)));
    let recent =
        Memo::new(move |_| item.with(|item| item.as_ref().map(|item| item.recent.clone()).unwrap_or_default()));
    let next = Memo::new(move |_| item.with(|item| item.as_ref().and_then(|item| item.health.next_expected_at)));
    let active = Memo::new(move |_| item.with(|item| item.as_ref().is_some_and(|item| item.active_sync_id.is_some())));
    view! {
        <article class="ds-card integration-card" data-color=color data-testid="integration">
            <div class="card-state">
                {move || item.with(|item| item.as_ref().map(|item| { let health = item.health.clone(); view! { <LightTag health=Signal::stored(health) /> } }))}
                {move || active.get().then(|| view! { <span class="ds-tag" data-color="info" data-size="sm">{tr!(integrations.running)}</span> })}
            </div>
            <div class="card-main">
                <h2 class="ds-heading card-title" data-size="2xs"><a href=Page::Integration(id).path()>{get(|item| item.name.clone())}</a></h2>
                <p class="card-sentence">{get(|item| sentence::state(item, &Intl))}</p>
                <p class="subtle small">{get(|item| format!("{} · {}", sentence::connector(item.connector_type), sentence::sync_type(item.sync_type)))}</p>
            </div>
            <div class="card-bars">{move || view! { <Bars recent=recent.get() /> }}</div>
            <p class="card-next small">
                <span class="subtle">{tr!(integrations.next)}</span>
                <span>
                    {move || match next.get() {
                        Some(at) => view! { <Ago at /> }.into_any(),
                        None => tr!(integrations.no_next).into_any(),
                    }}
                </span>
            </p>
        </article>
    }
}
