//! What a connector shows to be let in.

pub(crate) mod client;

use std::fmt;

use domain::violation::{Rule, Violation};
use reqwest::RequestBuilder;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde_json::{Map, Value};
use url::form_urlencoded::byte_serialize;

use crate::reader::Reader;

pub use client::ClientCredentials;

/// Headers that belong to the connection, to the credentials or to the connector itself.
const RESERVED_HEADERS: &[&str] = &[
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Secrets shorter than this are not looked for in answers: they would blot out ordinary words.
const SHORTEST_SCRUBBED: usize = 6;

/// The credentials of one connector; never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// None at all.
    None,
    /// `Authorization: Bearer …`.
    Bearer {
        /// The token.
        token: String,
    },
    /// `Authorization: Basic …`.
    Basic {
        /// The user's name, without a colon.
        username: String,
        /// The password.
        password: String,
    },
    /// `Authorization: token …`, as Xledger has it.
    Token {
        /// The token.
        token: String,
    },
    /// A header of the system's own choosing.
    Header {
        /// Its name.
        name: HeaderName,
        /// Its value.
        value: String,
    },
    /// `Authorization: Bearer …` with a token that was given for a client's secret.
    Granted {
        /// The token; empty while there is none.
        token: String,
        /// The secret.
        client_secret: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "Credentials::None",
            Self::Bearer { .. } => "Credentials::Bearer(…)",
            Self::Basic { .. } => "Credentials::Basic(…)",
            Self::Token { .. } => "Credentials::Token(…)",
            Self::Header { .. } => "Credentials::Header(…)",
            Self::Granted { .. } => "Credentials::Granted(…)",
        })
    }
}

impl Credentials {
    /// Shows them with a request.
    pub(crate) fn apply(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::None => request,
            Self::Bearer { token } | Self::Granted { token, .. } => request.bearer_auth(token),
            Self::Basic { username, password } => request.basic_auth(username, Some(password)),
            Self::Token { token } => with_secret(request, AUTHORIZATION, &format!("token {token}")),
            Self::Header { name, value } => with_secret(request, name.clone(), value),
        }
    }

    /// Takes them out of a text, since some systems quote a request's headers in their complaints.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let secrets: &[&String] = match self {
            Self::None => &[],
            Self::Bearer { token } | Self::Token { token } => &[token],
            Self::Basic { password, .. } => &[password],
            Self::Header { value, .. } => &[value],
            Self::Granted { token, client_secret } => &[token, client_secret],
        };
        let mut text = text.to_owned();
        for secret in secrets {
            // A header's value may be a scheme and the secret proper, as in `token 1234`.
            let bare = secret.rsplit(' ').next().unwrap_or(secret);
            // And as a form carries it to a token service.
            let in_form: String = byte_serialize(secret.as_bytes()).collect();
            for part in [secret.as_str(), bare, in_form.as_str()] {
                if part.len() >= SHORTEST_SCRUBBED {
                    text = text.replace(part, "[credential]");
                }
            }
        }
        text
    }
}

fn with_secret(request: RequestBuilder, name: HeaderName, value: &str) -> RequestBuilder {
    match HeaderValue::from_str(value) {
        Ok(mut value) => {
            value.set_sensitive(true);
            request.header(name, value)
        }
        Err(_) => request,
    }
}

/// Parses the credentials of a system that knows a token alone; `None` after adding what is wrong with them.
pub(crate) fn parse_token(value: Option<&Value>, found: &mut Vec<Violation>) -> Option<Credentials> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        found.push(Violation::new(Rule::Required, "/credentials", "a token is needed"));
        return None;
    };
    let Some(object) = value.as_object() else {
        found.push(Violation::new(Rule::InvalidFormat, "/credentials", "an object with a type and a token"));
        return None;
    };
    let before = found.len();
    let mut reader = Reader::new(object, "/credentials", found);
    let kind = reader.needed("type", 20);
    if !matches!(kind.as_str(), "" | "token") {
        reader.complain(Rule::UnknownValue, "type", "token");
    }
    let token = reader.needed("token", 8_000);
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        reader.complain(Rule::InvalidFormat, "token", "a token without spaces and line breaks");
    }
    reader.finish();
    (found.len() == before).then_some(Credentials::Token { token })
}

/// Parses the credentials; `None` after adding what is wrong with them.
pub(crate) fn parse(value: Option<&Value>, found: &mut Vec<Violation>) -> Option<Credentials> {
    let value = value.filter(|value| !value.is_null());
    let Some(value) = value else { return Some(Credentials::None) };
    let Some(object) = value.as_object() else {
        found.push(Violation::new(Rule::InvalidFormat, "/credentials", "an object with a type"));
        return None;
    };
    let before = found.len();
    let credentials = read(object, found);
    if found.len() == before { credentials } else { None }
}

fn read(object: &Map<String, Value>, found: &mut Vec<Violation>) -> Option<Credentials> {
    let mut reader = Reader::new(object, "/credentials", found);
    let kind = reader.needed("type", 20);
    let credentials = match kind.as_str() {
        "none" => Some(Credentials::None),
        "bearer" => {
            let token = reader.needed("token", 8_000);
            if HeaderValue::from_str(&token).is_err() {
                reader.complain(Rule::InvalidFormat, "token", "a token without line breaks");
            }
            Some(Credentials::Bearer { token })
        }
        "basic" => {
            let username = reader.needed("username", 500);
            let password = reader.needed("password", 500);
            if username.contains(':') || username.chars().any(char::is_control) {
                reader.complain(Rule::InvalidFormat, "username", "a user name without colons and control characters");
            }
            Some(Credentials::Basic { username, password })
        }
        "header" => {
            let name = reader.needed("name", 100);
            let value = reader.needed("value", 8_000);
            if HeaderValue::from_str(&value).is_err() {
                reader.complain(Rule::InvalidFormat, "value", "a value without line breaks");
            }
            match HeaderName::from_bytes(name.as_bytes()) {
                Ok(name) if (name == AUTHORIZATION || !is_reserved(&name)) && name != reqwest::header::CONTENT_TYPE => {
                    Some(Credentials::Header { name, value })
                }
                _ => {
                    if !name.is_empty() {
                        reader.complain(Rule::InvalidFormat, "name", "the name of a header that may be set");
                    }
                    None
                }
            }
        }
        "" => return None,
        _ => {
            reader.complain(Rule::UnknownValue, "type", "none, bearer, basic or header");
            return None;
        }
    };
    reader.finish();
    credentials
}

/// Whether a header is not for the settings to set.
pub(crate) fn is_reserved(name: &HeaderName) -> bool {
    RESERVED_HEADERS.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(value: &Value) -> Result<Credentials, Vec<String>> {
        let mut found = Vec::new();
        parse(Some(value), &mut found)
            .ok_or_else(|| found.iter().map(|one| format!("{} {}", one.pointer, one.rule)).collect())
    }

    #[test]
    fn every_kind_is_read_and_none_is_shown() {
        let secrets = [
            json!({ "type": "bearer", "token": "s3cret-token" }),
            json!({ "type": "basic", "username": "sync", "password": "s3cret-token" }),
            json!({ "type": "header", "name": "X-Api-Key", "value": "s3cret-token" }),
            json!({ "type": "header", "name": "Authorization", "value": "token s3cret-token" }),
        ];
        for secret in secrets {
            let credentials = parsed(&secret).unwrap();
            assert!(!format!("{credentials:?}").contains("s3cret"));
            assert_eq!(credentials.scrub("you sent s3cret-token."), "you sent [credential].");
        }
        assert_eq!(parsed(&json!({ "type": "none" })).unwrap(), Credentials::None);
        assert_eq!(parse(None, &mut Vec::new()), Some(Credentials::None));
    }

    #[test]
    fn a_token_alone_is_read_where_nothing_else_is_known() {
        let parsed = |value: Option<&Value>| {
            let mut found = Vec::new();
            parse_token(value, &mut found)
                .ok_or_else(|| found.iter().map(|one| format!("{} {}", one.pointer, one.rule)).collect::<Vec<_>>())
        };
        let token = parsed(Some(&json!({ "type": "token", "token": "s3cret-token" }))).unwrap();
        assert!(!format!("{token:?}").contains("s3cret"));
        assert_eq!(token.scrub("token s3cret-token?"), "token [credential]?");
        assert_eq!(parsed(None).unwrap_err(), ["/credentials required"]);
        assert_eq!(parsed(Some(&json!("x"))).unwrap_err(), ["/credentials invalid_format"]);
        let wrong = json!({ "type": "bearer", "token": "a b", "user": "x" });
        let expected =
            ["/credentials/type unknown_value", "/credentials/token invalid_format", "/credentials/user unknown_field"];
        assert_eq!(parsed(Some(&wrong)).unwrap_err(), expected);
        assert_eq!(
            parsed(Some(&json!({}))).unwrap_err(),
            ["/credentials/type required", "/credentials/token required"]
        );
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let cases = [
            (json!("x"), vec!["/credentials invalid_format"]),
            (json!({}), vec!["/credentials/type required"]),
            (json!({ "type": "magic" }), vec!["/credentials/type unknown_value"]),
            (json!({ "type": "bearer" }), vec!["/credentials/token required"]),
            (
                json!({ "type": "basic", "username": "a:b", "token": "x" }),
                vec![
                    "/credentials/password required",
                    "/credentials/username invalid_format",
                    "/credentials/token unknown_field",
                ],
            ),
            (
                json!({ "type": "header", "name": "Host", "value": "a\r\nb" }),
                vec!["/credentials/value invalid_format", "/credentials/name invalid_format"],
            ),
        ];
        for (value, expected) in cases {
            assert_eq!(parsed(&value).unwrap_err(), expected, "{value}");
        }
    }
}
