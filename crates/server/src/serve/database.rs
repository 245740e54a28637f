//! The database a server runs with: a configured one, or its own.

use anyhow::Context as _;
use store::migrate::{self, RolePasswords};
use url::Url;

use crate::auth::api_key::generate;
use crate::config::{Config, MasterKey, Secret};
use crate::connection_file::{ConnectionFile, Connections};
use crate::embedded::EmbeddedDatabase;

/// The embedded database's name.
const NAME: &str = "syncwatch";

/// The database of a serving process.
pub struct ServingDatabase(Option<Embedded>);

struct Embedded {
    database: EmbeddedDatabase,
    _file: ConnectionFile,
}

impl ServingDatabase {
    /// Starts and migrates the embedded database where none is configured, and puts its address into the configuration.
    pub async fn start(config: &mut Config) -> anyhow::Result<Self> {
        if !config.is_embedded() {
            return Ok(Self(None));
        }
        std::fs::create_dir_all(&config.data_dir).with_context(|| format!("making {}", config.data_dir.display()))?;
        let database = EmbeddedDatabase::start(&config.data_dir).await.context("starting the embedded database")?;
        // The password lives as long as the server does; nobody else needs it.
        let password = generate("");
        let passwords = RolePasswords { app: Some(password.clone()), ..RolePasswords::default() };
        migrate::run(database.superuser_url(), NAME, &passwords).await.context("migrating the embedded database")?;
        let connections = Connections {
            app_url: as_role(database.superuser_url(), migrate::APP, &password)?,
            owner_url: with_database(database.superuser_url(), NAME)?,
        };
        let file = connections.write(&config.data_dir)?;
        config.database.url = Some(Secret::new(connections.app_url));
        if matches!(config.master_key, MasterKey::InDataDir) {
            config.master_key = MasterKey::File(config.master_key_path());
        }
        Ok(Self(Some(Embedded { database, _file: file })))
    }

    /// Ends when the embedded database ends by itself.
    pub async fn exited(&mut self) {
        match &mut self.0 {
            Some(embedded) => embedded.database.exited().await,
            None => std::future::pending().await,
        }
    }

    /// Stops the embedded database.
    pub async fn stop(self) -> anyhow::Result<()> {
        match self.0 {
            Some(embedded) => embedded.database.stop().await,
            None => Ok(()),
        }
    }
}

/// The same server, another database.
pub fn with_database(url: &str, name: &str) -> anyhow::Result<String> {
    let mut url: Url = url.parse().context("the database's address")?;
    url.set_path(name);
    Ok(url.into())
}

fn as_role(superuser_url: &str, role: &str, password: &str) -> anyhow::Result<String> {
    let mut url: Url = with_database(superuser_url, NAME)?.parse()?;
    let set = url.set_username(role).and_then(|()| url.set_password(Some(password)));
    set.map_err(|()| anyhow::anyhow!("the database's address takes no user"))?;
    Ok(url.into())
}

/// The password in the application role's address, which `migrate` gives the role.
pub fn app_password(url: &str) -> Option<String> {
    role_password(url, migrate::APP)
}

/// The password in a role's address, if the address is that role's.
pub fn role_password(url: &str, role: &str) -> Option<String> {
    let url: Url = url.parse().ok()?;
    let pair = format!("x={}", url.password()?.replace('+', "%2B"));
    let password = url::form_urlencoded::parse(pair.as_bytes()).next()?.1.into_owned();
    (url.username() == role).then_some(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_change_their_role_and_database() {
        let superuser = "postgres://postgres:secret@127.0.0.1:5433/postgres";
        assert_eq!(with_database(superuser, NAME).unwrap(), "postgres://postgres:secret@127.0.0.1:5433/syncwatch");
        let app = as_role(superuser, migrate::APP, "pa-_ss").unwrap();
        assert_eq!(app, "postgres://syncwatch_app:pa-_ss@127.0.0.1:5433/syncwatch");
    }

    #[test]
    fn the_application_roles_password_is_read_as_it_is_meant() {
        assert_eq!(app_password("postgres://syncwatch_app:a%40b+c@db/x").as_deref(), Some("a@b+c"));
        assert_eq!(app_password("postgres://other:a@db/x"), None);
        assert_eq!(app_password("postgres://syncwatch_app@db/x"), None);
    }
}
