-- Master keys can be changed: whatever is sealed is sealed anew in its place, beside running servers.

-- What the ledger knows credentials by: new whenever they are set, the same however often they are sealed anew. Requests in
-- doubt are remembered with it, since another account would know nothing of them.
ALTER TABLE integration_configs ADD COLUMN credentials_mark uuid;
UPDATE integration_configs SET credentials_mark = gen_random_uuid() WHERE credentials_sealed IS NOT NULL;
ALTER TABLE integration_configs ADD CONSTRAINT credentials_have_mark CHECK (
    (credentials_sealed IS NULL) = (credentials_mark IS NULL)
);
GRANT UPDATE (credentials_mark) ON integration_configs TO syncwatch_app;

GRANT UPDATE (secret_sealed, secret_key_id) ON webhook_secrets TO syncwatch_app;
GRANT UPDATE (private_key_sealed, sealing_key_id) ON signing_keys TO syncwatch_app;
