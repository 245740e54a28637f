-- no-transaction
-- A record of unknown fate that is sent again is no less in doubt: whatever the repetition meets, the request before it
-- may have been taken. Until that is known, nothing else leaves in the record's name.
--
-- Each step is a transaction of its own, so that no lock on a filled table is held while another step works, and can be
-- run again: after a failure in the middle the whole file runs once more.

BEGIN;

ALTER TABLE source_records
    -- When the last request with the record left, and in which attempt of the latest sync: answers to any other attempt
    -- come late.
    ADD COLUMN IF NOT EXISTS sent_at timestamptz,
    ADD COLUMN IF NOT EXISTS sent_attempt smallint,
    -- Of a record that was sent again while its fate was unknown: when the first of its requests in doubt left.
    ADD COLUMN IF NOT EXISTS sent_in_doubt_since timestamptz;
GRANT SELECT (sent_at, sent_attempt, sent_in_doubt_since) ON source_records TO syncwatch_reader;

-- Whatever settles such a record says so, or is refused.
ALTER TABLE source_records DROP CONSTRAINT IF EXISTS in_doubt_until_settled;
ALTER TABLE source_records ADD CONSTRAINT in_doubt_until_settled CHECK (
    sent_in_doubt_since IS NULL OR state IN ('sending', 'unknown')
) NOT VALID;

-- A record that has arrived is never sent again, and one booked by hand neither: `delivered` goes back to `staged`, and
-- to nothing else, only where the integration allows updates; `handled` goes nowhere, and who decided it stays. A record
-- remains the record it is: under another name it would be sent once more. One that may have arrived stays in doubt
-- when it is sent again, and keeps the version that was sent.
CREATE OR REPLACE FUNCTION source_records_check_update() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF (NEW.organization_id, NEW.integration_config_id, NEW.source_record_type, NEW.source_record_id, NEW.created_at)
       IS DISTINCT FROM
       (OLD.organization_id, OLD.integration_config_id, OLD.source_record_type, OLD.source_record_id, OLD.created_at)
    THEN
        PERFORM public.refuse('source_record_identity', 'a record remains the record it is');
    END IF;
    IF OLD.state = 'handled' AND (
        NEW.state NOT IN ('handled', 'delivered')
        OR (NEW.resolution, NEW.resolution_reason, NEW.resolution_reference, NEW.resolved_by, NEW.resolved_at)
           IS DISTINCT FROM
           (OLD.resolution, OLD.resolution_reason, OLD.resolution_reference, OLD.resolved_by, OLD.resolved_at)
    ) THEN
        PERFORM public.refuse('handled_record_is_settled', 'a record that was booked by hand is never sent again');
    END IF;
    IF OLD.state = 'delivered' AND NEW.state <> 'delivered' AND NOT (
        NEW.state = 'staged' AND EXISTS (
            SELECT FROM public.integration_configs
            WHERE organization_id = NEW.organization_id AND id = NEW.integration_config_id AND allow_updates
        )
    ) THEN
        PERFORM public.refuse('delivered_record_is_settled', 'a record that has arrived is never sent again');
    END IF;
    IF OLD.state IN ('sending', 'unknown') AND NEW.state IN ('sending', 'unknown') THEN
        IF (OLD.state = 'unknown' AND NEW.state = 'sending' AND NEW.sent_in_doubt_since IS NULL)
           OR (OLD.sent_in_doubt_since IS NOT NULL
               AND NEW.sent_in_doubt_since IS DISTINCT FROM OLD.sent_in_doubt_since)
        THEN
            PERFORM public.refuse(
                'doubt_is_kept', 'a record that may have arrived is no less in doubt for being sent again'
            );
        END IF;
        IF NEW.payload_hash IS DISTINCT FROM OLD.payload_hash THEN
            PERFORM public.refuse(
                'version_in_doubt_is_kept', 'a newer version waits for what becomes of the one that was sent'
            );
        END IF;
    END IF;
    RETURN NEW;
END
$$;

COMMIT;

BEGIN;
ALTER TABLE source_records VALIDATE CONSTRAINT in_doubt_until_settled;
COMMIT;
