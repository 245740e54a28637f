-- What is known of external systems by those who send to them: whether they answer, until when they want to be left alone,
-- and how much of their rate is used. Kept here so that neither a second sync nor a second worker is a way around it.

CREATE TABLE external_systems (
    organization_id uuid NOT NULL REFERENCES organizations,
    -- Made from where the system is: the same for all of the organization's integrations that send there.
    id              uuid NOT NULL,
    -- Until when its rate is spoken for.
    spent_until     timestamptz,
    -- Until when it has asked to be left alone, and how often in a row it was asked too much.
    paused_until    timestamptz,
    throttled       integer NOT NULL DEFAULT 0 CHECK (throttled >= 0),
    breaker         text NOT NULL DEFAULT 'closed' CHECK (breaker IN ('closed', 'open', 'half_open')),
    -- Closed: what the latest requests met since something went wrong, a bit for each, set for an outage.
    recent_outages  integer NOT NULL DEFAULT 0 CHECK (recent_outages BETWEEN 0 AND 1048575),
    recent_requests smallint NOT NULL DEFAULT 0 CHECK (recent_requests BETWEEN 0 AND 20),
    -- Otherwise: until when nobody gets through, or the one request that finds out counts as lost; and how often in a row
    -- the system was found not to answer.
    breaker_until   timestamptz,
    openings        smallint NOT NULL DEFAULT 0 CHECK (openings >= 0),
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT breaker_is_whole CHECK (
        CASE breaker
            WHEN 'closed' THEN breaker_until IS NULL AND openings = 0
            ELSE breaker_until IS NOT NULL AND openings > 0 AND recent_outages = 0 AND recent_requests = 0
        END
    )
);
SELECT protect_tenant_table('external_systems');
GRANT SELECT, INSERT, UPDATE ON external_systems TO syncwatch_app;
GRANT SELECT ON external_systems TO syncwatch_reader;

-- How much an outcome says only grows, but for one: a record that was not attempted, since its system wanted to be left
-- alone, may leave after all while its attempt runs. (That it runs is checked where it becomes `sending`.)
CREATE OR REPLACE FUNCTION sync_record_outcomes_check_update() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF (NEW.organization_id, NEW.sync_started_at, NEW.sync_id, NEW.attempt_number, NEW.source_record_type,
        NEW.source_record_id)
       IS DISTINCT FROM
       (OLD.organization_id, OLD.sync_started_at, OLD.sync_id, OLD.attempt_number, OLD.source_record_type,
        OLD.source_record_id)
       OR (
           public.outcome_rank(NEW.outcome) <= public.outcome_rank(OLD.outcome)
           AND NOT (OLD.outcome = 'not_attempted' AND NEW.outcome = 'sending')
       )
    THEN
        PERFORM public.refuse('record_outcome_transition', format('%s does not become %s', OLD.outcome, NEW.outcome));
    END IF;
    RETURN NEW;
END
$$;

-- Where a managed attempt sends: those who send to the same system share the number of requests it takes at once. Last,
-- since it keeps others from the table until the end.
ALTER TABLE active_syncs ADD COLUMN external_system_id uuid;
