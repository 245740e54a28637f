//! Live events: one stream per window, resumed where it broke off, handed to whoever listens.

use std::collections::BTreeMap;
use std::rc::Rc;

use leptos::prelude::*;
use leptos::task::spawn_local;
use web_sys::AbortController;

use crate::api::{ApiError, Client, LiveEvent};

/// How the stream fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// The first connection is being made.
    Connecting,
    /// Changes arrive as they happen.
    Up,
    /// The connection broke; it is tried again.
    Down,
}

/// What listeners hear.
#[derive(Clone, Debug)]
pub enum News {
    /// Something changed.
    Event(LiveEvent),
    /// The connection is back; anything may have changed.
    Resumed,
}

type Listener = Rc<dyn Fn(&News)>;

/// The stream of this window.
#[derive(Clone, Copy)]
pub struct Live {
    /// How it fares.
    pub link: RwSignal<Link>,
    listeners: StoredValue<BTreeMap<u32, Listener>, LocalStorage>,
    numbers: StoredValue<u32>,
}

impl Live {
    /// Opens the stream; it ends with the owner.
    pub fn open(client: Client) -> Self {
        let live = Self {
            link: RwSignal::new(Link::Connecting),
            listeners: StoredValue::new_local(BTreeMap::new()),
            numbers: StoredValue::new(0),
        };
        let abort = AbortController::new().ok();
        let closed = StoredValue::new(false);
        if let Some(abort) = abort.clone() {
            let abort = StoredValue::new_local(abort);
            on_cleanup(move || {
                abort.with_value(AbortController::abort);
            });
        }
        spawn_local(live.run(client, abort, closed));
        live
    }

    async fn run(self, client: Client, abort: Option<AbortController>, closed: StoredValue<bool>) {
        let Some(abort) = abort else { return };
        let mut last_id: Option<String> = None;
        let mut failures = 0_u32;
        let mut connected_before = false;
        while closed.try_get_value().is_some() && !abort.signal().aborted() {
            match client.events(last_id.clone(), abort.signal()).await {
                Ok(mut stream) => {
                    // What happened before the stream opened, it does not tell.
                    let behind = connected_before || failures > 0;
                    failures = 0;
                    let _ = self.link.try_set(Link::Up);
                    if behind {
                        self.tell(&News::Resumed);
                    }
                    connected_before = true;
                    while let Some(events) = stream.next().await {
                        for event in events {
                            if event.id.is_some() {
                                last_id.clone_from(&event.id);
                            }
                            self.tell(&News::Event(event));
                        }
                    }
                }
                Err(ApiError::SignedOut) => return,
                Err(_) => {
                    failures = failures.saturating_add(1);
                }
            }
            if abort.signal().aborted() {
                return;
            }
            let _ = self.link.try_set(Link::Down);
            gloo_timers::future::TimeoutFuture::new(pause_millis(failures, js_sys::Math::random())).await;
        }
    }

    fn tell(self, news: &News) {
        let listeners: Vec<Listener> =
            self.listeners.try_with_value(|all| all.values().cloned().collect()).unwrap_or_default();
        for listener in listeners {
            listener(news);
        }
    }

    /// Hears all news until the owner is gone.
    pub fn listen(self, listener: impl Fn(&News) + 'static) {
        let number = self.numbers.get_value();
        self.numbers.set_value(number.wrapping_add(1));
        self.listeners.update_value(|all| {
            all.insert(number, Rc::new(listener));
        });
        on_cleanup(move || {
            let _ = self.listeners.try_update_value(|all| all.remove(&number));
        });
    }

    /// Calls `reload` soon after news that `concerns`; a burst of news calls it once.
    pub fn reload_on(self, concerns: impl Fn(&LiveEvent) -> bool + 'static, reload: impl Fn() + Clone + 'static) {
        let waiting = StoredValue::new(false);
        self.listen(move |news| {
            let concerned = match news {
                News::Event(event) => concerns(event),
                News::Resumed => true,
            };
            if !concerned || waiting.try_get_value() != Some(false) {
                return;
            }
            waiting.set_value(true);
            let reload = reload.clone();
            spawn_local(async move {
                gloo_timers::future::TimeoutFuture::new(150).await;
                if waiting.try_update_value(|waiting| *waiting = false).is_some() {
                    reload();
                }
            });
        });
    }
}

/// How long to wait before the next try: doubling from half a second up to half a minute, half of it random.
fn pause_millis(failures: u32, random: f64) -> u32 {
    let full = 500_u32.saturating_mul(1 << failures.min(6)).min(30_000);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and half a minute")]
    let jitter = (f64::from(full / 2) * random.clamp(0.0, 1.0)) as u32;
    full / 2 + jitter
}

/// The stream, from any component.
pub fn use_live() -> Live {
    expect_context::<Live>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        assert_eq!(pause_millis(0, 0.0), 250);
        assert!(pause_millis(3, 0.5) > pause_millis(1, 0.5));
        assert!(pause_millis(60, 1.0) <= 30_000);
    }
}
