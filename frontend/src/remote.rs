//! Something that is fetched, kept while it is fetched again, and shown with its loading and error states.

use std::future::Future;

use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::api::ApiError;

/// A value from the server.
///
/// The value is a signal inside a signal: the outer one changes once, when the first answer is there, so that a page is
/// built once and a later answer only changes what differs. Focus, open details and half-filled forms survive.
pub struct Remote<T: Send + Sync + 'static> {
    value: RwSignal<Option<ArcRwSignal<T>>>,
    /// Why the last request failed.
    pub error: RwSignal<Option<ApiError>>,
    /// Whether a request is under way.
    pub busy: RwSignal<bool>,
    ticks: RwSignal<u32>,
}

impl<T: Send + Sync + 'static> Clone for Remote<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Send + Sync + 'static> Copy for Remote<T> {}

impl<T: Send + Sync + 'static> Remote<T> {
    /// Fetches now, and again whenever a signal that `fetch` reads changes.
    pub fn new<F, Fut>(fetch: F) -> Self
    where
        F: Fn() -> Fut + 'static,
        Fut: Future<Output = Result<T, ApiError>> + 'static,
    {
        let remote = Self {
            value: RwSignal::new(None),
            error: RwSignal::new(None),
            busy: RwSignal::new(true),
            ticks: RwSignal::new(0),
        };
        let asked = StoredValue::new(0_u32);
        Effect::new(move |_| {
            remote.ticks.track();
            let number = asked.get_value().wrapping_add(1);
            asked.set_value(number);
            remote.busy.set(true);
            let answer = fetch();
            spawn_local(async move {
                let answer = answer.await;
                // An answer to an earlier question, or to a page that is gone.
                if asked.try_get_value() == Some(number) {
                    remote.take(answer);
                }
            });
        });
        remote
    }

    fn take(self, answer: Result<T, ApiError>) {
        self.busy.set(false);
        match answer {
            Ok(value) => {
                self.error.set(None);
                self.put(value);
            }
            Err(error) => self.error.set(Some(error)),
        }
    }

    /// Puts a value that is known by other means.
    pub fn put(self, value: T) {
        if let Some(kept) = self.value.get_untracked() {
            kept.set(value);
        } else {
            self.value.set(Some(ArcRwSignal::new(value)));
        }
    }

    /// Fetches again; what is known stays on screen.
    pub fn reload(self) {
        let _ = self.ticks.try_update(|ticks| *ticks = ticks.wrapping_add(1));
    }

    /// The value's own signal, once there is one. Tracks only that it is there.
    pub fn ready(self) -> Option<ArcRwSignal<T>> {
        self.value.get()
    }

    /// Reads the value, if there is one; tracks its changes.
    pub fn with<U>(self, read: impl FnOnce(&T) -> U) -> Option<U> {
        self.value.get().map(|value| value.with(read))
    }

    /// Reads the value without tracking it.
    pub fn peek<U>(self, read: impl FnOnce(&T) -> U) -> Option<U> {
        self.value.try_get_untracked().flatten().map(|value| value.with_untracked(read))
    }

    /// Changes the value in place.
    pub fn update(self, change: impl FnOnce(&mut T)) {
        if let Some(value) = self.value.get_untracked() {
            value.update(change);
        }
    }
}
