//! The machine's key.

use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

use crate::config::Secret;

/// A machine's key.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    /// The key's id.
    pub(super) client_id: String,
    /// The key's secret.
    pub(super) client_secret: Secret,
}

impl Credentials {
    /// Of a file as `syncwatch key create` prints it, or of the environment.
    pub(super) fn read(file: Option<&Path>) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Key {
            client_id: String,
            client_secret: String,
        }
        if let Some(file) = file {
            let text = std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
            // What serde says of the file could hold the secret.
            let key: Key = serde_json::from_slice(&text)
                .ok()
                .with_context(|| format!("{} is not {{\"client_id\": …, \"client_secret\": …}}", file.display()))?;
            return Ok(Self { client_id: key.client_id, client_secret: Secret::new(key.client_secret) });
        }
        let variable = |name: &str| {
            let value = std::env::var(name).ok().filter(|value| !value.is_empty());
            value.with_context(|| format!("{name} is not set, and no file is named with --credentials"))
        };
        let client_id = variable("SYNCWATCH_CLIENT_ID")?;
        Ok(Self { client_id, client_secret: Secret::new(variable("SYNCWATCH_CLIENT_SECRET")?) })
    }
}
