//! A person's decision about a record: booked by hand, delivered after all, or to be sent again.

use api_types::records::{RecordOutcomeItem, ResolveRecord};
use domain::record::Resolution;
use leptos::prelude::*;
use leptos::task::spawn_local;
use uuid::Uuid;

use super::{Dialog, ErrorView, record_name, use_announcer};
use crate::api::ApiError;
use crate::sentence;
use crate::session::use_session;

/// A decision that is being taken.
#[derive(Clone, Copy)]
pub struct Resolving {
    open: RwSignal<bool>,
    about: RwSignal<Option<(Uuid, RecordOutcomeItem, Resolution)>>,
}

impl Resolving {
    /// None.
    pub fn new() -> Self {
        Self { open: RwSignal::new(false), about: RwSignal::new(None) }
    }

    /// Begins one.
    pub fn begin(self, sync: Uuid, record: RecordOutcomeItem, resolution: Resolution) {
        self.about.set(Some((sync, record, resolution)));
        self.open.set(true);
    }
}

/// The dialog.
#[component]
pub fn ResolveDialog(
    /// The decision.
    resolving: Resolving,
    /// Called when it was kept.
    #[prop(into)]
    done: Callback<()>,
) -> impl IntoView {
    let title = Signal::derive(move || {
        resolving.about.with(|about| match about {
            Some((_, _, Resolution::Delivered)) => tr!(resolve.delivered_title),
            Some((_, _, Resolution::SendAgain)) => tr!(resolve.send_again_title),
            _ => tr!(resolve.handled_title),
        })
    });
    view! {
        <Dialog open=resolving.open title=title>
            {move || resolving.about.get().map(|(sync, record, resolution)| view! { <Form sync record resolution open=resolving.open done /> })}
        </Dialog>
    }
}

#[component]
fn Form(
    sync: Uuid,
    record: RecordOutcomeItem,
    resolution: Resolution,
    open: RwSignal<bool>,
    done: Callback<()>,
) -> impl IntoView {
    let session = use_session();
    let announcer = use_announcer();
    let reason = RwSignal::new(String::new());
    let reference = RwSignal::new(String::new());
    let error = RwSignal::new(None::<ApiError>);
    let busy = RwSignal::new(false);
    // One key per dialog: a second click, or a click after a lost answer, never decides twice.
    let key = crate::browser::uuid();
    let name = record_name(&record);
    let needs_reference = resolution == Resolution::Delivered;
    let explanation = match resolution {
        Resolution::HandledManually => tr!(resolve.handled_help, name = name.clone()),
        Resolution::Delivered => tr!(resolve.delivered_help, name = name.clone()),
        Resolution::SendAgain => tr!(resolve.send_again_help, name = name.clone()),
    };
    let submit_text = match resolution {
        Resolution::HandledManually => tr!(resolve.handled_button),
        Resolution::Delivered => tr!(resolve.delivered_button),
        Resolution::SendAgain => tr!(resolve.send_again_button),
    };
    let record = StoredValue::new(record);
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        error.set(None);
        let text = reference.get_untracked().trim().to_owned();
        let body = ResolveRecord {
            resolution,
            reason: reason.get_untracked().trim().to_owned(),
            reference: Some(text).filter(|text| !text.is_empty()),
        };
        let (kind, id) = record.with_value(|record| (record.source_record_type.clone(), record.source_record_id));
        let name = record.with_value(record_name);
        spawn_local(async move {
            let answer = session.client().resolve(sync, &kind, id, &body, key).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match answer {
                Ok(()) => {
                    open.set(false);
                    announcer.say(format!("{name}: {}", sentence::resolution(resolution)));
                    done.run(());
                }
                Err(refusal) => error.set(Some(refusal)),
            }
        });
    };
    view! {
        <form class="stack" on:submit=submit>
            <p>{explanation}</p>
            {move || error.get().map(|error| view! { <ErrorView error /> })}
            <div class="ds-field">
                <label class="ds-label" for="resolve-reason">{tr!(resolve.reason)}</label>
                <textarea class="ds-input" id="resolve-reason" rows="3" maxlength="1000" required
                    prop:value=move || reason.get() on:input=move |event| reason.set(event_target_value(&event))></textarea>
            </div>
            {(resolution != Resolution::SendAgain).then(|| view! {
                <div class="ds-field">
                    <label class="ds-label" for="resolve-reference">
                        {tr!(resolve.reference)}
                        {(!needs_reference).then(|| view! { <span class="subtle">" " {tr!(common.optional)}</span> })}
                    </label>
                    <input class="ds-input" id="resolve-reference" maxlength="200" required=needs_reference
                        prop:value=move || reference.get() on:input=move |event| reference.set(event_target_value(&event)) />
                </div>
            })}
            <div class="actions">
                <button type="submit" class="ds-button" aria-busy=move || busy.get().to_string() aria-disabled=move || busy.get().to_string()>{submit_text}</button>
                <button type="button" class="ds-button" data-variant="tertiary" on:click=move |_| open.set(false)>{tr!(common.cancel)}</button>
            </div>
        </form>
    }
}
