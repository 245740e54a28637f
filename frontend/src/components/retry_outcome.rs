//! How a retry goes, and how it ended.

use api_types::attempts::Attempt;
use api_types::sync_logs::Sync;
use domain::sync_log::SyncStatus;
use leptos::prelude::*;
use leptos::task::spawn_local;
use uuid::Uuid;

use super::{ErrorView, Skeleton, only_awaits, use_announcer};
use crate::format;
use crate::live::use_live;
use crate::remote::Remote;
use crate::session::use_session;

/// Longest time between two looks at a running attempt, should the live stream be down.
const LOOK_MILLIS: u32 = 2_000;

/// What is known of the attempt that is followed.
#[derive(Clone, Debug, PartialEq)]
struct View {
    sync: Sync,
    ended: Option<Attempt>,
}

/// Follows a sync until no attempt is running any more; the latest attempt is the retry.
#[component]
pub fn Following(
    /// The sync.
    sync: Uuid,
    /// The dialog's state.
    open: RwSignal<bool>,
    /// Called when records may have changed.
    changed: Callback<()>,
) -> impl IntoView {
    let client = use_session().client();
    let announcer = use_announcer();
    let remote = Remote::new(move || async move {
        let known = client.sync(sync).await?;
        if known.status.is_active() {
            return Ok(View { sync: known, ended: None });
        }
        let ended = client.attempts(sync).await?.pop();
        Ok(View { sync: known, ended })
    });
    use_live().reload_on(move |event| event.data.sync_id == Some(sync), move || remote.reload());
    let over = Memo::new(move |_| remote.with(|view| !view.sync.status.is_active()).unwrap_or(false));
    // The stream tells of progress; a slow look beside it keeps the dialog true while the stream is down.
    spawn_local(async move {
        while over.try_get_untracked() == Some(false) {
            gloo_timers::future::TimeoutFuture::new(LOOK_MILLIS).await;
            if over.try_get_untracked() == Some(false) {
                remote.reload();
            }
        }
    });
    Effect::new(move |_| {
        if over.get() {
            if let Some(text) = remote.peek(result) {
                announcer.say(text);
            }
            changed.run(());
        }
    });
    view! {
        <div class="stack" data-testid="retry-progress">
            {move || match remote.with(Clone::clone) {
                None => match remote.error.get() {
                    Some(error) => view! { <ErrorView error retry=Callback::new(move |()| remote.reload()) /> }.into_any(),
                    None => view! { <Skeleton rows=2 /> }.into_any(),
                },
                Some(view) if over.get() => ended(&view).into_any(),
                Some(view) => running(&view).into_any(),
            }}
            <div class="actions">
                <button type="button" class="ds-button" data-variant="secondary" on:click=move |_| open.set(false)>
                    {move || if over.get() { tr!(common.close) } else { tr!(retry.background) }}
                </button>
            </div>
        </div>
    }
}

fn running(view: &View) -> impl IntoView + use<> {
    let waiting = view.sync.status == SyncStatus::Pending;
    let done = view.sync.progress.as_ref().map_or(0, |progress| progress.records_done);
    let total = view.sync.progress.as_ref().and_then(|progress| progress.records_total).filter(|total| *total > 0);
    let text = match total {
        _ if waiting => tr!(retry.waiting),
        Some(total) => tr!(retry.progress, done = format::number(done.into()), total = format::number(total.into())),
        None => tr!(retry.running),
    };
    view! {
        <p class="lead" role="status">{text}</p>
        <progress class="progress" max=total.unwrap_or(1).to_string() value=total.map(|_| done.to_string()) aria-label=tr!(retry.progress_label)></progress>
    }
}

/// Records of the retry that did not arrive, and those of which nobody knows.
fn left(view: &View) -> (i64, i64) {
    view.ended.as_ref().map_or((0, 0), |ended| {
        let failed = ended.records_failed.unwrap_or(0) + ended.records_not_attempted.unwrap_or(0);
        (failed.into(), ended.records_unknown.unwrap_or(0).into())
    })
}

/// The result in one sentence.
fn result(view: &View) -> String {
    let processed = i64::from(view.ended.as_ref().and_then(|ended| ended.records_processed).unwrap_or(0));
    let (failed, unknown) = left(view);
    let mut parts = vec![tr!(retry.delivered, count = processed, n = format::number(processed))];
    if failed > 0 {
        parts.push(tr!(retry.failed_again, count = failed, n = format::number(failed)));
    }
    if unknown > 0 {
        parts.push(tr!(retry.unknown, count = unknown, n = format::number(unknown)));
    }
    parts.join(" ")
}

fn ended(view: &View) -> impl IntoView + use<> {
    let good = view.ended.as_ref().is_some_and(|ended| ended.status.is_success());
    let message = view.ended.as_ref().and_then(|ended| ended.error_message.clone()).filter(|_| !good);
    // A success may leave records behind, where the integration takes that as a warning.
    let all = good && left(view) == (0, 0);
    let (color, title) = match (all, only_awaits(&view.sync)) {
        (_, true) => ("info", tr!(sync.awaiting)),
        (true, false) => ("success", tr!(retry.succeeded)),
        (false, false) => ("warning", tr!(retry.ended_badly)),
    };
    view! {
        <div class="ds-alert stack-tight" data-color=color data-testid="retry-result">
            <p class="strong">{title}</p>
            <p>{result(view)}</p>
            {message.map(|message| view! { <blockquote class="verbatim" lang="">{message}</blockquote> })}
        </div>
    }
}
