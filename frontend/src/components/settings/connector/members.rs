//! What the settings of a connector consist of, beside the mapping.

use domain::integration::ConnectorType;
use serde_json::{Map, Value, json};

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
    Endpoint,
    Environment,
    Tenant,
    TokenUrl,
    Scope,
    KeyAttribute,
    Write,
    BatchSize,
    Concurrency,
    Timeout,
    Settle,
    Posting,
}

/// How a setting is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Text { required: bool },
    Number { least: u32, most: u32, preset: Option<u32> },
    Choice(&'static [&'static str]),
}

use Member::{
    BatchSize, Concurrency, Endpoint, Environment, KeyAttribute, Posting, Scope, Settle, Tenant, Timeout, TokenUrl,
    Write,
};

/// The settings that are entered one by one; none where a connector's are not set here.
pub(super) const fn members(connector: ConnectorType) -> &'static [Member] {
    match connector {
        ConnectorType::Xledger => &[Endpoint, BatchSize, Concurrency, Timeout, Settle, Posting],
        ConnectorType::Dynamics365 => {
            &[Environment, Tenant, TokenUrl, Scope, KeyAttribute, Write, BatchSize, Concurrency, Timeout, Settle]
        }
        ConnectorType::GenericHttp | ConnectorType::Other => &[],
    }
}

impl Member {
    /// Where it stands in the settings.
    pub(super) const fn pointer(self) -> &'static str {
        match self {
            Endpoint => "/endpoint",
            Environment => "/environment",
            Tenant => "/tenant",
            TokenUrl => "/token_url",
            Scope => "/scope",
            KeyAttribute => "/key_attribute",
            Write => "/write",
            BatchSize => "/batch_size",
            Concurrency => "/concurrency",
            Timeout => "/timeout_ms",
            Settle => "/settle_seconds",
            Posting => "/posting/wait_seconds",
        }
    }

    /// The same, as an element's id.
    pub(super) fn id(self) -> String {
        format!("target{}", self.pointer().replace(['/', '_'], "-"))
    }

    /// Its name for people.
    pub(super) fn label(self) -> String {
        match self {
            Endpoint => tr!(target.endpoint),
            Environment => tr!(target.environment),
            Tenant => tr!(target.tenant),
            TokenUrl => tr!(target.token_url),
            Scope => tr!(target.scope),
            KeyAttribute => tr!(target.key_attribute),
            Write => tr!(target.writes),
            BatchSize => tr!(target.batch_size),
            Concurrency => tr!(target.concurrency),
            Timeout => tr!(target.timeout),
            Settle => tr!(target.settle),
            Posting => tr!(target.posting),
        }
    }

    /// What to know before it is entered.
    pub(super) fn help(self) -> Option<String> {
        match self {
            Endpoint => Some(tr!(target.endpoint_help)),
            Environment => Some(tr!(target.environment_help)),
            Tenant => Some(tr!(target.tenant_help)),
            TokenUrl => Some(tr!(target.token_url_help)),
            Scope => Some(tr!(target.scope_help)),
            KeyAttribute => Some(tr!(target.key_attribute_help)),
            Posting => Some(tr!(target.posting_help)),
            Write | BatchSize | Concurrency | Timeout | Settle => None,
        }
    }

    /// How it is entered; the server has the last word on what fits.
    pub(super) const fn input(self, connector: ConnectorType) -> Input {
        let is_xledger = matches!(connector, ConnectorType::Xledger);
        match self {
            Endpoint | Environment | KeyAttribute => Input::Text { required: true },
            Tenant | TokenUrl | Scope => Input::Text { required: false },
            Write => Input::Choice(&["create", "upsert", "update"]),
            BatchSize if is_xledger => Input::Number { least: 1, most: 500, preset: Some(100) },
            BatchSize => Input::Number { least: 1, most: 1_000, preset: Some(1) },
            Concurrency if is_xledger => Input::Number { least: 1, most: 16, preset: Some(1) },
            Concurrency => Input::Number { least: 1, most: 52, preset: Some(4) },
            Timeout if is_xledger => Input::Number { least: 100, most: 120_000, preset: Some(60_000) },
            Timeout => Input::Number { least: 100, most: 120_000, preset: Some(30_000) },
            Settle => Input::Number { least: 0, most: 3_600, preset: Some(60) },
            Posting => Input::Number { least: 1, most: 86_400, preset: None },
        }
    }

    /// As it stands in the settings, for an input.
    pub(super) fn read(self, settings: &Value) -> String {
        match settings.pointer(self.pointer()) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    /// Puts what was typed into the settings; nothing typed leaves it to the connector.
    pub(super) fn put(self, settings: &mut Map<String, Value>, typed: &str, connector: ConnectorType) {
        let mut path = self.pointer().split('/').skip(1);
        let (first, nested) = (path.next().unwrap_or_default(), path.next());
        let typed = typed.trim();
        if typed.is_empty() {
            settings.remove(first);
            return;
        }
        let value = match self.input(connector) {
            // What is no number is the server's to refuse, with its place.
            Input::Number { .. } => typed.parse().map_or_else(|_| json!(typed), |number: i64| json!(number)),
            Input::Text { .. } | Input::Choice(_) => json!(typed),
        };
        let value = match nested {
            Some(nested) => json!({ nested: value }),
            None => value,
        };
        settings.insert(first.to_owned(), value);
    }
}

/// A choice's word for people.
pub(super) fn choice(word: &str) -> String {
    match word {
        "upsert" => tr!(target.write_upsert),
        "update" => tr!(target.write_update),
        _ => tr!(target.write_create),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::text;

    #[test]
    fn settings_come_back_as_they_were_and_what_is_not_shown_stays() {
        let settings = json!({
            "endpoint": "demonstration", "batch_size": 20, "posting": { "wait_seconds": 300 }, "rate": { "requests": 2 },
            "mapping": { "entity": "addSuppliers" },
        });
        let mut written = settings.as_object().cloned().unwrap();
        for member in members(ConnectorType::Xledger) {
            member.put(&mut written, &member.read(&settings), ConnectorType::Xledger);
        }
        assert_eq!(Value::Object(written), settings);
    }

    #[test]
    fn what_is_emptied_is_left_to_the_connector() {
        let mut settings =
            json!({ "timeout_ms": 500, "posting": { "wait_seconds": 300 } }).as_object().cloned().unwrap();
        for member in [Timeout, Posting] {
            member.put(&mut settings, "  ", ConnectorType::Xledger);
        }
        assert!(settings.is_empty(), "{settings:?}");
        Timeout.put(&mut settings, "soon", ConnectorType::Xledger);
        assert_eq!(Value::Object(settings), json!({ "timeout_ms": "soon" }));
    }

    #[test]
    fn members_have_names_of_their_own_in_each_language() {
        for (locale, _) in text::LANGUAGES {
            text::set_locale(locale);
            for connector in ConnectorType::ALL {
                let known = members(*connector);
                let labels: BTreeSet<String> = known.iter().map(|member| member.label()).collect();
                let ids: BTreeSet<String> = known.iter().map(|member| member.id()).collect();
                assert_eq!((labels.len(), ids.len()), (known.len(), known.len()), "{connector}");
            }
        }
    }
}
