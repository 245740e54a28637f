-- Keys, sessions, idempotent requests and live events.

CREATE TABLE api_keys (
    organization_id uuid NOT NULL REFERENCES organizations,
    id              uuid NOT NULL,
    name            text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 120),
    -- SHA-256 of the secret, which is random and long: shown once, never stored.
    secret_hash     bytea NOT NULL,
    scopes          text[] NOT NULL,
    created_at      timestamptz NOT NULL,
    last_used_at    timestamptz,
    revoked_at      timestamptz,
    PRIMARY KEY (organization_id, id)
);
SELECT protect_tenant_table('api_keys');
GRANT SELECT ON api_keys TO syncwatch_app;
GRANT UPDATE (last_used_at, revoked_at) ON api_keys TO syncwatch_app;

-- A machine's sign-in knows no organization yet: the one narrow look-up by the key's id.
CREATE FUNCTION api_key_lookup(wanted uuid)
    RETURNS TABLE (organization_id uuid, secret_hash bytea, scopes text[], revoked boolean)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, public
BEGIN ATOMIC
    SELECT api_keys.organization_id, api_keys.secret_hash, api_keys.scopes, api_keys.revoked_at IS NOT NULL
    FROM api_keys WHERE api_keys.id = wanted;
END;
REVOKE ALL ON FUNCTION api_key_lookup(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api_key_lookup(uuid) TO syncwatch_app;
CREATE UNIQUE INDEX api_keys_id ON api_keys (id);

-- Refresh tokens: ids and hashes, read before any organization is known. A family is one sign-in; a token used twice
-- revokes its family.
CREATE TABLE refresh_tokens (
    token_hash      bytea PRIMARY KEY,
    family_id       uuid NOT NULL,
    user_id         uuid NOT NULL REFERENCES users,
    organization_id uuid NOT NULL REFERENCES organizations,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    used_at         timestamptz,
    revoked_at      timestamptz
);
CREATE INDEX refresh_tokens_family ON refresh_tokens (family_id);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);
GRANT SELECT, INSERT, DELETE ON refresh_tokens TO syncwatch_app;
GRANT UPDATE (used_at, revoked_at) ON refresh_tokens TO syncwatch_app;

-- The issuer's own keys; the private half is sealed by the server.
CREATE TABLE signing_keys (
    kid                text PRIMARY KEY,
    public_key         bytea NOT NULL,
    private_key_sealed bytea NOT NULL,
    sealing_key_id     text NOT NULL,
    created_at         timestamptz NOT NULL,
    retired_at         timestamptz
);
GRANT SELECT, INSERT ON signing_keys TO syncwatch_app;
GRANT UPDATE (retired_at) ON signing_keys TO syncwatch_app;

-- Answers to requests that carried an Idempotency-Key, stored in the write's own transaction, kept seven days.
CREATE TABLE idempotency_keys (
    organization_id uuid NOT NULL REFERENCES organizations,
    principal_id    uuid NOT NULL,
    operation       text NOT NULL,
    key             text NOT NULL CHECK (char_length(key) BETWEEN 1 AND 255),
    body_hash       bytea NOT NULL,
    status          smallint,
    location        text,
    body            jsonb,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, principal_id, operation, key)
);
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);
SELECT protect_tenant_table('idempotency_keys');
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO syncwatch_app;

-- Live events: ids only. Transactions insert without a number; one publisher numbers them in order of visibility, so
-- that a reader who has seen number n never misses a smaller one.
CREATE TABLE events (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    seq             bigint UNIQUE,
    organization_id uuid NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('sync.changed', 'integration.changed', 'notification.created')),
    -- Only for this person, where set.
    user_id         uuid,
    data            jsonb NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE SEQUENCE events_seq OWNED BY events.seq;
CREATE INDEX events_unnumbered ON events (id) WHERE seq IS NULL;
CREATE INDEX events_organization ON events (organization_id, seq);
CREATE INDEX events_created_at ON events (created_at);
GRANT SELECT, INSERT, DELETE ON events TO syncwatch_app;
GRANT UPDATE (seq) ON events TO syncwatch_app;
GRANT USAGE ON SEQUENCE events_seq TO syncwatch_app;
