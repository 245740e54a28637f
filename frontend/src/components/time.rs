//! Moments, in the viewer's zone, with the exact time behind them.

use chrono::{DateTime, SecondsFormat, Utc};
use leptos::prelude::*;

use crate::format;

/// A ticking now, shared by everything that says how long ago something was.
#[derive(Clone, Copy)]
pub struct Clock(pub RwSignal<DateTime<Utc>>);

impl Clock {
    /// A clock that ticks every half minute while its owner lives.
    pub fn start() -> Self {
        let now = RwSignal::new(crate::browser::now());
        leptos::task::spawn_local(async move {
            loop {
                gloo_timers::future::TimeoutFuture::new(30_000).await;
                if now.try_set(crate::browser::now()).is_some() {
                    return;
                }
            }
        });
        Self(now)
    }
}

fn machine(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A moment in full or in short; hovering shows it in full with its zone.
#[component]
pub fn Time(
    /// The moment.
    at: DateTime<Utc>,
    /// To the second.
    #[prop(optional)]
    full: bool,
    /// Only hours and minutes.
    #[prop(optional)]
    clock: bool,
) -> impl IntoView {
    let text = if full {
        format::full(at)
    } else if clock {
        format::clock(at)
    } else {
        format::short(at)
    };
    let title = format!("{} ({})", format::full(at), format::zone());
    view! { <time datetime=machine(at) title=title>{text}</time> }
}

/// How long ago, or in how long, kept up to date.
#[component]
pub fn Ago(
    /// The moment.
    at: DateTime<Utc>,
) -> impl IntoView {
    let clock = expect_context::<Clock>();
    let title = format!("{} ({})", format::full(at), format::zone());
    view! { <time datetime=machine(at) title=title>{move || format::relative(at, clock.0.get())}</time> }
}
