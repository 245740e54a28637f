-- An outcome refers to its attempt within their month. Where it referred to the whole of `sync_attempts`, each row that was
-- written opened and locked every month's partition: `EXPLAIN (ANALYZE)` of 5,000 queued outcomes showed 0.8 to 1.1 s for
-- `Trigger for constraint`, and an export waited most of its first seconds for that.
CREATE OR REPLACE FUNCTION ensure_ledger_partitions(today date) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET timezone = 'UTC'
AS $$
DECLARE
    parent text;
    first_day date;
    suffix text;
    child text;
    made integer := 0;
BEGIN
    IF today NOT BETWEEN current_date - 35 AND current_date + 35 THEN
        RAISE EXCEPTION 'partitions are made around the present day only';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('ensure_ledger_partitions'));
    FOR first_day IN
        SELECT generate_series(date_trunc('month', today) - interval '13 months',
                               date_trunc('month', today) + interval '3 months', interval '1 month')::date
    LOOP
        CONTINUE WHEN EXISTS (
            SELECT FROM archived_months WHERE archived_months.month = first_day AND archived_months.detached_at IS NOT NULL
        );
        suffix := to_char(first_day, 'YYYY_MM');
        FOREACH parent IN ARRAY ARRAY['sync_logs', 'sync_attempts', 'sync_record_outcomes'] LOOP
            child := format('%s_%s', parent, suffix);
            IF to_regclass(format('public.%I', child)) IS NULL THEN
                EXECUTE format(
                    'CREATE TABLE public.%I PARTITION OF public.%I FOR VALUES FROM (%L) TO (%L)',
                    child, parent, first_day::timestamptz, (first_day + interval '1 month')::timestamptz
                );
                -- A parent's policies do not protect a child that is named: no grants, and forced security.
                PERFORM public.protect_tenant_table(format('public.%I', child)::regclass);
                made := made + 1;
            END IF;
        END LOOP;
        -- Of every month: one that was being made while this function took the place of the former has no reference yet.
        child := 'sync_record_outcomes_' || suffix;
        IF NOT EXISTS (
            SELECT FROM pg_constraint
            WHERE conrelid = format('public.%I', child)::regclass AND conname = 'outcome_has_its_attempt'
        ) THEN
            EXECUTE format(
                'ALTER TABLE public.%I ADD CONSTRAINT outcome_has_its_attempt
                    FOREIGN KEY (organization_id, sync_started_at, sync_id, attempt_number) REFERENCES public.%I',
                child, 'sync_attempts_' || suffix
            );
        END IF;
    END LOOP;
    RETURN made;
END
$$;

DO $$
DECLARE
    child text;
    patience text := current_setting('lock_timeout');
BEGIN
    -- Nobody makes or takes away a month meanwhile.
    PERFORM pg_advisory_xact_lock(hashtext('ensure_ledger_partitions'));
    -- Some who write take the one first and some the other: both are taken together or let go, before anybody would be
    -- rolled back for a deadlock or wait for long behind a reader.
    FOR try IN 1..400 LOOP
        BEGIN
            PERFORM set_config('lock_timeout', '200ms', true);
            LOCK TABLE ONLY public.sync_attempts, ONLY public.sync_record_outcomes IN ACCESS EXCLUSIVE MODE;
            EXIT;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            IF try = 400 THEN
                RAISE;
            END IF;
            PERFORM pg_sleep(0.05);
        END;
    END LOOP;
    PERFORM set_config('lock_timeout', patience, true);
    ALTER TABLE public.sync_record_outcomes
        DROP CONSTRAINT sync_record_outcomes_organization_id_sync_started_at_sync__fkey;
    FOR child IN
        SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'public.sync_record_outcomes'::regclass ORDER BY relname
    LOOP
        -- What is there was checked when it was written; it is proved afterwards, with nobody kept from the tables.
        EXECUTE format(
            'ALTER TABLE public.%I ADD CONSTRAINT outcome_has_its_attempt
                FOREIGN KEY (organization_id, sync_started_at, sync_id, attempt_number) REFERENCES public.%I NOT VALID',
            child, replace(child, 'sync_record_outcomes', 'sync_attempts')
        );
    END LOOP;
END
$$;
