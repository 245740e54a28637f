//! The states that everything fetched goes through: a skeleton, the content, an error that can be tried again.

use leptos::prelude::*;

use crate::api::ApiError;
use crate::remote::Remote;

/// Grey lines where content will be.
#[component]
pub fn Skeleton(
    /// How many.
    #[prop(default = 4)]
    rows: usize,
) -> impl IntoView {
    let lines =
        (0..rows).map(|_| view! { <div class="ds-skeleton skeleton-row" data-variant="rectangle" /> }).collect_view();
    view! {
        <div class="stack" aria-busy="true">
            <span class="ds-sr-only" role="status">{tr!(common.loading)}</span>
            {lines}
        </div>
    }
}

/// What went wrong, for people first and for the operator's log second.
#[component]
pub fn ErrorView(
    /// The error.
    error: ApiError,
    /// Tries again.
    #[prop(optional, into)]
    retry: Option<Callback<()>>,
) -> impl IntoView {
    let detail = error.detail();
    let request_id = error.request_id();
    view! {
        <div class="ds-alert stack-tight" data-color="danger" role="alert">
            <p class="strong">{move || error.title()}</p>
            {(detail.is_some() || request_id.is_some())
                .then(|| {
                    view! {
                        <details class="plain-details">
                            <summary>{tr!(error.details)}</summary>
                            {detail.map(|detail| view! { <p lang="en">{detail}</p> })}
                            {request_id.map(|id| view! { <p>{tr!(error.request_id)} " " <code>{id}</code></p> })}
                        </details>
                    }
                })}
            {retry
                .map(|retry| {
                    view! {
                        <button type="button" class="ds-button" data-variant="secondary" data-size="sm" on:click=move |_| retry.run(())>
                            {tr!(common.try_again)}
                        </button>
                    }
                })}
        </div>
    }
}

/// Shows a remote value by its state. `children` is called once, with a signal that later answers change.
#[component]
pub fn Loaded<T, F, V>(
    /// The value.
    remote: Remote<T>,
    /// How many grey lines stand for it.
    #[prop(default = 4)]
    rows: usize,
    /// What is shown of it.
    children: F,
) -> impl IntoView
where
    T: Send + Sync + 'static,
    F: Fn(RwSignal<T>) -> V + Send + 'static,
    V: IntoView + 'static,
{
    let again = Callback::new(move |()| remote.reload());
    let outdated = move || {
        remote.error.get().filter(|_| remote.ready().is_some()).map(|error| {
            view! {
                <div class="ds-alert stack-tight" data-color="warning" data-size="sm" role="status">
                    <p>{tr!(common.outdated)} " " {error.title()}</p>
                    <button type="button" class="ds-button" data-variant="secondary" data-size="sm" on:click=move |_| again.run(())>
                        {tr!(common.try_again)}
                    </button>
                </div>
            }
        })
    };
    view! {
        {outdated}
        {move || match remote.ready() {
            Some(value) => children(value.into()).into_any(),
            None => {
                match remote.error.get() {
                    Some(error) => view! { <ErrorView error retry=again /> }.into_any(),
                    None => view! { <Skeleton rows /> }.into_any(),
                }
            }
        }}
    }
}
