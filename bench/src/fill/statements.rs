//! The statements that fill.

/// A filling session: past triggers, and durable only when all is written.
pub(super) const SESSION: &str = "
    SET session_replication_role = replica;
    SET synchronous_commit = off;
    SET maintenance_work_mem = '512MB';
    SET max_parallel_maintenance_workers = 0;
    SET max_parallel_workers_per_gather = 0;
    SET timezone = 'UTC';
";

/// What the filling itself needs, in a schema of its own, and what is in the way.
pub(super) const BEFORE: [(&str, &str); 2] = [
    (
        "
        CREATE SCHEMA bench;
        CREATE TABLE bench.organizations (
            number       integer PRIMARY KEY,
            id           uuid NOT NULL,
            name         text NOT NULL,
            rows         bigint NOT NULL,
            -- Milliseconds since 1970 of the first sync, and between two.
            first_ms     double precision NOT NULL,
            step_ms      double precision NOT NULL,
            size         integer NOT NULL,
            integrations uuid[],
            connectors   text[],
            sync_types   text[]
        );
        CREATE TABLE bench.filled (rows bigint NOT NULL, organizations integer NOT NULL);
        ",
        "making the bench's own schema",
    ),
    (SESSION, "setting up the session"),
];

/// The large organization has number 0 and a fifth of the rows; the others share the rest evenly. Takes the rows, the
/// organizations, and the integrations of the large and of each other one.
pub(super) const ORGANIZATIONS: &str = "
    INSERT INTO bench.organizations (number, id, name, rows, first_ms, step_ms, size)
    SELECT number, gen_random_uuid(), 'Bench ' || lpad(number::text, 3, '0'), rows, first_ms,
           (extract(epoch FROM now() - interval '1 minute') * 1000 - first_ms) / rows,
           CASE WHEN number = 0 THEN $3 ELSE $4 END
    FROM generate_series(0, $2 - 1) AS number,
        LATERAL (
            SELECT CASE WHEN number = 0 THEN $1 / 5 ELSE ($1 - $1 / 5) / ($2 - 1) END AS rows,
                   extract(epoch FROM now() - interval '13 months')::double precision * 1000 AS first_ms
        ) AS share
";

/// Every fifth integration is another connector's, every seventh of another kind; of the remaining connectors and kinds
/// there is no sync at all.
pub(super) const INTEGRATIONS: [&str; 5] = [
    "
    INSERT INTO organizations (organization_id, name) SELECT id, name FROM bench.organizations
    ",
    "
    INSERT INTO integration_configs (
        organization_id, id, name, connector_type, sync_type, runner, freshness_hours, created_at, updated_at
    )
    SELECT id, gen_random_uuid(), 'Integration ' || lpad(place::text, 3, '0'),
           CASE WHEN place % 5 = 3 THEN 'xledger' ELSE 'other' END,
           CASE WHEN place % 7 = 4 THEN 'roster_sync' ELSE 'accounting_push' END,
           'external', 8784, now() - interval '14 months', now() - interval '14 months'
    FROM bench.organizations, generate_series(1, size) AS place
    ",
    "
    INSERT INTO integration_health (organization_id, integration_config_id, updated_at)
    SELECT organization_id, id, now() FROM integration_configs
    ",
    "
    INSERT INTO integration_timers (organization_id, integration_config_id, stale_at, managed)
    SELECT organization_id, id, now() + interval '1 year', false FROM integration_configs
    ",
    "
    UPDATE bench.organizations SET integrations = own.ids, connectors = own.connectors, sync_types = own.sync_types
    FROM (
        SELECT organization_id, array_agg(id ORDER BY name) AS ids, array_agg(connector_type ORDER BY name) AS connectors,
               array_agg(sync_type ORDER BY name) AS sync_types
        FROM integration_configs GROUP BY organization_id
    ) AS own
    WHERE own.organization_id = bench.organizations.id
    ",
];

/// The indexes that are built afterwards: all but those of keys.
pub(super) const INDEXES: &str = "
    SELECT indexrelid::regclass::text, replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ')
    FROM pg_index
    WHERE indrelid IN ('sync_logs'::regclass, 'sync_attempts'::regclass) AND NOT indisunique
    ORDER BY 1
";

/// The months that syncs lie in, as milliseconds since 1970, the newest first.
pub(super) const MONTHS: &str = "
    SELECT (extract(epoch FROM month) * 1000)::bigint, (extract(epoch FROM month + interval '1 month') * 1000)::bigint
    FROM (
        SELECT generate_series(
            date_trunc('month', now() AT TIME ZONE 'UTC') - interval '13 months',
            date_trunc('month', now() AT TIME ZONE 'UTC'), interval '1 month'
        ) AT TIME ZONE 'UTC' AS month
    ) AS months
    ORDER BY month DESC
";

/// The syncs of a month in the order of their key, then their attempts.
pub(super) const MONTH: [&str; 2] = [
    "
    INSERT INTO sync_logs (
        id, integration_config_id, organization_id, connector_type, sync_type, status, records_processed,
        records_failed, records_total, error_code, error_message, triggered_by, source_record_id, source_record_type,
        external_reference_id, request_payload_hash, http_status_code, duration_ms, started_at, completed_at
    )
    SELECT (lpad(to_hex(ms), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0') || '8'
               || lpad(to_hex(number * 4294967296 + n), 15, '0'))::uuid,
           integrations[1 + n % size], id, connectors[1 + n % size], sync_types[1 + n % size],
           CASE WHEN failed THEN 'failed' ELSE 'success' END, CASE WHEN failed THEN 28 ELSE 40 END,
           CASE WHEN failed THEN 12 ELSE 0 END, 40, CASE WHEN failed THEN 'PARTIAL_FAILURE' END,
           CASE WHEN failed THEN 'Invalid cost center code: 9999 (12 records)' END,
           CASE WHEN n % 20 = 11 THEN 'webhook' ELSE 'automatic' END,
           CASE WHEN of_record THEN md5(number || '/' || n)::uuid END,
           CASE WHEN of_record THEN 'expense_claims' END, CASE WHEN of_record THEN 'voucher-' || n END,
           CASE WHEN of_record THEN md5(n::text) || md5(number::text) END,
           CASE WHEN failed THEN 422 ELSE 201 END, duration, started_at,
           started_at + duration * interval '1 millisecond'
    FROM (SELECT * FROM bench.organizations ORDER BY id OFFSET 0) AS organization,
        LATERAL generate_series(
            greatest(0, floor(($1 - first_ms) / step_ms)::bigint - 1),
            least(rows - 1, ceil(($2 - first_ms) / step_ms)::bigint + 1)
        ) AS n,
        LATERAL (
            SELECT (first_ms + n * step_ms)::bigint AS ms, number > 0 AND n % 50 = 7 AS failed, n % 10 = 3 AS of_record,
                   5120 + n % 977 AS duration
        ) AS drawn,
        LATERAL (SELECT timestamptz 'epoch' + ms * interval '1 millisecond' AS started_at) AS made
    WHERE ms >= $1 AND ms < $2
    ",
    "
    INSERT INTO sync_attempts (
        organization_id, sync_started_at, sync_id, attempt_number, status, started_at, completed_at, duration_ms,
        records_total, records_processed, records_failed, error_code, error_message, http_status_code
    )
    SELECT organization_id, started_at, id, 0, status, started_at, completed_at, duration_ms, records_total,
           records_processed, records_failed, error_code, error_message, http_status_code
    FROM sync_logs
    WHERE started_at >= timestamptz 'epoch' + $1::bigint * interval '1 millisecond'
        AND started_at < timestamptz 'epoch' + $2::bigint * interval '1 millisecond'
    ",
];

/// The partitions of both tables that hold something.
pub(super) const PARTITIONS: &str = "
    SELECT inhrelid::regclass::text FROM pg_inherits
    WHERE inhparent IN ('sync_logs'::regclass, 'sync_attempts'::regclass) AND pg_relation_size(inhrelid) > 0
    ORDER BY pg_relation_size(inhrelid) DESC
";
