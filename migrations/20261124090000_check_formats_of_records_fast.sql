-- The same formats in words that are checked fast: a counted pattern such as `{64}` is built up anew for each value, every
-- time any column of the row changes. What is there obeys already, and is looked at once more by the next migration, beside
-- its writers. Each table in a transaction of its own, so that none is locked while another is waited for.
ALTER TABLE source_records
    DROP CONSTRAINT source_records_source_record_type_check,
    ADD CONSTRAINT source_records_source_record_type_check CHECK (
        char_length(source_record_type) BETWEEN 1 AND 100 AND source_record_type !~ '[^A-Za-z0-9_.-]'
    ) NOT VALID,
    DROP CONSTRAINT source_records_payload_hash_check,
    ADD CONSTRAINT source_records_payload_hash_check CHECK (
        char_length(payload_hash) = 64 AND payload_hash !~ '[^0-9a-f]'
    ) NOT VALID,
    DROP CONSTRAINT source_records_next_payload_hash_check,
    ADD CONSTRAINT source_records_next_payload_hash_check CHECK (
        char_length(next_payload_hash) = 64 AND next_payload_hash !~ '[^0-9a-f]'
    ) NOT VALID,
    DROP CONSTRAINT source_records_sent_hash_check,
    ADD CONSTRAINT source_records_sent_hash_check CHECK (
        char_length(sent_hash) = 64 AND sent_hash !~ '[^0-9a-f]'
    ) NOT VALID,
    DROP CONSTRAINT sent_target_is_whole,
    ADD CONSTRAINT sent_target_is_whole CHECK (
        char_length(sent_target) = 64 AND sent_target !~ '[^0-9a-f]'
        AND (sent_recognised_by IS NULL OR sent_target IS NOT NULL)
        AND char_length(sent_recognised_by) BETWEEN 1 AND 200
    ) NOT VALID;
