-- Proves that each outcome's attempt is there. Reading and writing go on meanwhile.
DO $$
DECLARE
    child regclass;
BEGIN
    FOR child IN
        SELECT conrelid FROM pg_constraint WHERE conname = 'outcome_has_its_attempt' AND NOT convalidated
        ORDER BY conrelid::regclass::text
    LOOP
        EXECUTE format('ALTER TABLE %s VALIDATE CONSTRAINT outcome_has_its_attempt', child);
    END LOOP;
END
$$;
