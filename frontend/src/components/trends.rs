//! How an integration has fared over 7, 30 and 90 days.

use api_types::trends::{TrendBucket, Trends as Found};
use leptos::prelude::*;
use uuid::Uuid;

use super::Loaded;
use super::charts::{Chart, Series, Shape};
use crate::chart::{count, failure_rate};
use crate::format;
use crate::live::use_live;
use crate::remote::Remote;
use crate::session::use_session;

/// The periods offered, in days.
const PERIODS: [i64; 3] = [7, 30, 90];

/// Durations, records and failures over a period.
#[component]
pub fn Trends(
    /// The integration.
    integration: Uuid,
) -> impl IntoView {
    let client = use_session().client();
    let days = RwSignal::new(30_i64);
    let trends = Remote::new(move || {
        let days = days.get();
        async move {
            let now = crate::browser::now();
            client.trends(integration, now - chrono::Duration::days(days - 1), now).await
        }
    });
    use_live().reload_on(move |event| event.data.integration_config_id == Some(integration), move || trends.reload());
    view! {
        <fieldset class="ds-toggle-group period" data-size="sm">
            <legend class="ds-sr-only">{tr!(trends.period)}</legend>
            {PERIODS.map(|period| view! {
                <label class="ds-button" data-variant="tertiary" data-size="sm">
                    <input type="radio" name="period" value=period.to_string() prop:checked=move || days.get() == period
                        on:change=move |_| days.set(period) />
                    {tr!(trends.days, count = period, n = format::number(period))}
                </label>
            }).collect_view()}
        </fieldset>
        <Loaded remote=trends rows=5 let:trends>
            {move || trends.with(charts)}
        </Loaded>
    }
}

fn charts(found: &Found) -> impl IntoView + use<> {
    let items = &found.items;
    if items.iter().all(|bucket| bucket.syncs == 0) {
        return view! { <p class="empty">{tr!(trends.none)}</p> }.into_any();
    }
    let slots: Vec<String> = items.iter().map(|bucket| format::day_short_utc(bucket.start)).collect();
    let gaps: Vec<bool> = items.iter().map(|bucket| bucket.gap).collect();
    let series = |name: String, class, value: fn(&TrendBucket) -> Option<f64>| Series {
        name,
        class,
        values: items.iter().map(value).collect(),
    };
    let sum = |value: fn(&TrendBucket) -> i64| items.iter().map(value).sum::<i64>();
    let (syncs, failed) = (sum(|bucket| bucket.syncs), sum(|bucket| bucket.failed_syncs));
    let slowest = items.iter().filter_map(|bucket| bucket.p95_duration_ms).max().unwrap_or(0);
    let delivered = sum(|bucket| bucket.records_processed);
    view! {
        <div class="charts">
            <Chart title=tr!(trends.duration) summary=tr!(trends.duration_summary, slowest = format::duration(slowest))
                slots=slots.clone() gaps=gaps.clone() shape=Shape::Lines write=write_duration
                series=vec![
                    series(tr!(trends.p50), "series-one", |bucket| bucket.p50_duration_ms.map(count)),
                    series(tr!(trends.p95), "series-two", |bucket| bucket.p95_duration_ms.map(count)),
                ] />
            <Chart title=tr!(trends.records) summary=tr!(trends.records_summary, count = delivered, n = format::number(delivered))
                slots=slots.clone() gaps=gaps.clone() shape=Shape::Stack write=write_number
                series=vec![
                    series(tr!(outcome.succeeded), "series-good", |bucket| Some(count(bucket.records_processed))),
                    series(tr!(outcome.failed), "series-bad", |bucket| Some(count(bucket.records_failed))),
                ] />
            <Chart title=tr!(trends.failures) summary=tr!(trends.failures_summary, failed = format::number(failed), count = syncs, n = format::number(syncs))
                slots=slots gaps=gaps shape=Shape::Stack write=format::percent at_least=1.0
                series=vec![series(tr!(trends.failure_rate), "series-bad", failure_rate)] />
        </div>
    }
    .into_any()
}

#[expect(clippy::cast_possible_truncation, reason = "milliseconds on an axis")]
fn write_duration(millis: f64) -> String {
    format::duration(millis.round() as i64)
}

#[expect(clippy::cast_possible_truncation, reason = "a count on an axis")]
fn write_number(number: f64) -> String {
    format::number(number.round() as i64)
}
