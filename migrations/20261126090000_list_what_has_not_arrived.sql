-- Syncs that can be retried. Among them are now successes of which records have not arrived, or nobody knows whether they
-- have, where their integration takes that as a warning: their remark says so.
-- The old one is dropped first, which takes the stronger lock; on filled partitions the new one has been built before.
DROP INDEX idx_sync_logs_list_left_behind;
CREATE INDEX idx_sync_logs_list_to_retry ON sync_logs (organization_id, started_at, id)
    WHERE retry_count < 10
        AND (status IN ('failed', 'retried_failed')
             OR (status IN ('success', 'retried_success')
                 AND (records_failed > 0 OR warnings @> '[{"code": "AWAITING_POSTING"}]'
                      OR warnings @> '[{"code": "RECORDS_NOT_ARRIVED"}]')));
