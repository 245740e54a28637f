//! The router: which page is at the address, and whether somebody is signed in to see it.

use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos_router::NavigateOptions;
use leptos_router::components::{FlatRoutes, Route, Router};
use leptos_router::hooks::{use_location, use_navigate};
use leptos_router::path;

use crate::components::{ErrorView, Skeleton};
use crate::page::Page;
use crate::pages::{Shell, SignIn};
use crate::prefs::Prefs;
use crate::session::{Phase, Session};

/// The whole dashboard.
#[component]
pub fn App() -> impl IntoView {
    let prefs = Prefs::new();
    let session = Session::new(prefs);
    provide_context(prefs);
    provide_context(session);
    spawn_local(session.start());
    view! {
        <Router>
            <FlatRoutes fallback=Gate>
                <Route path=path!("/*any") view=Gate />
            </FlatRoutes>
        </Router>
    }
}

/// Lets the signed-in in and everybody else sign in first.
#[component]
fn Gate() -> impl IntoView {
    let prefs = expect_context::<Prefs>();
    let session = expect_context::<Session>();
    let path = use_location().pathname;
    let page = Memo::new(move |_| Page::parse(&path.get()));
    let navigate = use_navigate();
    // An expired session keeps what is on screen; only a person who is not known at all is sent to sign in.
    let inside = Memo::new(move |_| match session.phase.get() {
        Phase::Starting => Inside::Starting,
        Phase::SignedOut => Inside::No,
        Phase::SignedIn | Phase::Expired => {
            session.identity().map_or(Inside::No, |(person, organization)| Inside::Yes(person, organization))
        }
        Phase::Unreachable(_) => Inside::Unreachable,
    });
    Effect::new(move |_| {
        let replace = NavigateOptions { replace: true, ..NavigateOptions::default() };
        match (inside.get(), page.get()) {
            (Inside::No, Some(Page::SignIn)) => {}
            (Inside::No, _) => navigate(&Page::sign_in_for(&crate::browser::address()), replace),
            (Inside::Yes(..), Some(Page::SignIn)) => {
                let to = crate::browser::query("to");
                navigate(&Page::target(to.as_deref()), replace);
            }
            _ => {}
        }
    });
    move || {
        // A change of language builds everything anew.
        prefs.locale.track();
        match inside.get() {
            Inside::Starting => view! { <main class="page narrow"><Skeleton rows=5 /></main> }.into_any(),
            Inside::No => view! { <SignIn /> }.into_any(),
            Inside::Yes(..) => view! { <Shell page /> }.into_any(),
            Inside::Unreachable => {
                let error = match session.phase.get() {
                    Phase::Unreachable(error) => error,
                    _ => crate::api::ApiError::Offline,
                };
                let again = Callback::new(move |()| spawn_local(session.start()));
                view! { <main class="page narrow"><h1 class="ds-heading" data-size="md">"Syncwatch"</h1><ErrorView error retry=again /></main> }.into_any()
            }
        }
    }
}

/// Who may see what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    Starting,
    No,
    Yes(uuid::Uuid, uuid::Uuid),
    Unreachable,
}
