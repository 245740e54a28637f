//! An organization with its people, machines and integrations.

use serde_json::{Value, json};
use server::auth::{api_key, password};
use store::admin::{AdminConnection, NewUser};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::client::{Client, id};

/// Everybody's password.
pub const PASSWORD: &str = "correct horse battery staple";
/// Every scope a machine can have.
pub const ALL_SCOPES: &[&str] =
    &["syncs:write", "syncs:read", "records:write", "retries:claim", "integrations:read", "debug"];

/// Hashing is slow on purpose; once per process is enough here.
static HASH: OnceCell<String> = OnceCell::const_new();

/// An organization of a test.
#[derive(Clone, Debug)]
pub struct Organization {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    pub(crate) base: String,
    pub(crate) superuser_url: String,
}

impl Organization {
    /// Makes a person, and returns the user id.
    pub async fn person(&self, email: &str, role: &str) -> Uuid {
        let hash = HASH.get_or_init(async || password::hash(PASSWORD.to_owned()).await.unwrap()).await;
        let user = NewUser { email, name: email, password_hash: hash, language: "en", role };
        self.owner().await.user(self.id, &user).await.unwrap()
    }

    /// An administrator, signed in.
    pub async fn admin(&self) -> Client {
        self.signed_in("org_admin").await
    }

    /// A viewer, signed in.
    pub async fn viewer(&self) -> Client {
        self.signed_in("org_viewer").await
    }

    /// An operator, signed in.
    pub async fn operator(&self) -> Client {
        self.signed_in("global_admin").await
    }

    /// The address of the person with a role.
    pub fn address(&self, role: &str) -> String {
        let place: String = self.name.chars().filter(char::is_ascii_alphanumeric).collect();
        format!("{role}@{}.example.org", place.to_lowercase())
    }

    async fn signed_in(&self, role: &str) -> Client {
        let email = self.address(role);
        self.person(&email, role).await;
        self.sign_in(&email).await
    }

    /// Signs a person of this organization in.
    pub async fn sign_in(&self, email: &str) -> Client {
        let client = Client::anonymous(&self.base);
        let body = json!({ "email": email, "password": PASSWORD, "organization_id": self.id });
        let answer = client.post("/auth/login").json(&body).send().await.expect(200);
        client.with_token(answer["access_token"].as_str().unwrap())
    }

    /// A machine's key, and its secret.
    pub async fn key(&self, scopes: &[&str]) -> (Uuid, String) {
        let secret = api_key::generate(api_key::SECRET_PREFIX);
        let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let now = server::Clock::system().now();
        let id = self.owner().await.api_key(self.id, "A job", &api_key::hash(&secret), &scopes, now).await.unwrap();
        (id, secret)
    }

    /// A machine with every scope, and its token.
    pub async fn machine(&self) -> Client {
        self.machine_with(ALL_SCOPES).await
    }

    /// A machine with some scopes, and its token.
    pub async fn machine_with(&self, scopes: &[&str]) -> Client {
        let (id, secret) = self.key(scopes).await;
        let client = Client::anonymous(&self.base);
        let form = [("grant_type", "client_credentials"), ("client_id", &id.to_string()), ("client_secret", &secret)];
        let answer = client.post("/oauth/token").form(&form).send().await.expect(200);
        client.with_token(answer["access_token"].as_str().unwrap())
    }

    async fn owner(&self) -> AdminConnection {
        AdminConnection::connect(&self.superuser_url).await.unwrap()
    }
}

/// The body of an integration whose syncs somebody else runs, with further or other members.
pub fn external_integration(more: Value) -> Value {
    let mut body = json!({
        "name": format!("Books {}", Uuid::now_v7().simple()), "connector_type": "xledger",
        "sync_type": "accounting_push", "runner": "external", "settings": {},
    });
    merge(&mut body, more);
    body
}

/// Makes an integration whose syncs somebody else runs, with further or other members.
pub async fn connect_external(admin: &Client, more: Value) -> Uuid {
    id(&admin.post("/integrations").json(&external_integration(more)).send().await.expect(201))
}

/// Puts further or other members into an object.
pub fn merge(into: &mut Value, more: Value) {
    if let Value::Object(more) = more {
        for (name, value) in more {
            into[name] = value;
        }
    }
}
