//! "Retry failed records": says what will happen, asks once, then shows how it goes and how it ended.

use api_types::ErrorCode;
use api_types::records::RetryPreview;
use leptos::prelude::*;
use leptos::task::spawn_local;
use uuid::Uuid;

use super::retry_outcome::Following;
use super::{Dialog, ErrorView, Loaded};
use crate::api::ApiError;
use crate::format::{self, Intl};
use crate::remote::Remote;
use crate::sentence;
use crate::session::use_session;

/// A retry that is being asked for or followed. It belongs to the page and not to the failure it began at: a retry that
/// succeeds takes the failure away, and its result has to stay.
#[derive(Clone, Copy)]
pub struct Retrying {
    open: RwSignal<bool>,
    sync: RwSignal<Option<Uuid>>,
    asks: RwSignal<bool>,
}

impl Retrying {
    /// None.
    pub fn new() -> Self {
        Self { open: RwSignal::new(false), sync: RwSignal::new(None), asks: RwSignal::new(false) }
    }

    /// Begins one; `asks` where nothing failed, and the external system is only asked what became of records.
    pub fn begin(self, sync: Uuid, asks: bool) {
        self.sync.set(Some(sync));
        self.asks.set(asks);
        self.open.set(true);
    }
}

/// The dialog.
#[component]
pub fn RetryDialog(
    /// The retry.
    retrying: Retrying,
    /// Called when records may have changed.
    #[prop(into)]
    changed: Callback<()>,
) -> impl IntoView {
    let open = retrying.open;
    let asks = retrying.asks;
    view! {
        <Dialog open=open title=Signal::derive(move || if asks.get() { tr!(retry.ask_now) } else { tr!(retry.button) })>
            {move || retrying.sync.get().map(|sync| view! { <Steps sync asks open changed /> })}
        </Dialog>
    }
}

#[component]
fn Steps(sync: Uuid, asks: RwSignal<bool>, open: RwSignal<bool>, changed: Callback<()>) -> impl IntoView {
    let session = use_session();
    // Whether a retry was asked for and is followed.
    let following = RwSignal::new(false);
    let error = RwSignal::new(None::<ApiError>);
    let busy = RwSignal::new(false);
    // One key per dialog: a double click, or a click after a lost answer, starts one retry.
    let key = crate::browser::uuid();
    let preview = Remote::new(move || async move { session.client().retry_preview(sync).await });
    let start = Callback::new(move |()| {
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        error.set(None);
        spawn_local(async move {
            let client = session.client();
            let mut answer = client.request_retry(sync, key).await;
            // Somebody else was faster: their retry is followed.
            if let Err(refusal) = &answer
                && refusal.code() == Some(ErrorCode::AlreadyActive)
                && let Ok(known) = client.sync(sync).await
                && known.status.is_active()
            {
                answer = Ok(known);
            }
            if busy.try_set(false).is_some() {
                return;
            }
            match answer {
                Ok(_) => following.set(true),
                Err(refusal) => {
                    error.set(Some(refusal));
                    preview.reload();
                }
            }
        });
    });
    view! {
        <div class="stack">
            {move || error.get().map(|error| view! { <ErrorView error /> })}
            {move || if following.get() {
                view! { <Following sync open changed /> }.into_any()
            } else {
                view! {
                    <Loaded remote=preview rows=3 let:preview>
                        <Offer preview=preview asks busy start open />
                    </Loaded>
                }.into_any()
            }}
        </div>
    }
}

#[component]
fn Offer(
    #[prop(into)] preview: Signal<RetryPreview>,
    asks: RwSignal<bool>,
    busy: RwSignal<bool>,
    start: Callback<()>,
    open: RwSignal<bool>,
) -> impl IntoView {
    let count = move || preview.with(|preview| preview.records);
    let asked = move || preview.with(|preview| preview.asked);
    let in_scope = move || preview.with(RetryPreview::in_scope);
    // Of records that were accepted nothing leaves again, whatever the external system says of them.
    let only_asks = move || asks.get() && count() == 0;
    let lines = move || {
        // That they are asked for has been said.
        let asked = if only_asks() { 0 } else { asked() };
        preview.with(|preview| sentence::preview(&RetryPreview { asked, ..*preview }, &Intl))
    };
    let doubtful = move || preview.with(|preview| preview.records > 0 && preview.changed == 0);
    view! {
        <div class="stack" data-testid="retry-preview">
            <p class="lead">
                {move || match (count(), asked()) {
                    (0, 0) => tr!(retry.nothing),
                    (0, asked) if only_asks() => tr!(retry.only_asks, count = asked, n = format::number(asked)),
                    (0, asked) => tr!(retry.will_ask, count = asked, n = format::number(asked)),
                    (count, _) => tr!(retry.will_send, count = count, n = format::number(count)),
                }}
            </p>
            <ul class="preview-lines">
                {move || lines().into_iter().map(|line| view! { <li>{line}</li> }).collect_view()}
            </ul>
            {move || doubtful().then(|| view! {
                <p class="ds-alert" data-color="warning" data-size="sm">{tr!(retry.doubtful)}</p>
            })}
            <p class="subtle">{tr!(retry.safe)}</p>
            <div class="actions">
                {move || (in_scope() > 0).then(|| view! {
                    <button type="button" class="ds-button" data-testid="retry-confirm" on:click=move |_| start.run(())
                        aria-busy=move || busy.get().to_string() aria-disabled=move || busy.get().to_string()>
                        {move || match (count(), asked()) {
                            (0, asked) => tr!(retry.ask, count = asked, n = format::number(asked)),
                            (count, _) => tr!(retry.confirm, count = count, n = format::number(count)),
                        }}
                    </button>
                })}
                <button type="button" class="ds-button" data-variant="tertiary" on:click=move |_| open.set(false)>
                    {move || if in_scope() > 0 { tr!(common.cancel) } else { tr!(common.close) }}
                </button>
            </div>
        </div>
    }
}
