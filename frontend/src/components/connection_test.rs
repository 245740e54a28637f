//! Trying the connection to an external system, and what was found in plain words.

use api_types::integrations::{ConnectionTest, SourceTest};
use leptos::prelude::*;
use leptos::task::spawn_local;
use serde_json::Value;
use uuid::Uuid;

use super::{ErrorView, fact};
use crate::api::{ApiError, Client};
use crate::session::use_session;
use crate::{format, sentence};

/// The trial of an integration's connection.
#[derive(Clone, Copy)]
pub struct Testing {
    id: Uuid,
    client: Client,
    /// Whether one is under way.
    pub busy: RwSignal<bool>,
    /// Why there was none.
    pub error: RwSignal<Option<ApiError>>,
    found: RwSignal<Option<ConnectionTest>>,
}

impl Testing {
    /// None yet.
    pub fn new(id: Uuid) -> Self {
        Self {
            id,
            client: use_session().client(),
            busy: RwSignal::new(false),
            error: RwSignal::new(None),
            found: RwSignal::new(None),
        }
    }

    /// Tries it, with these credentials or those that are kept.
    pub fn begin(self, credentials: Option<Value>) {
        if self.busy.get_untracked() {
            return;
        }
        self.forget();
        self.busy.set(true);
        spawn_local(async move {
            let answer = self.client.test_integration(self.id, credentials).await;
            if self.busy.try_set(false).is_some() {
                return;
            }
            match answer {
                Ok(found) => self.found.set(Some(found)),
                Err(refusal) => self.error.set(Some(refusal)),
            }
        });
    }

    /// Forgets what was found.
    pub fn forget(self) {
        self.error.set(None);
        self.found.set(None);
    }
}

/// What the trial found.
#[component]
pub fn ConnectionResult(
    /// The trial.
    testing: Testing,
) -> impl IntoView {
    view! {
        <div role="status" data-testid="connection-test">
            {move || testing.busy.get().then(|| view! { <p class="subtle">{tr!(connection.busy)}</p> })}
            {move || testing.found.get().map(|found| finding(&found))}
        </div>
        {move || testing.error.get().map(|error| view! { <ErrorView error /> })}
    }
}

fn finding(found: &ConnectionTest) -> impl IntoView + use<> {
    // Named only where there are two.
    let target = found.source.as_ref().map(|_| tr!(credentials.target));
    let words = sentence::connection(&found.code);
    let source = found.source.clone().map(|SourceTest { ok, code, message, duration_ms }| {
        let words = sentence::source_test(ok, &code);
        part(Some(tr!(credentials.source)), ok, &code, words, message, None, duration_ms)
    });
    view! {
        {part(target, found.ok, &found.code, words, found.message.clone(), found.http_status_code, found.duration_ms)}
        {source}
    }
}

fn part(
    of: Option<String>,
    ok: bool,
    code: &str,
    words: String,
    message: String,
    status: Option<i16>,
    millis: i64,
) -> impl IntoView + use<> {
    let (color, title) = if ok { ("success", tr!(connection.works)) } else { ("danger", tr!(connection.fails)) };
    let title = match of {
        Some(of) => format!("{of}: {title}"),
        None => title,
    };
    let code = code.to_owned();
    view! {
        <div class="ds-alert stack-tight" data-color=color data-size="sm">
            <p class="strong">{title}</p>
            <p data-testid="connection-words">{words}</p>
            <p class="subtle small break" lang="en">{message}</p>
            <dl class="facts">
                {fact(tr!(connection.code), view! { <code class="break">{code}</code> })}
                {status.map(|status| view! { {fact(tr!(record.http_status), view! { {status} })} })}
                {fact(tr!(connection.answered_in), view! { {format::duration(millis)} })}
            </dl>
        </div>
    }
}
