-- Which OpenLineage job's runs are an integration's syncs. Not a column of the settings: events look integrations up by
-- it, and it must lead to one.

CREATE TABLE lineage_jobs (
    organization_id       uuid NOT NULL,
    -- Together no longer, at four bytes a character, than a row of the primary key may be.
    namespace             text NOT NULL CHECK (char_length(namespace) BETWEEN 1 AND 200),
    name                  text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 400),
    integration_config_id uuid NOT NULL,
    -- Seconds without an event until a run counts as abandoned.
    lease_seconds         integer NOT NULL CHECK (lease_seconds BETWEEN 1 AND 86400),
    CONSTRAINT lineage_job_leads_to_one_integration PRIMARY KEY (organization_id, namespace, name),
    CONSTRAINT integration_has_one_lineage_job UNIQUE (organization_id, integration_config_id),
    FOREIGN KEY (organization_id, integration_config_id) REFERENCES integration_configs (organization_id, id)
);
SELECT protect_tenant_table('lineage_jobs');
-- A setting, not the ledger: it can be taken back. A change is a removal and a new row.
GRANT SELECT, INSERT, DELETE ON lineage_jobs TO syncwatch_app;
GRANT SELECT ON lineage_jobs TO syncwatch_reader;
