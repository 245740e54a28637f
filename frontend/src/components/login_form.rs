//! E-mail, password and, for members of several organizations, which one.

use api_types::auth::{LoginRequest, OrganizationRef};
use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::ErrorView;
use crate::api::ApiError;
use crate::session::use_session;

/// The sign-in form.
#[component]
pub fn LoginForm(
    /// The address that is already known, when a session has ended.
    #[prop(optional, into)]
    email: String,
    /// The organization that is already known.
    #[prop(optional)]
    organization: Option<uuid::Uuid>,
    /// What happens afterwards.
    #[prop(into)]
    done: Callback<()>,
) -> impl IntoView {
    let session = use_session();
    let email = RwSignal::new(email);
    let password = RwSignal::new(String::new());
    let chosen = RwSignal::new(organization);
    let choices = RwSignal::new(Vec::<OrganizationRef>::new());
    let error = RwSignal::new(None::<ApiError>);
    let busy = RwSignal::new(false);
    let select = NodeRef::<html::Select>::new();

    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        if busy.get_untracked() {
            return;
        }
        busy.set(true);
        error.set(None);
        let request = LoginRequest {
            email: email.get_untracked().trim().to_owned(),
            password: password.get_untracked(),
            organization_id: chosen.get_untracked(),
        };
        spawn_local(async move {
            let answer = session.sign_in(request).await;
            if busy.try_set(false).is_some() {
                return;
            }
            match answer {
                Ok(()) => done.run(()),
                Err(refusal) => {
                    let offered = offered(&refusal);
                    if offered.is_empty() {
                        error.set(Some(refusal));
                        crate::browser::focus("login-password");
                    } else {
                        chosen.set(offered.first().map(|organization| organization.id));
                        choices.set(offered);
                        request_animation_frame(move || {
                            if let Some(select) = select.get_untracked() {
                                let _ = select.focus();
                            }
                        });
                    }
                }
            }
        });
    };
    view! {
        <form class="stack" on:submit=submit>
            {move || error.get().map(|error| view! { <ErrorView error /> })}
            <div class="ds-field">
                <label class="ds-label" for="login-email">{tr!(login.email)}</label>
                <input class="ds-input" id="login-email" name="email" type="email" autocomplete="username" required
                    prop:value=move || email.get() on:input=move |event| email.set(event_target_value(&event)) />
            </div>
            <div class="ds-field">
                <label class="ds-label" for="login-password">{tr!(login.password)}</label>
                <input class="ds-input" id="login-password" name="password" type="password" autocomplete="current-password" required
                    prop:value=move || password.get() on:input=move |event| password.set(event_target_value(&event)) />
            </div>
            {move || (!choices.with(Vec::is_empty)).then(|| view! {
                <div class="ds-field">
                    <label class="ds-label" for="login-organization">{tr!(login.organization)}</label>
                    <p data-field="description" id="login-organization-help">{tr!(login.organization_help)}</p>
                    <select class="ds-input" id="login-organization" aria-describedby="login-organization-help" node_ref=select
                        on:change=move |event| chosen.set(event_target_value(&event).parse().ok())>
                        {choices.get().into_iter()
                            .map(|choice| view! { <option value=choice.id.to_string()>{choice.name}</option> })
                            .collect_view()}
                    </select>
                </div>
            })}
            <button type="submit" class="ds-button" data-fullwidth="true" aria-busy=move || busy.get().to_string() aria-disabled=move || busy.get().to_string()>
                {move || if busy.get() { tr!(login.busy) } else { tr!(login.submit) }}
            </button>
        </form>
    }
}

/// The organizations a refusal offers to choose from: one error per organization, whose pointer names the field and
/// whose detail holds the id and the name.
fn offered(refusal: &ApiError) -> Vec<OrganizationRef> {
    let ApiError::Problem(problem) = refusal else { return Vec::new() };
    problem
        .errors
        .iter()
        .filter(|error| error.pointer == "/organization_id")
        .filter_map(|error| {
            let (id, name) = error.detail.split_once(' ').unwrap_or((&error.detail, ""));
            let id: uuid::Uuid = id.trim_end_matches(':').parse().ok()?;
            let name = if name.is_empty() { id.to_string() } else { name.to_owned() };
            Some(OrganizationRef { id, name })
        })
        .collect()
}
