-- A health row is read and written whole with every ended sync, by the application alone. As it is written it is kept:
-- neither taken apart and put together (`jsonb`), nor compressed, nor moved out of its row. Half of each page stays free,
-- so that a row's next version finds room beside it.
ALTER TABLE integration_health
    ALTER COLUMN facts DROP DEFAULT,
    ALTER COLUMN facts TYPE json USING facts::json,
    ALTER COLUMN facts SET STORAGE EXTERNAL,
    ALTER COLUMN facts SET DEFAULT '{}',
    SET (fillfactor = 50, toast_tuple_target = 8160);

-- Old events are found by their numbers, which grow with time: an index less to write twice for every event.
DROP INDEX events_created_at;
