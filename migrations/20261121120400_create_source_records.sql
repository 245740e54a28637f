-- Source records: where each stands towards an integration over all syncs, and its staged data until it is delivered.

CREATE TABLE source_records (
    organization_id       uuid NOT NULL,
    integration_config_id uuid NOT NULL,
    source_record_type    text NOT NULL CHECK (source_record_type ~ '^[A-Za-z0-9_.-]{1,100}$'),
    source_record_id      uuid NOT NULL,
    state                 text NOT NULL CHECK (
        state IN ('staged', 'sending', 'delivered', 'failed', 'unknown', 'handled')
    ),
    label                 text CHECK (char_length(label) <= 200),
    amount                numeric(18, 4),
    currency              text CHECK (currency ~ '^[A-Z]{3}$'),
    -- The current version, sealed by the server; none once it is delivered, and none for external runners' records.
    payload_sealed        bytea,
    payload_key_id        text,
    payload_hash          text CHECK (payload_hash ~ '^[0-9a-f]{64}$'),
    -- A newer version that waits while the current one is on its way or its fate is unknown.
    next_payload_sealed   bytea,
    next_payload_key_id   text,
    next_payload_hash     text CHECK (next_payload_hash ~ '^[0-9a-f]{64}$'),
    -- The version of the last request that left.
    sent_hash             text CHECK (sent_hash ~ '^[0-9a-f]{64}$'),
    external_reference_id text CHECK (char_length(external_reference_id) <= 500),
    -- The latest sync that touched it.
    last_sync_id          uuid,
    resolution            text CHECK (resolution IN ('handled_manually', 'delivered', 'send_again')),
    resolution_reason     text CHECK (char_length(resolution_reason) BETWEEN 1 AND 1000),
    resolution_reference  text CHECK (char_length(resolution_reference) <= 500),
    resolved_by           uuid,
    resolved_at           timestamptz,
    created_at            timestamptz NOT NULL,
    updated_at            timestamptz NOT NULL,
    PRIMARY KEY (organization_id, integration_config_id, source_record_type, source_record_id),
    FOREIGN KEY (organization_id, integration_config_id) REFERENCES integration_configs (organization_id, id),
    CONSTRAINT payload_is_whole CHECK (
        (payload_sealed IS NULL) = (payload_key_id IS NULL) AND (payload_sealed IS NULL OR payload_hash IS NOT NULL)
    ),
    CONSTRAINT next_payload_is_whole CHECK (
        (next_payload_sealed IS NULL) = (next_payload_key_id IS NULL)
        AND (next_payload_sealed IS NULL) = (next_payload_hash IS NULL)
        AND (next_payload_sealed IS NULL OR state IN ('sending', 'unknown'))
    ),
    CONSTRAINT payload_deleted_once_settled CHECK (state NOT IN ('handled', 'delivered') OR payload_sealed IS NULL),
    CONSTRAINT resolution_is_whole CHECK (
        (resolution IS NULL) = (resolved_at IS NULL) AND (resolution IS NULL) = (resolution_reason IS NULL)
    )
);
-- What a sync takes: never sent, or corrected since it failed.
CREATE INDEX source_records_due ON source_records (organization_id, integration_config_id, created_at)
    WHERE state IN ('staged', 'failed') AND payload_sealed IS NOT NULL;
-- What has not arrived: the health row's count and sums.
CREATE INDEX source_records_undelivered ON source_records (organization_id, integration_config_id)
    WHERE state IN ('failed', 'unknown');
SELECT protect_tenant_table('source_records');
GRANT SELECT, INSERT, UPDATE ON source_records TO syncwatch_app;
GRANT SELECT ON source_records TO syncwatch_reader;

-- A record that has arrived is never sent again, and one booked by hand neither: `delivered` goes back to `staged` only
-- where the integration allows updates, `handled` goes nowhere.
CREATE FUNCTION source_records_check_update() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF NEW.state = OLD.state THEN
        RETURN NEW;
    END IF;
    IF OLD.state = 'handled' AND NEW.state <> 'delivered' THEN
        PERFORM refuse('handled_record_is_settled', 'a record that was booked by hand is never sent again');
    END IF;
    IF OLD.state = 'delivered' AND NOT EXISTS (
        SELECT FROM integration_configs
        WHERE organization_id = NEW.organization_id AND id = NEW.integration_config_id AND allow_updates
    ) THEN
        PERFORM refuse('delivered_record_is_settled', 'a record that has arrived is never sent again');
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER check_update BEFORE UPDATE ON source_records FOR EACH ROW EXECUTE FUNCTION source_records_check_update();
