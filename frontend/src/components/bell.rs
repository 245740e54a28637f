//! The bell: how many notifications are unread, kept up to date.

use leptos::prelude::*;

use super::icons::{Icon, icon};
use crate::components::use_announcer;
use crate::format;
use crate::live::use_live;
use crate::page::Page;
use crate::remote::Remote;
use crate::session::use_session;

/// The number of unread notifications, shared by the bell and the page.
#[derive(Clone, Copy)]
pub struct Unread(pub Remote<i64>);

impl Unread {
    /// Watches it while the owner lives.
    pub fn watch() -> Self {
        let client = use_session().client();
        let remote = Remote::new(move || async move { client.notifications("", 1).await.map(|page| page.unread) });
        use_live().reload_on(|event| event.kind == "notification.created", move || remote.reload());
        let announcer = use_announcer();
        Effect::new(move |before: Option<Option<i64>>| {
            let unread = remote.with(|unread| *unread);
            if let (Some(Some(before)), Some(unread)) = (before, unread)
                && unread > before
            {
                announcer.say(tr!(bell.new, count = unread, n = format::number(unread)));
            }
            unread
        });
        Self(remote)
    }
}

/// The bell in the header.
#[component]
pub fn Bell() -> impl IntoView {
    let unread = expect_context::<Unread>();
    let count = move || unread.0.with(|unread| *unread).unwrap_or(0);
    let label = move || tr!(bell.label, count = count(), n = format::number(count()));
    view! {
        <a class="ds-button header-button" data-variant="tertiary" data-color="neutral" href=Page::Notifications.path() aria-label=label data-testid="bell">
            {icon(Icon::Bell)}
            {move || (count() > 0).then(|| view! {
                <span class="bell-count" aria-hidden="true" data-testid="unread">{if count() > 99 { "99+".to_owned() } else { count().to_string() }}</span>
            })}
        </a>
    }
}
