DROP FUNCTION IF EXISTS platform.find_launch(uuid);
ALTER TABLE platform.credentials
    DROP COLUMN IF EXISTS session_id,
    DROP COLUMN IF EXISTS activity_id,
    DROP COLUMN IF EXISTS move_on,
    DROP COLUMN IF EXISTS mastery_score,
    DROP COLUMN IF EXISTS launch_mode,
    DROP COLUMN IF EXISTS fetch_hash,
    DROP COLUMN IF EXISTS fetch_until,
    DROP COLUMN IF EXISTS fetched_at;
