-- The ledger: syncs, their attempts, and what happened to each record. Partitioned by the month of the sync's start.

CREATE TABLE sync_logs (
    id                    uuid NOT NULL,
    integration_config_id uuid NOT NULL,
    organization_id       uuid NOT NULL,
    connector_type        text NOT NULL CHECK (connector_type IN ('xledger', 'dynamics365', 'generic_http', 'other')),
    sync_type             text NOT NULL CHECK (sync_type IN ('accounting_push', 'roster_sync', 'portal_event')),
    status                text NOT NULL CHECK (
        status IN ('pending', 'in_progress', 'success', 'failed', 'retried_success', 'retried_failed')
    ),
    records_processed     integer,
    records_failed        integer,
    records_total         integer,
    error_code            text CHECK (char_length(error_code) BETWEEN 1 AND 200),
    error_message         text CHECK (char_length(error_message) <= 4000),
    retry_count           smallint NOT NULL DEFAULT 0,
    triggered_by          text NOT NULL CHECK (triggered_by IN ('automatic', 'manual', 'webhook')),
    triggered_by_user_id  uuid,
    source_record_id      uuid,
    source_record_type    text CHECK (source_record_type ~ '^[A-Za-z0-9_.-]{1,100}$'),
    external_reference_id text CHECK (char_length(external_reference_id) <= 500),
    request_payload_hash  text,
    http_status_code      smallint,
    duration_ms           bigint,
    started_at            timestamptz NOT NULL,
    completed_at          timestamptz,
    metadata              jsonb,
    warnings              jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(warnings) = 'array'),
    backfill              boolean NOT NULL DEFAULT false,
    client_run_id         text CHECK (char_length(client_run_id) BETWEEN 1 AND 200),
    PRIMARY KEY (organization_id, started_at, id),
    FOREIGN KEY (organization_id, integration_config_id) REFERENCES integration_configs (organization_id, id),
    CONSTRAINT started_at_whole_milliseconds CHECK (started_at = date_trunc('milliseconds', started_at)),
    CONSTRAINT completed_at_must_follow_started_at CHECK (completed_at >= started_at),
    CONSTRAINT completed_at_set_on_terminal_status CHECK (
        (completed_at IS NULL) = (status IN ('pending', 'in_progress')) AND (completed_at IS NULL) = (duration_ms IS NULL)
    ),
    CONSTRAINT duration_is_the_difference CHECK (
        duration_ms = (extract(epoch FROM completed_at - started_at) * 1000)::bigint
    ),
    CONSTRAINT error_fields_required_on_failure CHECK (
        CASE
            WHEN status IN ('failed', 'retried_failed') THEN error_code IS NOT NULL AND error_message IS NOT NULL
            WHEN status IN ('success', 'retried_success', 'in_progress') THEN error_code IS NULL AND error_message IS NULL
            ELSE true
        END
    ),
    CONSTRAINT counts_null_while_running CHECK (
        status <> 'in_progress' OR (records_processed IS NULL AND records_failed IS NULL)
    ),
    CONSTRAINT records_processed_non_negative CHECK (
        records_processed >= 0 AND records_failed >= 0 AND records_total >= 0
    ),
    CONSTRAINT http_status_code_range CHECK (http_status_code BETWEEN 100 AND 599),
    CONSTRAINT triggered_by_user_id_required_for_manual CHECK (
        (triggered_by = 'manual') = (triggered_by_user_id IS NOT NULL)
    ),
    CONSTRAINT source_record_type_required_when_id_present CHECK (
        source_record_id IS NULL OR source_record_type IS NOT NULL
    ),
    CONSTRAINT request_payload_hash_format CHECK (request_payload_hash ~ '^[0-9a-f]{64}$'),
    CONSTRAINT retry_limit_enforcement CHECK (retry_count BETWEEN 0 AND 10),
    CONSTRAINT retried_status_has_retries CHECK (
        CASE
            WHEN status IN ('retried_success', 'retried_failed') THEN retry_count > 0
            WHEN status IN ('success', 'failed') THEN retry_count = 0
            ELSE true
        END
    )
) PARTITION BY RANGE (started_at);

CREATE INDEX idx_sync_logs_integration_config_id ON sync_logs (integration_config_id);
CREATE INDEX idx_sync_logs_organization_id_started_at ON sync_logs (organization_id, started_at);
CREATE INDEX idx_sync_logs_connector_type_status ON sync_logs (connector_type, status);
CREATE INDEX idx_sync_logs_source_record ON sync_logs (source_record_type, source_record_id);
CREATE INDEX idx_sync_logs_started_at_desc ON sync_logs (started_at DESC);
CREATE INDEX idx_sync_logs_status_retry_count ON sync_logs (status, retry_count);

CREATE TABLE sync_attempts (
    organization_id       uuid NOT NULL,
    sync_started_at       timestamptz NOT NULL,
    sync_id               uuid NOT NULL,
    attempt_number        smallint NOT NULL CHECK (attempt_number BETWEEN 0 AND 10),
    status                text NOT NULL CHECK (status IN ('in_progress', 'success', 'failed')),
    started_at            timestamptz NOT NULL,
    completed_at          timestamptz CHECK (completed_at >= started_at),
    duration_ms           bigint,
    records_total         integer CHECK (records_total >= 0),
    records_done          integer NOT NULL DEFAULT 0 CHECK (records_done >= 0),
    records_processed     integer CHECK (records_processed >= 0),
    records_failed        integer CHECK (records_failed >= 0),
    records_skipped       integer CHECK (records_skipped >= 0),
    records_unknown       integer CHECK (records_unknown >= 0),
    records_not_attempted integer CHECK (records_not_attempted >= 0),
    error_code            text CHECK (char_length(error_code) BETWEEN 1 AND 200),
    error_message         text CHECK (char_length(error_message) <= 4000),
    http_status_code      smallint CHECK (http_status_code BETWEEN 100 AND 599),
    triggered_by_user_id  uuid,
    PRIMARY KEY (organization_id, sync_started_at, sync_id, attempt_number),
    FOREIGN KEY (organization_id, sync_started_at, sync_id) REFERENCES sync_logs (organization_id, started_at, id),
    CONSTRAINT attempt_completed_at_set_on_end CHECK (
        (completed_at IS NULL) = (status = 'in_progress') AND (completed_at IS NULL) = (duration_ms IS NULL)
    ),
    CONSTRAINT attempt_duration_is_the_difference CHECK (
        duration_ms = (extract(epoch FROM completed_at - started_at) * 1000)::bigint
    ),
    CONSTRAINT attempt_error_fields_required_on_failure CHECK (
        (status = 'failed') = (error_code IS NOT NULL) AND (status = 'failed') = (error_message IS NOT NULL)
    )
) PARTITION BY RANGE (sync_started_at);

CREATE TABLE sync_record_outcomes (
    organization_id       uuid NOT NULL,
    sync_started_at       timestamptz NOT NULL,
    sync_id               uuid NOT NULL,
    attempt_number        smallint NOT NULL,
    source_record_type    text NOT NULL CHECK (source_record_type ~ '^[A-Za-z0-9_.-]{1,100}$'),
    source_record_id      uuid NOT NULL,
    outcome               text NOT NULL CHECK (
        outcome IN ('queued', 'sending', 'succeeded', 'warning', 'failed', 'skipped', 'unknown', 'not_attempted')
    ),
    errors                jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(errors) = 'array'),
    http_status_code      smallint CHECK (http_status_code BETWEEN 100 AND 599),
    external_reference_id text CHECK (char_length(external_reference_id) <= 500),
    request_payload_hash  text CHECK (request_payload_hash ~ '^[0-9a-f]{64}$'),
    label                 text CHECK (char_length(label) <= 200),
    amount                numeric(18, 4),
    currency              text CHECK (currency ~ '^[A-Z]{3}$'),
    updated_at            timestamptz NOT NULL,
    PRIMARY KEY (organization_id, sync_started_at, sync_id, source_record_type, source_record_id, attempt_number),
    FOREIGN KEY (organization_id, sync_started_at, sync_id, attempt_number)
        REFERENCES sync_attempts (organization_id, sync_started_at, sync_id, attempt_number)
) PARTITION BY RANGE (sync_started_at);
-- A record's journey across all syncs.
CREATE INDEX sync_record_outcomes_record
    ON sync_record_outcomes (organization_id, source_record_type, source_record_id, sync_started_at);

SELECT protect_tenant_table('sync_logs');
SELECT protect_tenant_table('sync_attempts');
SELECT protect_tenant_table('sync_record_outcomes');
-- Append-only for the application: no DELETE, no TRUNCATE.
GRANT SELECT, INSERT, UPDATE ON sync_logs, sync_attempts, sync_record_outcomes TO syncwatch_app;
GRANT SELECT ON sync_logs, sync_attempts, sync_record_outcomes TO syncwatch_reader;

CREATE FUNCTION refuse(rule text, explanation text) RETURNS void
    LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = rule, MESSAGE = explanation;
END
$$;

CREATE FUNCTION sync_logs_check_insert() RETURNS trigger
    LANGUAGE plpgsql
AS $$
DECLARE
    config record;
BEGIN
    SELECT organization_id, connector_type INTO config
    FROM integration_configs
    WHERE id = NEW.integration_config_id
        AND organization_id = coalesce(current_organization(), NEW.organization_id);
    IF NOT FOUND THEN
        PERFORM refuse('integration_config_id_must_exist', 'no such integration in this organization');
    END IF;
    -- organization_id_denormalized_on_create: copied, whatever the statement said.
    NEW.organization_id := config.organization_id;
    IF NEW.connector_type <> config.connector_type THEN
        PERFORM refuse('connector_type_must_match_integration_config', 'the connector differs from the integration''s');
    END IF;
    IF NEW.started_at > clock_timestamp() + interval '5 seconds' THEN
        PERFORM refuse('started_at_not_in_future', 'a sync cannot start in the future');
    END IF;
    IF NEW.status NOT IN ('pending', 'in_progress', 'success', 'failed') OR NEW.retry_count <> 0 THEN
        PERFORM refuse('sync_status_transition', 'a sync begins without retries');
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER check_insert BEFORE INSERT ON sync_logs FOR EACH ROW EXECUTE FUNCTION sync_logs_check_insert();

CREATE FUNCTION sync_logs_check_update() RETURNS trigger
    LANGUAGE plpgsql
AS $$
DECLARE
    -- An abandoned attempt without a successor may still report what really happened.
    late_report boolean := OLD.status IN ('failed', 'retried_failed') AND OLD.error_code = 'ATTEMPT_ABANDONED';
BEGIN
    IF (NEW.id, NEW.integration_config_id, NEW.organization_id, NEW.connector_type, NEW.sync_type, NEW.triggered_by,
        NEW.triggered_by_user_id, NEW.source_record_id, NEW.source_record_type, NEW.started_at, NEW.backfill,
        NEW.client_run_id)
       IS DISTINCT FROM
       (OLD.id, OLD.integration_config_id, OLD.organization_id, OLD.connector_type, OLD.sync_type, OLD.triggered_by,
        OLD.triggered_by_user_id, OLD.source_record_id, OLD.source_record_type, OLD.started_at, OLD.backfill,
        OLD.client_run_id)
    THEN
        PERFORM refuse('immutable_after_terminal_state', 'what a sync is about never changes');
    END IF;
    IF OLD.status NOT IN ('pending', 'in_progress') AND NEW.metadata IS DISTINCT FROM OLD.metadata THEN
        PERFORM refuse('immutable_after_terminal_state', 'the context of a finished sync never changes');
    END IF;
    IF NEW.retry_count <> OLD.retry_count
       AND NOT (OLD.status = 'pending' AND NEW.status = 'in_progress' AND NEW.retry_count = OLD.retry_count + 1)
    THEN
        PERFORM refuse('retry_limit_enforcement', 'the number of retries rises by one when a retry is claimed');
    END IF;
    IF OLD.status = NEW.status THEN
        IF OLD.status IN ('pending', 'in_progress') OR late_report THEN
            RETURN NEW;
        END IF;
        PERFORM refuse('immutable_after_terminal_state', 'a finished sync changes only within a retry cycle');
    END IF;
    IF NOT (CASE OLD.status
        WHEN 'pending' THEN
            NEW.status = 'in_progress'
            OR EXISTS (
                -- Nobody claimed the retry: back to how the latest attempt left it.
                SELECT FROM sync_attempts
                WHERE organization_id = OLD.organization_id AND sync_started_at = OLD.started_at AND sync_id = OLD.id
                    AND attempt_number = OLD.retry_count
                    AND NEW.status = CASE WHEN attempt_number = 0 THEN status ELSE 'retried_' || status END
            )
            OR (
                NEW.status = 'failed'
                AND NOT EXISTS (
                    SELECT FROM sync_attempts
                    WHERE organization_id = OLD.organization_id AND sync_started_at = OLD.started_at AND sync_id = OLD.id
                )
            )
        WHEN 'in_progress' THEN
            CASE WHEN OLD.retry_count = 0 THEN NEW.status IN ('success', 'failed')
                 ELSE NEW.status IN ('retried_success', 'retried_failed') END
        WHEN 'failed' THEN
            NEW.status = 'pending' OR (late_report AND NEW.status = 'success')
        WHEN 'retried_failed' THEN
            (NEW.status = 'pending' AND OLD.retry_count < 10) OR (late_report AND NEW.status = 'retried_success')
        ELSE NEW.status = 'pending' AND OLD.retry_count < 10
    END)
    THEN
        PERFORM refuse('sync_status_transition', format('%s does not become %s', OLD.status, NEW.status));
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER check_update BEFORE UPDATE ON sync_logs FOR EACH ROW EXECUTE FUNCTION sync_logs_check_update();

CREATE FUNCTION sync_attempts_check_update() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF (NEW.organization_id, NEW.sync_started_at, NEW.sync_id, NEW.attempt_number, NEW.started_at,
        NEW.triggered_by_user_id)
       IS DISTINCT FROM
       (OLD.organization_id, OLD.sync_started_at, OLD.sync_id, OLD.attempt_number, OLD.started_at,
        OLD.triggered_by_user_id)
       OR (OLD.status <> 'in_progress' AND OLD.error_code IS DISTINCT FROM 'ATTEMPT_ABANDONED')
    THEN
        PERFORM refuse('immutable_after_terminal_state', 'a closed attempt never changes');
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER check_update BEFORE UPDATE ON sync_attempts FOR EACH ROW EXECUTE FUNCTION sync_attempts_check_update();

-- How much an outcome says; a later report may only say more.
CREATE FUNCTION outcome_rank(outcome text) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE outcome
        WHEN 'queued' THEN 0
        WHEN 'sending' THEN 1
        WHEN 'not_attempted' THEN 2
        WHEN 'unknown' THEN 3
        WHEN 'skipped' THEN 4
        WHEN 'failed' THEN 4
        WHEN 'warning' THEN 5
        WHEN 'succeeded' THEN 5
    END;

CREATE FUNCTION sync_record_outcomes_check_update() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF (NEW.organization_id, NEW.sync_started_at, NEW.sync_id, NEW.attempt_number, NEW.source_record_type,
        NEW.source_record_id)
       IS DISTINCT FROM
       (OLD.organization_id, OLD.sync_started_at, OLD.sync_id, OLD.attempt_number, OLD.source_record_type,
        OLD.source_record_id)
       OR outcome_rank(NEW.outcome) <= outcome_rank(OLD.outcome)
    THEN
        PERFORM refuse('record_outcome_transition', format('%s does not become %s', OLD.outcome, NEW.outcome));
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER check_update BEFORE UPDATE ON sync_record_outcomes
    FOR EACH ROW EXECUTE FUNCTION sync_record_outcomes_check_update();

-- Makes the monthly partitions of the ledger from 13 months back to three ahead of a day, and returns how many were
-- new. The serving role cannot create tables; this is its one way to have them made.
CREATE FUNCTION ensure_ledger_partitions(today date) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public
    SET timezone = 'UTC'
AS $$
DECLARE
    parent text;
    month date;
    child text;
    made integer := 0;
BEGIN
    IF today NOT BETWEEN current_date - 1 AND current_date + 1 THEN
        RAISE EXCEPTION 'partitions are made around the present day only';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('ensure_ledger_partitions'));
    FOR month IN
        SELECT generate_series(date_trunc('month', today) - interval '13 months',
                               date_trunc('month', today) + interval '3 months', interval '1 month')::date
    LOOP
        FOREACH parent IN ARRAY ARRAY['sync_logs', 'sync_attempts', 'sync_record_outcomes'] LOOP
            child := format('%s_%s', parent, to_char(month, 'YYYY_MM'));
            IF to_regclass(format('public.%I', child)) IS NULL THEN
                EXECUTE format(
                    'CREATE TABLE public.%I PARTITION OF public.%I FOR VALUES FROM (%L) TO (%L)',
                    child, parent, month::timestamptz, (month + interval '1 month')::timestamptz
                );
                -- A parent's policies do not protect a child that is named: no grants, and forced security.
                PERFORM public.protect_tenant_table(format('public.%I', child)::regclass);
                made := made + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;
REVOKE ALL ON FUNCTION ensure_ledger_partitions(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_ledger_partitions(date) TO syncwatch_app, syncwatch_maintenance;
SELECT ensure_ledger_partitions(current_date);
