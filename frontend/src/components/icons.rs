//! Icons drawn here, so that nothing is fetched and every one follows the text's colour.

use leptos::prelude::*;

/// Which icon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icon {
    /// Notifications.
    Bell,
    /// The profile.
    Person,
    /// Leads to another place.
    External,
    /// Do again.
    Retry,
    /// Do now.
    Play,
    /// Hold.
    Pause,
    /// A file comes.
    Download,
    /// Older or newer.
    Back,
    /// Older or newer.
    Forward,
}

/// An icon beside a text that says the same.
pub fn icon(which: Icon) -> impl IntoView {
    let path = match which {
        Icon::Bell => "M12 3a6 6 0 0 0-6 6v4l-2 3.5h16L18 13V9a6 6 0 0 0-6-6Zm-2.3 15.5a2.4 2.4 0 0 0 4.6 0",
        Icon::Person => "M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8ZM4.5 20.5c.6-3.8 3.6-6 7.500-6s6.900 2.200 7.500 6Z",
        Icon::External => "M13 5h6v6M19 5l-8.500 8.500M17 13.500V19H5V7h5.500",
        Icon::Retry => "M19.500 12A7.500 7.500 0 1 1 17 6.400L19.500 9M19.500 4v5h-5",
        Icon::Play => "M7 4.500v15l12-7.500Z",
        Icon::Pause => "M8 5v14M16 5v14",
        Icon::Download => "M12 4v11M7.500 11l4.500 4.500 4.500-4.500M5 19.500h14",
        Icon::Back => "M14.500 5.500 8 12l6.500 6.500",
        Icon::Forward => "M9.500 5.500 16 12l-6.500 6.500",
    };
    view! {
        <svg class="icon" viewBox="0 0 24 24" width="24" height="24" fill="none" stroke="currentColor" stroke-width="1.75"
            stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" focusable="false">
            <path d=path />
        </svg>
    }
}
