//! Which `OpenLineage` job's runs are an integration's syncs: `lineage_jobs`.

use domain::lineage::LineageJob;
use uuid::Uuid;

use crate::database::OrgTx;
use crate::error::StoreError;

/// The constraint that a job of another integration breaks.
pub const ONE_INTEGRATION: &str = "lineage_job_leads_to_one_integration";

#[derive(sqlx::FromRow)]
struct Row {
    namespace: String,
    name: String,
    lease_seconds: i32,
}

/// The job of an integration.
pub async fn find(tx: &mut OrgTx, integration_config_id: Uuid) -> Result<Option<LineageJob>, StoreError> {
    let organization_id = tx.organization_id();
    let row: Option<Row> = sqlx::query_as(
        "
        SELECT namespace, name, lease_seconds FROM lineage_jobs
        WHERE organization_id = $1 AND integration_config_id = $2
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| LineageJob {
        namespace: row.namespace,
        name: row.name,
        lease_seconds: row.lease_seconds.unsigned_abs(),
    }))
}

/// The integration whose syncs a job's runs are, and the length of their lease.
pub async fn find_integration(tx: &mut OrgTx, namespace: &str, name: &str) -> Result<Option<(Uuid, u32)>, StoreError> {
    let organization_id = tx.organization_id();
    let row: Option<(Uuid, i32)> = sqlx::query_as(
        "
        SELECT integration_config_id, lease_seconds FROM lineage_jobs
        WHERE organization_id = $1 AND namespace = $2 AND name = $3
        ",
    )
    .bind(organization_id)
    .bind(namespace)
    .bind(name)
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|(integration, lease_seconds)| (integration, lease_seconds.unsigned_abs())))
}

/// Sets or takes back the job of an integration. A job of another integration breaks [`ONE_INTEGRATION`].
pub async fn set(tx: &mut OrgTx, integration_config_id: Uuid, job: Option<&LineageJob>) -> Result<(), StoreError> {
    let organization_id = tx.organization_id();
    sqlx::query("DELETE FROM lineage_jobs WHERE organization_id = $1 AND integration_config_id = $2")
        .bind(organization_id)
        .bind(integration_config_id)
        .execute(tx.conn())
        .await?;
    let Some(job) = job else { return Ok(()) };
    sqlx::query(
        "
        INSERT INTO lineage_jobs (organization_id, integration_config_id, namespace, name, lease_seconds)
        VALUES ($1, $2, $3, $4, $5)
        ",
    )
    .bind(organization_id)
    .bind(integration_config_id)
    .bind(&job.namespace)
    .bind(&job.name)
    .bind(job.lease_seconds.cast_signed())
    .execute(tx.conn())
    .await?;
    Ok(())
}
