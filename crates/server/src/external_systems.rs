//! Which external system an integration sends to, and which one it asks.

use sha2::{Digest as _, Sha256};
use store::integrations::IntegrationConfig;
use uuid::Uuid;

/// The external system of an integration, the same for all that send to one origin: they share what is known of it.
pub(crate) fn id_of(config: &IntegrationConfig) -> Uuid {
    // One that says nothing of it shares with nobody.
    let origin = connectors::origin(config.connector_type, &config.settings);
    id(&origin.unwrap_or_else(|| config.id.to_string()))
}

/// Where an integration's records are looked up: mostly the same.
pub(crate) fn asked_by(config: &IntegrationConfig) -> Uuid {
    connectors::asked_origin(config.connector_type, &config.settings)
        .map_or_else(|| id_of(config), |origin| id(&origin))
}

fn id(of: &str) -> Uuid {
    let hash = Sha256::digest(of);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    Uuid::from_bytes(bytes)
}
