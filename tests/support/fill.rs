//! Very many syncs in seconds: made by one statement, past the API and its rules.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

/// Syncs of one organization, evenly spread over a period, with something of everything.
#[derive(Clone, Debug)]
pub struct Fill {
    /// The organization.
    pub organization: Uuid,
    /// Its integrations with their connectors; they take turns.
    pub integrations: Vec<(Uuid, &'static str)>,
    /// When the first sync starts.
    pub from: DateTime<Utc>,
    /// When the last one has started.
    pub to: DateTime<Utc>,
    /// How many.
    pub syncs: i32,
    /// Characters of the failed ones' messages.
    pub message_chars: i32,
}

impl Fill {
    /// Makes them. Four at a time start in the same millisecond; of twenty, two fail, one failed and was retried without
    /// success, one with success, one has failed records all the same, one waits and one runs.
    pub async fn run(&self, superuser: &PgPool) {
        let (ids, connectors): (Vec<Uuid>, Vec<&str>) = self.integrations.iter().copied().unzip();
        let mut tx = superuser.begin().await.unwrap();
        // Neither foreign keys nor triggers; checks and row-level security stay as they are.
        sqlx::query("SET LOCAL session_replication_role = replica").execute(&mut *tx).await.unwrap();
        let made = sqlx::query(STATEMENT)
            .bind(self.organization)
            .bind(ids)
            .bind(connectors)
            .bind(self.from)
            .bind(self.to)
            .bind(self.syncs)
            .bind(self.message_chars)
            .execute(&mut *tx)
            .await
            .unwrap();
        assert_eq!(made.rows_affected(), u64::try_from(self.syncs).unwrap());
        tx.commit().await.unwrap();
    }
}

const STATEMENT: &str = "
    INSERT INTO sync_logs (
        id, integration_config_id, organization_id, connector_type, sync_type, status, records_processed,
        records_failed, records_total, error_code, error_message, retry_count, triggered_by, triggered_by_user_id,
        source_record_id, source_record_type, duration_ms, started_at, completed_at, metadata, client_run_id
    )
    SELECT
        -- A UUIDv7 of the start.
        (lpad(to_hex((extract(epoch FROM started_at) * 1000)::bigint), 12, '0') || '7' || substr(digits, 1, 3)
            || '8' || substr(digits, 4, 15))::uuid,
        ($2::uuid[])[1 + n % cardinality($2::uuid[])], $1::uuid, ($3::text[])[1 + n % cardinality($3::text[])],
        (ARRAY['accounting_push', 'roster_sync', 'portal_event'])[1 + n / 2 % 3],
        status,
        CASE WHEN NOT active THEN 28 END,
        CASE WHEN NOT active THEN CASE WHEN failed OR n % 20 = 4 THEN 12 ELSE 0 END END,
        40,
        CASE WHEN failed THEN 'PARTIAL_FAILURE' END,
        CASE WHEN failed THEN repeat('x', $7::int) END,
        CASE WHEN status LIKE 'retried%' THEN 10 - n / 20 % 10 ELSE 0 END,
        trigger, CASE trigger WHEN 'manual' THEN gen_random_uuid() END,
        CASE WHEN n % 5 = 0 THEN md5((n / 10)::text)::uuid END,
        CASE WHEN n % 5 < 2 THEN (ARRAY['expense_claims', 'members'])[1 + n / 10 % 2] END,
        CASE WHEN NOT active THEN 1500 END,
        started_at,
        CASE WHEN NOT active THEN started_at + interval '1500 milliseconds' END,
        jsonb_build_object('host', 'job-' || n), 'run-' || n
    FROM (
        SELECT n, status, status IN ('pending', 'in_progress') AS active, status LIKE '%failed' AS failed,
               (ARRAY['automatic', 'automatic', 'automatic', 'manual', 'webhook'])[1 + n / 3 % 5] AS trigger,
               md5(random()::text) AS digits,
               date_trunc('milliseconds', $4::timestamptz
                   + ($5::timestamptz - $4::timestamptz) * ((n / 4 * 4)::float8 / $6::int)) AS started_at
        FROM (
            SELECT n, CASE n % 20 WHEN 0 THEN 'failed' WHEN 1 THEN 'failed' WHEN 2 THEN 'retried_failed'
                WHEN 3 THEN 'retried_success' WHEN 5 THEN 'pending' WHEN 6 THEN 'in_progress' ELSE 'success' END AS status
            FROM generate_series(0, $6::int - 1) n
        ) numbers
    ) syncs
";
