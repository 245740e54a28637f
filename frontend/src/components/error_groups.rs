//! Failed records by what went wrong: the groups first, then their records, then each record's own story.

use api_types::records::{ErrorGroup, RecordOutcomeItem};
use domain::record::RecordOutcome;
use leptos::prelude::*;
use leptos::task::spawn_local;
use uuid::Uuid;

use super::{ErrorView, Loaded, RecordDetail, Resolving, Skeleton};
use crate::api::{ApiError, Client};
use crate::format::{self, Intl};
use crate::remote::Remote;
use crate::sentence;
use crate::session::use_session;

/// Records fetched at a time.
const STEP: u16 = 100;

/// The records of a sync that have been fetched so far: of one outcome, or of one group of failed ones.
#[derive(Clone, Copy)]
pub struct Failed {
    /// The records.
    pub records: RwSignal<Vec<RecordOutcomeItem>>,
    next: RwSignal<Option<String>>,
    error: RwSignal<Option<ApiError>>,
    busy: RwSignal<bool>,
    asked: RwSignal<bool>,
    wanted: StoredValue<Wanted>,
    sync: Uuid,
    client: Client,
}

/// Which records.
#[derive(Clone)]
enum Wanted {
    Outcome(RecordOutcome),
    Group(String),
}

impl Failed {
    /// Those of one outcome; nothing is fetched yet.
    pub fn new(sync: Uuid, outcome: RecordOutcome) -> Self {
        Self::of(sync, Wanted::Outcome(outcome))
    }

    /// Those of a group; nothing is fetched yet.
    fn of_group(sync: Uuid, fingerprint: String) -> Self {
        Self::of(sync, Wanted::Group(fingerprint))
    }

    fn of(sync: Uuid, wanted: Wanted) -> Self {
        Self {
            records: RwSignal::new(Vec::new()),
            next: RwSignal::new(None),
            error: RwSignal::new(None),
            busy: RwSignal::new(false),
            asked: RwSignal::new(false),
            wanted: StoredValue::new(wanted),
            sync,
            client: use_session().client(),
        }
    }

    /// Fetches the first records, unless that was done.
    pub fn open(self) {
        if !self.asked.get_untracked() {
            self.asked.set(true);
            self.fetch(String::new());
        }
    }

    /// Fetches the next ones.
    pub fn more(self) {
        if let Some(cursor) = self.next.get_untracked() {
            self.fetch(cursor);
        }
    }

    /// Fetches the first ones again, if they were fetched at all.
    pub fn refresh(self) {
        if self.asked.get_untracked() {
            self.fetch(String::new());
        }
    }

    fn fetch(self, cursor: String) {
        if self.busy.get_untracked() {
            return;
        }
        let (client, sync, wanted) = (self.client, self.sync, self.wanted.get_value());
        self.busy.set(true);
        spawn_local(async move {
            let answer = match &wanted {
                Wanted::Outcome(outcome) => client.records(sync, Some(*outcome), &cursor, STEP).await,
                Wanted::Group(fingerprint) => client.group_records(sync, fingerprint, &cursor, STEP).await,
            };
            if self.busy.try_set(false).is_some() {
                return;
            }
            match answer {
                Ok(page) => {
                    self.error.set(None);
                    self.next.set(page.next_cursor);
                    if cursor.is_empty() {
                        self.records.set(page.items);
                    } else {
                        self.records.update(|records| records.extend(page.items));
                    }
                }
                Err(error) => self.error.set(Some(error)),
            }
        });
    }
}

/// The groups of a sync's failed records.
#[component]
pub fn ErrorGroups(
    /// The sync.
    sync: Uuid,
    /// The groups.
    groups: Remote<Vec<ErrorGroup>>,
    /// Rises whenever records may have changed.
    version: RwSignal<u32>,
    /// Where a decision about a record begins.
    resolving: Resolving,
) -> impl IntoView {
    view! {
        <Loaded remote=groups rows=3 let:groups>
            <ul class="plain-list groups" data-testid="error-groups">
                <For each=move || groups.get() key=|group| (group.fingerprint.clone(), group.message.clone(), group.count) let:group>
                    <li><Group sync group version resolving /></li>
                </For>
            </ul>
        </Loaded>
    }
}

#[component]
fn Group(sync: Uuid, group: ErrorGroup, version: RwSignal<u32>, resolving: Resolving) -> impl IntoView {
    let field = group.field_name.clone().or_else(|| group.field.clone());
    let cause = sentence::cause(&group.code, group.class);
    let summary = tr!(group.summary, records = sentence::records(group.count, &Intl), message = group.message.clone());
    let members = Failed::of_group(sync, group.fingerprint);
    Effect::new(move |before: Option<u32>| {
        let now = version.get();
        if before.is_some_and(|before| before != now) {
            members.refresh();
        }
        now
    });
    let opened = RwSignal::new(false);
    view! {
        <details class="ds-details group" on:toggle=move |_| { opened.set(true); members.open(); }>
            <summary>
                <span class="group-title">
                    <span class="strong break" lang="">{summary}</span>
                    {field.map(|field| view! { <span class="subtle">{tr!(group.field)} " " <code>{field}</code></span> })}
                    {cause.map(|cause| view! { <span class="subtle" data-testid="group-cause">{cause}</span> })}
                </span>
            </summary>
            <div>
                {move || opened.get().then(|| view! {
                    <RecordList sync records=members.records failed=members resolving />
                })}
            </div>
        </details>
    }
}

/// Records that can be expanded.
#[component]
pub fn RecordList(
    /// The sync they belong to.
    sync: Uuid,
    /// The records.
    #[prop(into)]
    records: Signal<Vec<RecordOutcomeItem>>,
    /// Where more come from.
    failed: Failed,
    /// Where a decision about a record begins.
    resolving: Resolving,
) -> impl IntoView {
    let shown = move || i64::try_from(records.with(Vec::len)).unwrap_or(0);
    view! {
        <ul class="plain-list records">
            <For each=move || records.get()
                key=|record| (record.source_record_type.clone(), record.source_record_id, record.updated_at, record.outcome, record.state, record.resolution.is_some())
                let:record>
                <li><RecordDetail sync record resolving /></li>
            </For>
        </ul>
        {move || failed.error.get().map(|error| view! { <ErrorView error retry=Callback::new(move |()| failed.refresh()) /> })}
        {move || (failed.busy.get() && shown() == 0).then(|| view! { <Skeleton rows=2 /> })}
        {move || (!failed.busy.get() && failed.next.get().is_some()).then(|| view! {
            <button type="button" class="ds-button" data-variant="secondary" data-size="sm" on:click=move |_| failed.more()>
                {tr!(common.more)} " (" {format::number(shown())} ")"
            </button>
        })}
    }
}
