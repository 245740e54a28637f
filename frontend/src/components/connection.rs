//! How the live connection fares, said quietly, and louder only when it matters.

use leptos::prelude::*;

use crate::live::{Link, use_live};

/// A dot with a word.
#[component]
pub fn Connection() -> impl IntoView {
    let live = use_live();
    view! {
        <span class="connection" role="status" data-testid="connection" data-link=move || match live.link.get() {
            Link::Up => "up",
            Link::Connecting => "connecting",
            Link::Down => "down",
        }>
            <svg class="connection-dot" viewBox="0 0 10 10" width="10" height="10" aria-hidden="true" focusable="false">
                <circle cx="5" cy="5" r="4" />
            </svg>
            {move || match live.link.get() {
                Link::Up => tr!(live.up),
                Link::Connecting => tr!(live.connecting),
                Link::Down => tr!(live.down),
            }}
        </span>
    }
}
