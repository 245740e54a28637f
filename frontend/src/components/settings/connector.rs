//! The settings of a connector that maps records: where it sends, how fast, and what records become there.

mod mapping;
mod members;

use api_types::integrations::{Integration, IntegrationPatch};
use domain::credentials::{CredentialSet, same_origin};
use domain::integration::ConnectorType;
use leptos::prelude::*;
use serde_json::{Map, Value};

use super::credentials::{Again, ReadFrom};
use super::unchanged;
use crate::api::{ApiError, Versioned};
use crate::format;
use mapping::{MappingField, parsed};
use members::{Input, Member, choice, members};

/// Whether a connector's settings are set here.
pub(super) const fn has_form(connector: ConnectorType) -> bool {
    !members(connector).is_empty()
}

/// The settings as they are, with what was typed in its place.
fn settings(
    former: &Value,
    typed: impl Iterator<Item = (Member, String)>,
    connector: ConnectorType,
) -> Map<String, Value> {
    let mut settings = former.as_object().cloned().unwrap_or_default();
    for (member, value) in typed {
        member.put(&mut settings, &value, connector);
    }
    settings
}

/// The form.
#[component]
pub(super) fn ConnectorForm(
    /// The integration.
    value: Signal<Versioned<Integration>>,
    /// Whether the form is open.
    open: RwSignal<bool>,
    /// Whether they are being saved.
    busy: RwSignal<bool>,
    /// Why they were not.
    error: RwSignal<Option<ApiError>>,
    /// Saves them.
    save: Callback<IntegrationPatch>,
) -> impl IntoView {
    let (connector, former) =
        value.with_untracked(|value| (value.value.summary.connector_type, value.value.settings.clone()));
    let typed: Vec<(Member, RwSignal<String>)> =
        members(connector).iter().map(|member| (*member, RwSignal::new(member.read(&former)))).collect();
    let shown = former.get("mapping").filter(|mapping| !mapping.is_null());
    let mapping = RwSignal::new(shown.and_then(|shown| serde_json::to_string_pretty(shown).ok()).unwrap_or_default());
    // What is no JSON is said here, before anything is sent.
    let unreadable = RwSignal::new(None::<String>);
    let fields = typed.iter().map(|(member, value)| field(*member, connector, *value, error)).collect_view();
    let again = Again::new(connector, ReadFrom::of(&former));
    let places = typed.clone();
    // What is kept goes only where it was given for, and the server wants it again, too.
    let leads_elsewhere = Memo::new(move |_| {
        value.with(|value| {
            let former = &value.value.settings;
            let new = settings(former, places.iter().map(|(member, typed)| (*member, typed.get())), connector);
            let new = Value::Object(new);
            value.value.has_credentials && !same_origin(connector, former, &new, CredentialSet::Target)
        })
    });
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        match parsed(&mapping.get_untracked()) {
            Ok(mapping) => {
                unreadable.set(None);
                // Members that have no field here, such as a source, stay as somebody else may have set them.
                let former = value.with_untracked(|value| value.value.settings.clone());
                let now = typed.iter().map(|(member, value)| (*member, value.get_untracked()));
                let mut settings = settings(&former, now, connector);
                settings.insert("mapping".to_owned(), mapping);
                let credentials = leads_elsewhere.get_untracked().then(|| again.typed());
                save.run(IntegrationPatch { settings: Some(Value::Object(settings)), credentials, ..unchanged() });
            }
            Err(wrong) => unreadable.set(Some(wrong)),
        }
    };
    view! {
        <form class="stack" on:submit=submit data-testid="connector-form" aria-label=tr!(target.edit)>
            <div class="stack narrow">{fields}</div>
            <div role="status">
                {move || leads_elsewhere.get().then(|| view! { <p>{tr!(credentials.again)}</p> })}
            </div>
            {move || leads_elsewhere.get().then(|| again.fields(error))}
            <MappingField connector mapping unreadable error />
            <div class="actions">
                <button type="submit" class="ds-button" aria-busy=move || busy.get().to_string() aria-disabled=move || busy.get().to_string()>{tr!(settings.save)}</button>
                <button type="button" class="ds-button" data-variant="tertiary" on:click=move |_| { error.set(None); open.set(false); }>{tr!(common.cancel)}</button>
            </div>
        </form>
    }
}

/// One setting, with what to know before and what was wrong with it.
fn field(
    member: Member,
    connector: ConnectorType,
    value: RwSignal<String>,
    error: RwSignal<Option<ApiError>>,
) -> impl IntoView + use<> {
    let id = member.id();
    let pointer = format!("/settings{}", member.pointer());
    let wrong = Memo::new(move |_| error.with(|error| error.as_ref().and_then(|error| error.field(&pointer))));
    let input = member.input(connector);
    let help = member.help();
    let range = match input {
        Input::Number { least, most, preset: Some(preset) } => {
            let [least, most, preset] = [least, most, preset].map(|figure| format::number(figure.into()));
            Some(tr!(target.range_preset, least = least, most = most, preset = preset))
        }
        Input::Number { least, most, preset: None } => {
            let [least, most] = [least, most].map(|figure| format::number(figure.into()));
            Some(tr!(target.range, least = least, most = most))
        }
        Input::Text { .. } | Input::Choice(_) => None,
    };
    let help = [help, range].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let (help_id, error_id) = (format!("{id}-help"), format!("{id}-error"));
    let has_help = !help.is_empty();
    let (of_help, of_error) = (help_id.clone(), error_id.clone());
    let described = move || {
        let ids = [has_help.then(|| of_help.clone()), wrong.get().map(|_| of_error.clone())];
        let ids: Vec<String> = ids.into_iter().flatten().collect();
        (!ids.is_empty()).then(|| ids.join(" "))
    };
    let invalid = move || wrong.get().is_some().to_string();
    let optional = !matches!(input, Input::Text { required: true } | Input::Choice(_));
    let control = match input {
        Input::Text { required } => view! {
            <input class="ds-input" id=id.clone() type="text" autocomplete="off" spellcheck="false" maxlength="2000" required=required
                aria-invalid=invalid aria-describedby=described
                prop:value=move || value.get() on:input=move |event| value.set(event_target_value(&event)) />
        }
        .into_any(),
        Input::Number { least, most, .. } => view! {
            <input class="ds-input" id=id.clone() type="number" min=least.to_string() max=most.to_string()
                aria-invalid=invalid aria-describedby=described
                prop:value=move || value.get() on:input=move |event| value.set(event_target_value(&event)) />
        }
        .into_any(),
        Input::Choice(words) => {
            let options = words
                .iter()
                .copied()
                .map(|word| {
                    let chosen = value.get_untracked() == word;
                    view! { <option value=word selected=chosen>{choice(word)}</option> }
                })
                .collect_view();
            view! {
                <select class="ds-input" id=id.clone() aria-invalid=invalid aria-describedby=described
                    on:change=move |event| value.set(event_target_value(&event))>
                    {options}
                </select>
            }
            .into_any()
        }
    };
    view! {
        <div class="ds-field">
            <label class="ds-label" for=id>
                {member.label()}
                {optional.then(|| view! { <span class="subtle">" " {tr!(common.optional)}</span> })}
            </label>
            {has_help.then(|| view! { <p data-field="description" id=help_id>{help}</p> })}
            {control}
            {move || wrong.get().map(|text| view! { <p class="ds-validation-message" data-size="sm" lang="en" id=error_id.clone()>{text}</p> })}
        </div>
    }
}
