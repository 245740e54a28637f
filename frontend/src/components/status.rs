//! A sync's status as shape, word and colour.

use domain::sync_log::SyncStatus;
use leptos::prelude::*;

use crate::sentence;

/// Shape, word and colour of a status.
#[component]
pub fn StatusTag(
    /// The status.
    status: SyncStatus,
) -> impl IntoView {
    let (color, path) = match status {
        SyncStatus::Success | SyncStatus::RetriedSuccess => ("success", "m5 12.500 4.500 4.500L19 7.500"),
        SyncStatus::Failed | SyncStatus::RetriedFailed => ("danger", "m6 6 12 12M18 6 6 18"),
        SyncStatus::Pending => ("info", "M12 7v5l3.500 2M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z"),
        SyncStatus::InProgress => ("info", "M20 12a8 8 0 1 1-2.500-5.800M20 4v4h-4"),
    };
    view! {
        <span class="ds-tag status-tag" data-color=color data-size="sm" data-status=status.as_str()>
            <svg class="icon" viewBox="0 0 24 24" width="20" height="20" fill="none" stroke="currentColor" stroke-width="2.500"
                stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">
                <path d=path />
            </svg>
            {sentence::status(status)}
        </span>
    }
}
