-- no-transaction
-- Before a record of unknown fate is sent again, the system is asked for it: by the request itself, where it recognises
-- the repetition, or by a look-up. Both depend on how the requests in doubt had left, so that is kept.
--
-- Each step is a transaction of its own, so that no lock on a filled table is held while another step works, and can be
-- run again: after a failure in the middle the whole file runs once more.

BEGIN;

ALTER TABLE source_records
    -- Where the last request went and as whom, as a hash; and what that system recognises a repetition of it by, if it
    -- does: the name of a header, or `put`. Neither is known of requests that others sent.
    ADD COLUMN IF NOT EXISTS sent_target text,
    ADD COLUMN IF NOT EXISTS sent_recognised_by text,
    -- Of a record of unknown fate: when its last request was given up. The system is given time from then on before its
    -- word is believed that it has no such record.
    ADD COLUMN IF NOT EXISTS given_up_at timestamptz;
GRANT SELECT (sent_target, sent_recognised_by, given_up_at) ON source_records TO syncwatch_reader;

ALTER TABLE source_records DROP CONSTRAINT IF EXISTS sent_target_is_whole;
ALTER TABLE source_records ADD CONSTRAINT sent_target_is_whole CHECK (
    sent_target ~ '^[0-9a-f]{64}$' AND (sent_recognised_by IS NULL OR sent_target IS NOT NULL)
    AND char_length(sent_recognised_by) BETWEEN 1 AND 200
) NOT VALID;

-- A record that has arrived is never sent again, and one booked by hand neither: `delivered` goes back to `staged`, and
-- to nothing else, only where the integration allows updates; `handled` goes nowhere, and who decided it stays. A record
-- remains the record it is: under another name it would be sent once more. One that may have arrived stays in doubt
-- when it is sent again, and keeps the version that was sent. What Syncwatch itself sent leaves again only to the same
-- target and under the mark by which that recognises the repetition; others answer for their own repetitions.
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
        IF OLD.sent_target IS NOT NULL AND (
            (NEW.sent_target, NEW.sent_recognised_by) IS DISTINCT FROM (OLD.sent_target, OLD.sent_recognised_by)
            OR (OLD.state = 'unknown' AND NEW.state = 'sending' AND NEW.sent_recognised_by IS NULL)
        ) THEN
            PERFORM public.refuse(
                'repetition_is_recognised', 'what may have arrived leaves again only where that would be recognised'
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
ALTER TABLE source_records VALIDATE CONSTRAINT sent_target_is_whole;
COMMIT;
