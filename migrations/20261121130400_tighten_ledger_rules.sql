-- no-transaction
-- Closes ways around the ledger's rules that were open to plain SQL of the application's role.
--
-- Each step is a transaction of its own, so that no lock on a filled table is held while another step works, and can be
-- run again: after a failure in the middle the whole file runs once more.

-- ── Rules of a sync ─────────────────────────────────────────────────────────────────────────────────────────────────
BEGIN;

-- The Unix time in milliseconds that a UUIDv7 begins with; null for any other id.
CREATE OR REPLACE FUNCTION uuid_v7_millis(id uuid) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE WHEN substr(id::text, 15, 1) = '7'
                THEN ('x' || translate(left(id::text, 13), '-', ''))::bit(48)::bigint END;

-- The functions below name what they look up with its schema: a session may have temporary tables of the same name.
CREATE OR REPLACE FUNCTION sync_logs_check_insert() RETURNS trigger
    LANGUAGE plpgsql
AS $$
DECLARE
    config record;
    known uuid;
BEGIN
    SELECT organization_id, connector_type INTO config
    FROM public.integration_configs
    WHERE id = NEW.integration_config_id
        AND organization_id = coalesce(public.current_organization(), NEW.organization_id);
    IF NOT FOUND THEN
        PERFORM public.refuse('integration_config_id_must_exist', 'no such integration in this organization');
    END IF;
    -- organization_id_denormalized_on_create: copied, whatever the statement said.
    NEW.organization_id := config.organization_id;
    IF NEW.connector_type <> config.connector_type THEN
        PERFORM public.refuse(
            'connector_type_must_match_integration_config', 'the connector differs from the integration''s'
        );
    END IF;
    IF NEW.started_at > clock_timestamp() + interval '5 seconds' THEN
        PERFORM public.refuse('started_at_not_in_future', 'a sync cannot start in the future');
    END IF;
    IF NEW.status NOT IN ('pending', 'in_progress', 'success', 'failed') OR NEW.retry_count <> 0 THEN
        PERFORM public.refuse('sync_status_transition', 'a sync begins without retries');
    END IF;
    IF NEW.status = 'pending' AND (NEW.error_code IS NOT NULL OR NEW.error_message IS NOT NULL) THEN
        PERFORM public.refuse('error_fields_required_on_failure', 'what has not begun has not failed');
    END IF;
    IF NEW.client_run_id IS NOT NULL THEN
        SELECT sync_id INTO known
        FROM public.client_runs
        WHERE organization_id = NEW.organization_id AND integration_config_id = NEW.integration_config_id
            AND client_run_id = NEW.client_run_id;
        IF NOT FOUND THEN
            INSERT INTO public.client_runs (organization_id, integration_config_id, client_run_id, sync_id)
            VALUES (NEW.organization_id, NEW.integration_config_id, NEW.client_run_id, NEW.id);
        ELSIF known <> NEW.id THEN
            PERFORM public.refuse('client_run_id_unique', 'a runner''s name for a run stands for one sync for good');
        END IF;
    END IF;
    RETURN NEW;
END
$$;

CREATE OR REPLACE FUNCTION sync_logs_check_update() RETURNS trigger
    LANGUAGE plpgsql
AS $$
DECLARE
    -- An abandoned attempt without a successor may still report what really happened.
    late_report boolean := OLD.status IN ('failed', 'retried_failed') AND OLD.error_code = 'ATTEMPT_ABANDONED';
    -- A sync that waits was under way before.
    attempted boolean := false;
    -- A sync that waits had ended before, be it that nobody claimed its start: it waits for a retry.
    retry boolean := false;
BEGIN
    IF (NEW.id, NEW.integration_config_id, NEW.organization_id, NEW.connector_type, NEW.sync_type, NEW.triggered_by,
        NEW.triggered_by_user_id, NEW.source_record_id, NEW.source_record_type, NEW.started_at, NEW.backfill,
        NEW.client_run_id)
       IS DISTINCT FROM
       (OLD.id, OLD.integration_config_id, OLD.organization_id, OLD.connector_type, OLD.sync_type, OLD.triggered_by,
        OLD.triggered_by_user_id, OLD.source_record_id, OLD.source_record_type, OLD.started_at, OLD.backfill,
        OLD.client_run_id)
    THEN
        PERFORM public.refuse('immutable_after_terminal_state', 'what a sync is about never changes');
    END IF;
    IF OLD.status = 'pending' THEN
        attempted := EXISTS (
            SELECT FROM public.sync_attempts
            WHERE organization_id = OLD.organization_id AND sync_started_at = OLD.started_at AND sync_id = OLD.id
        );
        retry := attempted OR OLD.error_code IS NOT NULL;
    END IF;
    IF NEW.metadata IS DISTINCT FROM OLD.metadata
       AND (OLD.status NOT IN ('pending', 'in_progress') OR OLD.retry_count > 0 OR retry)
    THEN
        PERFORM public.refuse('immutable_after_terminal_state', 'the context of a finished sync never changes');
    END IF;
    -- The number of retries rises by one when a retry is claimed, then and only then.
    IF NEW.retry_count
       <> OLD.retry_count + (OLD.status = 'pending' AND NEW.status = 'in_progress' AND retry)::integer
    THEN
        PERFORM public.refuse('retry_limit_enforcement', 'the number of retries rises by one when a retry is claimed');
    END IF;
    IF OLD.status = NEW.status THEN
        IF OLD.status IN ('pending', 'in_progress') OR late_report THEN
            RETURN NEW;
        END IF;
        PERFORM public.refuse('immutable_after_terminal_state', 'a finished sync changes only within a retry cycle');
    END IF;
    IF NOT (CASE OLD.status
        WHEN 'pending' THEN
            NEW.status = 'in_progress'
            OR EXISTS (
                -- Nobody claimed the retry: back to how the latest attempt left it.
                SELECT FROM public.sync_attempts
                WHERE organization_id = OLD.organization_id AND sync_started_at = OLD.started_at AND sync_id = OLD.id
                    AND attempt_number = OLD.retry_count
                    AND NEW.status = CASE WHEN attempt_number = 0 THEN status ELSE 'retried_' || status END
            )
            OR (NEW.status = 'failed' AND NOT attempted)
        WHEN 'in_progress' THEN
            CASE WHEN OLD.retry_count = 0 THEN NEW.status IN ('success', 'failed')
                 ELSE NEW.status IN ('retried_success', 'retried_failed') END
        WHEN 'failed' THEN
            NEW.status = 'pending' OR (late_report AND NEW.status = 'success')
        WHEN 'retried_failed' THEN
            (NEW.status = 'pending' AND OLD.retry_count < 10) OR (late_report AND NEW.status = 'retried_success')
        ELSE
            -- A success is retried only for records that did not arrive.
            NEW.status = 'pending' AND OLD.retry_count < 10 AND (
                coalesce(OLD.records_failed, 0) > 0
                OR EXISTS (
                    SELECT FROM public.sync_record_outcomes
                    WHERE organization_id = OLD.organization_id AND sync_started_at = OLD.started_at
                        AND sync_id = OLD.id AND outcome IN ('failed', 'unknown', 'not_attempted')
                )
            )
    END)
    THEN
        PERFORM public.refuse('sync_status_transition', format('%s does not become %s', OLD.status, NEW.status));
    END IF;
    RETURN NEW;
END
$$;

COMMIT;

-- ── Rules of an attempt ─────────────────────────────────────────────────────────────────────────────────────────────
BEGIN;

-- An attempt is made as its sync's latest, as the sync stands; of one sync one runs at a time. Asked after the
-- statement, which may make the sync too.
CREATE OR REPLACE FUNCTION sync_attempts_check_insert() RETURNS trigger
    LANGUAGE plpgsql
AS $$
DECLARE
    sync record;
BEGIN
    SELECT status, retry_count INTO sync
    FROM public.sync_logs
    WHERE organization_id = NEW.organization_id AND started_at = NEW.sync_started_at AND id = NEW.sync_id;
    IF NOT FOUND THEN
        -- The foreign key says so.
        RETURN NULL;
    END IF;
    IF NEW.attempt_number <> sync.retry_count OR sync.status = 'pending'
       OR NEW.status <> replace(sync.status, 'retried_', '')
    THEN
        PERFORM public.refuse('attempt_fits_its_sync', 'an attempt is made as the latest of its sync');
    END IF;
    IF NEW.attempt_number > 0 AND EXISTS (
        SELECT FROM public.sync_attempts
        WHERE organization_id = NEW.organization_id AND sync_started_at = NEW.sync_started_at
            AND sync_id = NEW.sync_id AND attempt_number <> NEW.attempt_number AND status = 'in_progress'
    ) THEN
        PERFORM public.refuse('attempt_fits_its_sync', 'an attempt begins when the one before it has ended');
    END IF;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER check_insert AFTER INSERT ON sync_attempts
    FOR EACH ROW EXECUTE FUNCTION sync_attempts_check_insert();

-- A closed attempt stays closed. One that was abandoned takes its late report, but does not run again, and nothing
-- changes in it once it has a successor.
CREATE OR REPLACE FUNCTION sync_attempts_check_update() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF (NEW.organization_id, NEW.sync_started_at, NEW.sync_id, NEW.attempt_number, NEW.started_at,
        NEW.triggered_by_user_id)
       IS DISTINCT FROM
       (OLD.organization_id, OLD.sync_started_at, OLD.sync_id, OLD.attempt_number, OLD.started_at,
        OLD.triggered_by_user_id)
       OR (
           OLD.status <> 'in_progress'
           AND (
               OLD.error_code IS DISTINCT FROM 'ATTEMPT_ABANDONED'
               OR NEW.status = 'in_progress'
               OR EXISTS (
                   SELECT FROM public.sync_attempts
                   WHERE organization_id = OLD.organization_id AND sync_started_at = OLD.sync_started_at
                       AND sync_id = OLD.sync_id AND attempt_number > OLD.attempt_number
               )
           )
       )
    THEN
        PERFORM public.refuse('immutable_after_terminal_state', 'a closed attempt never changes');
    END IF;
    RETURN NEW;
END
$$;

-- Nothing is queued or on its way in an attempt that has ended: nobody would ever close it.
CREATE OR REPLACE FUNCTION sync_record_outcomes_check_open() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (
        SELECT FROM public.sync_attempts
        WHERE organization_id = NEW.organization_id AND sync_started_at = NEW.sync_started_at
            AND sync_id = NEW.sync_id AND attempt_number = NEW.attempt_number AND status <> 'in_progress'
    ) THEN
        PERFORM public.refuse('record_outcome_transition', format('%s in an attempt that has ended', NEW.outcome));
    END IF;
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER check_open BEFORE INSERT OR UPDATE ON sync_record_outcomes
    FOR EACH ROW WHEN (NEW.outcome IN ('queued', 'sending')) EXECUTE FUNCTION sync_record_outcomes_check_open();

CREATE OR REPLACE FUNCTION sync_record_outcomes_check_update() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF (NEW.organization_id, NEW.sync_started_at, NEW.sync_id, NEW.attempt_number, NEW.source_record_type,
        NEW.source_record_id)
       IS DISTINCT FROM
       (OLD.organization_id, OLD.sync_started_at, OLD.sync_id, OLD.attempt_number, OLD.source_record_type,
        OLD.source_record_id)
       OR public.outcome_rank(NEW.outcome) <= public.outcome_rank(OLD.outcome)
    THEN
        PERFORM public.refuse('record_outcome_transition', format('%s does not become %s', OLD.outcome, NEW.outcome));
    END IF;
    RETURN NEW;
END
$$;

COMMIT;

-- ── Rules of a source record ────────────────────────────────────────────────────────────────────────────────────────
BEGIN;

-- A record that has arrived is never sent again, and one booked by hand neither: `delivered` goes back to `staged`, and
-- to nothing else, only where the integration allows updates; `handled` goes nowhere, and who decided it stays. A record
-- remains the record it is: under another name it would be sent once more.
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
    RETURN NEW;
END
$$;

COMMIT;

-- ── One active attempt per source record ────────────────────────────────────────────────────────────────────────────
BEGIN;

-- Claims go when their sync ends, by the foreign key, and in no other way.
REVOKE DELETE ON sync_claims FROM syncwatch_app;

-- Asked when a transaction ends: a sync that is under way holds the claim on its own source record. As the owner, since
-- a session without an organization sees neither.
CREATE OR REPLACE FUNCTION check_own_claim(organization uuid, started timestamptz, sync uuid) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF EXISTS (
        SELECT FROM public.sync_logs AS under_way
        WHERE under_way.organization_id = organization AND under_way.started_at = started AND under_way.id = sync
            AND under_way.status IN ('pending', 'in_progress') AND under_way.source_record_id IS NOT NULL
            AND NOT EXISTS (
                SELECT FROM public.sync_claims AS claim
                WHERE claim.organization_id = under_way.organization_id
                    AND claim.connector_type = under_way.connector_type
                    AND claim.source_record_type = under_way.source_record_type
                    AND claim.source_record_id = under_way.source_record_id
                    AND claim.sync_id = under_way.id
            )
    ) THEN
        PERFORM public.refuse(
            'one_active_attempt_per_source_record', 'a sync that is under way holds the claim on its source record'
        );
    END IF;
END
$$;
REVOKE ALL ON FUNCTION check_own_claim(uuid, timestamptz, uuid) FROM PUBLIC;

CREATE OR REPLACE FUNCTION sync_logs_check_claim() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM public.check_own_claim(NEW.organization_id, NEW.started_at, NEW.id);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION sync_logs_check_claim() FROM PUBLIC;
DROP TRIGGER IF EXISTS check_claim ON sync_logs;
CREATE CONSTRAINT TRIGGER check_claim AFTER INSERT OR UPDATE OF status ON sync_logs
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.status IN ('pending', 'in_progress') AND NEW.source_record_id IS NOT NULL)
    EXECUTE FUNCTION sync_logs_check_claim();

CREATE OR REPLACE FUNCTION active_syncs_check_claim() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM public.check_own_claim(OLD.organization_id, OLD.sync_started_at, OLD.sync_id);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION active_syncs_check_claim() FROM PUBLIC;
DROP TRIGGER IF EXISTS check_claim ON active_syncs;
CREATE CONSTRAINT TRIGGER check_claim AFTER DELETE ON active_syncs
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION active_syncs_check_claim();

COMMIT;

-- ── What operators read ─────────────────────────────────────────────────────────────────────────────────────────────
BEGIN;

-- The global reader reads across organizations, but nothing that is sealed, nor which key sealed it.
REVOKE SELECT ON integration_configs, source_records FROM syncwatch_reader;
DO $$
DECLARE
    target text;
    readable text;
BEGIN
    FOREACH target IN ARRAY ARRAY['integration_configs', 'source_records'] LOOP
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO readable
        FROM pg_attribute
        WHERE attrelid = format('public.%I', target)::regclass AND attnum > 0 AND NOT attisdropped
            AND attname NOT LIKE '%\_sealed' AND attname NOT LIKE '%\_key\_id';
        EXECUTE format('GRANT SELECT (%s) ON public.%I TO syncwatch_reader', readable, target);
    END LOOP;
END
$$;

COMMIT;

-- ── The id of a sync says when it started ───────────────────────────────────────────────────────────────────────────
-- Look-ups by id alone find the partition so. Added without a look at the rows that are there, and then proved for them
-- under a lock that lets everybody go on writing.
BEGIN;
ALTER TABLE sync_logs DROP CONSTRAINT IF EXISTS id_says_when_it_started;
ALTER TABLE sync_logs ADD CONSTRAINT id_says_when_it_started CHECK (
    coalesce(
        uuid_v7_millis(id)
            = (extract(epoch FROM started_at - timestamptz '1970-01-01 00:00:00+00') * 1000)::bigint,
        false
    )
) NOT VALID;
COMMIT;
BEGIN;
ALTER TABLE sync_logs VALIDATE CONSTRAINT id_says_when_it_started;
COMMIT;
