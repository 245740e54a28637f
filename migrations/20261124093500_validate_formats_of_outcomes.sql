-- As of records.
ALTER TABLE sync_record_outcomes
    VALIDATE CONSTRAINT sync_record_outcomes_source_record_type_check,
    VALIDATE CONSTRAINT sync_record_outcomes_request_payload_hash_check;
