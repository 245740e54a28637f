//! What is around every page: skip link, header, live region, the way back in when a session has ended.

use leptos::prelude::*;

use super::integration::IntegrationPage;
use super::integrations::IntegrationsPage;
use super::notifications::NotificationsPage;
use super::record::RecordPage;
use super::sync::SyncPage;
use crate::components::{Announcer, Clock, Dialog, Header, LoginForm, Unread};
use crate::format;
use crate::live::Live;
use crate::page::Page;
use crate::session::{Phase, use_session};

/// The signed-in dashboard.
#[component]
pub fn Shell(
    /// The page at the address.
    page: Memo<Option<Page>>,
) -> impl IntoView {
    let session = use_session();
    let announcer = Announcer::new();
    provide_context(announcer);
    provide_context(Clock::start());
    provide_context(Live::open(session.client()));
    provide_context(Unread::watch());
    // A new page is announced by moving the focus to it, as a browser does when it loads one.
    Effect::new(move |before: Option<()>| {
        page.track();
        if before.is_some() {
            crate::browser::focus("main");
        }
    });
    view! {
        <a class="ds-skip-link" href="#main" rel="external">{tr!(header.skip)}</a>
        <Header />
        <main id="main" class="page" tabindex="-1">
            {move || match page.get() {
                Some(Page::Integrations) => view! { <IntegrationsPage /> }.into_any(),
                Some(Page::Integration(id)) => view! { <IntegrationPage id /> }.into_any(),
                Some(Page::Sync(id)) => view! { <SyncPage id /> }.into_any(),
                Some(Page::Record { kind, id }) => view! { <RecordPage kind id /> }.into_any(),
                Some(Page::Notifications) => view! { <NotificationsPage /> }.into_any(),
                Some(Page::SignIn) => ().into_any(),
                None => view! { <NotFound /> }.into_any(),
            }}
        </main>
        <footer class="site-footer">
            <p>{tr!(footer.zone, zone = format::zone())}</p>
        </footer>
        {announcer.region()}
        <SessionEnded />
    }
}

#[component]
fn NotFound() -> impl IntoView {
    super::titled(|| tr!(not_found.title));
    view! {
        <h1 class="ds-heading" data-size="md">{tr!(not_found.title)}</h1>
        <p>{tr!(not_found.text)}</p>
        <p><a class="ds-link" href=Page::Integrations.path()>{tr!(integrations.title)}</a></p>
    }
}

/// Signing in again on top of the page, so that nothing on it is lost.
#[component]
fn SessionEnded() -> impl IntoView {
    let session = use_session();
    let open = RwSignal::new(false);
    Effect::new(move |_| open.set(session.phase.get() == Phase::Expired));
    view! {
        <Dialog open=open closable=false title=Signal::derive(|| tr!(login.again_title))>
            <div class="stack">
                <p>{tr!(login.again_text)}</p>
                <LoginForm email=session.me.with_untracked(|me| me.as_ref().and_then(|me| me.email.clone())).unwrap_or_default()
                    organization=session.identity().map(|(_, organization)| organization).unwrap_or_default()
                    done=move |()| {} />
                <button type="button" class="ds-button" data-variant="tertiary" on:click=move |_| session.give_up()>{tr!(login.leave)}</button>
            </div>
        </Dialog>
    }
}
