-- Integrations may read their records from a source by themselves.

-- When the source was last read from end to end, with the settings and credentials that are set now: from then on it is
-- asked only for what has changed. Null until then.
ALTER TABLE integration_configs ADD COLUMN source_read_at timestamptz;
GRANT UPDATE (source_read_at) ON integration_configs TO syncwatch_app;
GRANT SELECT (source_read_at) ON integration_configs TO syncwatch_reader;
