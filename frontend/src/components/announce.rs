//! One live region for the whole dashboard: what it says is read aloud, politely.

use leptos::prelude::*;

/// Says things to those who listen instead of looking.
#[derive(Clone, Copy)]
pub struct Announcer {
    said: RwSignal<String>,
}

impl Announcer {
    /// A silent one.
    pub fn new() -> Self {
        Self { said: RwSignal::new(String::new()) }
    }

    /// Says something.
    pub fn say(self, text: String) {
        let _ = self.said.try_set(text);
    }

    /// The region itself.
    pub fn region(self) -> impl IntoView {
        view! { <div class="ds-sr-only" role="status" aria-live="polite">{move || self.said.get()}</div> }
    }
}

/// The announcer, from any component.
pub fn use_announcer() -> Announcer {
    expect_context::<Announcer>()
}
