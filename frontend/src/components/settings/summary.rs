//! The settings of an integration, to read.

use api_types::integrations::Integration;
use domain::integration::{PartialFailure, Runner};
use leptos::prelude::*;

use crate::components::{Time, fact};
use crate::{format, sentence};

/// All that is set.
pub(super) fn summary(integration: &Integration) -> impl IntoView + use<> {
    let hours = i64::from(integration.freshness_hours);
    let threshold = i64::from(integration.failure_threshold);
    let schedule = integration.schedule.as_ref().map(|schedule| (schedule.cron.clone(), schedule.time_zone.clone()));
    view! {
        <dl class="facts">
            {fact(tr!(settings.connector), view! { {sentence::connector(integration.summary.connector_type)} })}
            {fact(tr!(settings.sync_type), view! { {sentence::sync_type(integration.summary.sync_type)} })}
            {fact(tr!(settings.runner), view! { {match integration.summary.runner {
                Runner::Managed => tr!(settings.managed),
                Runner::External => tr!(settings.external),
            }} })}
            {fact(tr!(settings.schedule), view! { {match schedule {
                Some((cron, zone)) => view! { <code>{cron}</code> " (" {zone} ")" }.into_any(),
                None => tr!(settings.no_schedule).into_any(),
            }} })}
            {fact(tr!(settings.freshness), view! {
                {tr!(settings.hours, count = hours, n = format::number(hours))}
                {integration.business_days_only.then(|| view! { " · " {tr!(settings.business_days)} })}
             })}
            {fact(tr!(settings.threshold), view! { {tr!(settings.failures, count = threshold, n = format::number(threshold))} })}
            {fact(tr!(settings.partial), view! { {match integration.partial_failure {
                PartialFailure::Error => tr!(settings.partial_error),
                PartialFailure::Warning => tr!(settings.partial_warning),
            }} })}
            {fact(tr!(settings.credentials), view! { {if integration.has_credentials { tr!(settings.kept) } else { tr!(settings.not_kept) }} })}
            {integration.record_url_template.clone().map(|template| view! { {fact(tr!(settings.record_url), view! { <code class="break">{template}</code> })} })}
            {webhook(integration)}
            {fact(tr!(settings.changed), view! { <Time at=integration.updated_at full=true /> })}
        </dl>
    }
}

/// Where an external runner is told about retries.
fn webhook(integration: &Integration) -> Option<impl IntoView + use<>> {
    let url = integration.retry_webhook_url.clone();
    let disabled = integration.retry_webhook_disabled_at;
    (integration.summary.runner == Runner::External).then(|| {
        let shown = match url {
            Some(url) => view! { <code class="break">{url}</code> }.into_any(),
            None => tr!(settings.no_webhook).into_any(),
        };
        let gone = disabled.map(|at| view! { " · " {tr!(settings.webhook_gone)} " " <Time at full=true /> });
        fact(tr!(settings.webhook), view! { {shown} {gone} })
    })
}
