//! A failed sync: the external system's message, word for word, when it came, and which records it was about. And one
//! of which records await their posting.

use api_types::sync_logs::Sync;
use domain::error_group::ErrorClass;
use domain::posting::is_awaiting;
use domain::record::RecordOutcome;
use domain::sync_log::{ALL_RECORDS_FAILED, PARTIAL_FAILURE, RECORDS_NOT_ARRIVED, SyncStatus, left_records_behind};
use leptos::prelude::*;
use uuid::Uuid;

use super::error_groups::{ErrorGroups, Failed, RecordList};
use super::icons::{Icon, icon};
use super::retry_dialog::Retrying;
use super::{ResolveDialog, Resolving, Time, fact};
use crate::live::use_live;
use crate::remote::Remote;
use crate::session::use_session;
use crate::{format, sentence};

/// Whether records of a sync that has ended have not arrived, or something else made it fail.
pub fn left_undelivered(sync: &Sync) -> bool {
    sync.status.is_failure() || left_records_behind(sync.status, sync.records_failed, &sync.warnings)
}

/// Whether nothing has failed of a sync, and what has not arrived is only awaiting its posting.
pub fn only_awaits(sync: &Sync) -> bool {
    let others = || sync.warnings.iter().any(|warning| warning.code == RECORDS_NOT_ARRIVED);
    is_awaiting(sync.status, &sync.warnings) && nothing_failed(sync) && !others()
}

/// What the section about it is called: `failure` where something has failed.
pub fn left_heading(sync: &Sync, failure: String) -> String {
    if only_awaits(sync) {
        tr!(sync.awaiting)
    } else if nothing_failed(sync) {
        tr!(integrations.undelivered)
    } else {
        failure
    }
}

fn nothing_failed(sync: &Sync) -> bool {
    sync.status.is_success() && sync.records_failed.unwrap_or(0) == 0
}

/// The failure of one sync.
#[component]
pub fn Failure(
    /// The sync, kept up to date.
    #[prop(into)]
    sync: Signal<Sync>,
    /// Where a retry begins.
    retrying: Retrying,
    /// Called when records may have changed.
    #[prop(into)]
    changed: Callback<()>,
) -> impl IntoView {
    let id = sync.with_untracked(|sync| sync.id);
    let session = use_session();
    let groups = Remote::new(move || async move { session.client().error_groups(id).await });
    let version = RwSignal::new(0_u32);
    let unknown = Failed::new(id, RecordOutcome::Unknown);
    let unsent = Failed::new(id, RecordOutcome::NotAttempted);
    unknown.open();
    unsent.open();
    let refresh = move || {
        groups.reload();
        version.update(|version| *version = version.wrapping_add(1));
        unknown.refresh();
        unsent.refresh();
    };
    let resolving = Resolving::new();
    use_live().reload_on(move |event| event.data.sync_id == Some(id), refresh);
    // Another attempt or another state: other records failed, or fewer.
    Effect::new(move |before: Option<(u16, SyncStatus)>| {
        let now = sync.with(|sync| (sync.attempt, sync.status));
        if before.is_some_and(|before| before != now) {
            refresh();
        }
        now
    });
    let done = Callback::new(move |()| {
        refresh();
        changed.run(());
    });
    let retryable = Memo::new(move |_| sync.with(|sync| sync.retryable) && session.may_act());
    let awaiting = Memo::new(move |_| sync.with(only_awaits));
    let by_itself = Memo::new(move |_| sync.with(|sync| sync.next_retry_at));
    view! {
        <div class="stack failure">
            {move || sync.with(|sync| sync.status.is_failure().then(|| message(sync)))}
            {move || awaiting.get().then(|| view! {
                <p class="cause" data-testid="awaiting">{tr!(sync.awaiting_help)}</p>
            })}
            {move || by_itself.get().map(|at| view! {
                <p class="subtle" data-testid="next-retry">{tr!(retry.by_itself)} " " <Time at /></p>
            })}
            {move || retryable.get().then(|| view! {
                <div class="actions">
                    <button type="button" class="ds-button" data-testid="retry"
                        on:click=move |_| retrying.begin(id, awaiting.get_untracked())>
                        {icon(Icon::Retry)}
                        {move || if awaiting.get() { tr!(retry.ask_now) } else { tr!(retry.button) }}
                    </button>
                </div>
            })}
            <div class="stack-tight">
                <h3 class="ds-heading" data-size="2xs">
                    {move || if sync.with(nothing_failed) { tr!(sync.records) } else { tr!(failure.records) }}
                </h3>
                <ErrorGroups sync=id groups version resolving />
                <Others sync=id failed=unknown resolving title=Callback::new(|count| tr!(failure.unknown, count = count, n = format::number(count)))
                    help=tr!(failure.unknown_help) />
                <Others sync=id failed=unsent resolving title=Callback::new(|count| tr!(failure.unsent, count = count, n = format::number(count)))
                    help=tr!(failure.unsent_help) />
            </div>
            <ResolveDialog resolving done />
        </div>
    }
}

fn message(sync: &Sync) -> impl IntoView + use<> {
    let text = sync.error_message.clone().unwrap_or_default();
    let code = sync.error_code.as_deref().unwrap_or_default();
    // Where none was refused, the words are a count of Syncwatch's, and nobody else's.
    let unrefused = sync.records_failed == Some(0) && matches!(code, ALL_RECORDS_FAILED | PARTIAL_FAILURE);
    let own = unrefused || sentence::is_own(code);
    // What is wrong with the records is told with each kind of failure below.
    let cause = if unrefused {
        Some(tr!(cause.not_refused))
    } else {
        own.then(|| sentence::cause(code, ErrorClass::Other)).flatten()
    };
    view! {
        {cause.map(|cause| view! { <p class="cause" data-testid="sync-cause">{cause}</p> })}
        <figure class="complaint failure-message">
            <figcaption class="subtle">{if own { tr!(record.own_message) } else { tr!(failure.message) }}</figcaption>
            {if text.is_empty() {
                view! { <p>{tr!(failure.no_message)}</p> }.into_any()
            } else {
                view! { <blockquote class="verbatim" lang="" data-testid="error-message">{text}</blockquote> }.into_any()
            }}
            <dl class="facts">
                {sync.completed_at.map(|at| view! { {fact(tr!(failure.time), view! { <Time at full=true /> })} })}
                {sync.error_code.clone().map(|code| view! { {fact(tr!(record.code), view! { <code class="break">{code}</code> })} })}
                {sync.http_status_code.map(|status| view! { {fact(tr!(record.http_status), view! { {status} })} })}
            </dl>
        </figure>
    }
}

/// Records that did not arrive and were not refused either.
#[component]
fn Others(
    sync: Uuid,
    failed: Failed,
    resolving: Resolving,
    title: Callback<i64, String>,
    help: String,
) -> impl IntoView {
    let count = Memo::new(move |_| i64::try_from(failed.records.with(Vec::len)).unwrap_or(0));
    let some = Memo::new(move |_| count.get() > 0);
    let opened = RwSignal::new(false);
    move || {
        some.get().then(|| {
            view! {
                <details class="ds-details group" on:toggle=move |_| opened.set(true)>
                    <summary>
                        <span class="group-title">
                            <span class="strong">{move || title.run(count.get())}</span>
                            <span class="subtle">{help.clone()}</span>
                        </span>
                    </summary>
                    <div>{move || opened.get().then(|| view! { <RecordList sync records=failed.records failed resolving /> })}</div>
                </details>
            }
        })
    }
}
