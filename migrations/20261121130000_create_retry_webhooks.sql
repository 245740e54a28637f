-- Signed webhooks that tell external runners of retry requests: the secrets that sign them, and their outbox.

-- Set when the receiver answered that its address is gone (410); cleared when the address is set again.
ALTER TABLE integration_configs ADD COLUMN retry_webhook_disabled_at timestamptz;
GRANT UPDATE (retry_webhook_disabled_at) ON integration_configs TO syncwatch_app;

-- Every secret that has not expired signs, so that a receiver can change over to a new one.
CREATE TABLE webhook_secrets (
    organization_id       uuid NOT NULL,
    id                    uuid NOT NULL,
    integration_config_id uuid NOT NULL,
    -- Sealed by the server (an AEAD); the key's id stands beside it.
    secret_sealed         bytea NOT NULL,
    secret_key_id         text NOT NULL,
    created_at            timestamptz NOT NULL,
    -- Null for the current one.
    expires_at            timestamptz,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, integration_config_id) REFERENCES integration_configs (organization_id, id)
);
-- One is the current one; the others have been replaced.
CREATE UNIQUE INDEX webhook_secrets_one_current ON webhook_secrets (organization_id, integration_config_id)
    WHERE expires_at IS NULL;
SELECT protect_tenant_table('webhook_secrets');
GRANT SELECT, INSERT, DELETE ON webhook_secrets TO syncwatch_app;
GRANT UPDATE (expires_at) ON webhook_secrets TO syncwatch_app;

CREATE TABLE webhook_outbox (
    organization_id       uuid NOT NULL,
    -- What the receiver knows a repetition by.
    id                    uuid NOT NULL,
    integration_config_id uuid NOT NULL,
    sync_id               uuid NOT NULL,
    -- The attempt that waits to be claimed.
    attempt_number        smallint NOT NULL CHECK (attempt_number BETWEEN 1 AND 10),
    -- The bytes that are signed, the same in every try. Ids, words and numbers of the ledger, no payload.
    body                  text NOT NULL,
    state                 text NOT NULL CHECK (state IN ('waiting', 'delivered', 'gone', 'withdrawn')),
    tries                 integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
    last_status           smallint CHECK (last_status BETWEEN 100 AND 999),
    last_answer           text CHECK (char_length(last_answer) <= 500),
    created_at            timestamptz NOT NULL,
    delivered_at          timestamptz,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, integration_config_id) REFERENCES integration_configs (organization_id, id),
    CONSTRAINT delivered_at_set_when_delivered CHECK ((delivered_at IS NULL) = (state <> 'delivered'))
);
-- Of a sync at most one message waits.
CREATE UNIQUE INDEX webhook_outbox_one_waiting ON webhook_outbox (organization_id, sync_id) WHERE state = 'waiting';
SELECT protect_tenant_table('webhook_outbox');
-- No ledger: what has been settled is deleted after some weeks. What waits is not.
CREATE POLICY only_settled_is_deleted ON webhook_outbox AS RESTRICTIVE FOR DELETE TO syncwatch_app
    USING (state <> 'waiting');
GRANT SELECT, INSERT, DELETE ON webhook_outbox TO syncwatch_app;
GRANT UPDATE (state, tries, last_status, last_answer, delivered_at) ON webhook_outbox TO syncwatch_app;

-- Read by the dispatcher before any organization is known: ids and moments, nothing else.
CREATE TABLE webhook_queue (
    organization_id       uuid NOT NULL,
    webhook_id            uuid NOT NULL,
    -- Of one, a few are under way at a time.
    integration_config_id uuid NOT NULL,
    next_try_at           timestamptz NOT NULL,
    -- Set while a dispatcher has it.
    locked_until          timestamptz,
    PRIMARY KEY (organization_id, webhook_id)
);
CREATE INDEX webhook_queue_due ON webhook_queue (next_try_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_queue TO syncwatch_app;

-- A notification that is about an integration rather than about one of its incidents.
ALTER TABLE notifications
    ALTER COLUMN incident_id DROP NOT NULL,
    ADD COLUMN integration_config_id uuid,
    ADD FOREIGN KEY (organization_id, integration_config_id) REFERENCES integration_configs (organization_id, id),
    DROP CONSTRAINT notifications_kind_check,
    ADD CONSTRAINT notifications_kind_check CHECK (
        kind IN ('incident_opened', 'incident_resolved', 'webhook_disabled')
    ),
    ADD CONSTRAINT notification_names_what_it_is_about CHECK (
        (incident_id IS NULL) = (kind = 'webhook_disabled')
        AND (integration_config_id IS NULL) = (incident_id IS NOT NULL)
    );
