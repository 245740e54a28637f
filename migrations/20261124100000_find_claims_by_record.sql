-- A sync's claims. With the organization first, the index served a look-up of one record as well while the table was small,
-- by reading all of the organization's claims; and a plan that is kept outlives a small table.
-- Dropped first, which takes the stronger lock.
DROP INDEX sync_claims_sync;
CREATE INDEX sync_claims_of_sync ON sync_claims (sync_id, organization_id);
