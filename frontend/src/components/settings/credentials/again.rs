//! Credentials that are asked for again, in the form for where they are shown.

use domain::integration::ConnectorType;
use leptos::prelude::*;
use serde_json::Value;

use super::{Kind, ReadFrom, Whose, field};
use crate::api::ApiError;

/// What is typed of an external system's credentials, of which a connector with a form of its own knows one kind.
#[derive(Clone, Copy)]
pub(in crate::components::settings) struct Again {
    kind: Kind,
    whose: Whose,
    open: RwSignal<String>,
    secret: RwSignal<String>,
}

impl Again {
    /// Nothing yet.
    pub(in crate::components::settings) fn new(connector: ConnectorType, source: ReadFrom) -> Self {
        let whose = if source == ReadFrom::Nowhere { Whose::Only } else { Whose::Target };
        let kind = whose.kinds(connector, source).first().copied().unwrap_or(Kind::Nothing);
        Self { kind, whose, open: RwSignal::new(String::new()), secret: RwSignal::new(String::new()) }
    }

    /// As the API takes them; those of a source stay.
    pub(in crate::components::settings) fn typed(self) -> Value {
        let set = self.kind.credentials(self.open.get_untracked().trim(), &self.secret.get_untracked());
        self.whose.wrapped(set)
    }

    /// Their fields.
    pub(in crate::components::settings) fn fields(self, error: RwSignal<Option<ApiError>>) -> impl IntoView + use<> {
        let pointer = self.whose.pointer();
        let said_of = move |member: &'static str| {
            let pointer = format!("{pointer}/{member}");
            Memo::new(move |_| error.with(|error| error.as_ref().and_then(|error| error.field(&pointer))))
        };
        let open = self.kind.open_member();
        let open = open.map(|(member, label)| field(member, label, self.open, false, said_of(member)));
        let secret = self.kind.secret_member();
        let secret = secret.map(|(member, label)| field(member, label, self.secret, true, said_of(member)));
        view! { <div class="stack narrow" data-testid="credentials-again">{open} {secret}</div> }
    }
}
