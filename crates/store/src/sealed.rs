//! Everything that lies sealed, for sealing it anew with another key.
//!
//! Whoever replaces a sealed value names the one that was read: what was written meanwhile stays.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::database::{OrgTx, PlainTx};
use crate::error::StoreError;
use crate::integrations::SealedBytes;
use crate::source_records::RecordKey;

/// What a sealed value of an organization is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// An integration's credentials.
    Credentials {
        /// The integration.
        integration_config_id: Uuid,
    },
    /// What signs an integration's webhooks.
    WebhookSecret {
        /// The integration.
        integration_config_id: Uuid,
        /// Which of its secrets.
        id: Uuid,
    },
    /// The current version of a staged record.
    Payload {
        /// The integration.
        integration_config_id: Uuid,
        /// The record.
        key: RecordKey,
    },
    /// The version of a staged record that waits.
    NextPayload {
        /// The integration.
        integration_config_id: Uuid,
        /// The record.
        key: RecordKey,
    },
}

/// A sealed value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSecret {
    /// What it is.
    pub of: Secret,
    /// As it lies in the database.
    pub sealed: SealedBytes,
}

/// Where a walk over the staged records stands: behind this one.
pub type Place = (Uuid, RecordKey);

/// The organization's credentials and webhook secrets that another key than this one sealed.
pub async fn of_integrations(tx: &mut OrgTx, key_id: &str) -> Result<Vec<SealedSecret>, StoreError> {
    let organization_id = tx.organization_id();
    let credentials: Vec<(Uuid, Vec<u8>, String)> = sqlx::query_as(
        "
        SELECT id, credentials_sealed, credentials_key_id FROM integration_configs
        WHERE organization_id = $1 AND credentials_sealed IS NOT NULL AND credentials_key_id <> $2
        ORDER BY id
        ",
    )
    .bind(organization_id)
    .bind(key_id)
    .fetch_all(tx.conn())
    .await?;
    let webhook_secrets: Vec<(Uuid, Uuid, Vec<u8>, String)> = sqlx::query_as(
        "
        SELECT integration_config_id, id, secret_sealed, secret_key_id FROM webhook_secrets
        WHERE organization_id = $1 AND secret_key_id <> $2
        ORDER BY id
        ",
    )
    .bind(organization_id)
    .bind(key_id)
    .fetch_all(tx.conn())
    .await?;
    let credentials = credentials.into_iter().map(|(integration_config_id, bytes, key_id)| SealedSecret {
        of: Secret::Credentials { integration_config_id },
        sealed: SealedBytes { key_id, bytes },
    });
    let webhook_secrets = webhook_secrets.into_iter().map(|(integration_config_id, id, bytes, key_id)| SealedSecret {
        of: Secret::WebhookSecret { integration_config_id, id },
        sealed: SealedBytes { key_id, bytes },
    });
    Ok(credentials.chain(webhook_secrets).collect())
}

/// The payloads of the next staged records behind a place that another key than this one sealed, and where the walk stands
/// after them; no place once it has come to its end.
pub async fn of_records(
    tx: &mut OrgTx,
    key_id: &str,
    after: Option<&Place>,
    limit: i64,
) -> Result<(Vec<SealedSecret>, Option<Place>), StoreError> {
    #[derive(sqlx::FromRow)]
    struct Row {
        integration_config_id: Uuid,
        source_record_type: String,
        source_record_id: Uuid,
        payload_sealed: Option<Vec<u8>>,
        payload_key_id: Option<String>,
        next_payload_sealed: Option<Vec<u8>>,
        next_payload_key_id: Option<String>,
    }
    let organization_id = tx.organization_id();
    let (integration, kind, id) = match after {
        Some((integration, key)) => (*integration, key.source_record_type.as_str(), key.source_record_id),
        // Before every record: no type is empty.
        None => (Uuid::nil(), "", Uuid::nil()),
    };
    let rows: Vec<Row> = sqlx::query_as(
        "
        SELECT integration_config_id, source_record_type, source_record_id,
               payload_sealed, payload_key_id, next_payload_sealed, next_payload_key_id
        FROM source_records
        WHERE organization_id = $1
            AND (integration_config_id, source_record_type, source_record_id) > ($2, $3, $4)
            AND (payload_key_id <> $5 OR next_payload_key_id <> $5)
        ORDER BY integration_config_id, source_record_type, source_record_id
        LIMIT $6
        ",
    )
    .bind(organization_id)
    .bind(integration)
    .bind(kind)
    .bind(id)
    .bind(key_id)
    .bind(limit)
    .fetch_all(tx.conn())
    .await?;
    let mut found = Vec::with_capacity(rows.len());
    let mut place = None;
    for row in rows {
        let integration_config_id = row.integration_config_id;
        let key = RecordKey { source_record_type: row.source_record_type, source_record_id: row.source_record_id };
        let current = row.payload_sealed.zip(row.payload_key_id);
        let next = row.next_payload_sealed.zip(row.next_payload_key_id);
        for (payload, of) in [
            (current, Secret::Payload { integration_config_id, key: key.clone() }),
            (next, Secret::NextPayload { integration_config_id, key: key.clone() }),
        ] {
            let other = payload.filter(|(_, sealed_by)| sealed_by != key_id);
            found.extend(other.map(|(bytes, key_id)| SealedSecret { of, sealed: SealedBytes { key_id, bytes } }));
        }
        place = Some((integration_config_id, key));
    }
    Ok((found, place))
}

/// Puts a value that was sealed anew in the place of the one that was read; returns whether that was still there. Nothing
/// else of the row changes, no moment and no version.
pub async fn replace(tx: &mut OrgTx, secret: &SealedSecret, anew: &SealedBytes) -> Result<bool, StoreError> {
    const PAYLOAD: &str = "
        UPDATE source_records SET payload_sealed = $6, payload_key_id = $7
        WHERE organization_id = $1 AND integration_config_id = $2 AND source_record_type = $3
            AND source_record_id = $4 AND payload_sealed = $5
    ";
    const NEXT_PAYLOAD: &str = "
        UPDATE source_records SET next_payload_sealed = $6, next_payload_key_id = $7
        WHERE organization_id = $1 AND integration_config_id = $2 AND source_record_type = $3
            AND source_record_id = $4 AND next_payload_sealed = $5
    ";
    let organization_id = tx.organization_id();
    let read = &secret.sealed.bytes;
    let query = match &secret.of {
        Secret::Credentials { integration_config_id } => sqlx::query(
            "
            UPDATE integration_configs SET credentials_sealed = $4, credentials_key_id = $5
            WHERE organization_id = $1 AND id = $2 AND credentials_sealed = $3
            ",
        )
        .bind(organization_id)
        .bind(integration_config_id)
        .bind(read),
        Secret::WebhookSecret { id, .. } => sqlx::query(
            "
            UPDATE webhook_secrets SET secret_sealed = $4, secret_key_id = $5
            WHERE organization_id = $1 AND id = $2 AND secret_sealed = $3
            ",
        )
        .bind(organization_id)
        .bind(id)
        .bind(read),
        Secret::Payload { integration_config_id, key } | Secret::NextPayload { integration_config_id, key } => {
            let current = matches!(secret.of, Secret::Payload { .. });
            sqlx::query(if current { PAYLOAD } else { NEXT_PAYLOAD })
                .bind(organization_id)
                .bind(integration_config_id)
                .bind(&key.source_record_type)
                .bind(key.source_record_id)
                .bind(read)
        }
    };
    let done = query.bind(&anew.bytes).bind(&anew.key_id).execute(tx.conn()).await?;
    Ok(done.rows_affected() == 1)
}

/// How many of the organization's values each key has sealed, by its id.
pub async fn count_by_key(tx: &mut OrgTx) -> Result<BTreeMap<String, i64>, StoreError> {
    let organization_id = tx.organization_id();
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "
        SELECT key_id, count(*) FROM (
            SELECT credentials_key_id AS key_id FROM integration_configs
            WHERE organization_id = $1 AND credentials_key_id IS NOT NULL
            UNION ALL
            SELECT secret_key_id FROM webhook_secrets WHERE organization_id = $1
            UNION ALL
            SELECT payload_key_id FROM source_records WHERE organization_id = $1 AND payload_key_id IS NOT NULL
            UNION ALL
            SELECT next_payload_key_id FROM source_records
            WHERE organization_id = $1 AND next_payload_key_id IS NOT NULL
        ) AS sealed
        GROUP BY key_id
        ",
    )
    .bind(organization_id)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().collect())
}

/// The issuer's private keys, also retired ones, that another key than this one sealed: by the id that names them in tokens.
pub async fn signing_keys(tx: &mut PlainTx, key_id: &str) -> Result<Vec<(String, SealedBytes)>, StoreError> {
    let rows: Vec<(String, Vec<u8>, String)> = sqlx::query_as(
        "
        SELECT kid, private_key_sealed, sealing_key_id FROM signing_keys WHERE sealing_key_id <> $1 ORDER BY kid
        ",
    )
    .bind(key_id)
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|(kid, bytes, key_id)| (kid, SealedBytes { key_id, bytes })).collect())
}

/// Puts a private key that was sealed anew in the place of the one that was read; returns whether that was still there.
pub async fn replace_signing_key(
    tx: &mut PlainTx,
    kid: &str,
    read: &SealedBytes,
    anew: &SealedBytes,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "
        UPDATE signing_keys SET private_key_sealed = $3, sealing_key_id = $4
        WHERE kid = $1 AND private_key_sealed = $2
        ",
    )
    .bind(kid)
    .bind(&read.bytes)
    .bind(&anew.bytes)
    .bind(&anew.key_id)
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How many private keys each key has sealed, by its id.
pub async fn count_signing_keys_by_key(tx: &mut PlainTx) -> Result<BTreeMap<String, i64>, StoreError> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT sealing_key_id, count(*) FROM signing_keys GROUP BY sealing_key_id")
            .fetch_all(tx.conn())
            .await?;
    Ok(rows.into_iter().collect())
}
