//! Making people and keys, beside a running server or with a configured database.

use std::io::Read as _;

use anyhow::{Context as _, bail, ensure};
use serde_json::json;
use store::admin::{AdminConnection, NewUser};

use super::{NewKeyArgs, NewUserArgs};
use crate::auth::{Scope, api_key, password};
use crate::clock::Clock;
use crate::config::Config;
use crate::connection_file::Connections;

/// Makes a person.
pub(super) async fn create_user(config: &Config, args: &NewUserArgs) -> anyhow::Result<()> {
    let email = args.email.trim();
    ensure!(is_email(email), "{email:?} is no e-mail address");
    let (password, made) = if args.password_stdin { (read_password()?, None) } else { make_password() };
    let password_hash = password::hash(password).await?;
    let mut owner = connect(config).await?;
    let organization_id = owner.organization(args.organization.trim()).await?;
    let user = NewUser {
        email,
        name: args.name.trim(),
        password_hash: &password_hash,
        language: &args.language,
        role: &args.role,
    };
    let user_id = owner.user(organization_id, &user).await?;
    let mut answer = json!({ "user_id": user_id, "organization_id": organization_id });
    if let Some(made) = made {
        answer["password"] = made.into();
    }
    println!("{answer}");
    Ok(())
}

/// Makes a machine's key.
pub(super) async fn create_key(config: &Config, args: &NewKeyArgs) -> anyhow::Result<()> {
    let mut scopes: Vec<String> = Vec::new();
    for word in &args.scopes {
        let scope: Scope = word.trim().parse().with_context(|| format!("the scopes are {}", all_scopes()))?;
        if !scopes.iter().any(|known| known == scope.as_str()) {
            scopes.push(scope.as_str().to_owned());
        }
    }
    let secret = api_key::generate(api_key::SECRET_PREFIX);
    let mut owner = connect(config).await?;
    let organization_id = owner.organization(args.organization.trim()).await?;
    let hash = api_key::hash(&secret);
    let id = owner.api_key(organization_id, args.name.trim(), &hash, &scopes, Clock::system().now()).await?;
    println!("{}", json!({ "client_id": id, "client_secret": secret, "organization_id": organization_id }));
    Ok(())
}

/// As the owner: the configured connection, or the one of the server that runs here.
async fn connect(config: &Config) -> anyhow::Result<AdminConnection> {
    // A second installation of the provider is refused, harmlessly.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = match (&config.database.migrate_url, &config.database.url) {
        (Some(url), _) => url.expose().to_owned(),
        (None, None) => Connections::read(&config.data_dir)?.owner_url,
        (None, Some(_)) => bail!("SYNCWATCH_MIGRATE_DATABASE_URL is needed: a connection that may act as the owner"),
    };
    AdminConnection::connect(&url).await.context("connecting to the database")
}

fn read_password() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().take(4096).read_to_string(&mut text).context("reading the password")?;
    let line = text.lines().next().unwrap_or_default();
    ensure!(!line.is_empty(), "no password came on standard input");
    Ok(line.to_owned())
}

fn make_password() -> (String, Option<String>) {
    let password = api_key::generate("");
    (password.clone(), Some(password))
}

fn is_email(text: &str) -> bool {
    let fits = |part: &str| !part.is_empty() && !part.contains(char::is_whitespace) && !part.contains('@');
    text.len() <= 320 && text.split_once('@').is_some_and(|(person, host)| fits(person) && fits(host))
}

fn all_scopes() -> String {
    Scope::ALL.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_person_and_a_host() {
        assert!(is_email("kari@example.org"));
        for text in ["", "kari", "@example.org", "kari@", "a b@c", "a@b@c"] {
            assert!(!is_email(text), "{text}");
        }
    }
}
