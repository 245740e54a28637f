-- As of records.
ALTER TABLE sync_record_outcomes
    DROP CONSTRAINT sync_record_outcomes_source_record_type_check,
    ADD CONSTRAINT sync_record_outcomes_source_record_type_check CHECK (
        char_length(source_record_type) BETWEEN 1 AND 100 AND source_record_type !~ '[^A-Za-z0-9_.-]'
    ) NOT VALID,
    DROP CONSTRAINT sync_record_outcomes_request_payload_hash_check,
    ADD CONSTRAINT sync_record_outcomes_request_payload_hash_check CHECK (
        char_length(request_payload_hash) = 64 AND request_payload_hash !~ '[^0-9a-f]'
    ) NOT VALID;
