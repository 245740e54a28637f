//! What records become in the external system, tried with a sample before it is kept.

use api_types::mapping_trials::{MappingTrial, TryMapping};
use domain::integration::ConnectorType;
use domain::record::RecordError;
use leptos::prelude::*;
use leptos::task::spawn_local;
use serde_json::Value;

use crate::api::ApiError;
use crate::components::ErrorView;
use crate::format;
use crate::session::use_session;

/// Reads JSON, or says what is wrong with it.
pub(super) fn parsed(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|wrong| tr!(mapping.not_json, detail = wrong.to_string()))
}

/// What the server says of a part of the request, each with its place in that part.
fn complaints(error: Option<&ApiError>, part: &str) -> Vec<(String, String)> {
    error.map(|error| error.fields_below(part)).unwrap_or_default()
}

/// The mapping, and a sample to try it with.
#[component]
pub(super) fn MappingField(
    /// Whose entities and fields they are.
    connector: ConnectorType,
    /// What is typed.
    mapping: RwSignal<String>,
    /// What keeps it from being read.
    unreadable: RwSignal<Option<String>>,
    /// Why it was not saved.
    error: RwSignal<Option<ApiError>>,
) -> impl IntoView {
    let client = use_session().client();
    let sample = RwSignal::new(String::new());
    let bad_sample = RwSignal::new(None::<String>);
    let busy = RwSignal::new(false);
    let refusal = RwSignal::new(None::<ApiError>);
    let found = RwSignal::new(None::<MappingTrial>);
    let attempt = move || {
        if busy.get_untracked() {
            return;
        }
        found.set(None);
        refusal.set(None);
        // Both are read, so that both are complained about at once.
        let (read, payload) = (parsed(&mapping.get_untracked()), parsed(&sample.get_untracked()));
        unreadable.set(read.as_ref().err().cloned());
        bad_sample.set(payload.as_ref().err().cloned());
        let (Ok(mapping), Ok(payload)) = (read, payload) else { return };
        busy.set(true);
        spawn_local(async move {
            let trial = TryMapping { mapping, connector_type: Some(connector), payload };
            let answer = client.try_mapping(&trial).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match answer {
                Ok(trial) => found.set(Some(trial)),
                Err(error) => refusal.set(Some(error)),
            }
        });
    };
    // Tried or saved, the server says the same.
    let wrong = Memo::new(move |_| {
        let mut all = unreadable.get().map(|text| (String::new(), text)).into_iter().collect::<Vec<_>>();
        all.extend(refusal.with(|refusal| complaints(refusal.as_ref(), "/mapping")));
        all.extend(error.with(|error| complaints(error.as_ref(), "/settings/mapping")));
        all
    });
    let wrong_sample = Memo::new(move |_| {
        let mut all = bad_sample.get().map(|text| (String::new(), text)).into_iter().collect::<Vec<_>>();
        all.extend(refusal.with(|refusal| complaints(refusal.as_ref(), "/payload")));
        all
    });
    // What is said of neither stands by itself.
    let other = move || refusal.get().filter(|_| wrong.with(Vec::is_empty) && wrong_sample.with(Vec::is_empty));
    view! {
        {area("target-mapping", tr!(mapping.title), tr!(mapping.help), 14, mapping, wrong)}
        {area("target-sample", tr!(mapping.sample), tr!(mapping.sample_help), 6, sample, wrong_sample)}
        <button type="button" class="ds-button" data-variant="secondary" data-size="sm"
            aria-disabled=move || busy.get().to_string() on:click=move |_| attempt()>{tr!(mapping.button)}</button>
        <div role="status" data-testid="mapping-trial">
            {move || busy.get().then(|| view! { <p class="subtle">{tr!(mapping.busy)}</p> })}
            {move || found.get().map(|found| finding(&found))}
        </div>
        {move || other().map(|error| view! { <ErrorView error /> })}
    }
}

/// A place for JSON, with what is wrong with it.
fn area(
    id: &'static str,
    label: String,
    help: String,
    rows: u8,
    value: RwSignal<String>,
    wrong: Memo<Vec<(String, String)>>,
) -> impl IntoView {
    let (help_id, error_id) = (format!("{id}-help"), format!("{id}-error"));
    let (of_help, of_error) = (help_id.clone(), error_id.clone());
    let described = move || if wrong.with(Vec::is_empty) { of_help.clone() } else { format!("{of_help} {of_error}") };
    let told = move || {
        let lines = wrong.get();
        (!lines.is_empty()).then(|| {
            let lines = lines
                .into_iter()
                .map(|(place, text)| {
                    let place = (!place.is_empty()).then(|| view! { <code class="break">{place}</code> ": " });
                    view! { <li>{place} {text}</li> }
                })
                .collect_view();
            view! { <ul class="ds-validation-message" data-size="sm" id=error_id.clone()>{lines}</ul> }
        })
    };
    view! {
        <div class="ds-field">
            <label class="ds-label" for=id>{label}</label>
            <p data-field="description" id=help_id>{help}</p>
            <textarea class="ds-input json" id=id rows=rows.to_string() spellcheck="false"
                aria-invalid=move || (!wrong.with(Vec::is_empty)).to_string() aria-describedby=described
                prop:value=move || value.get() on:input=move |event| value.set(event_target_value(&event))></textarea>
            {told}
        </div>
    }
}

/// What became of the sample.
fn finding(found: &MappingTrial) -> impl IntoView + use<> {
    let count = i64::try_from(found.nodes.len()).unwrap_or(i64::MAX);
    let good = found.errors.is_empty();
    let (color, title) = if good {
        ("success", tr!(mapping.made, count = count, n = format::number(count)))
    } else {
        ("danger", tr!(mapping.refused))
    };
    let nodes = found
        .nodes
        .iter()
        .map(|node| view! { <pre class="json"><code>{serde_json::to_string_pretty(node).unwrap_or_default()}</code></pre> })
        .collect_view();
    let errors = found.errors.iter().map(complaint).collect_view();
    view! {
        <div class="ds-alert stack-tight" data-color=color data-size="sm">
            <p class="strong">{title}</p>
            {nodes}
            {(!good).then(|| view! { <ul>{errors}</ul> })}
        </div>
    }
}

fn complaint(error: &RecordError) -> impl IntoView + use<> {
    let field = error.field.clone().map(|field| view! { <code class="break">{field}</code> ": " });
    view! { <li>{field} <span lang="en">{error.message.clone()}</span> " (" <code class="break">{error.code.clone()}</code> ")"</li> }
}

#[cfg(test)]
mod tests {
    use api_types::{ErrorCode, Problem, ProblemError};

    use super::*;

    #[test]
    fn complaints_are_told_with_their_place_in_what_was_typed() {
        let said = |pointer: &str| ProblemError {
            code: "unknown_field".to_owned(),
            pointer: pointer.to_owned(),
            detail: format!("of {pointer}"),
        };
        let mut problem = Problem::new(ErrorCode::ValidationFailed, "");
        problem.errors = vec![said("/mapping"), said("/mapping/fields/amuont"), said("/mappings"), said("/payload")];
        let error = ApiError::Problem(Box::new(problem));
        let told = complaints(Some(&error), "/mapping");
        let expected = [("", "of /mapping"), ("/fields/amuont", "of /mapping/fields/amuont")];
        assert_eq!(told, expected.map(|(place, text)| (place.to_owned(), text.to_owned())));
        assert!(complaints(None, "/mapping").is_empty());
    }

    #[test]
    fn what_is_no_json_is_told_with_its_place() {
        assert_eq!(parsed("{}"), Ok(serde_json::json!({})));
        let wrong = parsed("{\n  \"entity\": }").unwrap_err();
        assert!(wrong.contains("line 2"), "{wrong}");
    }
}
