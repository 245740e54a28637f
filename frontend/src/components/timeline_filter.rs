//! What the history shows; kept in the address, so that it can be shared and the back button undoes it.

use domain::sync_log::{SyncStatus, TriggeredBy};
use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::{use_location, use_navigate};

use crate::api::{Query, SyncFilter};
use crate::{format, sentence};

/// The filter as it stands in the address: days instead of moments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chosen {
    /// A status.
    pub status: String,
    /// A trigger.
    pub trigger: String,
    /// First day.
    pub from: String,
    /// Last day.
    pub to: String,
    /// Where the page begins.
    pub cursor: String,
}

impl Chosen {
    /// Reads the address; tracks it.
    pub fn read() -> Memo<Self> {
        let query = use_location().query;
        Memo::new(move |_| {
            query.with(|query| {
                let take = |name: &str| query.get(name).unwrap_or_default();
                Self {
                    status: take("status"),
                    trigger: take("trigger"),
                    from: take("from"),
                    to: take("to"),
                    cursor: take("cursor"),
                }
            })
        })
    }

    /// The address of a page with this filter.
    pub fn on(&self, path: &str) -> String {
        Query::new()
            .with("status", &self.status)
            .with("trigger", &self.trigger)
            .with("from", &self.from)
            .with("to", &self.to)
            .with("cursor", &self.cursor)
            .on(path)
    }

    /// What the server is asked: the viewer's days as moments.
    pub fn asked(&self) -> SyncFilter {
        let moment = |day: &str, add| format::local_midnight(day, add).map(crate::api::stamp).unwrap_or_default();
        SyncFilter {
            status: self.status.clone(),
            triggered_by: self.trigger.clone(),
            from: moment(&self.from, 0),
            to: moment(&self.to, 1),
            cursor: self.cursor.clone(),
        }
    }

    /// Whether anything is left out.
    pub fn narrows(&self) -> bool {
        [&self.status, &self.trigger, &self.from, &self.to].iter().any(|text| !text.is_empty())
    }
}

/// The form above the history.
#[component]
pub fn TimelineFilter(
    /// The filter in use.
    chosen: Memo<Chosen>,
) -> impl IntoView {
    let navigate = use_navigate();
    let path = use_location().pathname;
    let go = Callback::new(move |next: Chosen| {
        let options = NavigateOptions { scroll: false, ..NavigateOptions::default() };
        navigate(&next.on(&path.get_untracked()), options);
    });
    // Any change begins at the newest page again: a cursor belongs to its filter.
    let change = move |set: fn(&mut Chosen, String), value: String| {
        let mut next = Chosen { cursor: String::new(), ..chosen.get_untracked() };
        set(&mut next, value);
        go.run(next);
    };
    let statuses =
        SyncStatus::ALL.iter().map(|status| (status.as_str(), sentence::status(*status))).collect::<Vec<_>>();
    let triggers = TriggeredBy::ALL.iter().map(|one| (one.as_str(), sentence::trigger(*one))).collect::<Vec<_>>();
    view! {
        <form class="filters" role="search" aria-label=tr!(history.filter) on:submit=|event| event.prevent_default()>
            <div class="ds-field">
                <label class="ds-label" for="filter-status">{tr!(history.status)}</label>
                <select class="ds-input" id="filter-status" prop:value=move || chosen.get().status
                    on:change=move |event| change(|chosen, value| chosen.status = value, event_target_value(&event))>
                    <option value="">{tr!(history.all)}</option>
                    {options(statuses, &chosen.get_untracked().status)}
                </select>
            </div>
            <div class="ds-field">
                <label class="ds-label" for="filter-trigger">{tr!(history.trigger)}</label>
                <select class="ds-input" id="filter-trigger" prop:value=move || chosen.get().trigger
                    on:change=move |event| change(|chosen, value| chosen.trigger = value, event_target_value(&event))>
                    <option value="">{tr!(history.all)}</option>
                    {options(triggers, &chosen.get_untracked().trigger)}
                </select>
            </div>
            <div class="ds-field">
                <label class="ds-label" for="filter-from">{tr!(history.from)}</label>
                <input class="ds-input" id="filter-from" type="date" prop:value=move || chosen.get().from
                    on:change=move |event| change(|chosen, value| chosen.from = value, event_target_value(&event)) />
            </div>
            <div class="ds-field">
                <label class="ds-label" for="filter-to">{tr!(history.to)}</label>
                <input class="ds-input" id="filter-to" type="date" prop:value=move || chosen.get().to
                    on:change=move |event| change(|chosen, value| chosen.to = value, event_target_value(&event)) />
            </div>
            {move || chosen.get().narrows().then(|| view! {
                <button type="button" class="ds-button" data-variant="tertiary" on:click=move |_| go.run(Chosen::default())>{tr!(history.clear)}</button>
            })}
        </form>
    }
}

fn options(choices: Vec<(&'static str, String)>, chosen: &str) -> impl IntoView + use<> {
    choices
        .into_iter()
        .map(|(value, text)| view! { <option value=value selected=value == chosen>{text}</option> })
        .collect_view()
}
