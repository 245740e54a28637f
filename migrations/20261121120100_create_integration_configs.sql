-- Integrations: settings, health, and the timers that sweeps read.

CREATE TABLE integration_configs (
    organization_id     uuid NOT NULL REFERENCES organizations,
    id                  uuid NOT NULL,
    name                text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 120),
    connector_type      text NOT NULL CHECK (connector_type IN ('xledger', 'dynamics365', 'generic_http', 'other')),
    sync_type           text NOT NULL CHECK (sync_type IN ('accounting_push', 'roster_sync', 'portal_event')),
    runner              text NOT NULL CHECK (runner IN ('managed', 'external')),
    settings            jsonb NOT NULL DEFAULT '{}',
    -- Sealed by the server (an AEAD); the key's id stands beside it.
    credentials_sealed  bytea,
    credentials_key_id  text,
    cron                text,
    time_zone           text,
    paused              boolean NOT NULL DEFAULT false,
    freshness_hours     integer NOT NULL DEFAULT 48 CHECK (freshness_hours BETWEEN 1 AND 8784),
    business_days_only  boolean NOT NULL DEFAULT false,
    failure_threshold   integer NOT NULL DEFAULT 2 CHECK (failure_threshold BETWEEN 1 AND 30),
    partial_failure     text NOT NULL DEFAULT 'error' CHECK (partial_failure IN ('error', 'warning')),
    allow_updates       boolean NOT NULL DEFAULT false,
    record_url_template text,
    retry_webhook_url   text,
    -- Rises with every change of settings; the API's ETag.
    version             bigint NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT other_needs_external_runner CHECK (connector_type <> 'other' OR runner = 'external'),
    CONSTRAINT credentials_have_key CHECK ((credentials_sealed IS NULL) = (credentials_key_id IS NULL)),
    CONSTRAINT schedule_is_whole CHECK ((cron IS NULL) = (time_zone IS NULL))
);
CREATE UNIQUE INDEX integration_configs_name ON integration_configs (organization_id, lower(name));
SELECT protect_tenant_table('integration_configs');
GRANT SELECT, INSERT ON integration_configs TO syncwatch_app;
-- What the ledger's rows copy never changes: connector, kind of sync, organization.
GRANT UPDATE (
    name, settings, credentials_sealed, credentials_key_id, cron, time_zone, paused, freshness_hours,
    business_days_only, failure_threshold, partial_failure, allow_updates, record_url_template, retry_webhook_url,
    version, updated_at
) ON integration_configs TO syncwatch_app;
GRANT SELECT ON integration_configs TO syncwatch_reader;

-- One row per integration, kept in the ledger's transactions, so that the dashboard's summary costs the same whatever
-- the history's size. `facts` is the domain's HealthFacts.
CREATE TABLE integration_health (
    organization_id       uuid NOT NULL,
    integration_config_id uuid NOT NULL,
    facts                 jsonb NOT NULL DEFAULT '{}',
    updated_at            timestamptz NOT NULL,
    PRIMARY KEY (organization_id, integration_config_id),
    FOREIGN KEY (organization_id, integration_config_id) REFERENCES integration_configs (organization_id, id)
);
SELECT protect_tenant_table('integration_health');
GRANT SELECT, INSERT, UPDATE ON integration_health TO syncwatch_app;
GRANT SELECT ON integration_health TO syncwatch_reader;

-- Read by sweeps before any organization is known: ids and moments, nothing else.
CREATE TABLE integration_timers (
    organization_id       uuid NOT NULL,
    integration_config_id uuid NOT NULL,
    -- Next moment of the schedule; null without one or while paused.
    next_run_at           timestamptz,
    -- Moment at which the light turns red for want of a completed sync; null while paused or once noticed.
    stale_at              timestamptz,
    managed               boolean NOT NULL,
    PRIMARY KEY (organization_id, integration_config_id),
    FOREIGN KEY (organization_id, integration_config_id) REFERENCES integration_configs (organization_id, id)
);
CREATE INDEX integration_timers_next_run ON integration_timers (next_run_at) WHERE next_run_at IS NOT NULL;
CREATE INDEX integration_timers_stale ON integration_timers (stale_at) WHERE stale_at IS NOT NULL;
GRANT SELECT, INSERT, UPDATE ON integration_timers TO syncwatch_app;
