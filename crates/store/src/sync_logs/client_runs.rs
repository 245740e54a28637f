//! Runners' own names for their runs: `client_runs`, unique per integration for good.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::database::OrgTx;
use crate::error::StoreError;

/// A runner's own name for a run, and the sync it is to stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientRun<'a> {
    /// The integration.
    pub integration_config_id: Uuid,
    /// The name.
    pub client_run_id: &'a str,
    /// The sync.
    pub sync_id: Uuid,
}

/// Remembers a runner's own name for a run; returns the sync that had it already.
pub async fn claim_client_run(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    client_run_id: &str,
    sync_id: Uuid,
) -> Result<Option<Uuid>, StoreError> {
    let run = ClientRun { integration_config_id, client_run_id, sync_id };
    Ok(claim_client_runs(tx, &[run]).await?.into_values().next())
}

/// Remembers runners' own names, each of which stands once in `runs`; returns the syncs that had one already, by
/// integration and name.
pub async fn claim_client_runs(
    tx: &mut OrgTx,
    runs: &[ClientRun<'_>],
) -> Result<BTreeMap<(Uuid, String), Uuid>, StoreError> {
    let organization_id = tx.organization_id();
    let integrations: Vec<Uuid> = runs.iter().map(|run| run.integration_config_id).collect();
    let names: Vec<&str> = runs.iter().map(|run| run.client_run_id).collect();
    let syncs: Vec<Uuid> = runs.iter().map(|run| run.sync_id).collect();
    // In one order, so that two calls with the same names wait for each other rather than both for ever.
    let done = sqlx::query(
        "
        INSERT INTO client_runs (organization_id, integration_config_id, client_run_id, sync_id)
        SELECT $1, run.integration, run.name, run.sync
        FROM unnest($2::uuid[], $3::text[], $4::uuid[]) AS run (integration, name, sync)
        ORDER BY run.integration, run.name
        ON CONFLICT DO NOTHING
        ",
    )
    .bind(organization_id)
    .bind(&integrations)
    .bind(&names)
    .bind(&syncs)
    .execute(tx.conn())
    .await?;
    if usize::try_from(done.rows_affected()).is_ok_and(|claimed| claimed == runs.len()) {
        return Ok(BTreeMap::new());
    }
    let known: Vec<(Uuid, String, Uuid)> = sqlx::query_as(
        "
        SELECT client_runs.integration_config_id, client_runs.client_run_id, client_runs.sync_id
        FROM unnest($2::uuid[], $3::text[], $4::uuid[]) AS run (integration, name, sync)
        JOIN client_runs
            ON client_runs.organization_id = $1 AND client_runs.integration_config_id = run.integration
            AND client_runs.client_run_id = run.name
        WHERE client_runs.sync_id <> run.sync
        ",
    )
    .bind(organization_id)
    .bind(&integrations)
    .bind(&names)
    .bind(&syncs)
    .fetch_all(tx.conn())
    .await?;
    Ok(known.into_iter().map(|(integration, name, sync)| ((integration, name), sync)).collect())
}

/// The sync that a runner's own name for a run stands for.
pub async fn find_client_run(
    tx: &mut OrgTx,
    integration_config_id: Uuid,
    client_run_id: &str,
) -> Result<Option<Uuid>, StoreError> {
    let organization_id = tx.organization_id();
    Ok(sqlx::query_scalar(
        "
        SELECT sync_id FROM client_runs
        WHERE organization_id = $1 AND integration_config_id = $2 AND client_run_id = $3
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(client_run_id)
    .fetch_optional(tx.conn())
    .await?)
}
