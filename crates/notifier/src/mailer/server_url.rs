//! Reading the mail server's address.

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::TlsParameters;
use url::{Host, Url};

use super::MailerConfigError;

/// How the connection is encrypted.
#[derive(Clone)]
pub(super) enum Encryption {
    /// Not at all.
    None,
    /// From the first byte.
    Wrapped(TlsParameters),
    /// By STARTTLS, without which nothing is sent.
    StartTls(TlsParameters),
}

/// A mail server and how to sign in to it.
#[derive(Clone)]
pub(super) struct ServerUrl {
    pub host: String,
    pub port: u16,
    pub encryption: Encryption,
    pub credentials: Option<Credentials>,
}

impl ServerUrl {
    pub(super) fn parse(text: &str) -> Result<Self, MailerConfigError> {
        let url = Url::parse(text).map_err(|_| MailerConfigError::Url("not a URL"))?;
        // Schemes unknown to the URL standard keep their host as it was written; read again, it is a name or an address.
        let host = match url.host_str().map(Host::parse) {
            Some(Ok(Host::Domain(name))) => name,
            Some(Ok(Host::Ipv4(address))) => address.to_string(),
            Some(Ok(Host::Ipv6(address))) => address.to_string(),
            Some(Err(_)) | None => return Err(MailerConfigError::Url("the host is missing or malformed")),
        };
        if host.is_empty() {
            return Err(MailerConfigError::Url("the host is missing"));
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(MailerConfigError::Url("nothing may follow the port"));
        }
        let tls = || TlsParameters::new(host.clone()).map_err(|error| MailerConfigError::Tls(error.to_string()));
        let (default_port, encryption) = match url.scheme() {
            "smtp" => (25, Encryption::None),
            "smtps" => (465, Encryption::Wrapped(tls()?)),
            "smtp+starttls" => (587, Encryption::StartTls(tls()?)),
            _ => return Err(MailerConfigError::Url("the scheme is unknown")),
        };
        let credentials = match (percent_decoded(url.username()), url.password().map(percent_decoded)) {
            (Some(user), None) if user.is_empty() => None,
            (Some(user), Some(Some(password))) if !user.is_empty() => Some(Credentials::new(user, password)),
            _ => return Err(MailerConfigError::Url("user and password belong together, percent-encoded")),
        };
        if credentials.is_some() && matches!(encryption, Encryption::None) && !is_loopback(&host) {
            return Err(MailerConfigError::CleartextPassword);
        }
        Ok(Self { port: url.port().unwrap_or(default_port), host, encryption, credentials })
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// `None` where the bytes are no text.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        if let Some(decoded) = escaped.filter(|_| byte == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            bytes.push(decoded);
            rest = &tail[2..];
        } else {
            bytes.push(byte);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_read() {
        let plain = ServerUrl::parse("smtp://127.0.0.1:1025").unwrap();
        assert_eq!((plain.host.as_str(), plain.port), ("127.0.0.1", 1025));
        assert!(matches!(plain.encryption, Encryption::None) && plain.credentials.is_none());

        let wrapped = ServerUrl::parse("smtps://user%40org:p%C3%A6ss%3A@mail.example.org").unwrap();
        assert_eq!((wrapped.host.as_str(), wrapped.port), ("mail.example.org", 465));
        assert!(matches!(wrapped.encryption, Encryption::Wrapped(_)));
        assert_eq!(wrapped.credentials, Some(Credentials::new("user@org".to_owned(), "pæss:".to_owned())));

        let upgraded = ServerUrl::parse("smtp+starttls://mail.example.org").unwrap();
        assert_eq!(upgraded.port, 587);
        assert!(matches!(upgraded.encryption, Encryption::StartTls(_)));

        assert_eq!(ServerUrl::parse("smtp://[::1]:2525").unwrap().host, "::1");
    }

    #[test]
    fn passwords_do_not_travel_in_clear_text() {
        let refused = ServerUrl::parse("smtp://user:secret@mail.example.org").err();
        assert_eq!(refused, Some(MailerConfigError::CleartextPassword));
        assert!(ServerUrl::parse("smtp://user:secret@localhost:2525").is_ok());
    }

    #[test]
    fn what_is_no_mail_server_is_refused() {
        for url in [
            "",
            "mail.example.org",
            "http://mail.example.org",
            "smtp://",
            "smtp://user@mail.example.org",
            "smtps://:secret@mail.example.org",
            "smtps://user:%FF@mail.example.org",
            "smtp://mail.example.org/path",
            "smtp://mail.example.org?tls=required",
            "smtp://mail.example.org:99999",
            "smtp://mail example",
        ] {
            assert!(ServerUrl::parse(url).is_err(), "{url} was taken");
        }
    }
}
