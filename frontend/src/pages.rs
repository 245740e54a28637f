//! One module per page, and the shell around them.

mod integration;
mod integrations;
mod notifications;
mod record;
mod shell;
mod sign_in;
mod sync;

pub use shell::Shell;
pub use sign_in::SignIn;

use leptos::prelude::*;

/// Keeps the document's title.
fn titled(title: impl Fn() -> String + 'static) {
    Effect::new(move |_| crate::browser::set_title(&format!("{} – Syncwatch", title())));
}
