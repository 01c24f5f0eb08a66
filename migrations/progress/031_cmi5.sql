-- Description: what cmi5 statements say of their units and sessions, by which a registration is folded
-- Breaking: no
-- Manual: no
-- Lock: exclusive-brief

-- All empty for other statements, and for those that were read before: `projections rebuild` reads them again.
ALTER TABLE progress.attempt_statements
    ADD COLUMN IF NOT EXISTS is_cmi5 boolean,
    ADD COLUMN IF NOT EXISTS unit_key uuid,
    ADD COLUMN IF NOT EXISTS session_id text,
    ADD COLUMN IF NOT EXISTS move_on text;
