-- no-transaction
-- Retries that nobody has to ask for: what may pass by itself is sent again after a while.
--
-- Each step is a transaction of its own, so that no lock on a filled table is held while another step works, and can be
-- run again: after a failure in the middle the whole file runs once more.

BEGIN;
-- Read by sweeps before any organization is known: ids and moments, nothing else.
CREATE TABLE IF NOT EXISTS retry_timers (
    organization_id uuid NOT NULL,
    sync_id         uuid NOT NULL,
    sync_started_at timestamptz NOT NULL,
    due_at          timestamptz NOT NULL,
    PRIMARY KEY (organization_id, sync_id)
);
-- What is due.
CREATE INDEX IF NOT EXISTS retry_timers_due ON retry_timers (due_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON retry_timers TO syncwatch_app;
COMMIT;

BEGIN;
-- Whether the system's last word on a record was that it stays refused until somebody changes something: such a record is
-- sent again only where a person asks for it, or has corrected it.
ALTER TABLE source_records ADD COLUMN IF NOT EXISTS refused_for_good boolean NOT NULL DEFAULT false;
GRANT SELECT (refused_for_good) ON source_records TO syncwatch_reader;
COMMIT;

BEGIN;
-- A retry that nobody asked for leaves such records out. The first six of the ten may be such; the others are a person's.
ALTER TABLE active_syncs ADD COLUMN IF NOT EXISTS automatic boolean NOT NULL DEFAULT false;
ALTER TABLE active_syncs DROP CONSTRAINT IF EXISTS last_retries_are_asked_for;
ALTER TABLE active_syncs ADD CONSTRAINT last_retries_are_asked_for CHECK (
    NOT automatic OR (managed AND requested_by IS NULL AND attempt_number BETWEEN 1 AND 6)
);
COMMIT;
