//! One source record's journey across all syncs, attempts and external references.

use api_types::records::{JourneyStep, RecordJourney};
use domain::record::RecordOutcome;
use leptos::prelude::*;
use uuid::Uuid;

use crate::api::ApiError;
use crate::components::{ErrorView, Skeleton, Time};
use crate::live::use_live;
use crate::page::Page;
use crate::remote::Remote;
use crate::sentence;
use crate::session::use_session;

/// The page of a source record.
#[component]
pub fn RecordPage(
    /// Its type.
    kind: String,
    /// Its id.
    id: Uuid,
) -> impl IntoView {
    let client = use_session().client();
    let title = sentence::record_type(&kind);
    let stored = StoredValue::new(kind);
    let remote = Remote::new(move || {
        let kind = stored.get_value();
        async move {
            match client.journey(&kind, id).await {
                // Nothing known of the record is an answer too.
                Err(error) if is_missing(&error) => Ok(None),
                other => other.map(Some),
            }
        }
    });
    use_live().reload_on(|event| event.kind == "sync.changed", move || remote.reload());
    let label =
        move || remote.with(|found| found.as_ref().and_then(|journey: &RecordJourney| journey.label.clone())).flatten();
    let heading = title.clone();
    super::titled(move || label().unwrap_or_else(|| title.clone()));
    view! {
        <nav class="crumbs" aria-label=tr!(common.crumbs)>
            <a class="ds-link" href=Page::Integrations.path()>{tr!(integrations.title)}</a>
        </nav>
        <h1 class="ds-heading" data-size="md">{move || label().unwrap_or_else(|| heading.clone())}</h1>
        <p class="subtle">{move || sentence::record_type(&stored.get_value())} " · " <code class="break">{id.to_string()}</code></p>
        <section class="section" aria-labelledby="journey-title">
            <h2 id="journey-title" class="ds-heading" data-size="xs">{tr!(journey.title)}</h2>
            {move || match remote.with(Clone::clone) {
                Some(Some(journey)) if !journey.items.is_empty() => view! {
                    <ol class="plain-list journey">{journey.items.into_iter().map(step).collect_view()}</ol>
                }.into_any(),
                Some(_) => view! { <p class="empty">{tr!(journey.none)}</p> }.into_any(),
                None => match remote.error.get() {
                    Some(error) => view! { <ErrorView error retry=Callback::new(move |()| remote.reload()) /> }.into_any(),
                    None => view! { <Skeleton rows=4 /> }.into_any(),
                },
            }}
        </section>
    }
}

fn is_missing(error: &ApiError) -> bool {
    match error {
        ApiError::Problem(problem) => problem.status == 404,
        ApiError::Unexpected(status) => *status == 404,
        _ => false,
    }
}

fn step(step: JourneyStep) -> impl IntoView {
    let color = match step.outcome {
        RecordOutcome::Succeeded => "success",
        RecordOutcome::Failed => "danger",
        RecordOutcome::Warning | RecordOutcome::Unknown => "warning",
        _ => "neutral",
    };
    let errors = step
        .errors
        .into_iter()
        .map(|error| {
            if let Some(doubt) = sentence::doubt(&error.code) {
                return view! { <p class="small">{doubt}</p> }.into_any();
            }
            let cause = sentence::cause(&error.code, error.class);
            let field = error.field_name.or(error.field);
            view! {
                {cause.map(|cause| view! { <p class="small">{cause}</p> })}
                <blockquote class="verbatim" lang="">{error.message}</blockquote>
                {field.map(|field| view! { <p class="subtle small">{tr!(record.field)} ": " <code>{field}</code></p> })}
            }
            .into_any()
        })
        .collect_view();
    view! {
        <li class="journey-step" data-color=color>
            <div class="title-line">
                <span class="ds-tag" data-color=color data-size="sm">{sentence::outcome(step.outcome)}</span>
                <Time at=step.updated_at full=true />
                <a class="ds-link" href=Page::Integration(step.integration_config_id).path()>{step.integration_name}</a>
                <a class="ds-link" href=Page::Sync(step.sync_id).path()>{tr!(journey.sync, attempt = (u32::from(step.attempt) + 1).to_string())}</a>
            </div>
            {errors}
            {step.external_reference_id.map(|id| view! { <p class="small">{tr!(record.external_id)} ": " <code class="break">{id}</code></p> })}
        </li>
    }
}
