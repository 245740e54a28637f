-- What is under way: the queue of pending attempts, the leases of running ones, and the claims on records.

-- Read by workers and sweeps before any organization is known: ids and moments, nothing else.
CREATE TABLE active_syncs (
    organization_id       uuid NOT NULL,
    sync_id               uuid NOT NULL,
    sync_started_at       timestamptz NOT NULL,
    integration_config_id uuid NOT NULL,
    -- The attempt that waits or runs.
    attempt_number        smallint NOT NULL CHECK (attempt_number BETWEEN 0 AND 10),
    running               boolean NOT NULL,
    managed               boolean NOT NULL,
    -- The person who asked for it, where one did.
    requested_by          uuid,
    -- The process that runs it, for managed ones.
    lease_owner           uuid,
    lease_seconds         integer NOT NULL CHECK (lease_seconds BETWEEN 1 AND 86400),
    -- When it counts as abandoned (running) or unclaimed (pending).
    lease_expires_at      timestamptz NOT NULL,
    created_at            timestamptz NOT NULL,
    PRIMARY KEY (organization_id, sync_id)
);
CREATE INDEX active_syncs_queue ON active_syncs (created_at) WHERE managed AND NOT running;
CREATE INDEX active_syncs_expiry ON active_syncs (lease_expires_at);
-- "Is a sync of this integration under way?"
CREATE INDEX active_syncs_integration ON active_syncs (organization_id, integration_config_id);
GRANT SELECT, INSERT, UPDATE, DELETE ON active_syncs TO syncwatch_app;

-- one_active_attempt_per_source_record: a unique index on a partitioned table cannot say it, so this table does.
CREATE TABLE sync_claims (
    organization_id    uuid NOT NULL,
    connector_type     text NOT NULL,
    source_record_type text NOT NULL,
    source_record_id   uuid NOT NULL,
    sync_id            uuid NOT NULL,
    CONSTRAINT one_active_attempt_per_source_record
        PRIMARY KEY (organization_id, connector_type, source_record_type, source_record_id),
    FOREIGN KEY (organization_id, sync_id) REFERENCES active_syncs (organization_id, sync_id) ON DELETE CASCADE
);
-- Deleting an active sync releases its claims.
CREATE INDEX sync_claims_sync ON sync_claims (organization_id, sync_id);
SELECT protect_tenant_table('sync_claims');
GRANT SELECT, INSERT, DELETE ON sync_claims TO syncwatch_app;

-- A runner's own name for a run is unique per integration for good, across all partitions and the archive.
CREATE TABLE client_runs (
    organization_id       uuid NOT NULL,
    integration_config_id uuid NOT NULL,
    client_run_id         text NOT NULL,
    sync_id               uuid NOT NULL,
    PRIMARY KEY (organization_id, integration_config_id, client_run_id),
    FOREIGN KEY (organization_id, integration_config_id) REFERENCES integration_configs (organization_id, id)
);
SELECT protect_tenant_table('client_runs');
GRANT SELECT, INSERT ON client_runs TO syncwatch_app;
