-- The archive: which months of the ledger lie in files, organization by organization, and the one way to take a month's
-- partitions away.

-- Months and moments, nothing else. Read by whoever makes partitions or starts a sync: an archived month takes no more
-- rows. Only detach_archived_month closes one.
CREATE TABLE archived_months (
    month       date PRIMARY KEY CHECK (month = date_trunc('month', month)),
    planned_at  timestamptz NOT NULL DEFAULT now(),
    detached_at timestamptz
);
GRANT SELECT ON archived_months TO syncwatch_app, syncwatch_reader;
GRANT SELECT ON archived_months TO syncwatch_maintenance;
GRANT INSERT (month) ON archived_months TO syncwatch_maintenance;

-- One organization's file of a table and month. When it expires the file goes and the row stays, as its tombstone.
CREATE TABLE archives (
    organization_id uuid NOT NULL REFERENCES organizations,
    month           date NOT NULL REFERENCES archived_months,
    table_name      text NOT NULL CHECK (table_name IN ('sync_logs', 'sync_attempts', 'sync_record_outcomes')),
    state           text NOT NULL CHECK (state IN ('written', 'verified', 'detached', 'expired')),
    -- The file's name within the archive.
    location        text NOT NULL,
    bytes           bigint NOT NULL CHECK (bytes > 0),
    sha256          text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    schema_version  smallint NOT NULL,
    rows            bigint NOT NULL CHECK (rows >= 0),
    -- Of the rows as the database had them; compared again before they go.
    checksum        text NOT NULL,
    min_started_at  timestamptz,
    max_started_at  timestamptz,
    retention_class text NOT NULL CHECK (retention_class IN ('accounting', 'operational')),
    written_at      timestamptz NOT NULL DEFAULT now(),
    archived_at     timestamptz,
    expired_at      timestamptz,
    -- When the expired file was deleted.
    deleted_at      timestamptz,
    PRIMARY KEY (organization_id, month, table_name),
    CONSTRAINT archive_bounds_are_whole CHECK (
        (rows = 0) = (min_started_at IS NULL) AND (rows = 0) = (max_started_at IS NULL)
        AND min_started_at <= max_started_at
    ),
    CONSTRAINT archive_moments_follow_state CHECK (
        (archived_at IS NOT NULL) = (state IN ('detached', 'expired'))
        AND (expired_at IS NOT NULL) = (state = 'expired')
        AND (deleted_at IS NULL OR state = 'expired')
    ),
    -- Norwegian bookkeeping law: five years after the end of the accounting year.
    CONSTRAINT accounting_is_kept_five_years CHECK (
        retention_class <> 'accounting' OR expired_at >= make_date(extract(year FROM month)::integer + 6, 1, 1)
    )
);
SELECT protect_tenant_table('archives');
GRANT SELECT ON archives TO syncwatch_app, syncwatch_reader;
GRANT SELECT, INSERT, UPDATE ON archives TO syncwatch_maintenance;
-- What goes into the archive is read by the role that writes it.
GRANT SELECT ON sync_logs, sync_attempts, sync_record_outcomes, active_syncs, seal_queue TO syncwatch_maintenance;

-- written -> verified -> detached -> expired. What is detached never changes but to expire, and only the detaching
-- function detaches.
CREATE FUNCTION archives_check_update() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF NOT (CASE OLD.state
        WHEN 'written' THEN NEW.state IN ('written', 'verified')
        WHEN 'verified' THEN NEW.state IN ('written', 'verified')
            OR (NEW.state = 'detached' AND current_user = 'syncwatch_owner')
        WHEN 'detached' THEN NEW.state = 'expired'
        ELSE NEW.state = 'expired'
    END)
    THEN
        PERFORM refuse('archive_state_transition', format('an archive that is %s does not become %s', OLD.state, NEW.state));
    END IF;
    IF NEW.state = 'expired' AND OLD.state = 'detached' THEN
        NEW.expired_at := now();
    END IF;
    IF OLD.state IN ('detached', 'expired')
        AND (NEW.organization_id, NEW.month, NEW.table_name, NEW.location, NEW.bytes, NEW.sha256, NEW.schema_version,
             NEW.rows, NEW.checksum, NEW.min_started_at, NEW.max_started_at, NEW.retention_class, NEW.written_at,
             NEW.archived_at)
        IS DISTINCT FROM
            (OLD.organization_id, OLD.month, OLD.table_name, OLD.location, OLD.bytes, OLD.sha256, OLD.schema_version,
             OLD.rows, OLD.checksum, OLD.min_started_at, OLD.max_started_at, OLD.retention_class, OLD.written_at,
             OLD.archived_at)
    THEN
        PERFORM refuse('archive_is_final', 'what is archived never changes');
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER check_update BEFORE UPDATE ON archives FOR EACH ROW EXECUTE FUNCTION archives_check_update();

CREATE FUNCTION archives_check_insert() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF NEW.state <> 'written' AND current_user = 'syncwatch_maintenance' THEN
        PERFORM refuse('archive_state_transition', 'a file is written first');
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER check_insert BEFORE INSERT ON archives FOR EACH ROW EXECUTE FUNCTION archives_check_insert();

-- How many rows an organization has in a month's partition, and a checksum of all their columns.
CREATE FUNCTION ledger_checksum(parent text, target date, organization uuid, OUT rows bigint, OUT checksum text)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET timezone = 'UTC'
    SET datestyle = 'ISO, YMD'
    SET intervalstyle = 'postgres'
    SET extra_float_digits = 1
AS $$
BEGIN
    IF parent NOT IN ('sync_logs', 'sync_attempts', 'sync_record_outcomes') THEN
        RAISE EXCEPTION 'no table of the ledger: %', parent;
    END IF;
    EXECUTE format(
        'SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text FROM public.%I t
         WHERE organization_id = $1',
        format('%s_%s', parent, to_char(target, 'YYYY_MM'))
    ) INTO rows, checksum USING organization;
END
$$;
REVOKE ALL ON FUNCTION ledger_checksum(text, date, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger_checksum(text, date, uuid) TO syncwatch_maintenance;

-- Takes a month's partitions away, all or none, if every row of them lies verified in the archive. Rows that came after
-- the files were written are noticed here, with the partitions held against further ones. Temporary tables of the caller
-- come last where names are looked up: none of them stands in for what is asked here.
CREATE FUNCTION detach_archived_month(target date) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET timezone = 'UTC'
AS $$
DECLARE
    suffix text := to_char(target, 'YYYY_MM');
    parent text;
    newest timestamptz;
    present bigint;
    counted record;
    entry record;
    taken bigint := 0;
    patience text := current_setting('lock_timeout');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('ensure_ledger_partitions'));
    PERFORM 1 FROM archived_months WHERE month = target AND detached_at IS NULL FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM refuse('archive_not_planned', format('the month %s is not planned, or was detached before', target));
    END IF;
    -- In the order in which writers take them; readers go on.
    FOREACH parent IN ARRAY ARRAY['sync_logs', 'sync_attempts', 'sync_record_outcomes'] LOOP
        IF to_regclass(format('public.%I', parent || '_' || suffix)) IS NULL THEN
            PERFORM refuse('archive_not_planned', format('there is no partition %s_%s', parent, suffix));
        END IF;
        EXECUTE format('LOCK TABLE public.%I IN SHARE MODE', parent || '_' || suffix);
    END LOOP;

    EXECUTE format('SELECT max(started_at) FROM public.%I', 'sync_logs_' || suffix) INTO newest;
    IF newest >= now() - interval '1 year'
        OR (newest IS NULL AND target >= date_trunc('month', now()) - interval '13 months')
    THEN
        PERFORM refuse('archive_after_1year', format('the newest sync of %s is not a year old', target));
    END IF;
    EXECUTE format(
        'SELECT count(*) FROM public.%I WHERE status IN (''pending'', ''in_progress'')', 'sync_logs_' || suffix
    ) INTO present;
    IF present > 0 OR EXISTS (
        SELECT FROM active_syncs
        WHERE sync_started_at >= target::timestamptz AND sync_started_at < (target + interval '1 month')::timestamptz
    ) THEN
        PERFORM refuse('archive_terminal_syncs_only', format('a sync of %s is under way', target));
    END IF;
    -- What leaves is compared with its seals for ever after.
    IF EXISTS (
        SELECT FROM seal_queue
        WHERE sync_started_at >= target::timestamptz AND sync_started_at < (target + interval '1 month')::timestamptz
    ) THEN
        PERFORM refuse('archive_sealed_syncs_only', format('a sync of %s waits to be sealed', target));
    END IF;

    FOREACH parent IN ARRAY ARRAY['sync_logs', 'sync_attempts', 'sync_record_outcomes'] LOOP
        EXECUTE format('SELECT count(*) FROM public.%I', parent || '_' || suffix) INTO present;
        IF present <> (
            SELECT coalesce(sum(archives.rows), 0) FROM archives
            WHERE archives.month = target AND archives.table_name = parent AND archives.state = 'verified'
        ) THEN
            PERFORM refuse('archive_is_complete', format('%s of %s has other rows than its files', parent, target));
        END IF;
        FOR entry IN SELECT * FROM archives WHERE archives.month = target AND archives.table_name = parent LOOP
            SELECT * INTO counted FROM ledger_checksum(parent, target, entry.organization_id);
            IF entry.state <> 'verified' OR (counted.rows, counted.checksum) <> (entry.rows, entry.checksum) THEN
                PERFORM refuse('archive_is_complete', format('%s of %s has other rows than its file', parent, target));
            END IF;
        END LOOP;
        taken := taken + present;
    END LOOP;

    -- Whoever reads or writes any month holds some of the parents and may ask for the others: they are taken together or
    -- let go, long before anybody would be rolled back for a deadlock.
    FOR try IN 1..20 LOOP
        BEGIN
            PERFORM set_config('lock_timeout', '200ms', true);
            LOCK TABLE ONLY public.sync_logs, ONLY public.sync_attempts, ONLY public.sync_record_outcomes
                IN ACCESS EXCLUSIVE MODE;
            EXIT;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            IF try = 20 THEN
                RAISE;
            END IF;
            PERFORM pg_sleep(0.05);
        END;
    END LOOP;
    PERFORM set_config('lock_timeout', patience, true);
    FOREACH parent IN ARRAY ARRAY['sync_record_outcomes', 'sync_attempts', 'sync_logs'] LOOP
        EXECUTE format('ALTER TABLE public.%I DETACH PARTITION public.%I', parent, parent || '_' || suffix);
        EXECUTE format('DROP TABLE public.%I', parent || '_' || suffix);
    END LOOP;
    UPDATE archives SET state = 'detached', archived_at = now() WHERE archives.month = target;
    UPDATE archived_months SET detached_at = now() WHERE archived_months.month = target;
    RETURN taken;
END
$$;
REVOKE ALL ON FUNCTION detach_archived_month(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION detach_archived_month(date) TO syncwatch_maintenance;

-- As before, but an archived month stays closed. A clock may run ahead of the database's by a month, so that the
-- passing of one can be rehearsed.
CREATE OR REPLACE FUNCTION ensure_ledger_partitions(today date) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp
    SET timezone = 'UTC'
AS $$
DECLARE
    parent text;
    first_day date;
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
        FOREACH parent IN ARRAY ARRAY['sync_logs', 'sync_attempts', 'sync_record_outcomes'] LOOP
            child := format('%s_%s', parent, to_char(first_day, 'YYYY_MM'));
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
    END LOOP;
    RETURN made;
END
$$;
