//! One record of a sync: what the external system said about it, and what can be done.

use api_types::records::{ClassifiedError, RecordOutcomeItem};
use domain::health::Amount;
use domain::record::{RecordOutcome, RecordState, Resolution};
use leptos::prelude::*;
use uuid::Uuid;

use super::icons::{Icon, icon};
use super::{Resolving, Time};
use crate::page::Page;
use crate::session::use_session;
use crate::{format, sentence};

/// What a record is called: its label, or its type and the end of its id.
pub fn name(record: &RecordOutcomeItem) -> String {
    record.label.clone().filter(|label| !label.is_empty()).unwrap_or_else(|| {
        let id = record.source_record_id.simple().to_string();
        format!("{} …{}", sentence::record_type(&record.source_record_type), &id[id.len() - 8..])
    })
}

fn outcome_color(outcome: RecordOutcome) -> &'static str {
    match outcome {
        RecordOutcome::Succeeded => "success",
        RecordOutcome::Warning | RecordOutcome::Unknown => "warning",
        RecordOutcome::Failed => "danger",
        _ => "neutral",
    }
}

/// A record that can be expanded.
#[component]
pub fn RecordDetail(
    /// The sync.
    sync: Uuid,
    /// The record.
    record: RecordOutcomeItem,
    /// Where a decision about it begins.
    resolving: Resolving,
) -> impl IntoView {
    let title = name(&record);
    let amount = record
        .amount
        .zip(record.currency.clone())
        .map(|(amount, currency)| format::money(&Amount { currency, amount }));
    let first =
        record.errors.first().map(|error| sentence::doubt(&error.code).unwrap_or_else(|| error.message.clone()));
    let outcome = record.outcome;
    let badges = badges(&record);
    let stored = StoredValue::new(record);
    let opened = RwSignal::new(false);
    view! {
        <details class="ds-details record" data-testid="record" on:toggle=move |_| opened.set(true)>
            <summary>
                <span class="record-summary">
                    <span class="strong break">{title}</span>
                    <span class="ds-tag" data-size="sm" data-color=outcome_color(outcome)>{sentence::outcome(outcome)}</span>
                    {badges}
                    {amount.map(|amount| view! { <span class="record-amount">{amount}</span> })}
                    {first.map(|first| view! { <span class="record-message subtle break" lang="">{first}</span> })}
                </span>
            </summary>
            <div>{move || opened.get().then(|| stored.with_value(|record| body(sync, record, resolving)))}</div>
        </details>
    }
}

fn badges(record: &RecordOutcomeItem) -> impl IntoView + use<> {
    let standing = match record.state {
        Some(RecordState::Delivered) if !record.outcome.is_delivered() => {
            Some(("success", tr!(record.delivered_since)))
        }
        Some(RecordState::Sending) => Some(("info", sentence::record_state(RecordState::Sending))),
        Some(RecordState::Handled) => Some(("neutral", sentence::record_state(RecordState::Handled))),
        // The last request was refused; what became of the one before it is still not known.
        Some(RecordState::Unknown) if record.outcome != RecordOutcome::Unknown => {
            Some(("warning", sentence::record_state(RecordState::Unknown)))
        }
        _ => None,
    };
    let changed = record.changed_since_failure.then(|| ("info", tr!(record.changed)));
    [standing, changed]
        .into_iter()
        .flatten()
        .map(|(color, text)| view! { <span class="ds-tag" data-size="sm" data-variant="outline" data-color=color>{text}</span> })
        .collect_view()
}

fn body(sync: Uuid, record: &RecordOutcomeItem, resolving: Resolving) -> impl IntoView + use<> {
    let journey = Page::Record { kind: record.source_record_type.clone(), id: record.source_record_id }.path();
    let resolution = record.resolution.clone().map(|resolution| {
        view! {
            <div class="ds-alert stack-tight" data-color="info" data-size="sm">
                <p class="strong">{sentence::resolution(resolution.resolution)}</p>
                <p class="break">{resolution.reason}</p>
                {resolution.reference.map(|reference| view! { <p>{tr!(record.reference)} ": " {reference}</p> })}
                <p class="subtle">{resolution.resolved_by} " · " <Time at=resolution.resolved_at /></p>
            </div>
        }
    });
    view! {
        <div class="stack">
            {record.errors.iter().map(|error| match sentence::doubt(&error.code) {
                Some(doubt) => view! { <p data-testid="doubt">{doubt}</p> }.into_any(),
                None => complaint(error, record.http_status_code).into_any(),
            }).collect_view()}
            {record.errors.is_empty().then(|| view! { <p class="subtle">{match record.outcome {
                RecordOutcome::Unknown => tr!(record.no_answer),
                RecordOutcome::NotAttempted => tr!(record.not_sent),
                _ => tr!(record.no_message),
            }}</p> })}
            {resolution}
            <dl class="facts">
                {fact(tr!(record.attempt), view! { {u32::from(record.attempt) + 1} })}
                {fact(tr!(record.time), view! { <Time at=record.updated_at full=true /> })}
                {record.http_status_code.filter(|_| record.errors.is_empty()).map(|status| view! { {fact(tr!(record.http_status), view! { {status} })} })}
                {record.external_reference_id.clone().map(|id| view! { {fact(tr!(record.external_id), view! { <code>{id}</code> })} })}
                {fact(tr!(record.kind), view! { {sentence::record_type(&record.source_record_type)} })}
                {fact(tr!(record.id), view! { <code class="break">{record.source_record_id.to_string()}</code> })}
            </dl>
            <div class="actions">
                {record.record_url.clone().map(|url| view! {
                    <a class="ds-button" data-variant="secondary" data-size="sm" href=url target="_blank" rel="noopener noreferrer">
                        {tr!(record.open_source)} {icon(Icon::External)}
                        <span class="ds-sr-only">{tr!(common.new_window)}</span>
                    </a>
                })}
                <a class="ds-button" data-variant="tertiary" data-size="sm" href=journey>{tr!(record.journey)}</a>
                {decisions(sync, record, resolving)}
            </div>
        </div>
    }
}

/// Which decisions a person may take about a record: none about one that has arrived or was handled.
fn decisions(sync: Uuid, record: &RecordOutcomeItem, resolving: Resolving) -> impl IntoView + use<> {
    let settled = matches!(record.state, Some(RecordState::Delivered | RecordState::Handled | RecordState::Sending));
    let unknown = record.outcome == RecordOutcome::Unknown || record.state == Some(RecordState::Unknown);
    let failed = matches!(record.outcome, RecordOutcome::Failed | RecordOutcome::NotAttempted | RecordOutcome::Unknown);
    // One that is no longer at its source has not arrived either, and no retry takes it.
    let open = failed || (record.outcome == RecordOutcome::Skipped && record.state == Some(RecordState::Failed));
    let offered: &[Resolution] = match (use_session().may_act() && open && !settled, unknown) {
        (false, _) => &[],
        (true, true) => &[Resolution::Delivered, Resolution::SendAgain, Resolution::HandledManually],
        (true, false) => &[Resolution::HandledManually],
    };
    offered
        .iter()
        .map(|resolution| {
            let record = record.clone();
            let text = match resolution {
                Resolution::HandledManually => tr!(resolve.handled_button),
                Resolution::Delivered => tr!(resolve.delivered_button),
                Resolution::SendAgain => tr!(resolve.send_again_button),
            };
            view! {
                <button type="button" class="ds-button" data-variant="secondary" data-size="sm"
                    on:click=move |_| resolving.begin(sync, record.clone(), *resolution)>
                    {text}
                </button>
            }
        })
        .collect_view()
}

fn complaint(error: &ClassifiedError, http_status: Option<i16>) -> impl IntoView + use<> {
    let cause = sentence::cause(&error.code, error.class);
    let says = if sentence::is_own(&error.code) { tr!(record.own_message) } else { tr!(record.message) };
    let field = error.field_name.clone().or_else(|| error.field.clone());
    let pointer = error.field.clone().filter(|_| error.field_name.is_some());
    view! {
        {cause.map(|cause| view! { <p class="cause" data-testid="cause">{cause}</p> })}
        <figure class="complaint">
            <figcaption class="subtle">{says}</figcaption>
            <blockquote class="verbatim" lang="">{error.message.clone()}</blockquote>
            <dl class="facts">
                {field.map(|field| view! {
                    {fact(tr!(record.field), view! {
                        <code class="break" data-testid="field">{field}</code>
                        {pointer.map(|pointer| view! { " " <span class="subtle">"(" <code class="break">{pointer}</code> ")"</span> })}
                     })}
                })}
                {fact(tr!(record.code), view! { <code class="break">{error.code.clone()}</code> })}
                {http_status.map(|status| view! { {fact(tr!(record.http_status), view! { {status} })} })}
                {(!error.hints.is_empty()).then(|| view! { {fact(tr!(record.hints), view! { {error.hints.join(", ")} })} })}
            </dl>
        </figure>
    }
}

/// One line of a list of facts.
pub fn fact(name: String, value: impl IntoView) -> impl IntoView {
    view! {
        <div class="fact">
            <dt>{name}</dt>
            <dd>{value}</dd>
        </div>
    }
}
