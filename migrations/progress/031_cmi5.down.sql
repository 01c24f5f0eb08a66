ALTER TABLE progress.attempt_statements
    DROP COLUMN IF EXISTS is_cmi5,
    DROP COLUMN IF EXISTS unit_key,
    DROP COLUMN IF EXISTS session_id,
    DROP COLUMN IF EXISTS move_on;
