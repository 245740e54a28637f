//! The traffic light: a shape of its own for each, a word, and a colour.

use domain::health::{Health, Light, ReasonCode};
use leptos::prelude::*;

use crate::lights;

/// The shape: a disc with a check, a triangle, an octagon with a cross, a ring with bars or a hand.
#[component]
pub fn LightIcon(
    /// Which light.
    light: Light,
    /// Whether grey means that it is paused.
    #[prop(optional)]
    paused: bool,
) -> impl IntoView {
    let shape = match light {
        Light::Green => view! {
            <circle cx="12" cy="12" r="10" class="light-fill" />
            <path d="m7.500 12.300 3.100 3.100 6-6.300" class="light-mark" />
        }
        .into_any(),
        Light::Yellow => view! {
            <path d="M12 2.500 22.500 21h-21Z" class="light-fill" stroke="currentColor" stroke-width="1.500" stroke-linejoin="round" />
            <path d="M12 9v6M12 18v.100" class="light-mark" />
        }
        .into_any(),
        Light::Red => view! {
            <path d="M7.900 2h8.200L22 7.900v8.200L16.100 22H7.900L2 16.100V7.900Z" class="light-fill" />
            <path d="m8.500 8.500 7 7m0-7-7 7" class="light-mark" />
        }
        .into_any(),
        Light::Grey if paused => view! {
            <circle cx="12" cy="12" r="9" class="light-ring" />
            <path d="M9.700 8.500v7m4.600-7v7" class="light-line" />
        }
        .into_any(),
        Light::Grey => view! {
            <circle cx="12" cy="12" r="9" class="light-ring" stroke-dasharray="3.200 2.400" />
            <path d="M12 7.500V12l3 2" class="light-line" />
        }
        .into_any(),
    };
    view! {
        <svg class="light-icon" data-color=lights::color(light) viewBox="0 0 24 24" width="24" height="24" aria-hidden="true" focusable="false">
            {shape}
        </svg>
    }
}

/// Shape, word and colour together.
#[component]
pub fn LightTag(
    /// The health that is shown.
    #[prop(into)]
    health: Signal<Health>,
) -> impl IntoView {
    let shown = Memo::new(move |_| {
        health.with(|health| {
            (
                health.light,
                lights::word_for(health),
                health.reasons.iter().any(|reason| reason.code == ReasonCode::Paused),
            )
        })
    });
    move || {
        let (light, word, paused) = shown.get();
        view! {
            <span class="ds-tag light-tag" data-color=lights::color(light) data-testid="light" data-light=light.as_str()>
                <LightIcon light paused />
                {word}
            </span>
        }
    }
}
