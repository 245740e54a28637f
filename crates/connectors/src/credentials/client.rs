//! A client's id and secret, for which a token service gives tokens (OAuth 2.0, client credentials).

use std::fmt;

use domain::violation::{Rule, Violation};
use serde_json::Value;

use super::Credentials;
use crate::reader::Reader;

/// Who asks for tokens; the secret is never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCredentials {
    /// The client's id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

impl ClientCredentials {
    /// What is shown once a token was given; takes the secret out of words, too.
    pub(crate) fn granted(&self, token: &str) -> Credentials {
        Credentials::Granted { token: token.to_owned(), client_secret: self.client_secret.clone() }
    }

    /// The same while there is no token.
    pub(crate) fn ungranted(&self) -> Credentials {
        self.granted("")
    }
}

/// Parses the credentials of a system that takes tokens of a token service; `None` after adding what is wrong with
/// them.
pub(crate) fn parse(value: Option<&Value>, found: &mut Vec<Violation>) -> Option<ClientCredentials> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        found.push(Violation::new(Rule::Required, "/credentials", "a client id and its secret are needed"));
        return None;
    };
    let Some(object) = value.as_object() else {
        let detail = "an object with a type, a client_id and a client_secret";
        found.push(Violation::new(Rule::InvalidFormat, "/credentials", detail));
        return None;
    };
    let before = found.len();
    let mut reader = Reader::new(object, "/credentials", found);
    let kind = reader.needed("type", 20);
    if !matches!(kind.as_str(), "" | "client_credentials") {
        reader.complain(Rule::UnknownValue, "type", "client_credentials");
    }
    let client_id = reader.needed("client_id", 500);
    let client_secret = reader.needed("client_secret", 8_000);
    for (name, text) in [("client_id", &client_id), ("client_secret", &client_secret)] {
        if text.chars().any(char::is_control) {
            reader.complain(Rule::InvalidFormat, name, "a text without line breaks");
        }
    }
    reader.finish();
    (found.len() == before).then_some(ClientCredentials { client_id, client_secret })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(value: Option<&Value>) -> Result<ClientCredentials, Vec<String>> {
        let mut found = Vec::new();
        parse(value, &mut found)
            .ok_or_else(|| found.iter().map(|one| format!("{} {}", one.pointer, one.rule)).collect())
    }

    #[test]
    fn neither_the_secret_nor_its_token_is_shown() {
        let value = json!({ "type": "client_credentials", "client_id": "sync", "client_secret": "s3cret-text" });
        let client = parsed(Some(&value)).unwrap();
        assert!(!format!("{client:?}").contains("s3cret"));
        let granted = client.granted("t0ken-text");
        assert!(!format!("{granted:?}").contains("t0ken") && !format!("{granted:?}").contains("s3cret"));
        assert_eq!(granted.scrub("Bearer t0ken-text for s3cret-text"), "Bearer [credential] for [credential]");
        assert_eq!(client.ungranted().scrub("s3cret-text?"), "[credential]?");
        let value = json!({ "type": "client_credentials", "client_id": "sync", "client_secret": "s3cret~+text" });
        let client = parsed(Some(&value)).unwrap();
        assert_eq!(client.ungranted().scrub("secret=s3cret%7E%2Btext&scope=x"), "secret=[credential]&scope=x");
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        assert_eq!(parsed(None).unwrap_err(), ["/credentials required"]);
        assert_eq!(parsed(Some(&json!([]))).unwrap_err(), ["/credentials invalid_format"]);
        let wrong = json!({ "type": "bearer", "client_id": "a\nb", "token": "x" });
        let expected = [
            "/credentials/type unknown_value",
            "/credentials/client_secret required",
            "/credentials/client_id invalid_format",
            "/credentials/token unknown_field",
        ];
        assert_eq!(parsed(Some(&wrong)).unwrap_err(), expected);
    }
}
