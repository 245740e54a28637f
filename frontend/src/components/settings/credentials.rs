//! Setting an integration's credentials: they go in and never come out again.

mod again;

use api_types::integrations::IntegrationPatch;
use domain::integration::ConnectorType;
use leptos::prelude::*;
use serde_json::{Value, json};

use super::unchanged;
use crate::api::ApiError;
use crate::components::Testing;
pub(super) use again::Again;

/// What a system wants to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bearer,
    Basic,
    Header,
    Token,
    Client,
    Nothing,
}

/// The kinds that a connector knows; none where they are not set here.
const fn kinds(connector: ConnectorType) -> &'static [Kind] {
    match connector {
        ConnectorType::GenericHttp => &[Kind::Bearer, Kind::Basic, Kind::Header, Kind::Nothing],
        ConnectorType::Xledger => &[Kind::Token],
        ConnectorType::Dynamics365 => &[Kind::Client],
        ConnectorType::Other => &[],
    }
}

/// Where an integration's records are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadFrom {
    /// Their own app stages them.
    Nowhere,
    /// A source that is asked over HTTP.
    Http,
    /// A database, which knows roles and passwords alone.
    Database,
}

impl ReadFrom {
    /// As an integration's settings have it.
    pub(super) fn of(settings: &Value) -> Self {
        match settings.get("source") {
            None | Some(Value::Null) => Self::Nowhere,
            Some(source) if source["kind"] == "postgresql" => Self::Database,
            Some(_) => Self::Http,
        }
    }

    /// The kinds that the source knows.
    const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Nowhere => &[],
            Self::Http => &[Kind::Bearer, Kind::Basic, Kind::Header, Kind::Nothing],
            Self::Database => &[Kind::Basic],
        }
    }
}

/// Whose credentials are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// The external system's, and there are no others.
    Only,
    /// The external system's, beside those of a source.
    Target,
    /// The source's.
    Source,
}

impl Whose {
    /// Where their members stand in a request.
    const fn pointer(self) -> &'static str {
        match self {
            Self::Only => "/credentials",
            Self::Target => "/credentials/target",
            Self::Source => "/credentials/source",
        }
    }

    /// One set, as the API takes it; the other one stays.
    fn wrapped(self, set: Value) -> Value {
        match self {
            Self::Only => set,
            Self::Target => json!({ "target": set }),
            Self::Source => json!({ "source": set }),
        }
    }

    const fn kinds(self, connector: ConnectorType, source: ReadFrom) -> &'static [Kind] {
        match self {
            Self::Only | Self::Target => kinds(connector),
            Self::Source => source.kinds(),
        }
    }
}

/// Whether a connector's credentials can be set here.
pub(super) const fn can_be_set(connector: ConnectorType) -> bool {
    !kinds(connector).is_empty()
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Basic => "basic",
            Self::Header => "header",
            Self::Token => "token",
            Self::Client => "client_credentials",
            Self::Nothing => "none",
        }
    }

    fn text(self) -> String {
        match self {
            Self::Bearer => tr!(credentials.bearer),
            Self::Basic => tr!(credentials.basic),
            Self::Header => tr!(credentials.header),
            Self::Token => tr!(credentials.token),
            Self::Client => tr!(credentials.client),
            Self::Nothing => tr!(credentials.nothing),
        }
    }

    /// The member that is no secret, and its name for people.
    fn open_member(self) -> Option<(&'static str, String)> {
        match self {
            Self::Basic => Some(("username", tr!(credentials.username))),
            Self::Header => Some(("name", tr!(credentials.header_name))),
            Self::Client => Some(("client_id", tr!(credentials.client_id))),
            Self::Bearer | Self::Token | Self::Nothing => None,
        }
    }

    /// The member that is the secret, and its name for people.
    fn secret_member(self) -> Option<(&'static str, String)> {
        match self {
            Self::Bearer | Self::Token => Some(("token", tr!(credentials.secret))),
            Self::Basic => Some(("password", tr!(credentials.password))),
            Self::Header => Some(("value", tr!(credentials.header_value))),
            Self::Client => Some(("client_secret", tr!(credentials.client_secret))),
            Self::Nothing => None,
        }
    }

    /// As the API takes them.
    fn credentials(self, open: &str, secret: &str) -> Value {
        match self {
            Self::Bearer | Self::Token => json!({ "type": self.word(), "token": secret }),
            Self::Basic => json!({ "type": self.word(), "username": open, "password": secret }),
            Self::Header => json!({ "type": self.word(), "name": open, "value": secret }),
            Self::Client => json!({ "type": self.word(), "client_id": open, "client_secret": secret }),
            Self::Nothing => json!({ "type": self.word() }),
        }
    }
}

/// The form.
#[component]
pub(super) fn CredentialsForm(
    /// Of what system.
    connector: ConnectorType,
    /// Where its records are read from: a source has credentials of its own.
    source: ReadFrom,
    /// Whether the form is open.
    open: RwSignal<bool>,
    /// Whether they are being saved.
    busy: RwSignal<bool>,
    /// Why they were not.
    error: RwSignal<Option<ApiError>>,
    /// Tries them before.
    testing: Testing,
    /// Saves them.
    save: Callback<IntegrationPatch>,
) -> impl IntoView {
    let has_source = source != ReadFrom::Nowhere;
    let whose = RwSignal::new(if has_source { Whose::Target } else { Whose::Only });
    let first = move || whose.get_untracked().kinds(connector, source).first().copied().unwrap_or(Kind::Nothing);
    let kind = RwSignal::new(first());
    let name = RwSignal::new(String::new());
    let secret = RwSignal::new(String::new());
    let typed = move || {
        let set = kind.get_untracked().credentials(name.get_untracked().trim(), &secret.get_untracked());
        whose.get_untracked().wrapped(set)
    };
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        save.run(IntegrationPatch { credentials: Some(typed()), ..unchanged() });
    };
    let choose = move |event: leptos::ev::Event| {
        let word = event_target_value(&event);
        let known = whose.get_untracked().kinds(connector, source);
        kind.set(known.iter().copied().find(|kind| kind.word() == word).unwrap_or(Kind::Nothing));
    };
    let choose_whose = move |event: leptos::ev::Event| {
        whose.set(if event_target_value(&event) == "source" { Whose::Source } else { Whose::Target });
        name.set(String::new());
        secret.set(String::new());
        kind.set(first());
        testing.forget();
    };
    // What the server says of a member, whether it was tried or saved.
    let wrong = move |member: &'static str| {
        let pointer = format!("{}/{member}", whose.get().pointer());
        let said = |error: &Option<ApiError>| error.as_ref().and_then(|error| error.field(&pointer));
        error.with(said).or_else(|| testing.error.with(said))
    };
    let said_of = move |member: &'static str| Memo::new(move |_| wrong(member));
    view! {
        <form class="stack narrow" on:submit=submit data-testid="credentials-form" aria-label=tr!(credentials.title)>
            <p>{tr!(credentials.help)}</p>
            <p class="subtle">{tr!(credentials.doubt)}</p>
            {has_source.then(|| view! {
                <div class="ds-field">
                    <label class="ds-label" for="credentials-whose">{tr!(credentials.whose)}</label>
                    <select class="ds-input" id="credentials-whose" on:change=choose_whose>
                        <option value="target" selected=true>{tr!(credentials.target)}</option>
                        <option value="source">{tr!(credentials.source)}</option>
                    </select>
                </div>
            })}
            {move || {
                let known = whose.get().kinds(connector, source);
                (known.len() > 1).then(|| view! {
                    <div class="ds-field">
                        <label class="ds-label" for="credentials-kind">{tr!(credentials.kind)}</label>
                        <select class="ds-input" id="credentials-kind" on:change=choose>
                            {known.iter().map(|kind| view! { <option value=kind.word()>{kind.text()}</option> }).collect_view()}
                        </select>
                    </div>
                })
            }}
            {move || kind.get().open_member().map(|(member, label)| field(member, label, name, false, said_of(member)))}
            {move || kind.get().secret_member().map(|(member, label)| field(member, label, secret, true, said_of(member)))}
            <div class="actions">
                <button type="submit" class="ds-button" aria-busy=move || busy.get().to_string() aria-disabled=move || busy.get().to_string()>{tr!(settings.save)}</button>
                <button type="button" class="ds-button" data-variant="secondary" aria-disabled=move || testing.busy.get().to_string()
                    on:click=move |_| testing.begin(Some(typed()))>{tr!(credentials.test)}</button>
                <button type="button" class="ds-button" data-variant="tertiary"
                    on:click=move |_| { error.set(None); testing.forget(); open.set(false); }>{tr!(common.cancel)}</button>
            </div>
        </form>
    }
}

/// One member, with what was wrong with it.
fn field(
    member: &'static str,
    label: String,
    value: RwSignal<String>,
    secret: bool,
    wrong: Memo<Option<String>>,
) -> impl IntoView + use<> {
    let id = format!("credentials-{member}");
    let error_id = format!("{id}-error");
    let described = error_id.clone();
    let (input, completion) = if secret { ("password", "new-password") } else { ("text", "off") };
    view! {
        <div class="ds-field">
            <label class="ds-label" for=id.clone()>{label}</label>
            <input class="ds-input" id=id type=input autocomplete=completion
                spellcheck="false" required maxlength="8000" aria-invalid=move || wrong.get().is_some().to_string()
                aria-describedby=move || wrong.get().map(|_| described.clone())
                prop:value=move || value.get() on:input=move |event| value.set(event_target_value(&event)) />
            {move || wrong.get().map(|text| view! { <p class="ds-validation-message" data-size="sm" lang="en" id=error_id.clone()>{text}</p> })}
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_knows_roles_and_passwords_alone() {
        let of = |settings: Value| ReadFrom::of(&settings);
        assert_eq!(of(json!({ "source": { "kind": "postgresql" } })), ReadFrom::Database);
        assert_eq!(of(json!({ "source": { "kind": "http" } })), ReadFrom::Http);
        assert_eq!(of(json!({ "source": null })), ReadFrom::Nowhere);
        assert_eq!(of(json!({ "url": "https://books.example/" })), ReadFrom::Nowhere);
        assert_eq!(ReadFrom::Database.kinds(), [Kind::Basic]);
    }

    #[test]
    fn credentials_have_the_members_that_their_form_asks_for() {
        for connector in ConnectorType::ALL {
            for kind in kinds(*connector).iter().chain(ReadFrom::Http.kinds()).chain(ReadFrom::Database.kinds()) {
                let made = kind.credentials("open", "secret");
                assert_eq!(made["type"], kind.word());
                let asked = [kind.open_member(), kind.secret_member()];
                let members: Vec<&str> = asked.iter().flatten().map(|(member, _)| *member).collect();
                assert_eq!(made.as_object().unwrap().len(), members.len() + 1, "{made}");
                assert!(members.iter().all(|member| made[*member].is_string()), "{made}");
            }
        }
    }
}
