-- Tamper evidence: a chain of seals per organization over what the ledger says of closed attempts and ended syncs.

-- What is to be sealed, entered by the application in the transaction of the change. Not by a trigger: one would enter a
-- tamperer's change too. Read by workers before any organization is known: ids and flags, nothing else.
CREATE TABLE seal_queue (
    organization_id uuid NOT NULL,
    id              bigint GENERATED ALWAYS AS IDENTITY,
    sync_id         uuid NOT NULL,
    sync_started_at timestamptz NOT NULL,
    -- The attempt that closed or whose outcomes changed; null: the sync's own row alone.
    attempt_number  smallint CHECK (attempt_number BETWEEN 0 AND 10),
    -- It was there before seals were.
    backfill        boolean NOT NULL DEFAULT false,
    PRIMARY KEY (organization_id, id)
);
GRANT SELECT, INSERT, DELETE ON seal_queue TO syncwatch_app;
GRANT SELECT ON seal_queue TO syncwatch_reader;

-- Where each chain stands, and when it needs a checkpoint. Read by workers before any organization is known: ids, numbers
-- and moments, nothing else.
CREATE TABLE seal_chains (
    organization_id   uuid PRIMARY KEY,
    seq               bigint NOT NULL DEFAULT 0,
    checkpoint_seq    bigint NOT NULL DEFAULT 0,
    checkpoint_due_at timestamptz
);
CREATE INDEX seal_chains_due ON seal_chains (checkpoint_due_at);
GRANT SELECT, INSERT ON seal_chains TO syncwatch_app;
GRANT UPDATE (seq, checkpoint_seq, checkpoint_due_at) ON seal_chains TO syncwatch_app;
GRANT SELECT ON seal_chains TO syncwatch_reader;

-- No foreign key to the ledger: seals outlive the archiving of what they seal.
CREATE TABLE seals (
    organization_id uuid NOT NULL,
    seq             bigint NOT NULL CHECK (seq > 0),
    sync_id         uuid NOT NULL,
    sync_started_at timestamptz NOT NULL,
    attempt_number  smallint CHECK (attempt_number BETWEEN 0 AND 10),
    -- SHA-256 of what never changes of the sync, and of its whole row (null while a retry is under way).
    fixed_hash      bytea NOT NULL CHECK (octet_length(fixed_hash) = 32),
    sync_hash       bytea CHECK (octet_length(sync_hash) = 32),
    -- Of the attempt's row, and whether that can change no more.
    attempt_hash    bytea CHECK (octet_length(attempt_hash) = 32),
    attempt_final   boolean,
    -- Of the attempt's outcomes, and per outcome its record's id and the first bytes of its hash, to find one by.
    records_hash    bytea CHECK (octet_length(records_hash) = 32),
    records         bytea CHECK (octet_length(records) % 24 = 0),
    backfill        boolean NOT NULL,
    sealed_at       timestamptz NOT NULL,
    chain_hash      bytea NOT NULL CHECK (octet_length(chain_hash) = 32),
    PRIMARY KEY (organization_id, seq),
    CONSTRAINT seal_of_an_attempt_is_whole CHECK (
        (attempt_number IS NULL) = (attempt_hash IS NULL) AND (attempt_number IS NULL) = (attempt_final IS NULL)
        AND (attempt_number IS NULL) = (records_hash IS NULL) AND (attempt_number IS NULL) = (records IS NULL)
    )
);
-- "Which seal of this sync is the newest?"
CREATE INDEX seals_sync ON seals (organization_id, sync_id, seq);
SELECT protect_tenant_table('seals');
GRANT SELECT, INSERT ON seals TO syncwatch_app;
GRANT SELECT ON seals TO syncwatch_reader;

-- Signed statements of how long a chain is and which hash it ends with.
CREATE TABLE seal_checkpoints (
    organization_id uuid NOT NULL,
    seq             bigint NOT NULL CHECK (seq > 0),
    chain_hash      bytea NOT NULL CHECK (octet_length(chain_hash) = 32),
    made_at         timestamptz NOT NULL,
    kid             text NOT NULL,
    signature       bytea NOT NULL CHECK (octet_length(signature) = 64),
    PRIMARY KEY (organization_id, seq)
);
SELECT protect_tenant_table('seal_checkpoints');
GRANT SELECT, INSERT ON seal_checkpoints TO syncwatch_app;
GRANT SELECT ON seal_checkpoints TO syncwatch_reader;

-- A chain has no gap and no branch.
CREATE FUNCTION seals_check_insert() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    -- Named with its schema: a session may have a temporary table of the same name.
    IF NEW.seq <> coalesce((SELECT max(seq) FROM public.seals WHERE organization_id = NEW.organization_id), 0) + 1 THEN
        PERFORM public.refuse('seals_are_contiguous', 'a seal follows the one before it');
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER check_insert BEFORE INSERT ON seals FOR EACH ROW EXECUTE FUNCTION seals_check_insert();

-- Whatever a role was granted: seals and checkpoints are not rewritten.
CREATE FUNCTION seals_refuse_change() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM refuse('seals_are_append_only', 'seals and checkpoints are only ever added');
    RETURN NULL;
END
$$;
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON seals
    FOR EACH STATEMENT EXECUTE FUNCTION seals_refuse_change();
CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON seal_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION seals_refuse_change();

-- What ended before there were seals is sealed as it stands now, and marked so.
INSERT INTO seal_queue (organization_id, sync_id, sync_started_at, attempt_number, backfill)
SELECT organization_id, sync_id, sync_started_at, attempt_number, true
FROM sync_attempts WHERE status <> 'in_progress'
ORDER BY sync_started_at, sync_id, attempt_number;
INSERT INTO seal_queue (organization_id, sync_id, sync_started_at, attempt_number, backfill)
SELECT organization_id, id, started_at, NULL, true
FROM sync_logs
WHERE status NOT IN ('pending', 'in_progress')
    AND NOT EXISTS (
        SELECT FROM sync_attempts
        WHERE sync_attempts.organization_id = sync_logs.organization_id
            AND sync_attempts.sync_started_at = sync_logs.started_at AND sync_attempts.sync_id = sync_logs.id
    )
ORDER BY started_at, id;
