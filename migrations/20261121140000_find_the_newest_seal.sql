-- A chain has no gap and no branch. The newest seal is found by the chain's own index, also by a plan that was made while
-- there were no seals: `max(seq)` may then be planned as a walk over all seals of the organization, for each new one.
CREATE OR REPLACE FUNCTION seals_check_insert() RETURNS trigger
    LANGUAGE plpgsql
AS $$
DECLARE
    newest bigint;
BEGIN
    -- Named with its schema: a session may have a temporary table of the same name.
    SELECT seq INTO newest FROM public.seals
    WHERE organization_id = NEW.organization_id ORDER BY seq DESC LIMIT 1;
    IF NEW.seq <> coalesce(newest, 0) + 1 THEN
        PERFORM public.refuse('seals_are_contiguous', 'a seal follows the one before it');
    END IF;
    RETURN NEW;
END
$$;
