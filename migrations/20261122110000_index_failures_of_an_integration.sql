-- The failed syncs of one integration: its page, and what an administrator asks for first. Without, a page of 50 reads the
-- syncs of the integration one after the other until so many have failed: 23 ms, p99, for one that has 8,000 syncs among 10
-- million. Partial: a sync that succeeds pays nothing for it.
CREATE INDEX idx_sync_logs_list_failed ON sync_logs (organization_id, integration_config_id, started_at, id)
    WHERE status IN ('failed', 'retried_failed');
