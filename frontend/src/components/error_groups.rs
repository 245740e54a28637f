//! Failed records by what went wrong: the groups first, then their records, then each record's own story.

use api_types::records::{ErrorGroup, RecordOutcomeItem};
use domain::error_group::general_field;
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

/// The failed records of a sync that have been fetched so far, shared by its groups.
#[derive(Clone, Copy)]
pub struct Failed {
    /// The records.
    pub records: RwSignal<Vec<RecordOutcomeItem>>,
    next: RwSignal<Option<String>>,
    error: RwSignal<Option<ApiError>>,
    busy: RwSignal<bool>,
    asked: RwSignal<bool>,
    outcome: RecordOutcome,
    sync: Uuid,
    client: Client,
}

impl Failed {
    /// Nothing fetched yet.
    pub fn new(sync: Uuid, outcome: RecordOutcome) -> Self {
        Self {
            records: RwSignal::new(Vec::new()),
            next: RwSignal::new(None),
            error: RwSignal::new(None),
            busy: RwSignal::new(false),
            asked: RwSignal::new(false),
            outcome,
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
        let client = self.client;
        self.busy.set(true);
        spawn_local(async move {
            let answer = client.records(self.sync, Some(self.outcome), &cursor, STEP).await;
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

/// Whether a record went wrong in a group's way. The server groups messages by what they have in common, so a message
/// is compared without what looks like an id or a time.
fn belongs(record: &RecordOutcomeItem, group: &ErrorGroup) -> bool {
    if record.errors.is_empty() {
        return group.code == domain::error_group::UNSPECIFIED;
    }
    record.errors.iter().any(|error| {
        error.code == group.code
            && error.field.as_deref().map(general_field) == group.field
            && skeleton(&error.message, record) == skeleton(&group.message, &group.sample)
    })
}

fn skeleton(message: &str, record: &RecordOutcomeItem) -> String {
    let own = [record.label.as_deref(), record.external_reference_id.as_deref()];
    let message = own
        .into_iter()
        .flatten()
        .filter(|own| !own.is_empty())
        .fold(message.to_owned(), |text, own| text.replace(own, "#"));
    let words = message.split_whitespace().map(|word| {
        let digits = word.chars().filter(char::is_ascii_digit).count();
        if digits >= 6 || (digits >= 4 && word.contains([':', '-'])) { "#" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The groups of a sync's failed records.
#[component]
pub fn ErrorGroups(
    /// The sync.
    sync: Uuid,
    /// The groups.
    groups: Remote<Vec<ErrorGroup>>,
    /// The records.
    failed: Failed,
    /// Where a decision about a record begins.
    resolving: Resolving,
) -> impl IntoView {
    view! {
        <Loaded remote=groups rows=3 let:groups>
            <ul class="plain-list groups" data-testid="error-groups">
                <For each=move || groups.get() key=|group| (group.code.clone(), group.field.clone(), group.message.clone(), group.count) let:group>
                    <li><Group sync group failed resolving /></li>
                </For>
            </ul>
        </Loaded>
    }
}

#[component]
fn Group(sync: Uuid, group: ErrorGroup, failed: Failed, resolving: Resolving) -> impl IntoView {
    let field = group.field_name.clone().or_else(|| group.field.clone());
    let summary = tr!(group.summary, records = sentence::records(group.count, &Intl), message = group.message.clone());
    let group = StoredValue::new(group);
    let members = Memo::new(move |_| {
        failed.records.with(|records| {
            group
                .with_value(|group| records.iter().filter(|record| belongs(record, group)).cloned().collect::<Vec<_>>())
        })
    });
    let opened = RwSignal::new(false);
    view! {
        <details class="ds-details group" on:toggle=move |_| { opened.set(true); failed.open(); }>
            <summary>
                <span class="group-title">
                    <span class="strong break" lang="">{summary}</span>
                    {field.map(|field| view! { <span class="subtle">{tr!(group.field)} " " <code>{field}</code></span> })}
                </span>
            </summary>
            <div>
                {move || opened.get().then(|| view! {
                    <RecordList sync records=members failed resolving />
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record(label: &str, message: &str, field: Option<&str>) -> RecordOutcomeItem {
        serde_json::from_value(serde_json::json!({
            "source_record_type": "claims", "source_record_id": "00000000-0000-0000-0000-000000000001", "label": label,
            "amount": null, "currency": null, "outcome": "failed", "attempt": 0,
            "errors": [{"code": "INVALID", "message": message, "field": field}], "http_status_code": 422,
            "external_reference_id": null, "request_payload_hash": null, "updated_at": "2026-11-20T06:00:00Z",
            "state": "failed", "changed_since_failure": false, "resolution": null, "record_url": null
        }))
        .unwrap()
    }

    fn group_of(sample: &RecordOutcomeItem) -> ErrorGroup {
        let error = &sample.errors[0];
        ErrorGroup {
            code: error.code.clone(),
            field: error.field.as_deref().map(general_field),
            field_name: None,
            message: error.message.clone(),
            count: 2,
            sample: sample.clone(),
        }
    }

    #[test]
    fn a_group_holds_what_differs_only_in_ids_and_indexes() {
        let sample = record("Claim 1", "Unknown account 1234567 on 'Claim 1'", Some("/lines/0/account"));
        let group = group_of(&sample);
        assert!(belongs(&sample, &group));
        assert!(belongs(
            &record("Claim 22", "Unknown account 7654321 on 'Claim 22'", Some("/lines/3/account")),
            &group
        ));
        assert!(!belongs(&record("Claim 3", "Invalid cost center code: 9999", Some("/cost_center")), &group));
    }

    #[test]
    fn short_values_keep_groups_apart() {
        let group = group_of(&record("a", "Invalid cost center code: 9999", None));
        assert!(!belongs(&record("b", "Invalid cost center code: 8888", None), &group));
    }
}
