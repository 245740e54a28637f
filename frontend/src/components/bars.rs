//! The last syncs as bars, with the same in words.

use domain::health::RecentSync;
use leptos::prelude::*;

use crate::spark::{self, BAR, BARS, BASELINE, Ending, HEIGHT, STEP};
use crate::{format, sentence};

/// Bars for the last syncs, oldest to the left.
#[component]
pub fn Bars(
    /// The syncs, newest first.
    recent: Vec<RecentSync>,
) -> impl IntoView {
    let (good, warned, bad) = spark::tally(&recent);
    let label = if recent.is_empty() {
        tr!(bars.none)
    } else {
        let text = |count: usize| format::number(i64::try_from(count).unwrap_or(0));
        tr!(bars.label, total = text(recent.len()), good = text(good), warned = text(warned), bad = text(bad))
    };
    #[expect(clippy::cast_precision_loss, reason = "thirty bars")]
    let width = BARS as f64 * STEP;
    let bars = spark::bars(&recent)
        .into_iter()
        .zip(recent)
        .map(|(bar, sync)| {
            let color = match bar.ending {
                Ending::Good => "bar-good",
                Ending::Warned => "bar-warned",
                Ending::Bad => "bar-bad",
            };
            let title = format!("{} · {}", format::short(sync.started_at), sentence::status(sync.status));
            view! {
                <g class=color>
                    <title>{title}</title>
                    {(bar.up > 0.0).then(|| view! { <rect x=bar.x y=BASELINE - bar.up width=BAR height=bar.up rx="1" class="bar-up" /> })}
                    {(bar.down > 0.0).then(|| view! { <rect x=bar.x y=BASELINE + 1.0 width=BAR height=bar.down rx="1" class="bar-down" /> })}
                    {(bar.ending == Ending::Warned)
                        .then(|| view! { <circle cx=bar.x + BAR / 2.0 cy=BASELINE + 5.0 r="2" class="bar-dot" /> })}
                </g>
            }
        })
        .collect_view();
    view! {
        <svg class="bars" viewBox=format!("0 0 {width} {HEIGHT}") role="img" aria-label=label preserveAspectRatio="xMaxYMid meet">
            <line x1="0" x2=width y1=BASELINE + 0.5 y2=BASELINE + 0.5 class="bar-line" />
            {bars}
        </svg>
    }
}
