-- Reads every row once, and keeps nobody from writing.
ALTER TABLE source_records
    VALIDATE CONSTRAINT source_records_source_record_type_check,
    VALIDATE CONSTRAINT source_records_payload_hash_check,
    VALIDATE CONSTRAINT source_records_next_payload_hash_check,
    VALIDATE CONSTRAINT source_records_sent_hash_check,
    VALIDATE CONSTRAINT sent_target_is_whole;
