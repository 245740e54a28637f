-- startSync: the statements of one transaction, in the server's order. Ids and moments, which the server makes itself,
-- are made by the first statement of each transaction.
\set which random(1, :number)
BEGIN;
SELECT set_config('app.org_id', :organization, true), (:integrations)[:which] AS integration, started, overlay(gen_random_uuid()::text PLACING lpad(to_hex((extract(epoch FROM started) * 1000)::bigint >> 16), 8, '0') FROM 1 FOR 8)::uuid AS sync FROM date_trunc('milliseconds', clock_timestamp()) AS started \gset
SELECT * FROM integration_configs WHERE organization_id = :organization AND id = :integration;
INSERT INTO sync_logs (id, integration_config_id, organization_id, connector_type, sync_type, status, records_processed, records_failed, records_total, error_code, error_message, triggered_by, triggered_by_user_id, source_record_id, source_record_type, external_reference_id, request_payload_hash, http_status_code, duration_ms, started_at, completed_at, metadata, warnings, backfill, client_run_id) VALUES (:sync, :integration, :organization, 'other', 'accounting_push', 'in_progress', NULL, NULL, 40, NULL, NULL, 'automatic', NULL, NULL, NULL, NULL, NULL, NULL, NULL, :started, NULL, NULL, '[]', false, NULL);
INSERT INTO sync_attempts (organization_id, sync_started_at, sync_id, attempt_number, status, started_at, completed_at, duration_ms, records_total, records_done, records_processed, records_failed, records_skipped, records_unknown, records_not_attempted, error_code, error_message, http_status_code, triggered_by_user_id) VALUES (:organization, :started, :sync, 0, 'in_progress', :started, NULL, NULL, 40, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO active_syncs (organization_id, sync_id, sync_started_at, integration_config_id, attempt_number, running, managed, requested_by, lease_owner, lease_seconds, lease_expires_at, created_at) VALUES (:organization, :sync, :started, :integration, 0, true, false, NULL, NULL, 60, :started::timestamptz + interval '60 seconds', :started);
INSERT INTO events (organization_id, kind, user_id, data) VALUES (:organization, 'sync.changed', NULL, jsonb_build_object('sync_id', :sync::uuid, 'integration_config_id', :integration::uuid));
COMMIT;
-- succeedSync.
BEGIN;
SELECT set_config('app.org_id', :organization, true), ended, (extract(epoch FROM ended - :started::timestamptz) * 1000)::bigint AS duration FROM date_trunc('milliseconds', clock_timestamp()) AS ended \gset
SELECT * FROM sync_logs WHERE organization_id = :organization AND started_at = :started AND id = :sync FOR UPDATE;
SELECT * FROM sync_attempts WHERE organization_id = :organization AND sync_started_at = :started AND sync_id = :sync AND attempt_number = 0;
SELECT * FROM integration_configs WHERE organization_id = :organization AND id = :integration;
SELECT * FROM sync_attempts WHERE organization_id = :organization AND sync_started_at = :started AND sync_id = :sync AND attempt_number = 0;
UPDATE sync_record_outcomes SET outcome = CASE outcome WHEN 'sending' THEN 'unknown' ELSE 'not_attempted' END, updated_at = :ended WHERE organization_id = :organization AND sync_started_at = :started AND sync_id = :sync AND attempt_number = 0 AND outcome IN ('queued', 'sending') RETURNING source_record_type, source_record_id, outcome;
SELECT outcome, count(*) FROM sync_record_outcomes WHERE organization_id = :organization AND sync_started_at = :started AND sync_id = :sync AND attempt_number = 0 GROUP BY outcome;
UPDATE sync_attempts SET status = 'success', completed_at = :ended, duration_ms = :duration, records_total = 40, records_done = 0, records_processed = 40, records_failed = 0, records_skipped = NULL, records_unknown = NULL, records_not_attempted = NULL, error_code = NULL, error_message = NULL, http_status_code = NULL WHERE organization_id = :organization AND sync_started_at = :started AND sync_id = :sync AND attempt_number = 0;
UPDATE sync_logs SET status = 'success', records_processed = 40, records_failed = 0, records_total = 40, error_code = NULL, error_message = NULL, external_reference_id = NULL, request_payload_hash = NULL, http_status_code = NULL, duration_ms = :duration, completed_at = :ended, warnings = '[]' WHERE organization_id = :organization AND started_at = :started AND id = :sync;
DELETE FROM active_syncs WHERE organization_id = :organization AND sync_id = :sync;
INSERT INTO events (organization_id, kind, user_id, data) VALUES (:organization, 'sync.changed', NULL, jsonb_build_object('sync_id', :sync::uuid, 'integration_config_id', :integration::uuid));
SELECT facts FROM integration_health WHERE organization_id = :organization AND integration_config_id = :integration FOR UPDATE \gset
SELECT currency, count(*), sum(amount) FROM source_records WHERE organization_id = :organization AND integration_config_id = :integration AND state IN ('failed', 'unknown') GROUP BY currency ORDER BY currency;
UPDATE integration_health SET facts = :facts, updated_at = :ended WHERE organization_id = :organization AND integration_config_id = :integration;
UPDATE integration_timers SET stale_at = :ended::timestamptz + interval '48 hours' WHERE organization_id = :organization AND integration_config_id = :integration;
SELECT id FROM incidents WHERE organization_id = :organization AND integration_config_id = :integration AND resolved_at IS NULL;
INSERT INTO events (organization_id, kind, user_id, data) VALUES (:organization, 'integration.changed', NULL, jsonb_build_object('integration_config_id', :integration::uuid));
COMMIT;
